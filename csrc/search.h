/* SPDX-License-Identifier: Apache-2.0 */
/* One thread's search of a range of nonces. */
#ifndef PYPOW_SEARCH_H
#define PYPOW_SEARCH_H

#include "kernel.h"
#include "layout.h"
#include "puzzle.h"

/* What a thread searches with; begun once, then used for one range after another. */
struct pypow_search {
    const struct pypow_puzzle *puzzle;
    const struct pypow_kernel *kernel;
    pypow_compress *compress; /* confirms what the kernel's filter lets pass */

    struct pypow_layout layout; /* of no digits before the first */
    uint64_t block;             /* which block of the message holds the whole digits */
    uint32_t slice;             /* nonces between two looks at the watch */

    struct pypow_message message;
    struct pypow_scan scan;
    uint32_t parts_laid;     /* in the table */
    uint32_t part_bits[256]; /* what each of them adds to the values before all parts */
    uint32_t table[MAX_INNER + MAX_LANES];
};

/* What may end a search early; looked at every 1,024 block computations or so; see
   pypow_search. */
struct pypow_watch {
    const int *stop;         /* non-zero: give up. NULL: never */
    const uint64_t *ceiling; /* indices above are of no use any more. NULL: none */
};

static inline bool pypow_watch_stopped(const struct pypow_watch *watch)
{
    return watch->stop != NULL && __atomic_load_n(watch->stop, __ATOMIC_RELAXED) != 0;
}

static inline bool pypow_watch_pointless(const struct pypow_watch *watch, uint64_t index)
{
    return watch->ceiling != NULL && __atomic_load_n(watch->ceiling, __ATOMIC_RELAXED) < index;
}

void pypow_search_begin(struct pypow_search *search, const struct pypow_puzzle *puzzle,
                        const struct pypow_kernel *kernel);

/*
 * The last index of the chunk of first..last to search before looking up. It is worth 2^14 block
 * computations, 100 to 200 us of a wide kernel and a few ms of the slowest; or one nonce in each
 * lane, where that is more; or, of a hard puzzle whose digits straddle two words, a whole run:
 * half a million nonces at most, which a wide kernel takes a few ms for.
 */
uint64_t pypow_search_chunk_end(const struct pypow_puzzle *puzzle,
                                const struct pypow_kernel *kernel, uint64_t first, uint64_t last);

/* Whether even a chunk takes so long that nobody should wait for its end to look up. */
bool pypow_search_is_long(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel);

/*
 * Search the indices first..last, both included. progress->hashes is how many were tried,
 * also where the watch ended the search. PYPOW_OK, PYPOW_NOT_FOUND or PYPOW_STOPPED.
 */
int pypow_search_range(struct pypow_progress *progress, struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch);

#endif
