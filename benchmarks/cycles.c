/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core cycles that kernels, OpenSSL and single instructions take; cycles.py builds and reads it.
 *
 *     cycles ROUNDS
 *
 * Prints a line for each task: name, then percentiles 10, 25, 50 and 75 of its cycles (for a hash,
 * a block or an instruction) and how many slices counted, with tabs between; or a name, "skipped"
 * and why. Tasks take turns in slices of about 100 us. The clock is a chain of multiplications,
 * each of which waits for the one before: MULTIPLY_CYCLES core cycles a link, whatever the
 * frequency, and hardly slower when another thread shares the core. It runs before and after each
 * slice; where the two disagree, the frequency changed, and the slice does not count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "kernel.h"

enum {
    MULTIPLY_CYCLES = 3, /* latency of imul on every x86 core since 2008 */
    CHAIN_TURNS = 500,
    CHAIN_LINKS = 16,
    SLICE_CYCLES = 350000,
    TABLE = 4096,
    WORDS = 14, /* 14 and 15 hold the message's length in a last block */
    MAX_TASKS = 512,
    MAX_NAME = 48,
};

#define AGREEMENT 1.03

/* What is measured: `run` does `units` of it. */
struct task {
    char name[MAX_NAME];
    void (*run)(const struct task *task);
    uint32_t units;
    uint32_t repeats; /* of `run` in a slice */
    uint32_t kept;
    double *cycles; /* for one unit, in each slice that counts */

    const struct pypow_kernel *kernel;
    uint32_t word;        /* of the block, that varies */
    uint32_t digest_word; /* that is looked at */
    void (*issue)(void);
};

static struct task tasks[MAX_TASKS];
static uint32_t task_count, rounds;

/* Time stamps for a core cycle. */
static double stamps_per_cycle(void)
{
    uint64_t x = 3;
    const uint64_t begin = __rdtsc();
    for (int i = 0; i < CHAIN_TURNS; i++)
        __asm__ volatile(".rept 16\n imul %0, %0\n .endr" : "+r"(x));
    return (double)(__rdtsc() - begin) / (CHAIN_TURNS * CHAIN_LINKS * MULTIPLY_CYCLES);
}

/* Cycles that a unit took; negative where the clock changed meanwhile. */
static double slice(const struct task *task)
{
    task->run(task); /* what ran before has left other code and data in the caches */
    const double before = stamps_per_cycle();
    const uint64_t begin = __rdtsc();
    for (uint32_t i = 0; i < task->repeats; i++)
        task->run(task);
    const double took = (double)(__rdtsc() - begin);
    const double after = stamps_per_cycle();
    if (before > after * AGREEMENT || after > before * AGREEMENT)
        return -1;
    return took / ((before + after) / 2) / task->repeats / task->units;
}

static struct task *new_task(void (*run)(const struct task *task), uint32_t units)
{
    if (task_count == MAX_TASKS) {
        fputs("more tasks than MAX_TASKS\n", stderr);
        exit(EXIT_FAILURE);
    }
    struct task *task = &tasks[task_count++];
    task->run = run;
    task->units = units;
    task->repeats = 1;
    task->cycles = calloc(rounds, sizeof *task->cycles);
    if (task->cycles == NULL) {
        fputs("no memory for the samples\n", stderr);
        exit(EXIT_FAILURE);
    }
    return task;
}

/* Kernels */

static void run_scan(const struct task *task)
{
    static uint32_t table[TABLE + MAX_LANES];
    struct pypow_scan scan = {.table = table, .word = task->word};
    /* One digest in 2^32 passes, none of these. */
    scan.filter = (struct pypow_filter){.word = task->digest_word, .mask = UINT32_MAX};
    pypow_scan_fold(&scan);
    task->kernel->scan(&scan, 0, task->units);
}

static void run_many(const struct task *task)
{
    static uint32_t states[STATE_WORDS * MAX_LANES], blocks[BLOCK_WORDS * MAX_LANES];
    task->kernel->compress_many(states, blocks);
}

static void add_kernel(const struct pypow_kernel *kernel)
{
    struct task *task;
    for (uint32_t digest_word = 0; digest_word < STATE_WORDS; digest_word += STATE_WORDS - 1) {
        for (uint32_t word = 0; word < WORDS; word++) {
            task = new_task(run_scan, kernel->lanes >= 8 ? TABLE : TABLE / 8);
            task->kernel = kernel;
            task->word = word;
            task->digest_word = digest_word;
            snprintf(task->name, MAX_NAME, "%s t=%u H%u", kernel->name, word, digest_word);
        }
    }
    task = new_task(run_many, kernel->lanes);
    task->kernel = kernel;
    snprintf(task->name, MAX_NAME, "%s block", kernel->name);
}

static void add_kernels(void)
{
    struct pypow_kernel_info info;
    const struct pypow_kernel *kernel;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (pypow_kernel_choose(&kernel, info.name) == PYPOW_OK)
            add_kernel(kernel);
        else
            printf("%s\tskipped\tthis CPU or operating system cannot run it\n", info.name);
    }
}

/* OpenSSL's function for one block, which its documentation calls low-level. */

static int (*openssl_init)(void *context);
static void (*openssl_transform)(void *context, const unsigned char *block);
static union {
    uint64_t aligned;
    uint8_t room[512]; /* more than a SHA256_CTX */
} openssl_context;

static void run_openssl(const struct task *task)
{
    static uint8_t block[BLOCK_BYTES];
    (void)task;
    openssl_transform(&openssl_context, block);
}

static void add_openssl(void)
{
    void *library = dlopen("libcrypto.so.3", RTLD_NOW);
    if (library != NULL) {
        *(void **)&openssl_init = dlsym(library, "SHA256_Init");
        *(void **)&openssl_transform = dlsym(library, "SHA256_Transform");
    }
    if (openssl_init == NULL || openssl_transform == NULL) {
        puts("openssl\tskipped\tlibcrypto.so.3 or its SHA256_Transform is not there");
        return;
    }
    openssl_init(&openssl_context);
    strcpy(new_task(run_openssl, 1)->name, "openssl");
}

/*
 * Instructions, in streams enough to keep a core busy; those for vectors in registers 1 to 12,
 * because sha256rnds2 reads register 0 besides those it names.
 */

enum { INSTRUCTIONS = 24, TURNS = 500 };

#define TWELVE(text)                                                                  \
    text(1) text(2) text(3) text(4) text(5) text(6) text(7) text(8) text(9) text(10)  \
        text(11) text(12)
#define ISSUE(name, isa, text)                                                              \
    __attribute__((target(isa))) static void name(void)                                     \
    {                                                                                       \
        for (int i = 0; i < TURNS; i++)                                                     \
            __asm__ volatile(TWELVE(text) TWELVE(text)::: "xmm1", "xmm2", "xmm3", "xmm4",   \
                             "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",      \
                             "xmm12");                                                      \
    }

#define SIX(text) text(8) text(9) text(10) text(11) text(12) text(13)
#define ISSUE_SCALAR(name, text)                                                  \
    static void name(void)                                                        \
    {                                                                             \
        for (int i = 0; i < TURNS; i++)                                           \
            __asm__ volatile(SIX(text) SIX(text) SIX(text) SIX(text)::            \
                             : "r8", "r9", "r10", "r11", "r12", "r13", "cc");     \
    }

#define ADD32(r) "add %%r15d, %%r" #r "d\n"
#define SHIFT32(r) "ror $7, %%r" #r "d\n"

#define ADD128(r) "paddd %%xmm15, %%xmm" #r "\n"
#define SHIFT128(r) "psrld $7, %%xmm" #r "\n"
#define ADD256(r) "vpaddd %%ymm15, %%ymm" #r ", %%ymm" #r "\n"
#define SHIFT256(r) "vpsrld $7, %%ymm" #r ", %%ymm" #r "\n"
#define ADD512(r) "vpaddd %%zmm15, %%zmm" #r ", %%zmm" #r "\n"
#define SHIFT512(r) "vprord $7, %%zmm" #r ", %%zmm" #r "\n"
#define RNDS2(r) "sha256rnds2 %%xmm15, %%xmm" #r "\n"

ISSUE_SCALAR(add32, ADD32)
ISSUE_SCALAR(shift32, SHIFT32)
ISSUE(add128, "sse4.1", ADD128)
ISSUE(shift128, "sse4.1", SHIFT128)
ISSUE(add256, "avx2", ADD256)
ISSUE(shift256, "avx2", SHIFT256)
ISSUE(add512, "avx512f", ADD512)
ISSUE(shift512, "avx512f", SHIFT512)
ISSUE(rnds2, "sha,sse4.1", RNDS2)

__attribute__((target("avx"))) static void leave(void) { _mm256_zeroupper(); }

static void run_issue(const struct task *task) { task->issue(); }

static void run_wide_issue(const struct task *task)
{
    task->issue();
    leave();
}

static void add_instruction(const char *name, void (*issue)(void), bool wide)
{
    struct task *task = new_task(wide ? run_wide_issue : run_issue, INSTRUCTIONS * TURNS);
    task->issue = issue;
    snprintf(task->name, MAX_NAME, "instruction %s", name);
}

static void add_instructions(void)
{
    add_instruction("add32", add32, false);
    add_instruction("shift32", shift32, false);
    if (pypow_cpu_has_sse41()) {
        add_instruction("add128", add128, false);
        add_instruction("shift128", shift128, false);
    }
    if (pypow_cpu_has_avx2()) {
        add_instruction("add256", add256, true);
        add_instruction("shift256", shift256, true);
    }
    if (pypow_cpu_has_avx512()) {
        add_instruction("add512", add512, true);
        add_instruction("shift512", shift512, true);
    }
    if (pypow_cpu_has_sha())
        add_instruction("rnds2", rnds2, false);
}

/* Measuring */

static int by_size(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void choose_repeats(struct task *task)
{
    double whole = 0;
    while (whole < SLICE_CYCLES) {
        const double cycles = slice(task);
        whole = cycles * task->units * task->repeats;
        if (cycles > 0 && whole < SLICE_CYCLES)
            task->repeats += 1 + (uint32_t)((SLICE_CYCLES - whole) / (cycles * task->units));
    }
}

static void print_task(const struct task *task)
{
    static const uint32_t percentiles[] = {10, 25, 50, 75};
    if (task->kept == 0) {
        printf("%s\tskipped\tthe clock never held still\n", task->name);
        return;
    }
    qsort(task->cycles, task->kept, sizeof *task->cycles, by_size);
    printf("%s", task->name);
    for (uint32_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
        printf("\t%.4f", task->cycles[task->kept * percentiles[i] / 100]);
    printf("\t%u\n", task->kept);
}

int main(int argc, char **argv)
{
    rounds = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    if (rounds == 0 || rounds > 100000) {
        fputs("expected the number of rounds, 1 to 100000: cycles 100\n", stderr);
        return 2;
    }
    add_instructions();
    add_kernels();
    add_openssl();
    for (uint32_t i = 0; i < task_count; i++)
        choose_repeats(&tasks[i]);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < task_count; i++) {
            const double cycles = slice(&tasks[i]);
            if (cycles >= 0)
                tasks[i].cycles[tasks[i].kept++] = cycles;
        }
    }
    for (uint32_t i = 0; i < task_count; i++)
        print_task(&tasks[i]);
    return 0;
}
