/* SPDX-License-Identifier: Apache-2.0 */
#include "given.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t take(struct input *in, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes && in->left > 0; i++, in->at++, in->left--)
        x |= (uint64_t)*in->at << (8 * i);
    return x;
}

uint32_t take_below(struct input *in, uint32_t limit)
{
    return (uint32_t)take(in, limit <= 256 ? 1 : 2) % limit;
}

/* Any length, but more often short ones, which are quicker to try, and those around a block's. */
struct part take_part(struct input *in)
{
    static const uint8_t borders[] = {0, 1, 55, 56, 63, 64, 65, 128};
    struct part part = {.len = take(in, 1)};
    if (part.len < 192)
        part.len %= 70;
    else if (part.len < 224)
        part.len = borders[part.len % 8];
    uint32_t x = (uint32_t)take(in, 1);
    for (size_t i = 0; i < part.len; i++, x = x * 1103515245 + 12345)
        part.bytes[i] = (uint8_t)(x >> 16);
    return part;
}

struct pypow_nonce take_nonce(struct input *in)
{
    static const uint16_t usual[] = {2, 10, 16, 16, 64, 255, 256, 256};
    struct pypow_nonce nonce = {0};
    const uint32_t base = take_below(in, 512);
    nonce.base = base < 258 ? base : usual[base % 8];
    nonce.width = take_below(in, 66);
    const uint32_t order = take_below(in, 32);
    nonce.little = order == 31 ? 2 : nonce.width > 0 && order % 2;
    const uint32_t first = take_below(in, 256), step = take_below(in, 256) | 1;
    for (uint32_t i = 0; i < 256; i++)
        nonce.symbols[i] = (uint8_t)(first + i * step);
    const uint32_t swap = take_below(in, 256), with = take_below(in, 256);
    if (order == 30) /* now one symbol may stand for two digits */
        nonce.symbols[swap] = nonce.symbols[with];
    if (order == 29)
        nonce.little = 1;
    return nonce;
}

bool nonce_is_right(const struct pypow_nonce *nonce)
{
    uint8_t uses[256] = {0};
    if (nonce->base < 2 || nonce->base > 256 || nonce->width > 64 || nonce->little > 1)
        return false;
    for (uint32_t i = 0; i < nonce->base; i++)
        if (uses[nonce->symbols[i]]++ > 0)
            return false;
    return nonce->little == 0 || nonce->width > 0;
}

uint64_t nonce_last(const struct pypow_nonce *nonce)
{
    unsigned __int128 count = 1;
    for (uint32_t i = 0; i < nonce->width && count <= UINT64_MAX; i++)
        count *= nonce->base;
    return nonce->width == 0 || count > UINT64_MAX ? UINT64_MAX : (uint64_t)count - 1;
}

size_t nonce_text(uint8_t *text, const struct pypow_nonce *nonce, uint64_t index)
{
    uint8_t digits[64];
    size_t len = 0;
    do {
        digits[len++] = nonce->symbols[index % nonce->base];
        index /= nonce->base;
    } while (index > 0);
    while (len < nonce->width)
        digits[len++] = nonce->symbols[0];
    for (size_t i = 0; i < len; i++)
        text[i] = digits[nonce->little ? i : len - 1 - i];
    return len;
}

struct pypow_hash take_hash(struct input *in, const struct part *salt)
{
    const uint32_t kind = take_below(in, 16), iterations = 1 + take_below(in, 5);
    struct pypow_hash hash = {.type = PYPOW_SHA256, .iterations = 1};
    if (kind < 8)
        return hash;
    hash.iterations = iterations;
    if (kind >= 12) {
        hash.type = PYPOW_PBKDF2_HMAC_SHA256;
        hash.salt = salt->bytes;
        hash.salt_len = salt->len;
    }
    if (kind != 15)
        return hash;
    switch (iterations) { /* wrong in one way */
    case 1: hash.iterations = 0; break;
    case 2: hash.iterations = PYPOW_MAX_ITERATIONS + 1; break;
    case 3: hash.type = 2; break;
    case 4: hash.salt_len = PYPOW_MAX_SALT_BYTES + 1; break;
    default: hash.salt = NULL; break;
    }
    return hash;
}

bool hash_is_right(const struct pypow_hash *hash)
{
    const size_t most = hash->type == PYPOW_PBKDF2_HMAC_SHA256 ? 1 << 20 : 0;
    return hash->type <= 1 && hash->iterations >= 1 && hash->iterations <= 10000000 &&
           hash->salt_len <= most && !(hash->salt == NULL && hash->salt_len > 0);
}

struct beginning begin_message(const struct part *prefix, const struct part *suffix,
                               const struct pypow_hash *hash)
{
    struct beginning beginning = {reference_begin(), prefix, suffix, hash};
    reference_feed(&beginning.sha, prefix->bytes, prefix->len);
    return beginning;
}

void message_digest(uint8_t *digest, const struct beginning *beginning, const uint8_t *nonce,
                    size_t nonce_len)
{
    const struct part *prefix = beginning->prefix, *suffix = beginning->suffix;
    const struct pypow_hash *hash = beginning->hash;
    if (hash->type == PYPOW_PBKDF2_HMAC_SHA256) {
        uint8_t message[2 * MAX_PART + 64];
        memcpy(message, prefix->bytes, prefix->len);
        memcpy(message + prefix->len, nonce, nonce_len);
        memcpy(message + prefix->len + nonce_len, suffix->bytes, suffix->len);
        reference_pbkdf2(digest, message, prefix->len + nonce_len + suffix->len, hash->salt,
                         hash->salt_len, hash->iterations);
        return;
    }
    struct reference_sha256 sha = beginning->sha;
    reference_feed(&sha, nonce, nonce_len);
    reference_feed(&sha, suffix->bytes, suffix->len);
    reference_end(digest, sha);
    for (uint32_t i = 1; i < hash->iterations; i++)
        reference_sha256(digest, digest, REFERENCE_DIGEST);
}

static void reverse(uint8_t *bytes, const uint8_t *from)
{
    for (int i = 0; i < REFERENCE_DIGEST; i++)
        bytes[i] = from[REFERENCE_DIGEST - 1 - i];
}

/* The number one higher, or lower: the digest is just beyond it. */
static void step(uint8_t *value, bool up)
{
    int i = REFERENCE_DIGEST - 1;
    while (i > 0 && value[i] == (up ? 0xff : 0))
        value[i--] ^= 0xff;
    value[i] = (uint8_t)(up ? value[i] + 1 : value[i] - 1);
}

static void take_threshold(struct pypow_rule *rule, struct input *in, const uint8_t *digest)
{
    const uint32_t how = take_below(in, 4), bits = take_below(in, 32);
    if (rule->little)
        reverse(rule->value, digest);
    else
        memcpy(rule->value, digest, REFERENCE_DIGEST);
    if (how == 1)
        step(rule->value, rule->type == PYPOW_AT_LEAST);
    for (uint32_t i = 0; i < 256 && how >= 2; i++) { /* so many leading zeros or ones */
        const bool one = (i < bits) == (rule->type == PYPOW_AT_LEAST);
        rule->value[i / 8] = (uint8_t)(rule->value[i / 8] << 1 | one);
    }
}

static void take_mask(struct pypow_rule *rule, struct input *in, const uint8_t *digest)
{
    const uint32_t how = take_below(in, 8);
    memset(rule->mask, how == 0 ? 0xff : 0, sizeof rule->mask);
    for (uint32_t i = 0; i < how; i++) {
        const uint32_t place = take_below(in, REFERENCE_DIGEST);
        rule->mask[place] ^= (uint8_t)take(in, 1);
    }
    for (int i = 0; i < REFERENCE_DIGEST; i++)
        rule->value[i] = digest[i] & rule->mask[i];
    if (take_below(in, 16) == 15) /* a bit that may not be in the mask */
        rule->value[how] |= (uint8_t)take(in, 1);
}

struct pypow_rule take_rule(struct input *in, const uint8_t *digest)
{
    const uint32_t kind = take_below(in, 64);
    struct pypow_rule rule = {.type = kind % 3, .little = kind / 3 % 2};
    if (rule.type == PYPOW_MASKED)
        take_mask(&rule, in, digest);
    else
        take_threshold(&rule, in, digest);
    if (kind == 62)
        rule.type = 3;
    if (kind == 63)
        rule.little = 2;
    return rule;
}

bool rule_is_right(const struct pypow_rule *rule)
{
    if (rule->type != PYPOW_MASKED)
        return rule->type <= 1 && rule->little <= 1;
    for (int i = 0; i < REFERENCE_DIGEST; i++)
        if ((rule->value[i] & rule->mask[i]) != rule->value[i])
            return false;
    return true;
}

bool rule_is_met(const struct pypow_rule *rule, const uint8_t *digest)
{
    uint8_t read[REFERENCE_DIGEST];
    if (rule->type == PYPOW_MASKED) {
        for (int i = 0; i < REFERENCE_DIGEST; i++)
            read[i] = digest[i] & rule->mask[i];
        return memcmp(read, rule->value, sizeof read) == 0;
    }
    if (rule->little)
        reverse(read, digest);
    else
        memcpy(read, digest, sizeof read);
    const int order = memcmp(read, rule->value, sizeof read);
    return rule->type == PYPOW_AT_MOST ? order <= 0 : order >= 0;
}

void require(bool truth, const char *what, const char *kernel)
{
    if (!truth) {
        fprintf(stderr, "wrong: %s (kernel %s)\n", what, kernel);
        abort();
    }
}
