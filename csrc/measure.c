/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring kernels: short tries in turns, of which the best counts. */
#define _POSIX_C_SOURCE 200809L /* the monotonic clock */

#include "measure.h"

#include <time.h>

/*
 * A try lasts some microseconds: so short that most are not interrupted, so long that reading the
 * clock does not show. A slow kernel gets fewer hashes.
 */
enum { TRIES = 8, TRY_NS = 8000, LEAST_HASHES = 64, MOST_HASHES = 1024, BLOCKS = 8 };

#define NS_PER_S UINT64_C(1000000000)

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void keep_best(uint64_t *rate, uint32_t done, uint64_t begin)
{
    const uint64_t took = now_ns() - begin;
    /* A coarse clock may see no time pass; then the try says nothing. */
    const uint64_t found = took > 0 ? done * NS_PER_S / took : 1;
    if (found > *rate)
        *rate = found;
}

static uint32_t hashes_for(const struct pypow_speed *speed)
{
    const uint64_t wanted = speed->hashes_per_s * TRY_NS / NS_PER_S;
    if (wanted < LEAST_HASHES)
        return LEAST_HASHES;
    return wanted < MOST_HASHES ? (uint32_t)wanted / MAX_LANES * MAX_LANES : MOST_HASHES;
}

static void try_scan(struct pypow_speed *speed, const struct pypow_kernel *kernel,
                     const struct pypow_scan *scan)
{
    const uint32_t hashes = hashes_for(speed);
    const uint64_t begin = now_ns();
    kernel->scan(scan, 0, hashes);
    keep_best(&speed->hashes_per_s, hashes, begin);
}

static void try_compress(struct pypow_speed *speed, const struct pypow_kernel *kernel)
{
    static const uint8_t blocks[BLOCKS * BLOCK_BYTES];
    uint32_t state[STATE_WORDS] = {0};
    const uint64_t begin = now_ns();
    kernel->compress(state, blocks, BLOCKS);
    keep_best(&speed->blocks_per_s, BLOCKS, begin);
}

void pypow_measure(struct pypow_speed *speeds, const struct pypow_kernel *const *kernels,
                   uint32_t count)
{
    /* The nonce where a challenge has it, and a filter that one digest in 2^32 passes. */
    static const uint32_t table[MOST_HASHES + MAX_LANES];
    struct pypow_scan scan = {.table = table, .word = 13, .filter = {.mask = UINT32_MAX}};
    pypow_scan_fold(&scan);
    for (uint32_t i = 0; i < count; i++)
        speeds[i] = (struct pypow_speed){0};
    for (int turn = 0; turn < TRIES; turn++) {
        for (uint32_t i = 0; i < count; i++) {
            if (!kernels[i]->usable())
                continue;
            try_scan(&speeds[i], kernels[i], &scan);
            try_compress(&speeds[i], kernels[i]);
        }
    }
}
