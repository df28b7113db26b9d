/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many L402 credentials, a kernel's lanes at a time. Chains differ in length, so each lane goes its
 * own way: whichever is done takes the next credential.
 */
#define _DEFAULT_SOURCE /* explicit_bzero */
#include <string.h>

#include "column.h"
#include "kernel.h"
#include "macaroon.h"

struct batch {
    uint8_t *reasons;
    const struct pypow_macaroon_demand *demand;
    const struct pypow_column *texts, *preimages;
    size_t count, next;
    const struct pypow_kernel *kernel;
};

/* One credential under way; not `busy` where there is none left. */
struct lane {
    bool busy;
    size_t number;
    struct pypow_text preimage;
    struct pypow_macaroon macaroon;
    struct pypow_chain chain;
};

struct lanes {
    struct lane each[MAX_LANES];
    _Alignas(BLOCK_BYTES) uint8_t rows[MAX_LANES][BLOCK_BYTES];
    const uint8_t *blocks[MAX_LANES];
    _Alignas(BLOCK_BYTES) uint32_t states[STATE_WORDS * MAX_LANES];
    uint32_t words[BLOCK_WORDS * MAX_LANES];
};

static bool text_of(struct pypow_text *text, const struct pypow_column *column, size_t number)
{
    struct pypow_item item;
    if (!pypow_column_item(&item, column, number))
        return false;
    *text = (struct pypow_text){item.at, item.len};
    return true;
}

/* Read the next credential; what is wrong with it before its MAC, or PYPOW_MACAROON_STANDS. */
static enum pypow_macaroon_reason begin(struct lane *lane, const struct batch *batch,
                                        const struct pypow_text *text)
{
    const enum pypow_macaroon_reason reason = pypow_macaroon_read(&lane->macaroon, text);
    if (reason != PYPOW_MACAROON_STANDS)
        return reason;
    const struct pypow_hmac_key *key = pypow_macaroon_key(&lane->macaroon, batch->demand);
    if (key == NULL)
        return PYPOW_MACAROON_UNKNOWN_KEY;
    pypow_chain_begin(&lane->chain, key, &lane->macaroon);
    return PYPOW_MACAROON_STANDS;
}

/* Give the lane the next credential that has a chain. False where a column's offsets are wrong. */
static bool take(struct lane *lane, struct batch *batch)
{
    for (lane->busy = false; !lane->busy && batch->next < batch->count; batch->next++) {
        struct pypow_text text;
        lane->number = batch->next;
        if (!text_of(&text, batch->texts, lane->number) ||
            !text_of(&lane->preimage, batch->preimages, lane->number))
            return false;
        const enum pypow_macaroon_reason reason = begin(lane, batch, &text);
        batch->reasons[lane->number] = (uint8_t)reason;
        lane->busy = reason == PYPOW_MACAROON_STANDS;
    }
    return true;
}

static void finish(const struct lane *lane, const struct batch *batch)
{
    struct pypow_macaroon_terms terms;
    batch->reasons[lane->number] =
        (uint8_t)(pypow_macaroon_signed(&lane->macaroon, lane->chain.digest)
                      ? pypow_macaroon_judge(&terms, &lane->macaroon, &lane->preimage,
                                             batch->demand)
                      : PYPOW_MACAROON_BAD_MAC);
}

/* One block of every lane. */
static void compress(struct lanes *lanes, const struct pypow_kernel *kernel)
{
    const uint32_t count = kernel->lanes;
    for (uint32_t i = 0; i < count; i++) {
        if (!lanes->each[i].busy)
            continue;
        pypow_chain_block(lanes->rows[i], &lanes->each[i].chain);
        for (uint32_t word = 0; word < STATE_WORDS; word++)
            lanes->states[word * count + i] = lanes->each[i].chain.state[word];
    }
    kernel->load_many(lanes->words, lanes->blocks);
    kernel->compress_many(lanes->states, lanes->words);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t word = 0; word < STATE_WORDS; word++)
            lanes->each[i].chain.state[word] = lanes->states[word * count + i];
}

static bool run(struct lanes *lanes, struct batch *batch)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < batch->kernel->lanes; i++) {
        lanes->blocks[i] = lanes->rows[i];
        if (!take(&lanes->each[i], batch))
            return false;
        busy += lanes->each[i].busy;
    }
    while (busy > 0) {
        compress(lanes, batch->kernel);
        for (uint32_t i = 0; i < batch->kernel->lanes; i++) {
            struct lane *const lane = &lanes->each[i];
            if (!lane->busy || pypow_chain_advance(&lane->chain))
                continue;
            finish(lane, batch);
            if (!take(lane, batch))
                return false;
            busy -= !lane->busy;
        }
    }
    return true;
}

int pypow_macaroon_check_batch(uint8_t *reasons, const struct pypow_mac_key *keys,
                               uint32_t key_count, int64_t now_s,
                               const struct pypow_macaroon_expected *expected,
                               const struct pypow_column *texts,
                               const struct pypow_column *preimages, size_t count,
                               const char *kernel)
{
    const struct pypow_macaroon_demand demand = {keys, key_count, now_s, expected};
    struct batch batch = {.reasons = reasons, .demand = &demand, .texts = texts,
                          .preimages = preimages, .count = count};
    const int status = pypow_kernel_choose(&batch.kernel, kernel);
    if (status != PYPOW_OK)
        return status;
    struct lanes lanes = {0};
    const bool right = run(&lanes, &batch);
    explicit_bzero(&lanes, sizeof lanes);
    return right ? PYPOW_OK : PYPOW_BAD_ARGUMENT;
}
