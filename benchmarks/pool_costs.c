/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What threads, the engine and a stop cost in C, beside bare kernels in the same slices.
 *
 *   pool_costs threads N SLICE_MS ROUNDS   hashes a second of a pool and of N pinned kernels, in turns
 *   pool_costs engine SLICE_MS ROUNDS      one thread's search and its bare kernel, likewise
 *   pool_costs cancel N ROUNDS             microseconds from a stop to the return of the run
 *
 * One line for each round.
 */
#define _GNU_SOURCE /* processor affinity */

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "search.h"

enum { MAX_WORKERS = PYPOW_MAX_THREADS };

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A puzzle shaped like the native challenge, that nothing solves. */
static struct pypow_puzzle *hopeless(void)
{
    static const uint8_t prefix[106];
    const struct pypow_hash hash = {.type = PYPOW_SHA256, .iterations = 1};
    const struct pypow_rule rule = {.type = PYPOW_AT_MOST};
    struct pypow_nonce nonce = {.base = 16, .width = 13};
    struct pypow_puzzle *puzzle;
    memcpy(nonce.symbols, "0123456789abcdef", 16);
    if (pypow_puzzle_new(&puzzle, &nonce, &hash, &rule, prefix, sizeof prefix, NULL, 0) != PYPOW_OK)
        abort();
    return puzzle;
}

static const struct pypow_kernel *kernel;
static struct pypow_puzzle *puzzle;

struct bare {
    pthread_t thread;
    int processor;
    double seconds;
    double rate;
};

/* Nothing but the kernel, over one prepared scan again and again. */
static void *grind_bare(void *argument)
{
    struct bare *bare = argument;
    struct pypow_search search;
    struct pypow_progress progress;
    cpu_set_t one;
    if (bare->processor >= 0) {
        CPU_ZERO(&one);
        CPU_SET((size_t)bare->processor, &one);
        pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    }
    pypow_search_begin(&search, puzzle, kernel);
    pypow_search_range(&progress, &search, 0, MAX_INNER - 1, &(struct pypow_watch){0});
    const double begun = now_s();
    uint64_t hashes = 0;
    double elapsed;
    do {
        if (kernel->scan(&search.scan, 0, MAX_INNER) != MAX_INNER)
            abort();
        hashes += MAX_INNER;
        elapsed = now_s() - begun;
    } while (elapsed < bare->seconds);
    bare->rate = (double)hashes / elapsed;
    return NULL;
}

/* The n-th processor that this process may use. */
static int processor(int n)
{
    static cpu_set_t allowed;
    if (CPU_COUNT(&allowed) == 0)
        sched_getaffinity(0, sizeof allowed, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &allowed) && n-- == 0)
            return cpu;
    fprintf(stderr, "fewer processors than threads\n");
    exit(1);
}

static double bare_rate(int threads, double seconds)
{
    static struct bare bare[MAX_WORKERS];
    double rate = 0;
    for (int i = 0; i < threads; i++) {
        bare[i] = (struct bare){.processor = processor(i), .seconds = seconds};
        if (pthread_create(&bare[i].thread, NULL, grind_bare, &bare[i]) != 0)
            abort();
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(bare[i].thread, NULL);
        rate += bare[i].rate;
    }
    return rate;
}

/* All of a search: until every thread has stopped. */
static double pool_rate(struct pypow_pool *pool, uint32_t slice_ms)
{
    struct pypow_progress progress;
    const double begun = now_s();
    pypow_pool_begin(pool, puzzle, 0, UINT64_MAX);
    pypow_pool_run(&progress, pool, slice_ms);
    pypow_pool_stop(pool);
    while (pypow_pool_run(&progress, pool, slice_ms) == PYPOW_RUNNING)
        continue;
    return (double)progress.hashes / (now_s() - begun);
}

static void measure_threads(int threads, uint32_t slice_ms, int rounds)
{
    struct pypow_pool *pool;
    if (pypow_pool_new(&pool, NULL, (uint32_t)threads) != PYPOW_OK)
        abort();
    pool_rate(pool, slice_ms);
    for (int i = 0; i < rounds; i++) {
        /* Who goes first takes turns too: a burst of speed often ends within a round. */
        double bare = i % 2 ? bare_rate(threads, slice_ms / 1e3) : 0;
        const double pooled = pool_rate(pool, slice_ms);
        bare = i % 2 ? bare : bare_rate(threads, slice_ms / 1e3);
        printf("%.6g %.6g\n", pooled, bare);
    }
    pypow_pool_free(pool);
}

static double engine_rate(double seconds)
{
    enum { CHUNK = 1 << 20 };
    struct pypow_progress progress;
    const double begun = now_s();
    uint64_t hashes = 0;
    double elapsed;
    do {
        pypow_search(&progress, puzzle, NULL, hashes, CHUNK, &(int){0});
        hashes += progress.hashes;
        elapsed = now_s() - begun;
    } while (elapsed < seconds);
    return (double)hashes / elapsed;
}

static void measure_engine(uint32_t slice_ms, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct bare bare = {.processor = -1, .seconds = slice_ms / 1e3};
        if (i % 2)
            grind_bare(&bare);
        const double engine = engine_rate(slice_ms / 1e3);
        if (i % 2 == 0)
            grind_bare(&bare);
        printf("%.6g %.6g\n", engine, bare.rate);
    }
}

struct stop {
    struct pypow_pool *pool;
    double at_s;
};

static void *stop_soon(void *argument)
{
    struct stop *stop = argument;
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    stop->at_s = now_s();
    pypow_pool_stop(stop->pool);
    return NULL;
}

static void measure_cancel(int threads, int rounds)
{
    struct pypow_progress progress;
    struct stop stop;
    pthread_t stopper;
    if (pypow_pool_new(&stop.pool, NULL, (uint32_t)threads) != PYPOW_OK)
        abort();
    for (int i = 0; i < rounds; i++) {
        pypow_pool_begin(stop.pool, puzzle, 0, UINT64_MAX);
        if (pthread_create(&stopper, NULL, stop_soon, &stop) != 0)
            abort();
        pypow_pool_run(&progress, stop.pool, 600000);
        const double returned_s = now_s();
        pthread_join(stopper, NULL);
        printf("%.3f\n", 1e6 * (returned_s - stop.at_s));
    }
    pypow_pool_free(stop.pool);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int number[3] = {0};
    for (int i = 2; i < argc && i < 5; i++)
        number[i - 2] = atoi(argv[i]);
    puzzle = hopeless();
    if (pypow_kernel_choose(&kernel, NULL) != PYPOW_OK)
        return 1;
    if (strcmp(what, "threads") == 0 && argc == 5)
        measure_threads(number[0], (uint32_t)number[1], number[2]);
    else if (strcmp(what, "engine") == 0 && argc == 4)
        measure_engine((uint32_t)number[0], number[1]);
    else if (strcmp(what, "cancel") == 0 && argc == 4)
        measure_cancel(number[0], number[1]);
    else
        return 2;
    pypow_puzzle_free(puzzle);
    return 0;
}
