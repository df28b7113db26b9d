/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message of 0 to 200 bytes besides its nonce, the nonce at every place in it, in several
 * encodings and under every kind of rule, searched by every kernel and by a plain loop.
 */
#include <stdlib.h>
#include <string.h>

#include "given.h"

enum { LONGEST = 200, COUNT = 40, LAST_WORD = 7 };

static const struct {
    uint32_t base, width, little;
    uint64_t first;
} encodings[] = {
    {10, 0, 0, 85},               /* from two digits to three */
    {16, 5, 0, 0xffe0},           /* a carry through four digits */
    {2, 9, 1, 300},
    {64, 4, 0, 64 * 64 - 20},
    {256, 4, 0, 0xfff0},
    {256, 8, 1, UINT64_C(0xfffffff0)},
    {255, 3, 1, 255 * 255 - 9},
};

enum { ENCODINGS = sizeof encodings / sizeof encodings[0] };

static struct pypow_nonce encoding(uint32_t number)
{
    struct pypow_nonce nonce = {.base = encodings[number].base,
                                .width = encodings[number].width,
                                .little = encodings[number].little};
    for (uint32_t i = 0; i < 256; i++)
        nonce.symbols[i] = (uint8_t)(i * 37 + 48);
    return nonce;
}

static struct part octets(size_t len, uint8_t seed)
{
    struct part part = {.len = len};
    for (size_t i = 0; i < len; i++)
        part.bytes[i] = (uint8_t)(i % 251 + seed);
    return part;
}

/* One of 12 kinds, which this digest meets and few others do. */
static struct pypow_rule rule_of_kind(uint32_t kind, const uint8_t *digest)
{
    struct pypow_rule rule = {.type = PYPOW_MASKED};
    if (kind > LAST_WORD) {
        rule.type = kind % 2 == 0 ? PYPOW_AT_MOST : PYPOW_AT_LEAST;
        rule.little = kind / 2 % 2;
        for (int i = 0; i < REFERENCE_DIGEST; i++)
            rule.value[i] = digest[rule.little ? REFERENCE_DIGEST - 1 - i : i];
        return rule;
    }
    for (uint32_t i = 4 * kind; i < 4 * kind + 4; i++) { /* a whole word of the digest */
        rule.mask[i] = 0xff;
        rule.value[i] = digest[i];
    }
    return rule;
}

static void check_kernels(const struct pypow_puzzle *puzzle, uint64_t first, uint64_t winner)
{
    struct pypow_kernel_info info;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        struct pypow_progress progress = {0};
        if (!info.usable)
            continue;
        const int status = pypow_search(&progress, puzzle, info.name, first, COUNT, NULL);
        require(status == (winner < COUNT ? PYPOW_OK : PYPOW_NOT_FOUND), "status", info.name);
        require(winner == COUNT || progress.nonce == first + winner, "winner", info.name);
        require(progress.hashes == (winner < COUNT ? winner + 1 : COUNT), "hashes", info.name);
    }
}

static void check_layout(size_t before, size_t after, uint32_t number, uint32_t kind,
                         const struct pypow_hash *hash)
{
    const struct part prefix = octets(before, 1), suffix = octets(after, 100);
    const struct pypow_nonce nonce = encoding(number);
    const uint64_t first = encodings[number].first;
    const struct beginning beginning = begin_message(&prefix, &suffix, hash);
    uint8_t digests[COUNT][REFERENCE_DIGEST], text[64];
    for (uint64_t i = 0; i < COUNT; i++)
        message_digest(digests[i], &beginning, text, nonce_text(text, &nonce, first + i));
    const struct pypow_rule rule = rule_of_kind(kind, digests[(before + 3 * after) % COUNT]);
    uint64_t winner = 0;
    while (winner < COUNT && !rule_is_met(&rule, digests[winner]))
        winner++;
    struct pypow_puzzle *puzzle = NULL;
    const int status = pypow_puzzle_new(&puzzle, &nonce, hash, &rule, prefix.bytes, before,
                                        suffix.bytes, after);
    require(status == PYPOW_OK, "no puzzle", NULL);
    check_kernels(puzzle, first, winner);
    pypow_puzzle_free(puzzle);
}

int main(int argc, char **argv)
{
    static const uint8_t salt[] = "salt";
    const struct pypow_hash hashes[] = {
        {.type = PYPOW_SHA256, .iterations = 1},
        {.type = PYPOW_SHA256, .iterations = 2},
        {.type = PYPOW_PBKDF2_HMAC_SHA256, .iterations = 2, .salt = salt, .salt_len = 4},
    };
    const size_t step = argc > 1 ? (size_t)atoi(argv[1]) : 1; /* 1: every layout */
    uint32_t kind = 0;
    for (size_t len = 0; len <= LONGEST; len++)
        for (size_t before = len % step; before <= len; before += step)
            for (uint32_t number = 0; number < ENCODINGS; number++) {
                kind = (kind + 1) % 12;
                check_layout(before, len - before, number, kind, &hashes[0]);
                if (number == len % ENCODINGS) {
                    check_layout(before, len - before, number, kind, &hashes[1]);
                    check_layout(before, len - before, number, kind, &hashes[2]);
                }
            }
    return 0;
}
