/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which digits of a nonce a kernel varies.
 *
 * A run is a stretch of indices that differ in their fast, whole and part digits only. The whole
 * digits, and as many values of the one above them as there is room for, share one word of the
 * message; a kernel scans all of that in one go. The fast digits are those, usually none, that
 * lie in a word with too few to be worth a scan.
 */
#ifndef PYPOW_LAYOUT_H
#define PYPOW_LAYOUT_H

#include "puzzle.h"

enum {
    MAX_INNER = 1 << 12,         /* values in a scan: 16 KiB of words, well inside L1 */
    RUN_BLOCKS = 1 << 14,        /* a winner's whole run is searched, hence not too long, */
    RUN_BLOCKS_OF_LANE = 1 << 14 /* unless the work is hard and the kernel is wide */
};

/* For nonces of `digits` digits. */
struct pypow_layout {
    uint32_t longest_run; /* that fast digits may make */
    uint32_t digits;
    uint32_t fast_digits;
    uint32_t fast_count; /* base^fast_digits */
    uint32_t whole_digits;
    uint32_t whole_count; /* base^whole_digits */
    uint32_t parts;       /* values of the next digit in a run, at most; 1: it is no part of it */
};

struct pypow_run {
    uint64_t first;
    uint32_t length;
    uint32_t lowest; /* the value of the part digit in `first` */
    uint32_t parts;  /* how many values it has in this run */
};

void pypow_layout_choose(struct pypow_layout *layout, const struct pypow_puzzle *puzzle,
                         uint32_t lanes, uint32_t digits);

/* The run that holds an index of that many digits. */
struct pypow_run pypow_layout_run(const struct pypow_layout *layout,
                                  const struct pypow_puzzle *puzzle, uint64_t index);

/* Where the i-th fastest digit lies, counted from the first block that is not absorbed. */
uint64_t pypow_layout_place(const struct pypow_layout *layout, const struct pypow_puzzle *puzzle,
                            uint32_t digit);

#endif
