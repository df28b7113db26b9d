/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two loops that a C programmer writes around libcrypto: one SHA256_Transform for each
 * nonce, or init, update and final of the EVP interface. Nonces are decimal and kept as text,
 * counted up in place, so that next to nothing but OpenSSL is measured. The functions come as
 * pointers: no header and no library is needed to build this.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MAX_MESSAGE = 55, BLOCK = 64 };

struct message {
    uint8_t bytes[BLOCK];
    size_t prefix_len;
    size_t len;
};

/* As in openssl/sha.h: the state comes first, the rest is scratch here. */
struct sha256_ctx {
    uint32_t state[8];
    uint8_t rest[256];
};

typedef void transform_fn(struct sha256_ctx *ctx, const uint8_t *block);

struct evp {
    int (*init)(void *ctx, const void *type, void *engine);
    int (*update)(void *ctx, const void *data, size_t len);
    int (*final)(void *ctx, uint8_t *digest, unsigned *len);
    void *ctx;
    const void *type;
};

static void pad(struct message *m)
{
    memset(m->bytes + m->len, 0, BLOCK - m->len);
    m->bytes[m->len] = 0x80;
    m->bytes[62] = (uint8_t)(m->len * 8 >> 8);
    m->bytes[63] = (uint8_t)(m->len * 8);
}

static int begin(struct message *m, const uint8_t *prefix, size_t prefix_len)
{
    if (prefix_len >= MAX_MESSAGE)
        return 0;
    memcpy(m->bytes, prefix, prefix_len);
    m->bytes[prefix_len] = '0';
    m->prefix_len = prefix_len;
    m->len = prefix_len + 1;
    pad(m);
    return 1;
}

/* 0: the message is full. */
static int count_up(struct message *m)
{
    size_t at = m->len;
    while (at-- > m->prefix_len) {
        if (m->bytes[at] < '9') {
            m->bytes[at]++;
            return 1;
        }
        m->bytes[at] = '0';
    }
    if (m->len == MAX_MESSAGE)
        return 0;
    m->bytes[m->prefix_len] = '1';
    m->bytes[m->len++] = '0';
    pad(m);
    return 1;
}

/* Both return the hashes it took to meet the digest, or 0. */
uint64_t grind_transform(transform_fn *transform, const uint8_t *prefix, size_t prefix_len,
                         const uint32_t *wanted)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    struct sha256_ctx ctx = {0};
    struct message m;
    uint64_t hashes = 0;
    if (!begin(&m, prefix, prefix_len))
        return 0;
    do {
        memcpy(ctx.state, initial, sizeof initial);
        transform(&ctx, m.bytes);
        hashes++;
        if (memcmp(ctx.state, wanted, sizeof ctx.state) == 0)
            return hashes;
    } while (count_up(&m));
    return 0;
}

uint64_t grind_evp(const struct evp *evp, const uint8_t *prefix, size_t prefix_len,
                   const uint8_t *wanted)
{
    struct message m;
    uint8_t digest[BLOCK];
    uint64_t hashes = 0;
    if (!begin(&m, prefix, prefix_len))
        return 0;
    do {
        evp->init(evp->ctx, evp->type, NULL);
        evp->update(evp->ctx, m.bytes, m.len);
        evp->final(evp->ctx, digest, NULL);
        hashes++;
        if (memcmp(digest, wanted, 32) == 0)
            return hashes;
    } while (count_up(&m));
    return 0;
}
