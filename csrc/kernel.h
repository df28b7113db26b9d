/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kernel is: one way to grind a range of nonces. A kernel is one file kernel_<isa>.c with
 * one exported symbol, named here, and one row in the table of dispatch.c.
 */
#ifndef PYPOW_KERNEL_H
#define PYPOW_KERNEL_H

#include <stdbool.h>

#include "message.h"
#include "rule.h"
#include "sha256.h"

/* Before a loop that shall be written out. Without it clang's code takes up to twice the time,
   and it wants to be told to unroll all of the loop, not how often. */
#define PYPOW_PRAGMA(words) _Pragma(#words)
#if defined(__clang__)
#define UNROLL(times) PYPOW_PRAGMA(unroll)
#else
#define UNROLL(times) PYPOW_PRAGMA(GCC unroll times)
#endif

/* Older clang knows these instructions only in files that are wholly for CPUs which have them. */
#if defined(__AARCH64EL__)
#if !defined(__clang__) || __clang_major__ >= 16 || defined(__ARM_FEATURE_SHA2)
#define PYPOW_ARMSHA
#endif
#endif

/* A scan may read this many words past the end of its range of the table. */
enum { MAX_LANES = 32 };

/* The words of a tail that are a digest (struct pypow_tail). */
enum { TAIL_VARYING = 0xff };

/*
 * The message schedule of a block of which some words vary from message to message and the
 * others do not: what a kernel adds in each round. Filled by pypow_schedule_fold.
 */
struct pypow_schedule {
    uint32_t constant[ROUNDS]; /* K, plus W where it is uniform */
    uint32_t uniform[ROUNDS];  /* for each W that varies: the sum of its uniform terms */
};

/*
 * The last block of a message that ends with a digest, which alone varies: words 0 to 7.
 * Filled by pypow_tail_fold.
 */
struct pypow_tail {
    uint32_t words[BLOCK_WORDS]; /* those of the digest are zero */
    struct pypow_schedule schedule;
};

/*
 * A block of which one word varies, prepared so that a kernel does only what depends on that
 * word ("uniform" is what does not). Filled by pypow_scan_fold.
 *
 * Index i stands for the message whose varying word is fixed_bits + table[i].
 */
struct pypow_scan {
    const uint32_t *table;
    uint32_t fixed_bits;
    uint32_t word; /* 0..15, the one that varies */
    struct pypow_filter filter;

    uint32_t chain[STATE_WORDS]; /* chaining value before the block */
    uint32_t block[BLOCK_WORDS]; /* the block, its varying word being fixed_bits */
    uint32_t quad[STATE_WORDS];  /* working variables before round word/4*4 */
    uint32_t after[STATE_WORDS]; /* working variables after round `word`; a and e lack table[i] */

    /* In the three rounds after `word`, where h is uniform too, h is part of the constant. */
    struct pypow_schedule schedule;

    /* The blocks that follow, the same for every index; usually none. */
    const struct pypow_message *message;
    uint64_t next_block;
    uint64_t end_block;

    /* How often the digest is hashed again, and the block that it is hashed in. */
    uint32_t rehashes;
    struct pypow_tail tail;
};

/* The passwords of a group half-way through PBKDF2; laid out as for compress_many. */
struct pypow_stretch {
    uint32_t inner[STATE_WORDS * MAX_LANES]; /* chaining values of HMAC after the key */
    uint32_t outer[STATE_WORDS * MAX_LANES];
    uint32_t last[STATE_WORDS * MAX_LANES]; /* U_i (RFC 8018, 5.2) */
    uint32_t sum[STATE_WORDS * MAX_LANES];  /* U_1 ^ ... ^ U_i */
};

/* Which words of the schedule vary when these of the block do: bit i stands for W_i. */
static inline uint64_t pypow_schedule_varying(uint64_t varying)
{
    UNROLL(64)
    for (int i = BLOCK_WORDS; i < ROUNDS; i++) {
        const uint64_t terms = varying >> (i - 2) | varying >> (i - 7) | varying >> (i - 15) |
                               varying >> (i - 16);
        varying |= (terms & 1) << i;
    }
    return varying;
}

/* The first round from which on all four terms of W vary; some word must not vary. */
static inline int pypow_schedule_dense(uint64_t varying)
{
    const int last_uniform = ROUNDS - 1 - __builtin_clzll(~varying);
    return last_uniform + BLOCK_WORDS + 1;
}

/* Prepare the schedule of a block; what its varying words hold is ignored. */
void pypow_schedule_fold(struct pypow_schedule *schedule, const uint32_t *block,
                         uint64_t varying);

/* Prepare the block that ends a message of so many bits with a digest. */
void pypow_tail_fold(struct pypow_tail *tail, uint32_t bits);

/* Prepare the block from `chain`, `block` and `word`; the rest is the caller's. */
void pypow_scan_fold(struct pypow_scan *scan);

struct pypow_kernel {
    const char *name;
    uint32_t lanes;
    bool (*usable)(void);
    /* The lowest index in [begin, end) whose digest passes the filter, or `end`. */
    uint32_t (*scan)(const struct pypow_scan *scan, uint32_t begin, uint32_t end);
    /* Advance one message over consecutive blocks. */
    pypow_compress *compress;
    /* Lay out one block of each of `lanes` messages for compress_many. */
    void (*load_many)(uint32_t *words, const uint8_t *const *blocks);
    /* Turn `count` words of each message from base64url into 24 bits; where characters are none,
       `strange` of the message is not 0. */
    void (*decode_many)(uint32_t *quads, uint32_t *strange, const uint32_t *words,
                        uint32_t count);
    /* Advance `lanes` messages over one block each: word w of message i is at [w * lanes + i]. */
    void (*compress_many)(uint32_t *states, const uint32_t *blocks);
    /* Replace each of `lanes` digests by its own SHA-256, `times` times. */
    void (*rehash)(uint32_t *digests, const struct pypow_tail *tail, uint32_t times);
    /* Go on for `times` iterations of PBKDF2, each of two blocks. */
    void (*stretch)(struct pypow_stretch *group, const struct pypow_tail *tail, uint32_t times);
};

extern const struct pypow_kernel pypow_kernel_scalar;
#if defined(__x86_64__)
extern const struct pypow_kernel pypow_kernel_sse41;
extern const struct pypow_kernel pypow_kernel_avx2;
extern const struct pypow_kernel pypow_kernel_avx512;
extern const struct pypow_kernel pypow_kernel_shani;
extern const struct pypow_kernel pypow_kernel_shani_vl;
#endif
#if defined(__AARCH64EL__)
extern const struct pypow_kernel pypow_kernel_neon;
#endif
#if defined(PYPOW_ARMSHA)
extern const struct pypow_kernel pypow_kernel_armsha;
#endif

/* The kernel of this name, or the one measured fastest for NULL. PYPOW_OK or PYPOW_NO_KERNEL. */
int pypow_kernel_choose(const struct pypow_kernel **kernel, const char *name);

/* The block function that was measured fastest for one message at a time. */
pypow_compress *pypow_kernel_compress(void);

#endif
