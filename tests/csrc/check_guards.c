/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every buffer that the core is handed, of every length and alignment, right before and right
 * behind a page that nobody may touch: a step outside ends the process. This also holds for
 * vector loads and assembly, where sanitizers do not look.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <stdbool.h>
#include <stdio.h>

#include "fence.h"
#include "kernel.h"
#include "macaroon.h"
#include "pypow.h"

enum { LONGEST = 200, ALIGNMENTS = 64, PLACES = ALIGNMENTS + 1, ROOM = 1 << 15 };

static bool failed;

static void expect(bool truth, const char *what, const char *kernel, size_t len)
{
    if (!truth && !failed)
        fprintf(stderr, "%s: kernel %s, %zu\n", what, kernel, len);
    failed = failed || !truth;
}

/* A buffer of its own for each argument. */
enum argument {
    PREFIX, SUFFIX, SALT, NONCE, HASH, RULE, PROGRESS, NONCES, LENS, DIGESTS, FAILED, TEXT, OCTETS,
    SCOPE, KEYS, STATE, WORDS, TAIL, SCAN, OFFSETS, ROWS, ARGUMENTS
};

static struct fence fences[ARGUMENTS];

/*
 * Where an argument of `len` bytes lies: with its end at the page behind it, or so many bytes
 * after the page before it. Place 0 is the former, so that all lengths have all alignments.
 */
static void *place(enum argument which, size_t len, size_t at)
{
    return at == 0 ? fence_place(&fences[which], len, 0) : fences[which].begin + (at - 1);
}

static void *given(enum argument which, const void *bytes, size_t len, size_t at)
{
    return memcpy(place(which, len, at), bytes, len);
}

/* For what is made of words, or of pointers, and so lies at multiples of 4, or 8. */
static size_t aligned(size_t at, size_t to) { return at == 0 ? 0 : (at - 1) / to * to + 1; }

static void *octets(enum argument which, size_t len, size_t at)
{
    uint8_t *made = place(which, len, at);
    for (size_t i = 0; i < len; i++)
        made[i] = (uint8_t)(i % 251);
    return made;
}

static const struct pypow_hash hashes[] = {
    {.type = PYPOW_SHA256, .iterations = 1},
    {.type = PYPOW_SHA256, .iterations = 3},
    {.type = PYPOW_PBKDF2_HMAC_SHA256, .iterations = 2},
};

enum { HASHES = sizeof hashes / sizeof hashes[0] };

static struct pypow_hash *given_hash(size_t number, size_t salt_len, size_t at)
{
    struct pypow_hash hash = hashes[number];
    if (hash.type == PYPOW_PBKDF2_HMAC_SHA256) {
        hash.salt_len = salt_len;
        hash.salt = octets(SALT, salt_len, at);
    }
    return given(HASH, &hash, sizeof hash, aligned(at, 8));
}

static struct pypow_nonce hexadecimal(uint32_t width)
{
    struct pypow_nonce nonce = {.base = 16, .width = width};
    memcpy(nonce.symbols, "0123456789abcdef", 16);
    return nonce;
}

/* A rule of which no digest of a search is the winner. */
static const struct pypow_rule never = {.type = PYPOW_AT_MOST}, always = {.type = PYPOW_AT_LEAST};

static void check_search(const char *kernel, size_t hash, size_t len, size_t at)
{
    enum { COUNT = 70 };
    const struct pypow_nonce nonce = hexadecimal(6);
    const size_t other = LONGEST - len;
    struct pypow_progress *progress = place(PROGRESS, sizeof *progress, aligned(at, 8));
    struct pypow_puzzle *puzzle = NULL;
    int status = pypow_puzzle_new(
        &puzzle, given(NONCE, &nonce, sizeof nonce, aligned(at, 4)), given_hash(hash, other, at),
        given(RULE, &never, sizeof never, aligned(at, 4)), octets(PREFIX, len, at), len,
        octets(SUFFIX, other, at), other);
    expect(status == PYPOW_OK, "no puzzle", kernel, len);
    status = pypow_search(progress, puzzle, kernel, 90, COUNT, NULL);
    expect(status == PYPOW_NOT_FOUND && progress->hashes == COUNT, "not searched", kernel, len);
    pypow_puzzle_free(puzzle);
}

static void check_sha256(const char *kernel, size_t len, size_t at)
{
    uint8_t *digest = place(DIGESTS, PYPOW_DIGEST_BYTES, at);
    const int status = pypow_sha256(digest, octets(PREFIX, len, at), len, kernel);
    expect(status == PYPOW_OK, "not hashed", kernel, len);
}

static void check_verify(size_t hash, size_t len, size_t at)
{
    const uint32_t count = len % 8 == 7 ? PYPOW_MAX_PROOFS : 1 + (uint32_t)len % 8;
    const size_t nonce_len = len % (PYPOW_MAX_NONCE_BYTES + 1);
    const uint8_t *nonces = octets(NONCES, count * nonce_len, at);
    uint8_t *lens = memset(place(LENS, count, at), (int)nonce_len, count);
    uint32_t *failure = place(FAILED, sizeof *failure, aligned(at, 4));
    const int status = pypow_verify(
        place(DIGESTS, count * PYPOW_DIGEST_BYTES, at), failure, given_hash(hash, len, at),
        given(RULE, &always, sizeof always, aligned(at, 4)), octets(PREFIX, len, at), len,
        octets(SUFFIX, len, at), len, nonces, lens, count);
    expect(status == PYPOW_OK, "not verified", "any", len);
}

static void check_encode(size_t len, size_t at)
{
    const struct pypow_nonce nonce = hexadecimal((uint32_t)len % PYPOW_MAX_NONCE_BYTES + 1);
    size_t *encoded_len = place(LENS, sizeof *encoded_len, aligned(at, 8));
    const int status =
        pypow_nonce_encode(place(NONCES, nonce.width, at), encoded_len,
                           given(NONCE, &nonce, sizeof nonce, aligned(at, 4)), len % 16);
    expect(status == PYPOW_OK && *encoded_len == nonce.width, "not encoded", "any", len);
}

/* A challenge of 64 sub-puzzles that any nonces solve, and parts of its nonces. */
static void check_challenge(size_t len, size_t at)
{
    enum { NONCES_LEN = PYPOW_MAX_PROOFS * (PYPOW_CHALLENGE_NONCE + 1) - 1 };
    static const char begin[] = "AQEGABgAAAEAAQ";
    char text[PYPOW_CHALLENGE_TEXT + LONGEST], nonces[NONCES_LEN + 2];
    memset(text, 'A', sizeof text);
    memcpy(text, begin, sizeof begin - 1);
    text[27] = 'B'; /* a lifetime of one second */
    for (int i = 0; i < PYPOW_MAX_PROOFS; i++)
        snprintf(nonces + i * (PYPOW_CHALLENGE_NONCE + 1), sizeof nonces - (size_t)i * 16,
                 "%02x0123456789abc.", (unsigned)i);
    const size_t nonces_len = len < 100 ? NONCES_LEN - len : 1000 - len;
    const char *put = given(TEXT, text, PYPOW_CHALLENGE_TEXT, at);
    const uint8_t *put_nonces = given(NONCES, nonces, nonces_len, at);
    uint32_t *failure = place(FAILED, sizeof *failure, aligned(at, 4));
    uint8_t *read = place(OCTETS, PYPOW_CHALLENGE_BYTES, at);
    int status = pypow_challenge_decode(read, put, PYPOW_CHALLENGE_TEXT);
    expect(status == PYPOW_STANDS, "not decoded", "any", len);
    status = pypow_challenge_work(failure, put, PYPOW_CHALLENGE_TEXT, put_nonces, nonces_len,
                                  PYPOW_MAX_PROOFS);
    expect(status == (nonces_len == NONCES_LEN ? PYPOW_STANDS : PYPOW_WRONG_NONCES), "no work",
           "any", len);
    struct pypow_mac_key *key = place(KEYS, sizeof *key, aligned(at, 4));
    pypow_mac_key_init(key, 1, octets(SALT, len, at), len);
    status = pypow_challenge_check(read, key, 1, 0, 0, 1, octets(SCOPE, PYPOW_SCOPE_BYTES, at),
                                   octets(PREFIX, PYPOW_SCOPE_BYTES, at), put,
                                   PYPOW_CHALLENGE_TEXT, put_nonces, nonces_len, PYPOW_MAX_PROOFS);
    expect(status == PYPOW_BAD_MAC, "a wrong MAC stands", "any", len);
    put = given(TEXT, text, len, at);
    status = pypow_challenge_decode(read, put, len);
    expect(status == (len == PYPOW_CHALLENGE_TEXT ? PYPOW_STANDS : PYPOW_MALFORMED),
           "a text of another length", "any", len);
}

/* Messages of one length in rows, and then of many as pieces of the same bytes. */
static void check_batch(const char *kernel, size_t len, size_t at)
{
    enum { NONCE_LEN = 9, MOST = 40 };
    const size_t count = len % (MOST + 1), word_at = aligned(at, 8);
    struct pypow_column prefixes = {.stride = (int64_t)len, .width = len};
    struct pypow_column nonces = {.stride = NONCE_LEN, .width = NONCE_LEN, .padded = len % 2};
    prefixes.data = octets(ROWS, count * len, at);
    nonces.data = octets(NONCES, count * NONCE_LEN, at);
    const struct pypow_rule *rule = given(RULE, &always, sizeof always, aligned(at, 4));
    const uint8_t *suffix = octets(SUFFIX, len, at);
    int status = pypow_verify_batch(place(DIGESTS, count, at), rule,
                                    given(STATE, &prefixes, sizeof prefixes, word_at),
                                    given(WORDS, &nonces, sizeof nonces, word_at), suffix, len,
                                    count, kernel);
    expect(status == PYPOW_OK, "no batch of rows", kernel, len);
    int64_t offsets[MOST + 1];
    for (size_t i = 0; i <= count; i++)
        offsets[i] = (int64_t)(i * i * len / (count * count + 1));
    prefixes.data_len = (size_t)offsets[count];
    prefixes.data = octets(ROWS, prefixes.data_len, at);
    prefixes.offsets = given(OFFSETS, offsets, (count + 1) * sizeof offsets[0], word_at);
    status = pypow_verify_batch(place(DIGESTS, count, at), rule,
                                given(STATE, &prefixes, sizeof prefixes, word_at),
                                given(WORDS, &nonces, sizeof nonces, word_at), suffix, len, count,
                                kernel);
    expect(status == PYPOW_OK, "no ragged batch", kernel, len);
}

static void check_challenge_batch(const char *kernel, size_t count, size_t at)
{
    const uint32_t nonces_each = 1 + (uint32_t)count % 3;
    const struct pypow_column texts = {.data = place(ROWS, count * PYPOW_CHALLENGE_TEXT, at),
                                       .stride = PYPOW_CHALLENGE_TEXT,
                                       .width = PYPOW_CHALLENGE_TEXT};
    const size_t width = nonces_each * PYPOW_CHALLENGE_NONCE;
    const struct pypow_column nonces = {
        .data = octets(NONCES, count * width, at), .stride = (int64_t)width, .width = width};
    struct pypow_mac_key *key = place(KEYS, sizeof *key, aligned(at, 4));
    uint8_t *text = memset(place(ROWS, count * PYPOW_CHALLENGE_TEXT, at), 'A',
                           count * PYPOW_CHALLENGE_TEXT);
    for (size_t i = 0; i < count; i += 2) /* every other one can be read */
        memcpy(text + i * PYPOW_CHALLENGE_TEXT, "AQEAAAQAAAEAAQAAAAAAAAAAAAAB", 28);
    pypow_mac_key_init(key, 1, NULL, 0);
    const int status = pypow_challenge_check_batch(
        place(DIGESTS, count, at), key, 1, 0, 0, 1, octets(SCOPE, PYPOW_SCOPE_BYTES, at),
        octets(PREFIX, PYPOW_SCOPE_BYTES, at), &texts, &nonces, nonces_each, count, kernel);
    expect(status == PYPOW_OK, "no batch of challenges", kernel, count);
}

/*
 * A macaroon in hex whose only caveat has so many bytes, and its signature; or, with fewer digits,
 * the beginning of one.
 */
static size_t write_macaroon(uint8_t *text, const struct pypow_mac_key *key, size_t caveat_len)
{
    static const char hex[] = "0123456789abcdef", condition[] = "pypow_tool=";
    enum { HEAD = 76, LONG = 128 };
    uint8_t octets[HEAD + LONGEST + 50] = {2, 1, 4, 'l', 's', 'a', 't', 2, IDENTIFIER_BYTES};
    struct pypow_macaroon macaroon;
    struct pypow_chain chain;
    uint8_t block[BLOCK_BYTES], *at = octets + HEAD;
    *at++ = 2;
    *at++ = (uint8_t)(caveat_len < LONG ? caveat_len : caveat_len % LONG + LONG);
    if (caveat_len >= LONG)
        *at++ = (uint8_t)(caveat_len / LONG);
    memset(at, 'x', caveat_len);
    memcpy(at, condition, caveat_len < sizeof condition ? caveat_len : sizeof condition - 1);
    at += caveat_len;
    memcpy(at, "\0\0\6\40", 4);
    at += 4 + SIGNATURE_BYTES;
    for (int pass = 0; pass < 2; pass++) { /* the first to have what is signed read */
        for (uint8_t *octet = octets; octet < at; octet++)
            memcpy(text + 2 * (octet - octets), (char[]){hex[*octet >> 4], hex[*octet & 15]}, 2);
        const struct pypow_text written = {text, 2 * (size_t)(at - octets)};
        expect(pypow_macaroon_read(&macaroon, &written) == PYPOW_MACAROON_STANDS,
               "no macaroon is written", "any", caveat_len);
        pypow_chain_begin(&chain, &key->hmac, &macaroon);
        do {
            pypow_chain_block(block, &chain);
            pypow_kernel_compress()(chain.state, block, 1);
        } while (pypow_chain_advance(&chain));
        for (int i = 0; i < STATE_WORDS; i++)
            store_be32(at - SIGNATURE_BYTES + 4 * i, chain.digest[i]);
    }
    return 2 * (size_t)(at - octets);
}

/* What a call asks for, each part as long as it may be; the tool is the caveat's. */
static struct pypow_macaroon_expected *given_expected(size_t tool_len, size_t at)
{
    const struct pypow_macaroon_expected expected = {
        .service = {given(PREFIX, "pypow", 5, at), 5},
        .tool = {memset(place(SUFFIX, tool_len, at), 'x', tool_len), tool_len},
        .audience = {octets(SCOPE, tool_len, at), tool_len},
    };
    return given(STATE, &expected, sizeof expected, aligned(at, 8));
}

static void check_macaroon(size_t len, size_t at)
{
    enum { CONDITION = 11 }; /* "pypow_tool=" */
    uint8_t text[1024];
    struct pypow_mac_key *key = place(KEYS, sizeof *key, aligned(at, 4));
    pypow_mac_key_init(key, 0, NULL, 0);
    const size_t text_len = write_macaroon(text, key, len);
    const struct pypow_macaroon_expected *expected =
        given_expected(len > CONDITION ? len - CONDITION : 0, at);
    struct pypow_macaroon_terms *terms = place(OCTETS, sizeof *terms, aligned(at, 8));
    int status = pypow_macaroon_check(
        terms, key, 1, 0, expected, (char *)given(TEXT, text, text_len, at), text_len,
        (char *)octets(NONCES, len % 70, at), len % 70);
    expect(status == (len > CONDITION    ? PYPOW_MACAROON_MISSING_CAVEAT
                      : len == CONDITION ? PYPOW_MACAROON_BAD_CAVEAT
                                         : PYPOW_MACAROON_UNKNOWN_CAVEAT),
           "a macaroon", "any", len);
    status = pypow_macaroon_check(terms, key, 1, 0, expected, (char *)given(TEXT, text, len, at),
                                  len, (char *)octets(NONCES, 64, at), 64);
    expect(status == PYPOW_MACAROON_MALFORMED, "the beginning of a macaroon", "any", len);
    memset(text, 'A', len);
    memcpy(text, "AgE", len < 3 ? len : 3);
    status = pypow_macaroon_check(terms, key, 1, 0, expected, (char *)given(TEXT, text, len, at),
                                  len, (char *)octets(NONCES, 64, at), 64);
    expect(status == PYPOW_MACAROON_MALFORMED, "base64 of no macaroon", "any", len);
}

static void check_macaroon_batch(const char *kernel, size_t len, size_t at)
{
    enum { MOST = 40 };
    uint8_t text[1024];
    struct pypow_mac_key *key = place(KEYS, sizeof *key, aligned(at, 4));
    pypow_mac_key_init(key, 0, NULL, 0);
    const size_t text_len = write_macaroon(text, key, len), count = len % (MOST + 1);
    int64_t offsets[MOST + 1];
    uint8_t *texts = place(ROWS, count * text_len, at);
    for (size_t i = 0; i <= count; i++)
        offsets[i] = (int64_t)(i * text_len);
    for (size_t i = 0; i < count; i++)
        memcpy(texts + i * text_len, text, text_len);
    const struct pypow_column macaroons = {
        .data = texts,
        .data_len = count * text_len,
        .offsets = given(OFFSETS, offsets, (count + 1) * sizeof *offsets, aligned(at, 8))};
    const struct pypow_column preimages = {
        .data = octets(NONCES, count * 9, at), .stride = 9, .width = 9};
    uint8_t *reasons = place(DIGESTS, count, at);
    const int status = pypow_macaroon_check_batch(reasons, key, 1, 0, given_expected(0, at),
                                                  &macaroons, &preimages, count, kernel);
    expect(status == PYPOW_OK, "no batch of macaroons", kernel, len);
    for (size_t i = 0; i < count; i++)
        expect(reasons[i] > PYPOW_MACAROON_BAD_MAC, "a macaroon of a batch", kernel, len);
}

/* What kernels do for the engine, with buffers as small as they may be. */
static void check_kernel(const struct pypow_kernel *kernel, size_t at)
{
    const size_t words = kernel->lanes * sizeof(uint32_t), word_at = aligned(at, 4);
    struct pypow_tail *tail = place(TAIL, sizeof *tail, word_at);
    pypow_tail_fold(tail, 256);
    for (size_t count = 0; count <= 3; count++)
        kernel->compress(octets(STATE, STATE_WORDS * sizeof(uint32_t), word_at),
                         octets(PREFIX, count * BLOCK_BYTES, at), count);
    kernel->compress_many(octets(STATE, STATE_WORDS * words, word_at),
                          octets(WORDS, BLOCK_WORDS * words, word_at));
    kernel->rehash(octets(STATE, STATE_WORDS * words, word_at), tail, 2);
    const uint8_t *blocks[MAX_LANES];
    for (uint32_t i = 0; i < MAX_LANES; i++)
        blocks[i] = octets(i % 2 == 0 ? PREFIX : SUFFIX, BLOCK_BYTES, at);
    uint32_t *loaded = place(WORDS, BLOCK_WORDS * words, word_at);
    kernel->load_many(loaded, given(ROWS, blocks, kernel->lanes * sizeof *blocks, aligned(at, 8)));
    kernel->decode_many(place(SCAN, BLOCK_WORDS * words, word_at), place(STATE, words, word_at),
                        loaded, BLOCK_WORDS);
    kernel->stretch(octets(SCAN, sizeof(struct pypow_stretch), word_at), tail, 2);
}

/* A table that ends where a scan of so many words must end. */
static void check_scan(const struct pypow_kernel *kernel, uint32_t word, uint32_t end, size_t at)
{
    static const struct pypow_message message = {.nonce_len = 0};
    const size_t words = end + MAX_LANES;
    struct pypow_scan *scan = octets(SCAN, sizeof *scan, aligned(at, 8));
    *scan = (struct pypow_scan){.word = word, .message = &message};
    scan->table = octets(WORDS, words * sizeof(uint32_t), aligned(at, 4));
    scan->filter = (struct pypow_filter){.word = end % STATE_WORDS, .mask = UINT32_MAX};
    scan->rehashes = end % 5 == 4;
    scan->end_block = end % 3 == 2;
    pypow_tail_fold(&scan->tail, 256);
    pypow_scan_fold(scan);
    const uint32_t hit = kernel->scan(scan, end / 3, end);
    expect(hit <= end, "a hit outside the range", kernel->name, end);
}

static void check_with(const struct pypow_kernel *kernel)
{
    for (size_t at = 0; at < PLACES; at++)
        check_kernel(kernel, at);
    for (uint32_t word = 0; word < BLOCK_WORDS; word++)
        for (uint32_t end = 1; end <= 3 * kernel->lanes; end++)
            check_scan(kernel, word, end, end % 2 == 0 ? 0 : 4 * word + 1);
    for (size_t len = 0; len <= LONGEST; len++) {
        for (size_t at = 0; at < PLACES; at++)
            check_sha256(kernel->name, len, at);
        for (size_t at = 0; at < 2; at++) {
            for (size_t hash = 0; hash < HASHES; hash++)
                check_search(kernel->name, hash, len, at);
            check_batch(kernel->name, len, at);
            check_challenge_batch(kernel->name, len % 70, at);
            check_macaroon_batch(kernel->name, len, at);
        }
    }
}

int main(void)
{
    struct pypow_kernel_info info;
    const struct pypow_kernel *kernel;
    for (int i = 0; i < ARGUMENTS; i++)
        fences[i] = fence_around(ROOM);
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++)
        if (info.usable && pypow_kernel_choose(&kernel, info.name) == PYPOW_OK)
            check_with(kernel);
    for (size_t len = 0; len <= LONGEST; len++)
        for (size_t at = 0; at < PLACES; at++) {
            check_verify(len % HASHES, len, at);
            check_encode(len, at);
            check_challenge(len, at);
            check_macaroon(len, at);
        }
    return failed;
}
