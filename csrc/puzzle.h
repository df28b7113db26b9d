/* SPDX-License-Identifier: Apache-2.0 */
/* A prepared puzzle. Read-only once made, hence shared by all threads of a search. */
#ifndef PYPOW_PUZZLE_H
#define PYPOW_PUZZLE_H

#include "message.h"
#include "rule.h"

struct pypow_puzzle {
    struct pypow_nonce nonce;
    struct pypow_hash hash; /* its salt is in `bytes` */
    struct pypow_rule rule;
    struct pypow_filter filter;
    struct pypow_message message; /* without a nonce; its parts point into `bytes` */
    uint64_t last;                /* the highest index that the encoding can hold */
    uint8_t bytes[];
};

/* A puzzle that points into the caller's buffers; false where it cannot be. */
bool pypow_puzzle_borrow(struct pypow_puzzle *puzzle, const struct pypow_nonce *nonce,
                         const struct pypow_hash *hash, const struct pypow_rule *rule,
                         const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                         size_t suffix_len);

/* The last index of [first, first + count), cut to what exists; false where nothing does. */
bool pypow_puzzle_range(uint64_t *last, const struct pypow_puzzle *puzzle, uint64_t first,
                        uint64_t count);

/* NULL where there is no memory. */
struct pypow_puzzle *pypow_puzzle_copy(const struct pypow_puzzle *puzzle);

#endif
