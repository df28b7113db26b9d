/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the core on buffers of exactly the size it was told, for sanitizers to watch. Says what
 * went wrong and answers 1, or says nothing and answers 0. With "pools" it runs only those, with
 * "names" it only lists the kernels that can run.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "pypow.h"

static bool failed;

static void expect(bool truth, const char *what, const char *kernel, size_t before, size_t after)
{
    if (!truth) {
        fprintf(stderr, "%s: kernel %s, prefix %zu, suffix %zu\n", what, kernel, before, after);
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

static struct pypow_nonce encoding(uint32_t base, uint32_t width, uint32_t little)
{
    struct pypow_nonce nonce = {.base = base, .width = width, .little = little};
    for (uint32_t i = 0; i < base; i++)
        nonce.symbols[i] = (uint8_t)(base == 256 ? i : (uint32_t) "0123456789abcdef"[i]);
    return nonce;
}

static const struct pypow_hash sha256 = {.type = PYPOW_SHA256, .iterations = 1};

/* The rule that only the nonce with this index meets. */
static struct pypow_rule only(const struct pypow_nonce *nonce, const struct pypow_hash *hash,
                              uint64_t index, const uint8_t *prefix, size_t prefix_len,
                              const uint8_t *suffix, size_t suffix_len)
{
    struct pypow_rule rule = {.type = PYPOW_AT_LEAST};
    uint8_t bytes[PYPOW_MAX_NONCE_BYTES], digest[PYPOW_DIGEST_BYTES];
    size_t len = 0;
    uint32_t at = 0;
    pypow_nonce_encode(bytes, &len, nonce, index);
    const uint8_t bytes_len = (uint8_t)len;
    pypow_verify(digest, &at, hash, &rule, prefix, prefix_len, suffix, suffix_len, bytes,
                 &bytes_len, 1);
    rule.type = PYPOW_MASKED;
    memcpy(rule.value, digest, sizeof digest);
    memset(rule.mask, 0xff, sizeof rule.mask);
    return rule;
}

static void check_puzzle(const char *kernel, const struct pypow_nonce *nonce,
                         const struct pypow_hash *hash, size_t prefix_len, size_t suffix_len)
{
    enum { FIRST = 90, WINNER = 137, COUNT = 60 };
    uint8_t *prefix = octets(prefix_len), *suffix = octets(suffix_len);
    uint8_t *salt = octets(hash->salt_len);
    struct pypow_hash salted = *hash;
    salted.salt = salt;
    const struct pypow_rule rule =
        only(nonce, &salted, WINNER, prefix, prefix_len, suffix, suffix_len);
    struct pypow_progress progress = {0};
    struct pypow_puzzle *puzzle = NULL;
    int status = pypow_puzzle_new(&puzzle, nonce, &salted, &rule, prefix, prefix_len, suffix,
                                  suffix_len);
    expect(status == PYPOW_OK, "no puzzle", kernel, prefix_len, suffix_len);
    free(prefix);
    free(suffix);
    free(salt);
    status = pypow_search(&progress, puzzle, kernel, FIRST, COUNT, NULL);
    expect(status == PYPOW_OK && progress.nonce == WINNER && progress.hashes == WINNER - FIRST + 1,
           "winner not found", kernel, prefix_len, suffix_len);
    status = pypow_search(&progress, puzzle, kernel, WINNER + 1, COUNT, NULL);
    expect(status == PYPOW_NOT_FOUND && progress.hashes == COUNT, "found too much", kernel,
           prefix_len, suffix_len);
    pypow_puzzle_free(puzzle);
}

/* A scan to the very end of the table of inner digits, from a place that no group begins at. */
static void check_whole_table(const char *kernel)
{
    enum { BEGIN = 90, RUN = 4096 };
    const struct pypow_nonce nonce = encoding(16, 7, 0); /* three of them in the last word */
    const struct pypow_rule never = {.type = PYPOW_AT_MOST};
    struct pypow_progress progress = {0};
    struct pypow_puzzle *puzzle = NULL;
    pypow_puzzle_new(&puzzle, &nonce, &sha256, &never, NULL, 0, NULL, 0);
    const int status = pypow_search(&progress, puzzle, kernel, BEGIN, RUN, NULL);
    expect(status == PYPOW_NOT_FOUND && progress.hashes == RUN, "table not searched", kernel, 0, 0);
    pypow_puzzle_free(puzzle);
}

/* A scan with rehashes, groups that rehash, groups that stretch; keys short, whole and long. */
static void check_hashes(const char *kernel)
{
    static const struct pypow_hash hashes[] = {
        {.type = PYPOW_SHA256, .iterations = 2},
        {.type = PYPOW_SHA256, .iterations = 70},
        {.type = PYPOW_PBKDF2_HMAC_SHA256, .iterations = 1, .salt_len = 100},
        {.type = PYPOW_PBKDF2_HMAC_SHA256, .iterations = 40},
    };
    const struct pypow_nonce nonce = encoding(10, 0, 0);
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        for (size_t prefix = 58; prefix < 130; prefix += 3)
            for (size_t suffix = 0; suffix < 80; suffix += 70)
                check_puzzle(kernel, &nonce, &hashes[i], prefix, suffix);
}

static void check_kernel(const char *kernel)
{
    check_whole_table(kernel);
    static const size_t suffixes[] = {0, 9, 55, 64, 150};
    const struct pypow_nonce encodings[] = {
        encoding(10, 0, 0), encoding(16, 6, 0), encoding(256, 8, 1), encoding(256, 64, 0)};
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        for (size_t j = 0; j < sizeof suffixes / sizeof suffixes[0]; j++)
            for (size_t prefix = 0; prefix < 130; prefix += 3)
                check_puzzle(kernel, &encodings[i], &sha256, prefix, suffixes[j]);
    check_hashes(kernel);
}

static void *stop(void *pool)
{
    pypow_pool_stop(pool);
    return NULL;
}

/* A search on a pool that has searched before; `stopped`: by another thread, which races. */
static void check_search(struct pypow_pool *pool, const char *kernel, uint64_t winner,
                         uint32_t slice_ms, bool stopped)
{
    const struct pypow_nonce nonce = encoding(10, 0, 0);
    const struct pypow_rule rule = only(&nonce, &sha256, winner, NULL, 0, NULL, 0);
    struct pypow_progress progress = {0};
    struct pypow_puzzle *puzzle = NULL;
    pthread_t stopper;
    pypow_puzzle_new(&puzzle, &nonce, &sha256, &rule, NULL, 0, NULL, 0);
    int status = pypow_pool_begin(pool, puzzle, 0, UINT64_MAX);
    expect(status == PYPOW_OK, "search not begun", kernel, 0, 0);
    pypow_puzzle_free(puzzle);
    status = pypow_pool_run(&progress, pool, slice_ms);
    if (stopped && pthread_create(&stopper, NULL, stop, pool) == 0) {
        status = pypow_pool_run(&progress, pool, 60000);
        expect(status == PYPOW_STOPPED, "not stopped", kernel, 0, 0);
        pthread_join(stopper, NULL);
    } else {
        while (status == PYPOW_RUNNING)
            status = pypow_pool_run(&progress, pool, slice_ms);
        expect(status == PYPOW_OK && progress.nonce == winner, "not the winner", kernel, 0, 0);
        expect(memcmp(progress.digest, rule.value, sizeof progress.digest) == 0, "not its digest",
               kernel, 0, 0);
    }
}

/* Searches that nobody ends: the next one begins while helpers still grind. */
static void leave_searches(struct pypow_pool *pool, const char *kernel)
{
    static const struct pypow_hash hashes[] = {
        {.type = PYPOW_SHA256, .iterations = 1},
        {.type = PYPOW_SHA256, .iterations = 500},
        {.type = PYPOW_PBKDF2_HMAC_SHA256, .iterations = 20},
    };
    const struct pypow_nonce nonce = encoding(256, 8, 1);
    const struct pypow_rule never = {.type = PYPOW_AT_MOST};
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        struct pypow_progress progress = {0};
        struct pypow_puzzle *puzzle = NULL;
        pypow_puzzle_new(&puzzle, &nonce, &hashes[i], &never, NULL, 0, NULL, 0);
        int status = pypow_pool_begin(pool, puzzle, 0, UINT64_MAX);
        expect(status == PYPOW_OK, "search not begun", kernel, i, 0);
        pypow_puzzle_free(puzzle);
        status = pypow_pool_run(&progress, pool, 1);
        expect(status == PYPOW_RUNNING, "an endless search has ended", kernel, i, 0);
    }
}

static void check_pools(const char *kernel)
{
    static const uint64_t winners[] = {0, 1 << 14, 100000, 300000};
    struct pypow_pool *pool = NULL;
    expect(pypow_pool_new(&pool, kernel, 4) == PYPOW_OK, "no pool", kernel, 0, 0);
    for (size_t i = 0; i < sizeof winners / sizeof winners[0]; i++)
        for (uint32_t slice_ms = 0; slice_ms < 3; slice_ms++)
            check_search(pool, kernel, winners[i], slice_ms, false);
    check_search(pool, kernel, UINT64_MAX - 1, 1, true);
    leave_searches(pool, kernel);
    check_search(pool, kernel, 200000, 1, false);
    leave_searches(pool, kernel);
    pypow_pool_free(pool);
}

#if defined(__x86_64__)

#include <cpuid.h>

/* State that is not as after a reset (Intel SDM volume 1, 13.6): the upper halves of 0 to 15. */
static bool upper_halves_in_use(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
    return (low & 0x44) != 0;
}

static void leaves_them_dirty(void)
{
    __asm__ volatile("vpcmpeqd %%ymm3, %%ymm3, %%ymm3" ::: "xmm3");
}

_Static_assert(offsetof(struct pypow_kernel, stretch) + sizeof(void (*)(void)) ==
                   sizeof(struct pypow_kernel), "call what was added to a kernel below, too");

static void check_upper_halves(const char *name)
{
    uint32_t eax, ebx, ecx, edx, state[STATE_WORDS] = {0};
    const uint8_t block[BLOCK_BYTES] = {0};
    const struct pypow_kernel *kernel;
    const bool readable = __get_cpuid_count(13, 1, &eax, &ebx, &ecx, &edx) && (eax & 4) != 0;
    if (!readable || !pypow_kernel_avx2.usable())
        return;
    leaves_them_dirty();
    expect(upper_halves_in_use(), "dirty upper halves go unseen", name, 0, 0);
    __asm__ volatile("vzeroupper");
    pypow_kernel_choose(&kernel, name);
    kernel->compress(state, block, 1);
    expect(!upper_halves_in_use(), "compress leaves upper halves dirty", name, 0, 0);
    static uint32_t table[64];
    static struct pypow_scan scan = {.table = table, .word = 13};
    pypow_scan_fold(&scan);
    kernel->scan(&scan, 0, 32);
    expect(!upper_halves_in_use(), "scan leaves upper halves dirty", name, 0, 0);
    scan.filter.word = 3;
    kernel->scan(&scan, 0, 32);
    expect(!upper_halves_in_use(), "scan of groups leaves upper halves dirty", name, 0, 0);
    static uint32_t states[STATE_WORDS * MAX_LANES], blocks[BLOCK_WORDS * MAX_LANES];
    kernel->compress_many(states, blocks);
    expect(!upper_halves_in_use(), "compress_many leaves upper halves dirty", name, 0, 0);
    const uint8_t *rows[MAX_LANES];
    for (uint32_t i = 0; i < MAX_LANES; i++)
        rows[i] = block;
    kernel->load_many(blocks, rows);
    expect(!upper_halves_in_use(), "load_many leaves upper halves dirty", name, 0, 0);
    kernel->decode_many(blocks, states, blocks, 8);
    expect(!upper_halves_in_use(), "decode_many leaves upper halves dirty", name, 0, 0);
    static struct pypow_stretch group;
    kernel->rehash(states, &scan.tail, 1);
    expect(!upper_halves_in_use(), "rehash leaves upper halves dirty", name, 0, 0);
    kernel->stretch(&group, &scan.tail, 1);
    expect(!upper_halves_in_use(), "stretch leaves upper halves dirty", name, 0, 0);
}

#else

static void check_upper_halves(const char *name) { (void)name; }

#endif

/* Different messages side by side against the same ones after another. */
static void check_many(const char *name)
{
    uint32_t state[STATE_WORDS], states[STATE_WORDS * MAX_LANES], blocks[BLOCK_WORDS * MAX_LANES];
    uint8_t block[BLOCK_BYTES];
    const struct pypow_kernel *kernel;
    pypow_kernel_choose(&kernel, name);
    const uint32_t lanes = kernel->lanes;
    for (uint32_t i = 0; i < STATE_WORDS * lanes; i++)
        states[i] = i * UINT32_C(0x9e3779b9);
    for (uint32_t i = 0; i < BLOCK_WORDS * lanes; i++)
        blocks[i] = ~i * UINT32_C(0x85ebca6b);
    kernel->compress_many(states, blocks);
    for (uint32_t lane = 0; lane < lanes; lane++) {
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            state[i] = (i * lanes + lane) * UINT32_C(0x9e3779b9);
        for (uint32_t i = 0; i < BLOCK_WORDS; i++)
            store_be32(block + 4 * i, blocks[i * lanes + lane]);
        pypow_kernel_scalar.compress(state, block, 1);
        for (uint32_t i = 0; i < STATE_WORDS; i++)
            expect(state[i] == states[i * lanes + lane], "compress_many", name, lane, i);
    }
}

enum { ASKING = 4, MOST_KERNELS = 16 };

struct table {
    struct pypow_kernel_info rows[MOST_KERNELS];
    uint32_t count;
};

static void *ask(void *table)
{
    struct table *asked = table;
    while (asked->count < MOST_KERNELS &&
           pypow_kernel_at(&asked->rows[asked->count], asked->count) == PYPOW_OK)
        asked->count++;
    return NULL;
}

/* Threads that need the order at the same time, before anybody has measured. */
static void check_order(void)
{
    pthread_t threads[ASKING];
    struct table tables[ASKING] = {0};
    for (int i = 0; i < ASKING; i++)
        pthread_create(&threads[i], NULL, ask, &tables[i]);
    for (int i = 0; i < ASKING; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < tables[0].count; i++) {
        const struct pypow_kernel_info *row = &tables[0].rows[i];
        for (int j = 1; j < ASKING; j++)
            expect(tables[j].rows[i].name == row->name &&
                       tables[j].rows[i].hashes_per_s == row->hashes_per_s,
                   "threads see different orders", row->name, i, 0);
        expect(row->usable == (row->hashes_per_s > 0), "not measured", row->name, i, 0);
        expect(i == 0 || row[-1].hashes_per_s >= row->hashes_per_s, "slower before faster",
               row->name, i, 0);
    }
}

int main(int argc, char **argv)
{
    const bool pools_only = argc > 1 && strcmp(argv[1], "pools") == 0;
    const bool names_only = argc > 1 && strcmp(argv[1], "names") == 0;
    struct pypow_kernel_info info;
    check_order();
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (!info.usable)
            continue;
        if (names_only) {
            puts(info.name);
            continue;
        }
        if (!pools_only) {
            check_kernel(info.name);
            check_many(info.name);
            check_upper_halves(info.name);
        }
        /* A kernel that is wrong could search on and on. */
        if (!failed)
            check_pools(info.name);
    }
    return failed;
}
