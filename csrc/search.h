/* SPDX-License-Identifier: Apache-2.0 */
/* One thread's search of a range of nonces. */
#ifndef PYPOW_SEARCH_H
#define PYPOW_SEARCH_H

#include "kernel.h"
#include "puzzle.h"

/*
 * A run is a stretch of indices that differ in their fast and inner digits only. The inner
 * digits share one word of the message; a kernel scans all their values in one go. The fast
 * digits are those, usually none, that lie in a word with too few to be worth a scan.
 */
enum {
    MAX_INNER = 1 << 12, /* values of the inner digits: 16 KiB of words, well inside L1 */
    MAX_RUN = 1 << 14    /* a winner's whole run is searched, hence not too long */
};

/* What a thread searches with; begun once, then used for one range after another. */
struct pypow_search {
    const struct pypow_puzzle *puzzle;
    const struct pypow_kernel *kernel;
    pypow_compress *compress; /* confirms what the kernel's filter lets pass */

    /* The layout of nonces with `digits` digits; 0 before the first. */
    uint32_t digits;
    uint32_t fast_digits;
    uint32_t fast_count; /* base^fast_digits */
    uint32_t inner_digits;
    uint32_t inner_count; /* base^inner_digits */
    uint64_t block;       /* which block of the message holds the inner digits */

    struct pypow_message message;
    struct pypow_scan scan;
    uint32_t table[MAX_INNER + MAX_LANES];
};

/* What may end a search early; both are polled every 1,024 hashes. */
struct pypow_watch {
    const int *stop;         /* non-zero: give up. NULL: never */
    const uint64_t *ceiling; /* indices above are of no use any more. NULL: none */
};

/*
 * How many indices to search before looking up: 2^14 blocks' worth, which is 100 to 200 us of a
 * wide kernel and a few ms of the slowest.
 */
uint64_t pypow_search_chunk(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel);

void pypow_search_begin(struct pypow_search *search, const struct pypow_puzzle *puzzle,
                        const struct pypow_kernel *kernel);

/*
 * Search the indices first..last, both included. progress->hashes is how many were tried,
 * also where the watch ended the search. PYPOW_OK, PYPOW_NOT_FOUND or PYPOW_STOPPED.
 */
int pypow_search_range(struct pypow_progress *progress, struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch);

#endif
