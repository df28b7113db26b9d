/* SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include <string.h>

#include "hash.h"
#include "nonce.h"

/* Above, a scan would look at the watch too rarely; below, laying out groups would cost more. */
enum { MAX_SCANNED_BLOCKS = 32 };

/* As many nonces as the kernel has lanes. Arrays hold word w of message i at [w * lanes + i]. */
struct group {
    const struct pypow_search *search;
    const struct pypow_watch *watch;
    uint64_t first;
    uint32_t count; /* nonces in use; the other lanes repeat the last one */
    uint32_t lanes;
    uint64_t unwatched; /* block computations since the last look at the watch */
    struct pypow_message message;
    uint32_t states[STATE_WORDS * MAX_LANES];
    uint32_t blocks[BLOCK_WORDS * MAX_LANES];
    struct pypow_stretch stretch;
};

bool pypow_group_wanted(const struct pypow_puzzle *puzzle)
{
    return puzzle->hash.type != PYPOW_SHA256 ||
           pypow_hash_cost(&puzzle->hash, &puzzle->message) > MAX_SCANNED_BLOCKS;
}

/* Between two looks at the watch: 3 to 70 us, longer on the slowest kernels. */
static uint32_t watch_blocks(uint32_t lanes) { return lanes < 32 ? 1024 : 4096; }

/* Account for so many blocks in every lane; false when there is no use in going on. */
static bool go_on(struct group *group, uint64_t blocks)
{
    group->unwatched += blocks * group->lanes;
    if (group->unwatched < watch_blocks(group->lanes))
        return true;
    group->unwatched = 0;
    return !pypow_watch_stopped(group->watch) && !pypow_watch_pointless(group->watch, group->first);
}

static void repeat(uint32_t *states, const struct group *group, const uint32_t *state)
{
    for (uint32_t i = 0; i < STATE_WORDS * group->lanes; i++)
        states[i] = state[i / group->lanes];
}

static void repeat_block(struct group *group, const uint8_t *block)
{
    for (uint32_t i = 0; i < BLOCK_WORDS * group->lanes; i++)
        group->blocks[i] = load_be32(block + 4 * (i / group->lanes));
}

typedef void layout(uint8_t *block, const struct pypow_message *message, uint64_t number);

/* Lay out a block of every message that has the nonce in it. */
static void vary_block(struct group *group, layout *lay_out, uint64_t number)
{
    const struct pypow_nonce *nonce = &group->search->puzzle->nonce;
    struct pypow_message *message = &group->message;
    uint8_t block[BLOCK_BYTES];
    for (uint32_t lane = 0; lane < group->lanes; lane++) {
        if (lane < group->count) {
            pypow_nonce_write(message->nonce, nonce, (uint32_t)message->nonce_len,
                              group->first + lane);
            lay_out(block, message, number);
        }
        for (uint32_t i = 0; i < BLOCK_WORDS; i++)
            group->blocks[i * group->lanes + lane] = load_be32(block + 4 * i);
    }
}

static void compress(uint32_t *states, const struct group *group)
{
    group->search->kernel->compress_many(states, group->blocks);
}

/* The messages' SHA-256 in `states`. */
static bool hash_messages(struct group *group)
{
    const struct pypow_message *message = &group->message;
    const uint64_t blocks = pypow_message_blocks(message);
    const uint64_t nonce_at = message->head_len, nonce_end = nonce_at + message->nonce_len;
    uint8_t block[BLOCK_BYTES];
    repeat(group->states, group, message->midstate);
    for (uint64_t i = 0; i < blocks; i++) {
        if (i * BLOCK_BYTES < nonce_end && nonce_at < (i + 1) * BLOCK_BYTES) {
            vary_block(group, pypow_message_block, i);
        } else {
            pypow_message_block(block, message, i);
            repeat_block(group, block);
        }
        compress(group->states, group);
        if (!go_on(group, 1))
            return false;
    }
    return true;
}

/* The messages' blocks as HMAC's keys, in `blocks`. */
static bool make_keys(struct group *group)
{
    const uint32_t words = STATE_WORDS * group->lanes;
    if (!pypow_hash_shortens(&group->message)) {
        vary_block(group, pypow_message_bytes, 0);
        return true;
    }
    if (!hash_messages(group))
        return false;
    memcpy(group->blocks, group->states, words * sizeof *group->blocks);
    memset(group->blocks + words, 0, words * sizeof *group->blocks);
    return true;
}

static void key_states(uint32_t *states, struct group *group, uint32_t flip)
{
    for (uint32_t i = 0; i < BLOCK_WORDS * group->lanes; i++)
        group->blocks[i] ^= flip;
    repeat(states, group, pypow_sha256_initial);
    compress(states, group);
}

/* The first of PBKDF2's iterations (RFC 8018, 5.2). */
static bool begin_stretch(struct group *group)
{
    const uint32_t ipad = 0x36363636, opad = 0x5c5c5c5c;
    const uint32_t words = STATE_WORDS * group->lanes;
    const struct pypow_message salted = pypow_hash_salted(&group->search->puzzle->hash);
    const uint64_t blocks = pypow_message_blocks(&salted);
    struct pypow_stretch *stretch = &group->stretch;
    uint8_t block[BLOCK_BYTES];
    if (!make_keys(group))
        return false;
    key_states(stretch->inner, group, ipad);
    key_states(stretch->outer, group, ipad ^ opad);
    memcpy(group->states, stretch->inner, words * sizeof *group->states);
    for (uint64_t i = 0; i < blocks; i++) {
        pypow_message_block(block, &salted, i);
        repeat_block(group, block);
        compress(group->states, group);
        if (!go_on(group, 1))
            return false;
    }
    memcpy(group->blocks, group->states, words * sizeof *group->blocks);
    for (uint32_t i = words; i < BLOCK_WORDS * group->lanes; i++)
        group->blocks[i] = group->search->scan.tail.words[i / group->lanes];
    memcpy(stretch->last, stretch->outer, words * sizeof *stretch->last);
    compress(stretch->last, group);
    memcpy(stretch->sum, stretch->last, words * sizeof *stretch->sum);
    return true;
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* The digests in `states`. False when there was no use in going on. */
static bool hash_group(struct group *group)
{
    const struct pypow_hash *hash = &group->search->puzzle->hash;
    const struct pypow_kernel *kernel = group->search->kernel;
    const struct pypow_tail *tail = &group->search->scan.tail;
    const bool stretch = hash->type == PYPOW_PBKDF2_HMAC_SHA256;
    const uint32_t blocks = stretch ? 2 : 1; /* in an iteration */
    const uint32_t piece = watch_blocks(group->lanes) / (blocks * group->lanes);
    uint32_t times;
    if (!(stretch ? begin_stretch(group) : hash_messages(group)))
        return false;
    for (uint32_t left = hash->iterations - 1; left > 0; left -= times) {
        times = least(left, piece);
        if (stretch)
            kernel->stretch(&group->stretch, tail, times);
        else
            kernel->rehash(group->states, tail, times);
        if (!go_on(group, (uint64_t)times * blocks))
            return false;
    }
    if (stretch)
        memcpy(group->states, group->stretch.sum, sizeof group->states);
    return true;
}

/* The first nonce of the group that wins, noted with its digest; or `count`. */
static uint32_t winner(struct pypow_progress *progress, const struct group *group)
{
    const struct pypow_nonce *nonce = &group->search->puzzle->nonce;
    const uint32_t digits = (uint32_t)group->message.nonce_len;
    uint8_t digest[PYPOW_DIGEST_BYTES];
    for (uint32_t lane = 0; lane < group->count; lane++) {
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            store_be32(digest + 4 * i, group->states[i * group->lanes + lane]);
        if (pypow_rule_wins(&group->search->puzzle->rule, digest)) {
            progress->encoded_len = digits;
            pypow_nonce_write(progress->encoded, nonce, digits, group->first + lane);
            memcpy(progress->digest, digest, sizeof digest);
            return lane;
        }
    }
    return group->count;
}

/* The next group: nonces of one length, from this index on. */
static void choose_nonces(struct group *group, uint64_t first, uint64_t last)
{
    const struct pypow_nonce *nonce = &group->search->puzzle->nonce;
    const uint32_t digits = pypow_nonce_digits(nonce, first);
    const uint64_t longest = pypow_nonce_count(nonce, digits) - 1;
    const uint64_t beyond = (longest < last ? longest : last) - first;
    group->first = first;
    group->count = beyond < group->lanes ? (uint32_t)beyond + 1 : group->lanes;
    group->message.nonce_len = digits;
}

int pypow_group_search(struct pypow_progress *progress, const struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch)
{
    struct group group = {.search = search, .watch = watch, .lanes = search->kernel->lanes};
    uint64_t index = first;
    bool more = true;
    group.message = search->puzzle->message;
    progress->hashes = 0;
    while (more && !pypow_watch_pointless(watch, index)) {
        choose_nonces(&group, index, last);
        if (pypow_watch_stopped(watch) || !hash_group(&group))
            return pypow_watch_stopped(watch) ? PYPOW_STOPPED : PYPOW_NOT_FOUND;
        const uint32_t lane = winner(progress, &group);
        if (lane < group.count) {
            progress->nonce = index + lane;
            progress->hashes += lane + 1;
            return PYPOW_OK;
        }
        progress->hashes += group.count;
        more = last - index >= group.count;
        index += group.count;
    }
    return PYPOW_NOT_FOUND;
}
