/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One search on several threads.
 *
 * Workers claim chunks of the range in order. A hit lowers the ceiling, above which nothing is
 * claimed or carried on; what was claimed below it is still finished, so that the lowest nonce
 * wins. The caller's thread is the first worker: helpers are started only once the search has
 * outlived what starting them costs, and where they fill every core the caller only waits.
 */
#define _POSIX_C_SOURCE 200809L /* threads, signal masks and the monotonic clock */

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "hash.h"
#include "search.h"

/* Blocks hashed for a claim: 150 to 200 us of a wide kernel, a few ms of the slowest. */
#define CLAIM_BLOCKS (UINT64_C(1) << 14)

struct pypow_pool {
    struct pypow_puzzle *puzzle; /* a copy, for the threads may outlive the caller's */
    const struct pypow_kernel *kernel;
    uint64_t last;  /* the highest index of the range */
    uint64_t chunk; /* indices in a claim */
    pid_t process;  /* the one whose threads the helpers are */
    int outcome;    /* of the last run */
    int stop;
    uint64_t ceiling; /* the lowest winning nonce so far, else `last` */

    pthread_mutex_t lock; /* guards what follows, and writes to the ceiling */
    pthread_cond_t ended; /* a helper has ended */
    uint64_t next;        /* the lowest index that nobody has claimed */
    bool exhausted;       /* the whole range is claimed */
    bool abandoned;       /* a claim was given up because of `stop` */
    bool found;
    uint64_t hashes;
    uint32_t working; /* helpers that have not ended */

    struct pypow_search search; /* of the caller's thread */
    uint32_t helpers_wanted;
    uint32_t helpers; /* started, and to be joined */
    bool crowded;     /* helpers fill every core: a caller that ground too would wake late */
    pthread_t helper[];
};

static bool unclaimed(const struct pypow_pool *pool)
{
    return !pool->exhausted && pool->next <= pool->ceiling;
}

static uint64_t claim_end(const struct pypow_pool *pool)
{
    if (pool->last - pool->next < pool->chunk)
        return pool->last;
    const uint64_t end =
        pypow_search_end(pool->puzzle, pool->kernel, pool->next + pool->chunk - 1);
    return end < pool->last ? end : pool->last;
}

static bool claim(uint64_t *first, uint64_t *last, struct pypow_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    const bool left = unclaimed(pool) && !__atomic_load_n(&pool->stop, __ATOMIC_RELAXED);
    if (left) {
        *first = pool->next;
        *last = claim_end(pool);
        pool->exhausted = *last == pool->last;
        pool->next = *last + 1;
    }
    pthread_mutex_unlock(&pool->lock);
    return left;
}

static void settle(struct pypow_pool *pool, int status, const struct pypow_progress *progress)
{
    pthread_mutex_lock(&pool->lock);
    pool->hashes += progress->hashes;
    if (status == PYPOW_STOPPED)
        pool->abandoned = true;
    if (status == PYPOW_OK && progress->nonce <= pool->ceiling) {
        pool->found = true;
        __atomic_store_n(&pool->ceiling, progress->nonce, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Few where messages are long, so that stops and deadlines are always seen in time. */
static uint64_t chunk_size(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel)
{
    const uint64_t hashes = CLAIM_BLOCKS / pypow_hash_cost(&puzzle->hash, &puzzle->message);
    return hashes > kernel->lanes ? hashes : kernel->lanes;
}

/* Claim and search one chunk; false when there is nothing to claim. */
static bool work(struct pypow_pool *pool, struct pypow_search *search)
{
    const struct pypow_watch watch = {.stop = &pool->stop, .ceiling = &pool->ceiling};
    struct pypow_progress progress;
    uint64_t first, last;
    if (!claim(&first, &last, pool))
        return false;
    const int status = pypow_search_range(&progress, search, first, last, &watch);
    settle(pool, status, &progress);
    return true;
}

static void *help(void *argument)
{
    struct pypow_pool *pool = argument;
    struct pypow_search search;
    pypow_search_begin(&search, pool->puzzle, pool->kernel);
    while (work(pool, &search))
        continue;
    pthread_mutex_lock(&pool->lock);
    pool->working--;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Where a thread cannot be had, the search goes on with fewer. */
static void start_helpers(struct pypow_pool *pool)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before); /* signals are for the caller's threads */
    pthread_mutex_lock(&pool->lock);
    while (unclaimed(pool) && pool->helpers < pool->helpers_wanted &&
           pthread_create(&pool->helper[pool->helpers], NULL, help, pool) == 0)
        pool->helpers++;
    pool->working = pool->helpers;
    pool->helpers_wanted = pool->helpers;
    pool->crowded = cores > 0 && pool->helpers >= cores;
    pthread_mutex_unlock(&pool->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static struct timespec from_now(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

static bool past(const struct timespec *deadline)
{
    const struct timespec now = from_now(0);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

/* Wait for the helpers until the deadline, then say how the search stands. */
static int conclude(struct pypow_pool *pool, const struct timespec *deadline)
{
    int status;
    bool in_time = true;
    pthread_mutex_lock(&pool->lock);
    while (pool->working > 0 && in_time)
        in_time = pthread_cond_timedwait(&pool->ended, &pool->lock, deadline) == 0;
    if (pool->working > 0)
        status = PYPOW_RUNNING;
    else if (pool->abandoned || unclaimed(pool))
        status = PYPOW_STOPPED;
    else
        status = pool->found ? PYPOW_OK : PYPOW_NOT_FOUND;
    pthread_mutex_unlock(&pool->lock);
    return status;
}

static int advance(struct pypow_pool *pool, uint32_t slice_ms)
{
    const struct timespec deadline = from_now(slice_ms);
    while (!pool->crowded && work(pool, &pool->search)) {
        if (pool->helpers < pool->helpers_wanted)
            start_helpers(pool);
        if (past(&deadline))
            return PYPOW_RUNNING;
    }
    return conclude(pool, &deadline);
}

int pypow_pool_run(struct pypow_progress *progress, struct pypow_pool *pool, uint32_t slice_ms)
{
    if (getpid() != pool->process)
        return PYPOW_FORKED;
    if (pool->outcome == PYPOW_RUNNING)
        pool->outcome = advance(pool, slice_ms);
    pthread_mutex_lock(&pool->lock);
    progress->hashes = pool->hashes;
    if (pool->outcome == PYPOW_OK)
        progress->nonce = pool->ceiling;
    pthread_mutex_unlock(&pool->lock);
    return pool->outcome;
}

void pypow_pool_stop(struct pypow_pool *pool)
{
    __atomic_store_n(&pool->stop, 1, __ATOMIC_RELAXED);
}

static bool prepare_lock(struct pypow_pool *pool)
{
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    const bool made = pthread_cond_init(&pool->ended, &monotonic) == 0;
    pthread_condattr_destroy(&monotonic);
    return made && pthread_mutex_init(&pool->lock, NULL) == 0;
}

int pypow_pool_new(struct pypow_pool **pool, const struct pypow_puzzle *puzzle, const char *name,
                   uint32_t threads, uint64_t first, uint64_t count)
{
    const struct pypow_kernel *kernel;
    if (threads < 1 || threads > PYPOW_MAX_THREADS)
        return PYPOW_BAD_ARGUMENT;
    const int status = pypow_kernel_choose(&kernel, name);
    if (status != PYPOW_OK)
        return status;
    const uint32_t helpers = threads - 1;
    struct pypow_pool *made = calloc(1, sizeof *made + helpers * sizeof made->helper[0]);
    if (made == NULL)
        return PYPOW_NO_MEMORY;
    made->puzzle = pypow_puzzle_copy(puzzle);
    if (made->puzzle == NULL || !prepare_lock(made)) {
        pypow_puzzle_free(made->puzzle);
        free(made);
        return PYPOW_NO_MEMORY;
    }
    made->kernel = kernel;
    made->chunk = chunk_size(puzzle, kernel);
    made->process = getpid();
    made->outcome = PYPOW_RUNNING;
    made->helpers_wanted = helpers;
    made->next = first;
    made->exhausted = !pypow_puzzle_range(&made->last, puzzle, first, count);
    made->ceiling = made->last;
    pypow_search_begin(&made->search, made->puzzle, kernel);
    *pool = made;
    return PYPOW_OK;
}

void pypow_pool_free(struct pypow_pool *pool)
{
    if (pool == NULL)
        return;
    /* In a fork the helpers do not exist, and the lock may be held by one of them. */
    if (getpid() == pool->process) {
        pypow_pool_stop(pool);
        for (uint32_t i = 0; i < pool->helpers; i++)
            pthread_join(pool->helper[i], NULL);
        pthread_cond_destroy(&pool->ended);
        pthread_mutex_destroy(&pool->lock);
    }
    pypow_puzzle_free(pool->puzzle);
    free(pool);
}
