/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <string.h>

static uint32_t initial[8], k[64];

/* The largest x below 2^36 with x^power <= n: the roots of small primes, with 32 binary places. */
static uint64_t root(unsigned __int128 n, int power)
{
    uint64_t x = 0;
    for (int bit = 35; bit >= 0; bit--) {
        const uint64_t more = x | UINT64_C(1) << bit;
        const unsigned __int128 square = (unsigned __int128)more * more;
        if ((power == 2 ? square : square * more) <= n)
            x = more;
    }
    return x;
}

static bool prime(uint32_t n)
{
    for (uint32_t i = 2; i * i <= n; i++)
        if (n % i == 0)
            return false;
    return true;
}

/* 4.2.2 and 5.3.3: the first 32 bits of the fractions of roots of the first primes. */
static void make_constants(void)
{
    uint32_t number = 2;
    for (int i = 0; i < 64; number++) {
        if (!prime(number))
            continue;
        if (i < 8)
            initial[i] = (uint32_t)root((unsigned __int128)number << 64, 2);
        k[i++] = (uint32_t)root((unsigned __int128)number << 96, 3);
    }
}

static uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* 6.2.2 */
static void compress(uint32_t *state, const uint8_t *block)
{
    uint32_t w[64];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        const uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
        const uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        const uint32_t s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
        const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k[t] + w[t];
        const uint32_t s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
        const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

struct reference_sha256 reference_begin(void)
{
    if (initial[0] == 0)
        make_constants();
    struct reference_sha256 sha = {.len = 0};
    memcpy(sha.state, initial, sizeof initial);
    return sha;
}

void reference_feed(struct reference_sha256 *sha, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        const size_t used = sha->len % REFERENCE_BLOCK, room = REFERENCE_BLOCK - used;
        const size_t part = len < room ? len : room;
        memcpy(sha->block + used, bytes, part);
        sha->len += part;
        bytes += part;
        len -= part;
        if (part == room)
            compress(sha->state, sha->block);
    }
}

void reference_end(uint8_t *digest, struct reference_sha256 sha)
{
    static const uint8_t mark[REFERENCE_BLOCK] = {0x80};
    const uint64_t bits = sha.len * 8;
    const size_t used = sha.len % REFERENCE_BLOCK;
    uint8_t end[8];
    for (int i = 0; i < 8; i++)
        end[i] = (uint8_t)(bits >> (56 - 8 * i));
    reference_feed(&sha, mark, (used < 56 ? 56 : 120) - used);
    reference_feed(&sha, end, sizeof end);
    for (int i = 0; i < REFERENCE_DIGEST; i++)
        digest[i] = (uint8_t)(sha.state[i / 4] >> (24 - i % 4 * 8));
}

void reference_sha256(uint8_t *digest, const uint8_t *message, size_t len)
{
    struct reference_sha256 sha = reference_begin();
    reference_feed(&sha, message, len);
    reference_end(digest, sha);
}

struct reference_hmac reference_hmac_key(const uint8_t *key, size_t key_len)
{
    struct reference_hmac hmac = {reference_begin(), reference_begin()};
    uint8_t block[REFERENCE_BLOCK] = {0}, pad[REFERENCE_BLOCK];
    if (key_len > sizeof block)
        reference_sha256(block, key, key_len);
    else if (key_len > 0)
        memcpy(block, key, key_len);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x36;
    reference_feed(&hmac.inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x5c;
    reference_feed(&hmac.outer, pad, sizeof pad);
    return hmac;
}

static void hmac_end(uint8_t *mac, struct reference_hmac hmac)
{
    uint8_t inner[REFERENCE_DIGEST];
    reference_end(inner, hmac.inner);
    reference_feed(&hmac.outer, inner, sizeof inner);
    reference_end(mac, hmac.outer);
}

void reference_hmac(uint8_t *mac, const struct reference_hmac *key, const uint8_t *message,
                    size_t len)
{
    struct reference_hmac hmac = *key;
    reference_feed(&hmac.inner, message, len);
    hmac_end(mac, hmac);
}

void reference_pbkdf2(uint8_t *key, const uint8_t *password, size_t password_len,
                      const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
    static const uint8_t first_block[4] = {0, 0, 0, 1};
    const struct reference_hmac start = reference_hmac_key(password, password_len);
    struct reference_hmac hmac = start;
    uint8_t u[REFERENCE_DIGEST];
    reference_feed(&hmac.inner, salt, salt_len);
    reference_feed(&hmac.inner, first_block, sizeof first_block);
    hmac_end(u, hmac);
    memcpy(key, u, sizeof u);
    for (uint32_t i = 1; i < iterations; i++) {
        hmac = start;
        reference_feed(&hmac.inner, u, sizeof u);
        hmac_end(u, hmac);
        for (size_t j = 0; j < sizeof u; j++)
            key[j] ^= u[j];
    }
}
