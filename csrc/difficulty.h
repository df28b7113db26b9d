/* SPDX-License-Identifier: Apache-2.0 */
/* Difficulty as a target, in integers only (docs/protocol.md, "Difficulty"). */
#ifndef PYPOW_DIFFICULTY_H
#define PYPOW_DIFFICULTY_H

#include <stdbool.h>

#include "pypow.h"

enum { STEPS_PER_BIT = 1024 };

/* The highest winning digest: its first 128 bits, after which all are one. */
struct pypow_target {
    uint64_t high, low;
};

/* For q from 0 to PYPOW_MAX_Q. */
struct pypow_target pypow_target_of(uint32_t q);

/* Whether a digest that begins with these words wins. */
static inline bool pypow_target_met(const struct pypow_target *target, const uint32_t *words,
                                    size_t stride)
{
    const uint64_t high = (uint64_t)words[0] << 32 | words[stride];
    const uint64_t low = (uint64_t)words[2 * stride] << 32 | words[3 * stride];
    return high != target->high ? high < target->high : low <= target->low;
}

#endif
