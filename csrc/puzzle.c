/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing a puzzle: validate, hash the prefix's whole blocks, keep copies of the rest. */
#include "puzzle.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "kernel.h"
#include "nonce.h"

static size_t bytes_len(const struct pypow_message *message, const struct pypow_hash *hash)
{
    return message->head_len + message->suffix_len + hash->salt_len;
}

/* Copy `len` bytes behind those that are there, and say where they are now. */
static const uint8_t *append(uint8_t **end, const uint8_t *bytes, size_t len)
{
    const uint8_t *copy = *end;
    if (len > 0)
        memcpy(*end, bytes, len);
    *end += len;
    return copy;
}

/* Copy what message and hash point at into the puzzle, which outlives the caller's buffers. */
static void own(struct pypow_puzzle *puzzle, const struct pypow_message *message,
                const struct pypow_hash *hash)
{
    uint8_t *end = puzzle->bytes;
    puzzle->message = *message;
    puzzle->message.head = append(&end, message->head, message->head_len);
    puzzle->message.suffix = append(&end, message->suffix, message->suffix_len);
    puzzle->hash = *hash;
    puzzle->hash.salt = append(&end, hash->salt, hash->salt_len);
}

bool pypow_puzzle_borrow(struct pypow_puzzle *puzzle, const struct pypow_nonce *nonce,
                         const struct pypow_hash *hash, const struct pypow_rule *rule,
                         const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                         size_t suffix_len)
{
    if (!pypow_nonce_valid(nonce) || !pypow_hash_valid(hash) || !pypow_rule_valid(rule))
        return false;
    if (!pypow_hash_start(&puzzle->message, hash, prefix, prefix_len, suffix, suffix_len,
                          pypow_kernel_compress()))
        return false;
    puzzle->nonce = *nonce;
    puzzle->hash = *hash;
    puzzle->rule = *rule;
    puzzle->filter = pypow_rule_filter(rule);
    puzzle->last = nonce->width == 0 ? UINT64_MAX : pypow_nonce_count(nonce, nonce->width) - 1;
    return true;
}

int pypow_puzzle_new(struct pypow_puzzle **puzzle, const struct pypow_nonce *nonce,
                     const struct pypow_hash *hash, const struct pypow_rule *rule,
                     const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                     size_t suffix_len)
{
    struct pypow_puzzle borrowed;
    if (!pypow_puzzle_borrow(&borrowed, nonce, hash, rule, prefix, prefix_len, suffix, suffix_len))
        return PYPOW_BAD_ARGUMENT;
    *puzzle = pypow_puzzle_copy(&borrowed);
    return *puzzle == NULL ? PYPOW_NO_MEMORY : PYPOW_OK;
}

bool pypow_puzzle_range(uint64_t *last, const struct pypow_puzzle *puzzle, uint64_t first,
                        uint64_t count)
{
    if (count == 0 || first > puzzle->last)
        return false;
    const uint64_t beyond = puzzle->last - first;
    *last = first + (count - 1 < beyond ? count - 1 : beyond);
    return true;
}

struct pypow_puzzle *pypow_puzzle_copy(const struct pypow_puzzle *puzzle)
{
    struct pypow_puzzle *copy =
        malloc(sizeof *copy + bytes_len(&puzzle->message, &puzzle->hash));
    if (copy == NULL)
        return NULL;
    *copy = *puzzle;
    own(copy, &puzzle->message, &puzzle->hash);
    return copy;
}

void pypow_puzzle_free(struct pypow_puzzle *puzzle) { free(puzzle); }
