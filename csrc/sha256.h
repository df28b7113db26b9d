/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4): constants, and the parts that are done in scalar code. */
#ifndef PYPOW_SHA256_H
#define PYPOW_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { BLOCK_BYTES = 64, BLOCK_WORDS = 16, STATE_WORDS = 8, ROUNDS = 64 };

extern const uint32_t pypow_sha256_k[ROUNDS];        /* FIPS 180-4, 4.2.2 */
extern const uint32_t pypow_sha256_initial[STATE_WORDS]; /* FIPS 180-4, 5.3.3 */

/* A block function: advance the chaining value over `count` blocks. */
typedef void pypow_compress(uint32_t *state, const uint8_t *blocks, size_t count);

/* The block's 16 words. */
void pypow_sha256_words(uint32_t *words, const uint8_t *block);

/* W_0..W_63, each plus its K: all that a block's bytes contribute to the rounds. */
void pypow_sha256_schedule(uint32_t *kw, const uint8_t *block);

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_be32(uint8_t *p, uint32_t x)
{
    p[0] = (uint8_t)(x >> 24);
    p[1] = (uint8_t)(x >> 16);
    p[2] = (uint8_t)(x >> 8);
    p[3] = (uint8_t)x;
}

static inline void store_be64(uint8_t *p, uint64_t x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    __builtin_memcpy(p, &x, sizeof x);
}

/* FIPS 180-4, 4.1.2 */
static inline uint32_t ror32(uint32_t x, int n) { return x >> n | x << (32 - n); }
static inline uint32_t ch32(uint32_t x, uint32_t y, uint32_t z) { return z ^ (x & (y ^ z)); }
static inline uint32_t maj32(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | (z & (x | y)); }
static inline uint32_t big_sigma0(uint32_t x) { return ror32(x, 2) ^ ror32(x, 13) ^ ror32(x, 22); }
static inline uint32_t big_sigma1(uint32_t x) { return ror32(x, 6) ^ ror32(x, 11) ^ ror32(x, 25); }
static inline uint32_t small_sigma0(uint32_t x) { return ror32(x, 7) ^ ror32(x, 18) ^ x >> 3; }
static inline uint32_t small_sigma1(uint32_t x) { return ror32(x, 17) ^ ror32(x, 19) ^ x >> 10; }

#endif
