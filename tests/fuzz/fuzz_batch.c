/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches: rows with any stride, ragged items, items that end in padding, and offsets that lead
 * out of the data. Every kernel must say of each message what a plain look at it says.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "fence.h"
#include "given.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ITEMS = 80, MOST_BYTES = 1 << 14 };

struct column {
    struct pypow_column column;
    int64_t offsets[MOST_ITEMS + 1];
    uint8_t data[MOST_BYTES];
    size_t data_len;
    bool hostile; /* an offset was changed */
};

struct fences {
    struct fence data, offsets;
};

/* Few values, so that zeros at the end are common and messages differ. */
static void fill(struct column *column, struct input *in)
{
    uint32_t x = (uint32_t)take(in, 2);
    for (size_t i = 0; i < column->data_len; i++, x = x * 1103515245 + 12345)
        column->data[i] = (uint8_t)((x >> 16) % 8);
}

static void take_rows(struct column *column, struct input *in, size_t count, size_t longest)
{
    const uint32_t gap = take_below(in, 8), width = take_below(in, (uint32_t)longest + 1);
    int64_t stride = gap == 7 ? 0 : (int64_t)(width + gap % 4);
    if (gap == 6)
        stride = -stride;
    const size_t step = (size_t)(stride < 0 ? -stride : stride);
    column->data_len = count == 0 ? 0 : step * (count - 1) + width;
    column->column.stride = stride;
    column->column.width = width;
}

static void take_ragged(struct column *column, struct input *in, size_t count, size_t longest)
{
    const uint32_t lens = take_below(in, 4), first = take_below(in, 4);
    size_t at = first;
    for (size_t i = 0; i <= count; i++) {
        column->offsets[i] = (int64_t)at;
        at += lens == 0 ? take_below(in, (uint32_t)longest + 1) : i * lens % (longest + 1);
    }
    column->data_len = (size_t)column->offsets[count] + take_below(in, 2);
    column->hostile = take_below(in, 4) == 3;
    if (column->hostile) {
        int64_t *changed = &column->offsets[take_below(in, 256) % (count + 1)];
        const uint32_t how = take_below(in, 64);
        *changed += how < 32 ? (int64_t)how - 16 : (int64_t)(take(in, 1) << how);
    }
    column->column.data_len = column->data_len;
}

static void take_column(struct column *column, struct input *in, size_t count, size_t longest)
{
    const uint32_t kind = take_below(in, 8);
    memset(&column->column, 0, sizeof column->column);
    column->hostile = false;
    column->column.padded = kind % 4 == 3;
    if (kind < 4)
        take_rows(column, in, count, longest);
    else
        take_ragged(column, in, count, longest);
    column->column.offsets = kind < 4 ? NULL : column->offsets;
    fill(column, in);
}

/* Lay the column between fences. */
static void place(struct column *column, const struct fences *fences, size_t count, bool front)
{
    struct pypow_column *core = &column->column;
    const uint8_t *data = fence_copy(&fences->data, column->data, column->data_len, front);
    core->data = data;
    if (core->offsets != NULL)
        core->offsets = fence_copy(&fences->offsets, column->offsets,
                                   (count + 1) * sizeof column->offsets[0], front);
    else if (core->stride < 0)
        core->data = data + column->data_len - core->width;
}

struct item {
    const uint8_t *at;
    size_t len;
};

static bool item_of(struct item *item, const struct column *column, size_t number)
{
    const struct pypow_column *core = &column->column;
    if (core->offsets == NULL) {
        const size_t row = core->stride < 0 ? column->data_len - core->width : 0;
        item->at = column->data + (int64_t)row + (int64_t)number * core->stride;
        item->len = core->width;
    } else {
        const int64_t begin = column->offsets[number], end = column->offsets[number + 1];
        if (begin < 0 || end < begin || end > (int64_t)column->data_len)
            return false;
        item->at = column->data + begin;
        item->len = (size_t)(end - begin);
    }
    while (core->padded && item->len > 0 && item->at[item->len - 1] == 0)
        item->len--;
    return true;
}

static void item_digest(uint8_t *digest, const struct item *prefix, const struct item *nonce,
                        const struct part *suffix)
{
    struct reference_sha256 sha = reference_begin();
    reference_feed(&sha, prefix->at, prefix->len);
    reference_feed(&sha, nonce->at, nonce->len);
    reference_feed(&sha, suffix->bytes, suffix->len);
    reference_end(digest, sha);
}

/* False where an item has no place. */
static bool list_digests(uint8_t digests[][REFERENCE_DIGEST], const struct column *prefixes,
                         const struct column *nonces, const struct part *suffix, size_t count)
{
    struct item prefix, nonce;
    for (size_t i = 0; i < count; i++) {
        if (!item_of(&prefix, prefixes, i) || !item_of(&nonce, nonces, i))
            return false;
        item_digest(digests[i], &prefix, &nonce, suffix);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct column prefixes, nonces;
    static struct fences prefix_fences, nonce_fences;
    static struct fence suffix_fence, wins_fence;
    static uint8_t digests[MOST_ITEMS][REFERENCE_DIGEST];
    if (wins_fence.begin == NULL) {
        prefix_fences = (struct fences){fence_around(MOST_BYTES), fence_around(MOST_BYTES)};
        nonce_fences = (struct fences){fence_around(MOST_BYTES), fence_around(MOST_BYTES)};
        suffix_fence = fence_around(MAX_PART);
        wins_fence = fence_around(MOST_ITEMS);
    }

    struct input in = {data, size};
    const uint32_t flags = take_below(&in, 2), some = take_below(&in, 256);
    const size_t count = some < 192 ? some % 12 : some % (MOST_ITEMS + 1);
    const bool front = flags & 1;
    take_column(&prefixes, &in, count, 140);
    take_column(&nonces, &in, count, 20);
    const struct part suffix = take_part(&in);
    const bool right = list_digests(digests, &prefixes, &nonces, &suffix, count);
    const uint32_t aim = take_below(&in, 256);
    const struct pypow_rule rule = take_rule(&in, digests[count == 0 ? 0 : aim % count]);

    place(&prefixes, &prefix_fences, count, front);
    place(&nonces, &nonce_fences, count, front);
    const uint8_t *end = fence_copy(&suffix_fence, suffix.bytes, suffix.len, front);
    uint8_t *wins = fence_place(&wins_fence, count, front);
    struct pypow_kernel_info info;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (!info.usable)
            continue;
        memset(wins, 2, count);
        const int status = pypow_verify_batch(wins, &rule, &prefixes.column, &nonces.column, end,
                                              suffix.len, count, info.name);
        if (!right || !rule_is_right(&rule)) {
            require(status == PYPOW_BAD_ARGUMENT, "an impossible batch", info.name);
            continue;
        }
        require(status == PYPOW_OK, "no batch", info.name);
        for (size_t j = 0; j < count; j++)
            require(wins[j] == rule_is_met(&rule, digests[j]), "a message of a batch", info.name);
    }
    return 0;
}
