/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory between two pages that nobody may touch: a step outside ends the process, also one of
 * a vector load or of assembly, which sanitizers do not see.
 */
#ifndef PYPOW_FENCE_H
#define PYPOW_FENCE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fence {
    uint8_t *begin, *end;
};

static inline struct fence fence_around(size_t capacity)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t inside = (capacity + page - 1) / page * page;
    uint8_t *all = mmap(NULL, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, inside, PROT_READ | PROT_WRITE) != 0)
        abort();
    return (struct fence){all + page, all + page + inside};
}

/* Where `len` bytes touch the fence: with their end, or with their beginning. */
static inline void *fence_place(const struct fence *fence, size_t len, int at_begin)
{
    return at_begin ? fence->begin : fence->end - len;
}

static inline void *fence_copy(const struct fence *fence, const void *bytes, size_t len,
                               int at_begin)
{
    return memcpy(fence_place(fence, len, at_begin), bytes, len);
}

#endif
