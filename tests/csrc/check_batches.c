/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs batches on buffers of exactly the size they were told, for sanitizers to watch, and holds
 * them against the same messages one at a time. Says what went wrong and answers 1, or 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "kernel.h"

static bool failed;

static void expect(bool truth, const char *what, const char *kernel, size_t one, size_t other)
{
    if (!truth) {
        fprintf(stderr, "%s: kernel %s, at %zu, %zu\n", what, kernel, one, other);
        failed = true;
    }
}

/* An allocation without slack, so that one step past its end is seen. */
static uint8_t *octets(size_t len)
{
    uint8_t *made = malloc(len > 0 ? len : 1);
    for (size_t i = 0; i < len; i++)
        made[i] = (uint8_t)(i % 251);
    return made;
}

/* The same, of characters of base64url only. */
static uint8_t *octets_of_text(size_t len, uint32_t seed)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t *made = octets(len);
    for (size_t i = 0; i < len; i++)
        made[i] = (uint8_t)digits[(made[i] * 5 + seed) % 64];
    return made;
}

/* Bytes of every value, loaded and decoded side by side and one after another. */
static void check_load_and_decode(const char *name)
{
    uint32_t words[BLOCK_WORDS * MAX_LANES], quads[BLOCK_WORDS * MAX_LANES], strange[MAX_LANES];
    uint8_t *rows[MAX_LANES], octets[3 * BLOCK_WORDS];
    const struct pypow_kernel *kernel;
    pypow_kernel_choose(&kernel, name);
    const uint32_t lanes = kernel->lanes;
    for (uint32_t round = 0; round < 256; round++) {
        for (uint32_t lane = 0; lane < lanes; lane++) {
            rows[lane] = octets_of_text(BLOCK_BYTES, lane + round);
            rows[lane][(round + lane) % BLOCK_BYTES] = (uint8_t)(round * 7 + lane);
        }
        kernel->load_many(words, (const uint8_t *const *)rows);
        kernel->decode_many(quads, strange, words, BLOCK_WORDS);
        for (uint32_t lane = 0; lane < lanes; lane++) {
            const bool right = pypow_base64_decode(octets, rows[lane], BLOCK_WORDS);
            expect(right == (strange[lane] == 0), "decode_many takes another", name, lane, round);
            for (uint32_t i = 0; i < BLOCK_WORDS; i++) {
                const uint8_t *three = octets + 3 * i;
                const uint32_t quad = (uint32_t)three[0] << 16 | (uint32_t)three[1] << 8 | three[2];
                const uint32_t at = i * lanes + lane;
                expect(words[at] == load_be32(rows[lane] + 4 * i), "load_many", name, lane, i);
                expect(!right || quads[at] == quad, "decode_many", name, lane, i);
            }
            free(rows[lane]);
        }
    }
}

/* What a batch finds against pypow_verify, message by message. */
static void compare(const struct pypow_column *prefixes, const struct pypow_column *nonces,
                    size_t count, const char *name)
{
    const struct pypow_rule half = {.type = PYPOW_AT_MOST, .value = {0x80}};
    const struct pypow_hash sha256 = {.type = PYPOW_SHA256, .iterations = 1};
    uint8_t *wins = octets(count);
    int status = pypow_verify_batch(wins, &half, prefixes, nonces, NULL, 0, count, name);
    expect(status == PYPOW_OK, "no batch", name, prefixes->width, count);
    for (size_t i = 0; i < count; i++) {
        const int64_t *offsets = nonces->offsets;
        const uint8_t *prefix = prefixes->data + i * prefixes->width;
        const size_t at = offsets != NULL ? (size_t)offsets[i] : i * nonces->width;
        const size_t end = offsets != NULL ? (size_t)offsets[i + 1] : at + nonces->width;
        const uint8_t len = (uint8_t)(end - at);
        size_t prefix_len = prefixes->width;
        uint32_t loser;
        while (prefixes->padded && prefix_len > 0 && prefix[prefix_len - 1] == 0)
            prefix_len--;
        status = pypow_verify(NULL, &loser, &sha256, &half, prefix, prefix_len, NULL, 0,
                              nonces->data + at, &len, 1);
        expect(wins[i] == (status == PYPOW_OK), "another verdict", name, prefixes->width, i);
    }
    free(wins);
}

static void check_batch(const char *name, size_t width, size_t count)
{
    enum { NONCE = 3 };
    uint8_t *rows = octets(width * count), *data = octets(NONCE * count);
    int64_t *offsets = malloc((count + 1) * sizeof *offsets);
    struct pypow_column prefixes = {.data = rows, .stride = (int64_t)width, .width = width};
    struct pypow_column nonces = {
        .data = data, .data_len = NONCE * count, .stride = NONCE, .width = NONCE};
    compare(&prefixes, &nonces, count, name);
    prefixes.padded = 1;
    compare(&prefixes, &nonces, count, name);
    for (size_t i = 0; i <= count; i++)
        offsets[i] = (int64_t)(i % 2 == 0 || i == count ? NONCE * i : NONCE * i - 2);
    nonces.offsets = offsets;
    compare(&prefixes, &nonces, count, name);
    free(rows);
    free(data);
    free(offsets);
}

/* Challenges and nonces of anything, for the sanitizers only: what is found is tested elsewhere. */
static void check_challenges(const char *name, size_t count)
{
    const size_t text_len = PYPOW_CHALLENGE_TEXT, nonces_len = 2 * PYPOW_CHALLENGE_NONCE;
    uint8_t *texts = octets_of_text(text_len * count, 3), *reasons = octets(count);
    uint8_t *nonces = octets_of_text(nonces_len * count, 5);
    struct pypow_mac_key key;
    pypow_mac_key_init(&key, 0, NULL, 0);
    for (size_t i = 0; i < count; i++)
        memcpy(texts + i * text_len, "AQEAAEAAAAEAAA", i % 3 == 0 ? 0 : 14);
    const struct pypow_column rows = {
        .data = texts, .stride = (int64_t)text_len, .width = text_len};
    const struct pypow_column each = {
        .data = nonces, .stride = (int64_t)nonces_len, .width = nonces_len};
    int status = pypow_challenge_work_batch(reasons, &rows, &each, 2, count, name);
    expect(status == PYPOW_OK, "no batch of work", name, count, 0);
    status = pypow_challenge_check_batch(reasons, &key, 1, 0, 0, 0, texts, texts, &rows, &each, 2,
                                         count, name);
    expect(status == PYPOW_OK, "no batch of proofs", name, count, 0);
    free(texts);
    free(nonces);
    free(reasons);
}

static void check_kernel(const char *name)
{
    check_load_and_decode(name);
    for (size_t count = 1; count < 70; count += 11)
        for (size_t width = 0; width < 150; width += 13)
            check_batch(name, width, count);
    for (size_t count = 1; count < 70; count++)
        check_challenges(name, count);
}

int main(void)
{
    struct pypow_kernel_info info;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++)
        if (info.usable)
            check_kernel(info.name);
    return failed;
}
