/* SPDX-License-Identifier: Apache-2.0 */
/* Many messages against one rule, a kernel's lanes at a time. */
#include <string.h>

#include "column.h"
#include "kernel.h"

enum { LENGTH_BYTES = 8 };

/* Sums of three such lengths do not overflow in bits. */
#define LONGEST_PART (UINT64_C(1) << 58)

struct lane {
    struct pypow_item prefix, nonce;
    size_t number;          /* of the message */
    uint64_t block, blocks; /* the next one to hash; equal when there is none */
};

/* Which bytes of a part go where in a block. */
struct piece {
    size_t from, at, len;
};

/* What all messages of these lengths have alike in this block: suffix, end mark and length. */
struct layout {
    size_t prefix_len, nonce_len;
    uint64_t number;
    struct piece prefix, nonce;
    uint8_t alike[BLOCK_BYTES];
};

struct batch {
    uint8_t *wins;
    const struct pypow_kernel *kernel;
    const struct pypow_rule *rule;
    const struct pypow_column *prefixes, *nonces;
    struct pypow_item suffix;
    size_t count, next;
    struct pypow_filter filter;
    struct layout layout;
    struct lane lanes[MAX_LANES];
    _Alignas(BLOCK_BYTES) uint8_t rows[MAX_LANES][BLOCK_BYTES];
    const uint8_t *blocks[MAX_LANES];
    _Alignas(BLOCK_BYTES) uint32_t initial[STATE_WORDS * MAX_LANES];
    uint32_t states[STATE_WORDS * MAX_LANES];
    uint32_t words[BLOCK_WORDS * MAX_LANES];
};

static struct piece piece_of(uint64_t block_at, uint64_t part_at, uint64_t part_len)
{
    const uint64_t block_end = block_at + BLOCK_BYTES, part_end = part_at + part_len;
    const uint64_t begin = part_at > block_at ? part_at : block_at;
    const uint64_t end = part_end < block_end ? part_end : block_end;
    if (begin >= end)
        return (struct piece){0};
    return (struct piece){begin - part_at, begin - block_at, end - begin};
}

static uint64_t blocks_of(uint64_t bytes)
{
    return (bytes + 1 + LENGTH_BYTES + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

static void lay_out(struct layout *layout, const struct lane *lane, const struct pypow_item *suffix)
{
    const uint64_t at = lane->block * BLOCK_BYTES;
    const uint64_t prefix_len = lane->prefix.len, nonce_len = lane->nonce.len;
    const uint64_t bytes = prefix_len + nonce_len + suffix->len;
    const struct piece tail = piece_of(at, prefix_len + nonce_len, suffix->len);
    const struct piece mark = piece_of(at, bytes, 1);
    *layout = (struct layout){
        .prefix_len = lane->prefix.len,
        .nonce_len = lane->nonce.len,
        .number = lane->block,
        .prefix = piece_of(at, 0, prefix_len),
        .nonce = piece_of(at, prefix_len, nonce_len),
    };
    if (tail.len > 0)
        memcpy(layout->alike + tail.at, suffix->at + tail.from, tail.len);
    if (mark.len > 0)
        layout->alike[mark.at] = 0x80;
    if (lane->block + 1 == lane->blocks) {
        store_be32(layout->alike + 56, (uint32_t)(bytes * 8 >> 32));
        store_be32(layout->alike + 60, (uint32_t)(bytes * 8));
    }
}

static bool is_laid_out(const struct layout *layout, const struct lane *lane)
{
    return lane->prefix.len == layout->prefix_len && lane->nonce.len == layout->nonce_len &&
           lane->block == layout->number;
}

/* Copy a few bytes: a call of memcpy would take longer than most of these take. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
    if (len >= 16) {
        for (size_t i = 0; i + 16 < len; i += 16)
            memcpy(to + i, from + i, 16);
        memcpy(to + len - 16, from + len - 16, 16);
    } else if (len >= 8) {
        memcpy(to, from, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else {
        for (size_t i = 0; i < len; i++)
            to[i] = from[i];
    }
}

/* Put the bytes that differ from message to message into a row that has the others. */
static void put(uint8_t *row, const struct layout *layout, const uint8_t *prefix,
                const uint8_t *nonce)
{
    const struct piece *one = &layout->prefix, *other = &layout->nonce;
    copy_short(row + one->at, prefix + one->from, one->len);
    copy_short(row + other->at, nonce + other->from, other->len);
}

static bool in_prefix(const struct lane *lane)
{
    return (lane->block + 1) * BLOCK_BYTES <= lane->prefix.len;
}

/* Whether the digest in this lane wins, looked at as a whole. */
static bool wins(const struct batch *batch, uint32_t at)
{
    const uint32_t lanes = batch->kernel->lanes, *words = batch->states + at;
    uint8_t digest[PYPOW_DIGEST_BYTES];
    for (uint32_t i = 0; i < STATE_WORDS; i++)
        store_be32(digest + 4 * i, words[i * lanes]);
    return pypow_rule_wins(batch->rule, digest);
}

/* Judge the first lanes: as a whole only those that pass the filter. */
static void judge(const struct batch *batch, uint8_t *verdicts, uint32_t used)
{
    const struct pypow_filter filter = batch->filter;
    const uint32_t *words = batch->states + filter.word * batch->kernel->lanes;
    for (uint32_t i = 0; i < used; i++)
        verdicts[i] = ((words[i] ^ filter.value) & filter.mask) == 0;
    for (uint32_t i = 0; i < used; i++)
        if (verdicts[i])
            verdicts[i] = wins(batch, i);
}

/*
 * Messages of the same lengths go in step: the rows keep what they have alike. `lane` stands for
 * all of a group, its items for those of the message in the first lane.
 */
static void prepare_alike(struct batch *batch, const struct lane *lane, uint32_t used)
{
    const ptrdiff_t prefix_step = batch->prefixes->stride, nonce_step = batch->nonces->stride;
    const bool direct = in_prefix(lane);
    if (!direct && !is_laid_out(&batch->layout, lane)) {
        lay_out(&batch->layout, lane, &batch->suffix);
        for (uint32_t i = 0; i < batch->kernel->lanes; i++)
            memcpy(batch->rows[i], batch->layout.alike, BLOCK_BYTES);
    }
    for (ptrdiff_t i = 0; i < (ptrdiff_t)used; i++) {
        const uint8_t *prefix = lane->prefix.at + i * prefix_step;
        if (!direct)
            put(batch->rows[i], &batch->layout, prefix, lane->nonce.at + i * nonce_step);
        batch->blocks[i] = direct ? prefix + lane->block * BLOCK_BYTES : batch->rows[i];
    }
}

static uint32_t lanes_used(const struct batch *batch, size_t first)
{
    const size_t left = batch->count - first;
    return left < batch->kernel->lanes ? (uint32_t)left : batch->kernel->lanes;
}

/* Go on to the next block of the group, or to the next group. False at the end. */
static bool next_alike(struct batch *batch, struct lane *lane)
{
    if (++lane->block < lane->blocks)
        return true;
    const uint32_t used = lanes_used(batch, lane->number);
    lane->block = 0;
    lane->number += used;
    if (lane->number == batch->count)
        return false;
    lane->prefix.at += (ptrdiff_t)used * batch->prefixes->stride;
    lane->nonce.at += (ptrdiff_t)used * batch->nonces->stride;
    return true;
}

static void run_alike(struct batch *batch, struct lane *lane)
{
    const struct pypow_kernel *kernel = batch->kernel;
    const size_t states_bytes = sizeof *batch->states * STATE_WORDS * kernel->lanes;
    bool more = true;
    prepare_alike(batch, lane, lanes_used(batch, 0));
    while (more) {
        const struct lane now = *lane;
        const uint32_t used = lanes_used(batch, now.number);
        kernel->load_many(batch->words, batch->blocks);
        /* What is stored in small pieces is slow to load as vectors for a while: so all that
           the next round will load is stored now, before this one is hashed. */
        if (now.block == 0)
            memcpy(batch->states, batch->initial, states_bytes);
        more = next_alike(batch, lane);
        if (more)
            prepare_alike(batch, lane, lanes_used(batch, lane->number));
        kernel->compress_many(batch->states, batch->words);
        if (now.block + 1 == now.blocks)
            judge(batch, batch->wins + now.number, used);
    }
}

static bool take(struct batch *batch, struct lane *lane)
{
    lane->number = batch->next++;
    lane->block = 0;
    if (!pypow_column_item(&lane->prefix, batch->prefixes, lane->number) ||
        !pypow_column_item(&lane->nonce, batch->nonces, lane->number))
        return false;
    if (lane->prefix.len > LONGEST_PART || lane->nonce.len > LONGEST_PART)
        return false;
    lane->blocks = blocks_of(lane->prefix.len + lane->nonce.len + batch->suffix.len);
    return true;
}

/* The next block of a lane's message: where it lies, or put together in the lane's row. */
static const uint8_t *next_block(struct batch *batch, uint32_t at)
{
    const struct lane *lane = &batch->lanes[at];
    uint8_t *row = batch->rows[at];
    if (in_prefix(lane))
        return lane->prefix.at + lane->block * BLOCK_BYTES;
    if (!is_laid_out(&batch->layout, lane))
        lay_out(&batch->layout, lane, &batch->suffix);
    memcpy(row, batch->layout.alike, BLOCK_BYTES);
    put(row, &batch->layout, lane->prefix.at, lane->nonce.at);
    return row;
}

/* What a round begins and ends: lanes by number, and the messages that end in them. */
struct round {
    uint32_t busy, started, ended;
    uint8_t start[MAX_LANES], end[MAX_LANES];
    size_t number[MAX_LANES];
};

/*
 * Give every lane a block: a lane takes the next message as soon as its last one is done, so
 * that all are busy to the end. PYPOW_OK or a fault.
 */
static int prepare_mixed(struct batch *batch, struct round *round)
{
    round->busy = round->started = round->ended = 0;
    for (uint32_t i = 0; i < batch->kernel->lanes; i++) {
        struct lane *lane = &batch->lanes[i];
        if (lane->block == lane->blocks) {
            if (batch->next == batch->count)
                continue;
            if (!take(batch, lane))
                return PYPOW_BAD_ARGUMENT;
            round->start[round->started++] = (uint8_t)i;
        }
        batch->blocks[i] = next_block(batch, i);
        if (++lane->block == lane->blocks) {
            round->number[round->ended] = lane->number;
            round->end[round->ended++] = (uint8_t)i;
        }
        round->busy++;
    }
    return PYPOW_OK;
}

static void start(struct batch *batch, uint32_t at)
{
    const uint32_t lanes = batch->kernel->lanes;
    for (uint32_t i = 0; i < STATE_WORDS; i++)
        batch->states[i * lanes + at] = pypow_sha256_initial[i];
}

static int run_mixed(struct batch *batch)
{
    const struct pypow_kernel *kernel = batch->kernel;
    struct round now, next;
    uint8_t verdicts[MAX_LANES];
    int status = prepare_mixed(batch, &next);
    while (status == PYPOW_OK && next.busy > 0) {
        now = next;
        kernel->load_many(batch->words, batch->blocks);
        for (uint32_t i = 0; i < now.started; i++)
            start(batch, now.start[i]);
        status = prepare_mixed(batch, &next);
        kernel->compress_many(batch->states, batch->words);
        judge(batch, verdicts, kernel->lanes);
        for (uint32_t i = 0; i < now.ended; i++)
            batch->wins[now.number[i]] = verdicts[now.end[i]];
    }
    return status;
}

static bool has_one_length(const struct pypow_column *column)
{
    return column->offsets == NULL && !column->padded;
}

static int run(struct batch *batch)
{
    if (batch->count == 0)
        return PYPOW_OK;
    for (uint32_t i = 0; i < batch->kernel->lanes; i++) {
        batch->blocks[i] = batch->rows[i];
        start(batch, i);
    }
    memcpy(batch->initial, batch->states, sizeof batch->initial);
    if (!has_one_length(batch->prefixes) || !has_one_length(batch->nonces))
        return run_mixed(batch);
    if (!take(batch, &batch->lanes[0]))
        return PYPOW_BAD_ARGUMENT;
    run_alike(batch, &batch->lanes[0]);
    return PYPOW_OK;
}

int pypow_verify_batch(uint8_t *wins_each, const struct pypow_rule *rule,
                       const struct pypow_column *prefixes, const struct pypow_column *nonces,
                       const uint8_t *suffix, size_t suffix_len, size_t count, const char *kernel)
{
    struct batch batch = {
        .wins = wins_each,
        .rule = rule,
        .prefixes = prefixes,
        .nonces = nonces,
        .suffix = {suffix, suffix_len},
        .count = count,
        .layout = {.number = UINT64_MAX},
    };
    const int status = pypow_kernel_choose(&batch.kernel, kernel);
    if (status != PYPOW_OK)
        return status;
    if (!pypow_rule_valid(rule) || suffix_len > LONGEST_PART ||
        (suffix == NULL && suffix_len > 0))
        return PYPOW_BAD_ARGUMENT;
    batch.filter = pypow_rule_filter(rule);
    return run(&batch);
}
