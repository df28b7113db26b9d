/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching a range on one thread.
 *
 * The nonce's fastest digits that share a 32-bit word of the message are the inner digits. For
 * each value of the others (a run) the block is folded once, and the kernel then goes through
 * a table of the words that the inner digits make.
 */
#include "search.h"

#include <string.h>

#include "nonce.h"

/* Hashes between two looks at the watch: 3 to 15 us with a wide kernel. */
enum { SLICE = 1024 };

void pypow_search_begin(struct pypow_search *search, const struct pypow_puzzle *puzzle,
                        const struct pypow_kernel *kernel)
{
    search->puzzle = puzzle;
    search->kernel = kernel;
    search->compress = pypow_kernel_compress();
    search->digits = 0;
    search->message = puzzle->message;
    search->scan.table = search->table;
    search->scan.filter = puzzle->filter;
    search->scan.message = &search->message;
    /* The kernel may load, and then ignore, words past the ones in use. */
    memset(search->table, 0, sizeof search->table);
}

/* Where the i-th fastest digit lies, counted from the first block that is not absorbed. */
static uint64_t place(const struct pypow_search *search, uint32_t digit)
{
    const bool little = search->puzzle->nonce.little;
    return search->message.head_len + (little ? digit : search->digits - 1 - digit);
}

/* Add the next digit to the table: each value of it, before all combinations of the faster. */
static void widen_table(struct pypow_search *search, uint32_t digit)
{
    const struct pypow_nonce *nonce = &search->puzzle->nonce;
    const uint32_t shift = 24 - 8 * (uint32_t)(place(search, digit) % 4);
    const uint32_t count = search->inner_count;
    uint32_t *table = search->table;
    /* The lowest value last, for it overwrites what the others are made from. */
    for (uint32_t value = nonce->base; value-- > 0;) {
        const uint32_t bits = (uint32_t)nonce->symbols[value] << shift;
        for (uint32_t i = 0; i < count; i++)
            table[value * count + i] = table[i] | bits;
    }
    search->inner_count *= nonce->base;
}

static void lay_out(struct pypow_search *search, uint32_t digits)
{
    search->digits = digits;
    search->message.nonce_len = digits;
    const uint64_t fastest = place(search, 0);
    search->block = fastest / BLOCK_BYTES;
    search->scan.word = (uint32_t)(fastest % BLOCK_BYTES / 4);
    search->scan.varying = pypow_scan_varying(search->scan.word);
    search->scan.next_block = search->block + 1;
    search->scan.end_block = pypow_message_blocks(&search->message);
    search->inner_count = 1;
    search->table[0] = 0;
    uint32_t i = 0;
    do
        widen_table(search, i++);
    while (i < digits && place(search, i) / 4 == fastest / 4 &&
           search->inner_count * search->puzzle->nonce.base <= MAX_INNER);
    search->inner_digits = i;
}

/* Prepare the scan of all nonces that differ from this index in their inner digits only. */
static void fold_run(struct pypow_search *search, uint64_t index)
{
    struct pypow_scan *scan = &search->scan;
    struct pypow_message *message = &search->message;
    uint8_t block[BLOCK_BYTES];
    pypow_nonce_write(message->nonce, &search->puzzle->nonce, search->digits,
                      search->inner_digits, index / search->inner_count);
    memcpy(scan->chain, message->midstate, sizeof scan->chain);
    for (uint64_t i = 0; i < search->block; i++) {
        pypow_message_block(block, message, i);
        search->compress(scan->chain, block, 1);
    }
    pypow_message_block(block, message, search->block);
    pypow_sha256_words(scan->block, block);
    scan->fixed_bits = scan->block[scan->word];
    pypow_scan_fold(scan);
}

static bool wins(const struct pypow_search *search, uint64_t index)
{
    struct pypow_message message = search->message;
    uint8_t digest[PYPOW_DIGEST_BYTES];
    pypow_nonce_write(message.nonce, &search->puzzle->nonce, search->digits, 0, index);
    pypow_message_digest(digest, &message, search->compress);
    return pypow_rule_wins(&search->puzzle->rule, digest);
}

static bool stopped(const struct pypow_watch *watch)
{
    return watch->stop != NULL && __atomic_load_n(watch->stop, __ATOMIC_RELAXED) != 0;
}

static bool pointless(const struct pypow_watch *watch, uint64_t index)
{
    return watch->ceiling != NULL && __atomic_load_n(watch->ceiling, __ATOMIC_RELAXED) < index;
}

/*
 * Search inner values [begin, end) of the run that starts at index `run`. PYPOW_RUNNING when
 * none wins; `*at` is where it ended: the winner, or the first inner value not tried.
 */
static int search_run(uint32_t *at, const struct pypow_search *search, uint64_t run,
                      uint32_t begin, uint32_t end, const struct pypow_watch *watch)
{
    uint32_t i = begin;
    while (i < end) {
        *at = i;
        if (stopped(watch))
            return PYPOW_STOPPED;
        if (pointless(watch, run + i))
            return PYPOW_NOT_FOUND;
        const uint32_t slice_end = end - i < SLICE ? end : i + SLICE;
        while (i < slice_end) {
            *at = i = search->kernel->scan(&search->scan, i, slice_end);
            if (i < slice_end && wins(search, run + i++))
                return PYPOW_OK;
        }
    }
    *at = end;
    return PYPOW_RUNNING;
}

int pypow_search_range(struct pypow_progress *progress, struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch)
{
    progress->hashes = 0;
    for (uint64_t index = first;;) {
        const uint32_t digits = pypow_nonce_digits(&search->puzzle->nonce, index);
        if (digits != search->digits)
            lay_out(search, digits);
        fold_run(search, index);
        const uint32_t begin = (uint32_t)(index % search->inner_count);
        const uint64_t run = index - begin;
        const uint64_t to_last = last - run;
        const bool final = to_last < search->inner_count;
        const uint32_t end = final ? (uint32_t)to_last + 1 : search->inner_count;
        uint32_t at;
        const int status = search_run(&at, search, run, begin, end, watch);
        progress->hashes += at - begin;
        if (status == PYPOW_OK) {
            progress->hashes++;
            progress->nonce = run + at;
        }
        if (status != PYPOW_RUNNING)
            return status;
        if (final)
            return PYPOW_NOT_FOUND;
        index = run + end;
    }
}

int pypow_search(struct pypow_progress *progress, const struct pypow_puzzle *puzzle,
                 const char *name, uint64_t first, uint64_t count, const int *stop)
{
    const struct pypow_kernel *kernel;
    uint64_t last;
    const int status = pypow_kernel_choose(&kernel, name);
    if (status != PYPOW_OK)
        return status;
    progress->hashes = 0;
    if (!pypow_puzzle_range(&last, puzzle, first, count))
        return PYPOW_NOT_FOUND;
    struct pypow_search search;
    pypow_search_begin(&search, puzzle, kernel);
    return pypow_search_range(progress, &search, first, last, &(struct pypow_watch){.stop = stop});
}
