/* SPDX-License-Identifier: Apache-2.0 */
/* Searching a range on one thread, run by run. */
#include "search.h"

#include <string.h>

#include "nonce.h"

/* Hashes between two looks at the watch: 3 to 15 us with a wide kernel. */
enum { SLICE = 1024 };

enum { CHUNK_BLOCKS = 1 << 14 };

uint64_t pypow_search_chunk(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel)
{
    const uint64_t hashes = CHUNK_BLOCKS / pypow_message_blocks(&puzzle->message);
    return hashes > kernel->lanes ? hashes : kernel->lanes;
}

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

/* How many digits, from one on to slower ones, share its word and have at most `most` values. */
static uint32_t span(const struct pypow_search *search, uint32_t first, uint32_t most)
{
    const uint32_t base = search->puzzle->nonce.base;
    uint32_t digit = first;
    for (uint32_t count = base; count <= most && digit < search->digits; count *= base) {
        if (place(search, digit) / 4 != place(search, first) / 4)
            break;
        digit++;
    }
    return digit - first;
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

static void choose_digits(struct pypow_search *search)
{
    const struct pypow_nonce *nonce = &search->puzzle->nonce;
    const uint32_t fastest = span(search, 0, MAX_INNER);
    const uint32_t fastest_count = (uint32_t)pypow_nonce_count(nonce, fastest);
    const uint32_t room = MAX_RUN / fastest_count;
    const uint32_t next = span(search, fastest, room < MAX_INNER ? room : MAX_INNER);
    const bool skip = next > fastest;
    search->fast_digits = skip ? fastest : 0;
    search->fast_count = skip ? fastest_count : 1;
    search->inner_digits = skip ? next : fastest;
}

static void lay_out(struct pypow_search *search, uint32_t digits)
{
    struct pypow_scan *scan = &search->scan;
    search->digits = digits;
    search->message.nonce_len = digits;
    choose_digits(search);
    search->inner_count = 1;
    search->table[0] = 0;
    for (uint32_t i = 0; i < search->inner_digits; i++)
        widen_table(search, search->fast_digits + i);
    const uint64_t inner_at = place(search, search->fast_digits);
    search->block = inner_at / BLOCK_BYTES;
    scan->word = (uint32_t)(inner_at % BLOCK_BYTES / 4);
    scan->next_block = search->block + 1;
    scan->end_block = pypow_message_blocks(&search->message);
}

/* Prepare the scan of all nonces that differ from this one in their inner digits only. */
static void fold_nonce(struct pypow_search *search, uint64_t index)
{
    struct pypow_scan *scan = &search->scan;
    struct pypow_message *message = &search->message;
    uint8_t block[BLOCK_BYTES];
    pypow_nonce_write(message->nonce, &search->puzzle->nonce, search->digits, index);
    for (uint32_t i = 0; i < search->inner_digits; i++)
        message->nonce[place(search, search->fast_digits + i) - message->head_len] = 0;
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

/* Notes a winner's bytes and digest; leaves those of the one before alone otherwise. */
static bool wins(struct pypow_progress *progress, const struct pypow_search *search,
                 uint64_t index)
{
    struct pypow_message message = search->message;
    uint8_t digest[PYPOW_DIGEST_BYTES];
    pypow_nonce_write(message.nonce, &search->puzzle->nonce, search->digits, index);
    pypow_message_digest(digest, &message, search->compress);
    if (!pypow_rule_wins(&search->puzzle->rule, digest))
        return false;
    progress->encoded_len = (uint32_t)message.nonce_len;
    memcpy(progress->encoded, message.nonce, message.nonce_len);
    memcpy(progress->digest, digest, sizeof digest);
    return true;
}

static bool stopped(const struct pypow_watch *watch)
{
    return watch->stop != NULL && __atomic_load_n(watch->stop, __ATOMIC_RELAXED) != 0;
}

static bool pointless(const struct pypow_watch *watch, uint64_t index)
{
    return watch->ceiling != NULL && __atomic_load_n(watch->ceiling, __ATOMIC_RELAXED) < index;
}

/* A part of a run, as offsets from the run's first index. */
struct part {
    uint64_t run;
    uint32_t begin;
    uint32_t end; /* lowered to a winner when one is found */
    bool found;
    uint32_t tried;
    struct pypow_progress *progress; /* where a winner is noted */
};

/* The first inner value whose nonce with these fast digits lies at `offset` or later. */
static uint32_t inner_from(const struct pypow_search *search, uint32_t offset, uint32_t fast)
{
    return offset <= fast ? 0 : (offset - fast + search->fast_count - 1) / search->fast_count;
}

/* Search the nonces of a part that have these fast digits. False when told to stop. */
static bool search_inner(struct part *part, struct pypow_search *search, uint32_t fast,
                         const struct pypow_watch *watch)
{
    const uint32_t end = inner_from(search, part->end, fast);
    uint32_t i = inner_from(search, part->begin, fast);
    if (i < end)
        fold_nonce(search, part->run + fast);
    while (i < end) {
        const uint32_t slice_end = end - i < SLICE ? end : i + SLICE;
        if (stopped(watch))
            return false;
        if (pointless(watch, part->run + fast + (uint64_t)i * search->fast_count))
            return true;
        while (i < slice_end) {
            const uint32_t hit = search->kernel->scan(&search->scan, i, slice_end);
            const uint32_t offset = fast + hit * search->fast_count;
            part->tried += hit - i;
            i = hit;
            if (hit == slice_end)
                break;
            if (wins(part->progress, search, part->run + offset)) {
                part->end = offset;
                part->found = true;
                return true;
            }
            part->tried++;
            i++;
        }
    }
    return true;
}

/* False when told to stop. */
static bool search_part(struct part *part, struct pypow_search *search,
                        const struct pypow_watch *watch)
{
    for (uint32_t fast = 0; fast < search->fast_count; fast++)
        if (!search_inner(part, search, fast, watch))
            return false;
    return true;
}

int pypow_search_range(struct pypow_progress *progress, struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch)
{
    uint64_t index = first;
    bool more = true;
    progress->hashes = 0;
    while (more && !pointless(watch, index)) {
        const uint32_t digits = pypow_nonce_digits(&search->puzzle->nonce, index);
        if (digits != search->digits)
            lay_out(search, digits);
        const uint32_t run_length = search->fast_count * search->inner_count;
        struct part part = {.begin = (uint32_t)(index % run_length), .progress = progress};
        part.run = index - part.begin;
        more = last - part.run >= run_length;
        part.end = more ? run_length : (uint32_t)(last - part.run) + 1;
        index = part.run + part.end;
        const bool to_the_end = search_part(&part, search, watch);
        if (to_the_end && part.found) {
            progress->nonce = part.run + part.end;
            progress->hashes += part.end - part.begin + 1;
            return PYPOW_OK;
        }
        progress->hashes += part.tried;
        if (!to_the_end)
            return PYPOW_STOPPED;
    }
    return PYPOW_NOT_FOUND;
}

/* Search [first, first + count), or as much of it as one chunk holds: then PYPOW_RUNNING. */
static int search_alone(struct pypow_progress *progress, const struct pypow_puzzle *puzzle,
                        const char *name, uint64_t first, uint64_t count, bool one_chunk,
                        const int *stop)
{
    const struct pypow_kernel *kernel;
    uint64_t last;
    int status = pypow_kernel_choose(&kernel, name);
    if (status != PYPOW_OK)
        return status;
    progress->hashes = 0;
    if (!pypow_puzzle_range(&last, puzzle, first, count))
        return PYPOW_NOT_FOUND;
    const uint64_t beyond = one_chunk ? pypow_search_chunk(puzzle, kernel) - 1 : UINT64_MAX;
    const bool rest = last - first > beyond;
    struct pypow_search search;
    pypow_search_begin(&search, puzzle, kernel);
    status = pypow_search_range(progress, &search, first, rest ? first + beyond : last,
                                &(struct pypow_watch){.stop = stop});
    return status == PYPOW_NOT_FOUND && rest ? PYPOW_RUNNING : status;
}

int pypow_search(struct pypow_progress *progress, const struct pypow_puzzle *puzzle,
                 const char *name, uint64_t first, uint64_t count, const int *stop)
{
    return search_alone(progress, puzzle, name, first, count, false, stop);
}

int pypow_search_opening(struct pypow_progress *progress, const struct pypow_puzzle *puzzle,
                         const char *name, uint64_t first, uint64_t count)
{
    return search_alone(progress, puzzle, name, first, count, true, NULL);
}
