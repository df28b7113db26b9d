/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any puzzle, right or wrong, searched over a few dozen nonces by every kernel of this CPU: each
 * must answer what a plain loop over the same nonces says.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "fence.h"
#include "given.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_NONCES = 72 };

struct range {
    uint64_t first, count;
    uint64_t tried; /* as many of them as there are */
};

struct answer {
    int status;
    struct pypow_progress progress;
};

/* Some nonces, fewer where each is dear; or the last ones that there are, and what lies beyond. */
static struct range take_range(struct input *in, const struct pypow_nonce *nonce, uint32_t cost)
{
    const uint64_t last = nonce_last(nonce);
    const uint32_t most = MOST_NONCES / cost > 4 ? MOST_NONCES / cost : 4;
    const uint32_t way = take_below(in, 16), some = take_below(in, 256);
    struct range range = {.first = take(in, 8)};
    range.first >>= take_below(in, 64);
    range.count = some < 192 ? some % 12 % most : some % most;
    if (way < 3 && last >= most)
        range.first = last - range.count;
    if (range.first > last)
        return range;
    const uint64_t left = last - range.first;
    if (way < 8 && left < most)
        range.count = way % 4 == 0 ? UINT64_MAX : left + way % 4 - 1;
    range.tried = range.count > left ? left + 1 : range.count;
    return range;
}

/* The digests of `count` nonces from `first` on. */
static void list_digests(uint8_t digests[][REFERENCE_DIGEST], const struct beginning *beginning,
                         const struct pypow_nonce *nonce, const struct range *range)
{
    uint8_t text[64];
    for (uint64_t i = 0; i < range->tried; i++) {
        const size_t len = nonce_text(text, nonce, range->first + i);
        message_digest(digests[i], beginning, text, len);
    }
}

static struct answer plain_search(uint8_t digests[][REFERENCE_DIGEST],
                                  const struct pypow_nonce *nonce, const struct pypow_rule *rule,
                                  const struct range *range)
{
    struct answer answer = {.status = PYPOW_NOT_FOUND, .progress = {.hashes = range->tried}};
    for (uint64_t i = 0; i < range->tried; i++) {
        if (!rule_is_met(rule, digests[i]))
            continue;
        answer.status = PYPOW_OK;
        answer.progress.hashes = i + 1;
        answer.progress.nonce = range->first + i;
        answer.progress.encoded_len =
            (uint32_t)nonce_text(answer.progress.encoded, nonce, answer.progress.nonce);
        memcpy(answer.progress.digest, digests[i], REFERENCE_DIGEST);
        break;
    }
    return answer;
}

static void require_same(const struct answer *got, const struct answer *wanted, const char *kernel)
{
    const struct pypow_progress *one = &got->progress, *other = &wanted->progress;
    require(got->status == wanted->status, "status", kernel);
    require(one->hashes == other->hashes, "hashes", kernel);
    if (wanted->status != PYPOW_OK)
        return;
    require(one->nonce == other->nonce, "winner", kernel);
    require(one->encoded_len == other->encoded_len, "winner's length", kernel);
    require(memcmp(one->encoded, other->encoded, other->encoded_len) == 0, "encoding", kernel);
    require(memcmp(one->digest, other->digest, REFERENCE_DIGEST) == 0, "digest", kernel);
}

static void check_search(const struct pypow_puzzle *puzzle, const struct range *range,
                         const struct answer *wanted)
{
    static const int go_on = 0, give_up = 1;
    struct pypow_kernel_info info;
    const struct answer stopped = {.status = PYPOW_STOPPED};
    struct answer got;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        const int *stop = i % 2 == 0 ? NULL : &go_on;
        if (!info.usable)
            continue;
        got.status =
            pypow_search(&got.progress, puzzle, info.name, range->first, range->count, stop);
        require_same(&got, wanted, info.name);
    }
    got.status = pypow_search(&got.progress, puzzle, NULL, range->first, range->count, &give_up);
    require_same(&got, range->tried > 0 ? &stopped : wanted, "any, told to stop");
}

/* One thread, the caller's, which tries no nonce beyond the winner's; kept for all inputs. */
static void check_pool(const struct pypow_puzzle *puzzle, const struct range *range,
                       const struct answer *wanted)
{
    static struct pypow_pool *pool;
    struct answer got;
    if (pool == NULL)
        require(pypow_pool_new(&pool, NULL, 1) == PYPOW_OK, "no pool", NULL);
    const int status = pypow_pool_begin(pool, puzzle, range->first, range->count);
    require(status == PYPOW_OK, "pool", NULL);
    do
        got.status = pypow_pool_run(&got.progress, pool, 1000);
    while (got.status == PYPOW_RUNNING);
    require_same(&got, wanted, "any, in a pool");
}

static void check_encode(const struct pypow_nonce *nonce, uint64_t index)
{
    uint8_t encoded[64], text[64];
    size_t len = 0;
    const int status = pypow_nonce_encode(encoded, &len, nonce, index);
    if (!nonce_is_right(nonce) || index > nonce_last(nonce)) {
        require(status == PYPOW_BAD_ARGUMENT, "an impossible nonce is encoded", NULL);
    } else {
        require(status == PYPOW_OK && len == nonce_text(text, nonce, index), "length", NULL);
        require(memcmp(encoded, text, len) == 0, "encoding", NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { PREFIX, SUFFIX, SALT, FENCES };
    static struct fence fences[FENCES];
    static uint8_t digests[MOST_NONCES][REFERENCE_DIGEST];
    for (int i = 0; i < FENCES && fences[i].begin == NULL; i++)
        fences[i] = fence_around(MAX_PART);

    struct input in = {data, size};
    const uint32_t flags = take_below(&in, 256);
    const struct pypow_nonce nonce = take_nonce(&in);
    const struct part prefix = take_part(&in), suffix = take_part(&in), salt = take_part(&in);
    struct pypow_hash hash = take_hash(&in, &salt);
    struct range range = {0};
    uint8_t aim[REFERENCE_DIGEST] = {0};
    const bool sensible = nonce_is_right(&nonce) && hash_is_right(&hash);
    if (sensible) {
        const uint32_t cost = hash.type == PYPOW_SHA256
                                  ? (uint32_t)suffix.len / 64 + hash.iterations
                                  : 2 + 2 * hash.iterations;
        const struct beginning beginning = begin_message(&prefix, &suffix, &hash);
        range = take_range(&in, &nonce, cost);
        list_digests(digests, &beginning, &nonce, &range);
        if (range.tried > 0)
            memcpy(aim, digests[take_below(&in, 256) % range.tried], sizeof aim);
    }
    const struct pypow_rule rule = take_rule(&in, aim);

    const bool front = flags & 1, no_prefix = flags >> 1 == 127;
    if (hash.salt != NULL)
        hash.salt = fence_copy(&fences[SALT], salt.bytes, salt.len, front);
    struct pypow_puzzle *puzzle = NULL;
    const int status = pypow_puzzle_new(
        &puzzle, &nonce, &hash, &rule,
        no_prefix ? NULL : fence_copy(&fences[PREFIX], prefix.bytes, prefix.len, front), prefix.len,
        fence_copy(&fences[SUFFIX], suffix.bytes, suffix.len, front), suffix.len);
    check_encode(&nonce, sensible ? range.first : flags);
    if (!sensible || !rule_is_right(&rule) || (no_prefix && prefix.len > 0)) {
        require(status == PYPOW_BAD_ARGUMENT && puzzle == NULL, "an impossible puzzle", NULL);
        return 0;
    }
    require(status == PYPOW_OK, "no puzzle", NULL);
    const struct answer wanted = plain_search(digests, &nonce, &rule, &range);
    check_search(puzzle, &range, &wanted);
    if (flags % 8 == 2)
        check_pool(puzzle, &range, &wanted);
    pypow_puzzle_free(puzzle);
    return 0;
}
