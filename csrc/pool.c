/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that search one puzzle together, and then the next.
 *
 * Workers claim chunks of the range in order. A hit lowers the ceiling, above which nothing is
 * claimed or carried on; what was claimed below it is still finished, so that the lowest nonce
 * wins. The caller's thread is the first worker, and each claim brings in one helper more: 64
 * threads are there after six chunks, at a cost that no single one of them has to bear.
 *
 * Helpers work for a caller who is there: when no run has come for a while, they park.
 */
#define _GNU_SOURCE /* processor affinity, besides threads and clocks of POSIX */

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "search.h"

#define NS_PER_MS UINT64_C(1000000)

/* How long helpers go on after a slice: a caller who only looks around is back by then. */
#define PATIENCE_NS (100 * NS_PER_MS)

/* How long the caller waits for the others before it goes to sleep. */
#define LINGER_NS UINT64_C(50000)

struct worker {
    struct pypow_search search;
    uint64_t serial; /* of the search it was begun for */
};

struct pypow_pool {
    const struct pypow_kernel *kernel;
    uint32_t forks;          /* that came before it: helpers do not outlive one */
    uint32_t threads;        /* that are allowed, the caller's included */
    uint32_t helpers_wanted; /* in this search; fewer where they could not be had */
    uint32_t cores;
    struct worker caller;
    int outcome; /* of the last run */

    /* The search. All but `stop` and `ceiling` change only while no claim is out. */
    struct pypow_puzzle *puzzle; /* a copy, for the threads may outlive the caller's */
    uint64_t serial;
    uint64_t last;    /* the highest index of the range */
    uint32_t enough;  /* so many helpers, and the caller only waits */
    int stop;
    uint64_t ceiling; /* the lowest winning nonce so far, else `last` */

    pthread_mutex_t lock;   /* guards what follows, and writes to the ceiling */
    pthread_cond_t invited; /* parked helpers wait for it */
    pthread_cond_t ended;   /* the caller waits for it: the last claim is settled */
    uint64_t next;          /* the lowest index that nobody has claimed */
    uint64_t attended_until_ns;
    struct pypow_progress best; /* the lowest winner so far; and the hashes of all */
    uint32_t claims; /* out, not settled */
    uint32_t parked;
    uint32_t helpers; /* started, and to be joined */
    bool exhausted;   /* the whole range is claimed */
    bool abandoned;   /* a claim was given up because of `stop` */
    bool found;
    bool attended; /* somebody runs the search, or did just now */
    bool closing;
    pthread_t helper[];
};

/*
 * How many forks lie between the first process and this one. Not the process's id, which a child
 * may share with its parent where there are namespaces.
 */
static uint32_t forks;

static void forked(void) { forks++; }

static void count_forks(void) { pthread_atfork(NULL, NULL, forked); }

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

static bool claimable(const struct pypow_pool *pool)
{
    return !pool->exhausted && pool->next <= pool->ceiling &&
           !__atomic_load_n(&pool->stop, __ATOMIC_RELAXED);
}

/*
 * Whether this worker is to claim. A caller that ground too would be late where helpers fill
 * every core, and where a chunk is long.
 */
static bool called_for(struct pypow_pool *pool, const struct worker *worker)
{
    if (worker == &pool->caller)
        return pool->helpers < pool->enough;
    if (now_ns() > pool->attended_until_ns)
        pool->attended = false;
    return pool->attended;
}

static void *help(void *argument);

/* Where a thread cannot be had, the search goes on with fewer. */
static void start_helper(struct pypow_pool *pool)
{
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before); /* signals are for the caller's threads */
    if (pthread_create(&pool->helper[pool->helpers], NULL, help, pool) == 0)
        pool->helpers++;
    else
        pool->helpers_wanted = pool->helpers;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void invite_one(struct pypow_pool *pool)
{
    if (!claimable(pool))
        return;
    if (pool->parked > 0)
        pthread_cond_signal(&pool->invited);
    else if (pool->helpers < pool->helpers_wanted)
        start_helper(pool);
}

static bool claim(uint64_t *first, uint64_t *last, struct pypow_pool *pool,
                  const struct worker *worker)
{
    pthread_mutex_lock(&pool->lock);
    const bool mine = claimable(pool) && called_for(pool, worker);
    if (mine) {
        *first = pool->next;
        *last = pypow_search_chunk_end(pool->puzzle, pool->kernel, *first, pool->last);
        pool->exhausted = *last == pool->last;
        pool->next = *last + 1;
        __atomic_store_n(&pool->claims, pool->claims + 1, __ATOMIC_RELAXED);
        invite_one(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return mine;
}

static void settle(struct pypow_pool *pool, int status, const struct pypow_progress *progress)
{
    pthread_mutex_lock(&pool->lock);
    __atomic_store_n(&pool->claims, pool->claims - 1, __ATOMIC_RELAXED);
    const uint64_t hashes = pool->best.hashes + progress->hashes;
    if (status == PYPOW_STOPPED)
        pool->abandoned = true;
    if (status == PYPOW_OK && progress->nonce <= pool->ceiling) {
        pool->found = true;
        pool->best = *progress;
        __atomic_store_n(&pool->ceiling, progress->nonce, __ATOMIC_RELAXED);
    }
    pool->best.hashes = hashes;
    if (pool->claims == 0 && !claimable(pool))
        pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
}

/* Claim and search one chunk; false when there is nothing to claim. */
static bool work(struct pypow_pool *pool, struct worker *worker)
{
    const struct pypow_watch watch = {.stop = &pool->stop, .ceiling = &pool->ceiling};
    struct pypow_progress progress;
    uint64_t first, last;
    if (!claim(&first, &last, pool, worker))
        return false;
    if (worker->serial != pool->serial) {
        pypow_search_begin(&worker->search, pool->puzzle, pool->kernel);
        worker->serial = pool->serial;
    }
    const int status = pypow_search_range(&progress, &worker->search, first, last, &watch);
    settle(pool, status, &progress);
    return true;
}

static bool wait_for_work(struct pypow_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->closing && !(pool->attended && claimable(pool))) {
        pool->parked++;
        pthread_cond_wait(&pool->invited, &pool->lock);
        pool->parked--;
    }
    const bool closing = pool->closing;
    pthread_mutex_unlock(&pool->lock);
    return !closing;
}

static void *help(void *argument)
{
    struct pypow_pool *pool = argument;
    struct worker worker = {.serial = 0};
    while (wait_for_work(pool))
        while (work(pool, &worker))
            continue;
    return NULL;
}

/*
 * Others settle within some microseconds of a stop, and often of the caller's last claim. To
 * sleep and be woken takes longer; but not where others need this core.
 */
static void linger(const struct pypow_pool *pool)
{
    const uint64_t until_ns = now_ns() + LINGER_NS;
    while (__atomic_load_n(&pool->claims, __ATOMIC_RELAXED) > 0 && now_ns() < until_ns)
        continue;
}

/* Wait until every claim is settled, or for the deadline; then say how the search stands. */
static int conclude(struct pypow_pool *pool, uint64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / (1000 * NS_PER_MS)),
                                      .tv_nsec = (long)(deadline_ns % (1000 * NS_PER_MS))};
    bool in_time = true;
    int status;
    pthread_mutex_lock(&pool->lock);
    while ((pool->claims > 0 || claimable(pool)) && in_time)
        in_time = pthread_cond_timedwait(&pool->ended, &pool->lock, &deadline) == 0;
    const bool unclaimed = !pool->exhausted && pool->next <= pool->ceiling;
    if (pool->claims > 0 || claimable(pool))
        status = PYPOW_RUNNING;
    else if (pool->abandoned || unclaimed)
        status = PYPOW_STOPPED;
    else
        status = pool->found ? PYPOW_OK : PYPOW_NOT_FOUND;
    pthread_mutex_unlock(&pool->lock);
    return status;
}

static int advance(struct pypow_pool *pool, uint32_t slice_ms)
{
    const uint64_t deadline_ns = now_ns() + slice_ms * NS_PER_MS;
    pthread_mutex_lock(&pool->lock);
    pool->attended_until_ns = deadline_ns + PATIENCE_NS;
    pool->attended = true;
    /* A caller who is not to claim, or not if it can be helped, brings nobody in by claiming. */
    if (pool->helpers >= pool->enough || pool->enough == 1)
        invite_one(pool);
    pthread_mutex_unlock(&pool->lock);
    bool worked = false;
    while (work(pool, &pool->caller)) {
        if (now_ns() >= deadline_ns)
            return PYPOW_RUNNING;
        worked = true;
    }
    if (worked)
        linger(pool);
    return conclude(pool, deadline_ns);
}

int pypow_pool_run(struct pypow_progress *progress, struct pypow_pool *pool, uint32_t slice_ms)
{
    if (pool->forks != forks)
        return PYPOW_FORKED;
    if (pool->outcome == PYPOW_RUNNING)
        pool->outcome = advance(pool, slice_ms);
    pthread_mutex_lock(&pool->lock);
    *progress = pool->best;
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
    return made && pthread_cond_init(&pool->invited, NULL) == 0 &&
           pthread_mutex_init(&pool->lock, NULL) == 0;
}

/* Those that this process may run on; as if endless where that cannot be told. */
static uint32_t allowed_cores(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return UINT32_MAX;
    return (uint32_t)CPU_COUNT(&allowed);
}

int pypow_pool_new(struct pypow_pool **pool, const char *name, uint32_t threads)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct pypow_kernel *kernel;
    if (threads < 1 || threads > PYPOW_MAX_THREADS)
        return PYPOW_BAD_ARGUMENT;
    const int status = pypow_kernel_choose(&kernel, name);
    if (status != PYPOW_OK)
        return status;
    struct pypow_pool *made = calloc(1, sizeof *made + threads * sizeof made->helper[0]);
    if (made == NULL)
        return PYPOW_NO_MEMORY;
    if (!prepare_lock(made)) {
        free(made);
        return PYPOW_NO_MEMORY;
    }
    made->kernel = kernel;
    pthread_once(&once, count_forks);
    made->forks = forks;
    made->outcome = PYPOW_NOT_FOUND;
    made->threads = threads;
    made->cores = threads > 1 ? allowed_cores() : 1;
    *pool = made;
    return PYPOW_OK;
}

int pypow_pool_begin(struct pypow_pool *pool, const struct pypow_puzzle *puzzle, uint64_t first,
                     uint64_t count)
{
    if (pool->forks != forks)
        return PYPOW_FORKED;
    struct pypow_puzzle *copy = pypow_puzzle_copy(puzzle);
    if (copy == NULL)
        return PYPOW_NO_MEMORY;
    pypow_pool_stop(pool);
    pthread_mutex_lock(&pool->lock);
    while (pool->claims > 0)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pypow_puzzle_free(pool->puzzle);
    pool->puzzle = copy;
    pool->serial++;
    pool->enough = pool->cores < pool->threads ? pool->cores : pool->threads;
    pool->helpers_wanted = pool->threads - 1;
    if (pypow_search_is_long(copy, pool->kernel)) {
        pool->enough = 1;
        pool->helpers_wanted = pool->threads;
    }
    pool->next = first;
    pool->exhausted = !pypow_puzzle_range(&pool->last, copy, first, count);
    pool->ceiling = pool->last;
    pool->best.hashes = 0;
    pool->abandoned = pool->found = pool->attended = false;
    __atomic_store_n(&pool->stop, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool->lock);
    pool->outcome = PYPOW_RUNNING;
    return PYPOW_OK;
}

void pypow_pool_free(struct pypow_pool *pool)
{
    if (pool == NULL)
        return;
    /* In a fork the helpers do not exist, and the lock may be held by one of them. */
    if (pool->forks == forks) {
        pypow_pool_stop(pool);
        pthread_mutex_lock(&pool->lock);
        pool->closing = true;
        pthread_cond_broadcast(&pool->invited);
        pthread_mutex_unlock(&pool->lock);
        for (uint32_t i = 0; i < pool->helpers; i++)
            pthread_join(pool->helper[i], NULL);
        pthread_cond_destroy(&pool->ended);
        pthread_cond_destroy(&pool->invited);
        pthread_mutex_destroy(&pool->lock);
    }
    pypow_puzzle_free(pool->puzzle);
    free(pool);
}
