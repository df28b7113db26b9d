/* SPDX-License-Identifier: Apache-2.0 */
/* Searching a range on one thread, run by run. */
#include "search.h"

#include <string.h>

#include "group.h"
#include "hash.h"
#include "nonce.h"

/*
 * A slice lies between two looks at the watch: 6 to 20 us. To end a scan costs the widest kernel
 * as much as a third of a group, so that one four times as long would gain half a per cent.
 */
enum { SLICE_BLOCKS = 1024, CHUNK_BLOCKS = 1 << 14, LONG_CHUNK_BLOCKS = 8 * CHUNK_BLOCKS };

void pypow_search_begin(struct pypow_search *search, const struct pypow_puzzle *puzzle,
                        const struct pypow_kernel *kernel)
{
    search->puzzle = puzzle;
    search->kernel = kernel;
    search->compress = pypow_kernel_compress();
    search->layout.digits = 0;
    search->message = puzzle->message;
    search->scan.table = search->table;
    search->scan.filter = puzzle->filter;
    search->scan.message = &search->message;
    search->scan.rehashes = puzzle->hash.iterations - 1;
    if (puzzle->hash.type == PYPOW_PBKDF2_HMAC_SHA256)
        pypow_tail_fold(&search->scan.tail, HMAC_BITS);
    else if (search->scan.rehashes > 0)
        pypow_tail_fold(&search->scan.tail, REHASH_BITS);
    /* The kernel may load, and then ignore, words past the ones in use. */
    memset(search->table, 0, sizeof search->table);
}

static uint64_t place(const struct pypow_search *search, uint32_t digit)
{
    return pypow_layout_place(&search->layout, search->puzzle, digit);
}

static uint32_t shift(const struct pypow_search *search, uint32_t digit)
{
    return 24 - 8 * (uint32_t)(place(search, digit) % 4);
}

/* Lay out the table for all values of the whole digits. */
static void lay_whole(struct pypow_search *search)
{
    const struct pypow_nonce *nonce = &search->puzzle->nonce;
    uint32_t *table = search->table, count = 1;
    table[0] = 0;
    for (uint32_t digit = 0; digit < search->layout.whole_digits; digit++, count *= nonce->base) {
        /* The lowest value last, for it overwrites what the others are made from. */
        for (uint32_t value = nonce->base; value-- > 0;) {
            const uint32_t bits = (uint32_t)nonce->symbols[value]
                                  << shift(search, search->layout.fast_digits + digit);
            for (uint32_t i = 0; i < count; i++)
                table[value * count + i] = table[i] + bits;
        }
    }
    search->parts_laid = 1;
}

/* Lay out the table for the values of the part digit in a run. */
static void lay_parts(struct pypow_search *search, const struct pypow_run *run)
{
    const uint8_t *symbols = search->puzzle->nonce.symbols;
    const struct pypow_layout *layout = &search->layout;
    uint32_t *table = search->table;
    for (uint32_t part = 1; part < run->parts; part++) {
        const uint32_t bits = (uint32_t)(symbols[run->lowest + part] - symbols[run->lowest])
                              << shift(search, layout->fast_digits + layout->whole_digits);
        if (part < search->parts_laid && bits == search->part_bits[part])
            continue;
        search->part_bits[part] = bits;
        for (uint32_t i = 0; i < layout->whole_count; i++)
            table[part * layout->whole_count + i] = table[i] + bits;
    }
    if (run->parts > search->parts_laid)
        search->parts_laid = run->parts;
}

/* Where more blocks follow, a scan of a few groups shares the work on them. */
static uint32_t slice(const struct pypow_search *search)
{
    const struct pypow_scan *scan = &search->scan;
    const uint64_t blocks = scan->end_block - search->block + scan->rehashes;
    const uint32_t least = 4 * search->kernel->lanes;
    const uint64_t most = SLICE_BLOCKS / blocks;
    return most > least ? (uint32_t)most : least;
}

static void lay_out(struct pypow_search *search, uint32_t digits)
{
    struct pypow_scan *scan = &search->scan;
    search->message.nonce_len = digits;
    pypow_layout_choose(&search->layout, search->puzzle, search->kernel->lanes, digits);
    lay_whole(search);
    const uint64_t inner_at = place(search, search->layout.fast_digits);
    search->block = inner_at / BLOCK_BYTES;
    scan->word = (uint32_t)(inner_at % BLOCK_BYTES / 4);
    scan->next_block = search->block + 1;
    scan->end_block = pypow_message_blocks(&search->message);
    search->slice = slice(search);
}

/* Prepare the scan of all nonces that differ from this one in whole and part digits only. */
static void fold_nonce(struct pypow_search *search, uint64_t index)
{
    struct pypow_scan *scan = &search->scan;
    struct pypow_message *message = &search->message;
    uint8_t block[BLOCK_BYTES];
    pypow_nonce_write(message->nonce, &search->puzzle->nonce, search->layout.digits, index);
    for (uint32_t i = 0; i < search->layout.whole_digits; i++)
        message->nonce[place(search, search->layout.fast_digits + i) - message->head_len] = 0;
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
    pypow_nonce_write(message.nonce, &search->puzzle->nonce, search->layout.digits, index);
    pypow_hash_digest(digest, &search->puzzle->hash, &message, search->compress);
    if (!pypow_rule_wins(&search->puzzle->rule, digest))
        return false;
    progress->encoded_len = (uint32_t)message.nonce_len;
    memcpy(progress->encoded, message.nonce, message.nonce_len);
    memcpy(progress->digest, digest, sizeof digest);
    return true;
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
    const uint32_t step = search->layout.fast_count;
    return offset <= fast ? 0 : (offset - fast + step - 1) / step;
}

/* Search the nonces of a part that have these fast digits. False when told to stop. */
static bool search_inner(struct part *part, struct pypow_search *search, uint32_t fast,
                         const struct pypow_watch *watch)
{
    const uint32_t step = search->layout.fast_count;
    const uint32_t end = inner_from(search, part->end, fast);
    uint32_t i = inner_from(search, part->begin, fast);
    if (i < end)
        fold_nonce(search, part->run + fast);
    while (i < end) {
        const uint32_t slice_end = end - i < search->slice ? end : i + search->slice;
        if (pypow_watch_stopped(watch))
            return false;
        if (pypow_watch_pointless(watch, part->run + fast + (uint64_t)i * step))
            return true;
        while (i < slice_end) {
            const uint32_t hit = search->kernel->scan(&search->scan, i, slice_end);
            const uint32_t offset = fast + hit * step;
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
    for (uint32_t fast = 0; fast < search->layout.fast_count; fast++)
        if (!search_inner(part, search, fast, watch))
            return false;
    return true;
}

/* Where a search that reaches this index ends best: with its run, unless that is long. */
static uint64_t good_end(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel,
                         uint64_t index)
{
    struct pypow_layout layout;
    if (pypow_group_wanted(puzzle))
        return index;
    pypow_layout_choose(&layout, puzzle, kernel->lanes, pypow_nonce_digits(&puzzle->nonce, index));
    const struct pypow_run run = pypow_layout_run(&layout, puzzle, index);
    const uint64_t end = run.first + run.length - 1; /* wraps where the indices end */
    return end < index || run.length > layout.longest_run ? index : end;
}

/* Few where a nonce costs much, so that stops and deadlines are seen in time. */
static uint64_t chunk_size(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel)
{
    const uint64_t hashes = CHUNK_BLOCKS / pypow_hash_cost(&puzzle->hash, &puzzle->message);
    return hashes > kernel->lanes ? hashes : kernel->lanes;
}

bool pypow_search_is_long(const struct pypow_puzzle *puzzle, const struct pypow_kernel *kernel)
{
    const uint64_t cost = pypow_hash_cost(&puzzle->hash, &puzzle->message);
    return chunk_size(puzzle, kernel) * cost > LONG_CHUNK_BLOCKS;
}

uint64_t pypow_search_chunk_end(const struct pypow_puzzle *puzzle,
                                const struct pypow_kernel *kernel, uint64_t first, uint64_t last)
{
    const uint64_t chunk = chunk_size(puzzle, kernel);
    if (last - first < chunk)
        return last;
    const uint64_t end = good_end(puzzle, kernel, first + chunk - 1);
    return end < last ? end : last;
}

int pypow_search_range(struct pypow_progress *progress, struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch)
{
    uint64_t index = first;
    bool more = true;
    if (pypow_group_wanted(search->puzzle))
        return pypow_group_search(progress, search, first, last, watch);
    progress->hashes = 0;
    while (more && !pypow_watch_pointless(watch, index)) {
        const uint32_t digits = pypow_nonce_digits(&search->puzzle->nonce, index);
        if (digits != search->layout.digits)
            lay_out(search, digits);
        const struct pypow_run run = pypow_layout_run(&search->layout, search->puzzle, index);
        lay_parts(search, &run);
        struct part part = {
            .run = run.first, .begin = (uint32_t)(index - run.first), .progress = progress};
        more = last - run.first >= run.length;
        part.end = more ? run.length : (uint32_t)(last - run.first) + 1;
        index = run.first + part.end;
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

static int search_alone(struct pypow_progress *progress, const struct pypow_puzzle *puzzle,
                        const struct pypow_kernel *kernel, uint64_t first, uint64_t last,
                        const int *stop)
{
    const struct pypow_watch watch = {.stop = stop};
    struct pypow_search search;
    pypow_search_begin(&search, puzzle, kernel);
    return pypow_search_range(progress, &search, first, last, &watch);
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
    return search_alone(progress, puzzle, kernel, first, last, stop);
}

int pypow_search_opening(struct pypow_progress *progress, const struct pypow_nonce *nonce,
                         const struct pypow_hash *hash, const struct pypow_rule *rule,
                         const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                         size_t suffix_len, const char *name, uint64_t first, uint64_t count)
{
    struct pypow_puzzle puzzle;
    const struct pypow_kernel *kernel;
    uint64_t last;
    int status = pypow_kernel_choose(&kernel, name);
    if (status != PYPOW_OK)
        return status;
    if (!pypow_puzzle_borrow(&puzzle, nonce, hash, rule, prefix, prefix_len, suffix, suffix_len))
        return PYPOW_BAD_ARGUMENT;
    progress->hashes = 0;
    if (!pypow_puzzle_range(&last, &puzzle, first, count))
        return PYPOW_NOT_FOUND;
    if (pypow_search_is_long(&puzzle, kernel))
        return PYPOW_RUNNING;
    const uint64_t end = pypow_search_chunk_end(&puzzle, kernel, first, last);
    status = search_alone(progress, &puzzle, kernel, first, end, NULL);
    return status == PYPOW_NOT_FOUND && end < last ? PYPOW_RUNNING : status;
}
