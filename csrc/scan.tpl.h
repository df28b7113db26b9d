/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's scan, when one group of LANES messages can be ground, carried on and checked.
 *
 * The including file defines first:
 *   LANES          messages in a group, a power of two, at most MAX_LANES
 *   KERNEL_TARGET  attributes of a function for this instruction set
 *   struct lanes   the chaining values of a group
 *   grind          the block that varies, as declared below
 *   absorb         (state, kw): advance a group over one more block, the same for all
 *   passing        (state, filter) -> bit i set where message i passes the filter
 *   rehash         (state, tail, times): hash the digests of a group that often
 *   passing_rehashed  (state, tail, filter): passing, for the digests of these digests
 * and gets scan_range.
 */
#include "kernel.h"

/* Messages between two blocks at a time: amortises the schedule, bounded by the stack. */
enum { BATCH = 512, GROUPS = BATCH / LANES };

/* Messages of which more than the varying block is left, or an unusual word is looked at, or
   whose digest is hashed again. */
KERNEL_TARGET static uint32_t scan_batch(const struct pypow_scan *scan, uint32_t begin,
                                         uint32_t end)
{
    struct lanes states[GROUPS];
    uint8_t block[BLOCK_BYTES];
    uint32_t kw[ROUNDS];
    const uint32_t groups = (end - begin + LANES - 1) / LANES;
    grind(states, scan, begin, end);
    for (uint64_t i = scan->next_block; i < scan->end_block; i++) {
        pypow_message_block(block, scan->message, i);
        pypow_sha256_schedule(kw, block);
        for (uint32_t group = 0; group < groups; group++)
            absorb(&states[group], kw);
    }
    for (uint32_t group = 0; group < groups; group++) {
        if (scan->rehashes > 1)
            rehash(&states[group], &scan->tail, scan->rehashes - 1);
        const uint32_t bits = scan->rehashes > 0
                                  ? passing_rehashed(&states[group], &scan->tail, &scan->filter)
                                  : passing(&states[group], &scan->filter);
        if (bits != 0)
            return begin + group * LANES + (uint32_t)__builtin_ctz(bits);
    }
    return end;
}

KERNEL_TARGET static uint32_t scan_range(const struct pypow_scan *scan, uint32_t begin,
                                         uint32_t end)
{
    const uint32_t word = scan->filter.word;
    uint32_t hit = end;
    if (scan->next_block == scan->end_block && scan->rehashes == 0 && (word == 0 || word == 7)) {
        hit = grind(NULL, scan, begin, end);
    } else {
        for (uint32_t i = begin; i < end && hit == end; i += BATCH) {
            const uint32_t batch_end = end - i < BATCH ? end : i + BATCH;
            const uint32_t found = scan_batch(scan, i, batch_end);
            hit = found < batch_end ? found : end;
        }
    }
    /* The last group may reach past the range. */
    return hit < end ? hit : end;
}
