/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing a puzzle: validate, hash the prefix's whole blocks, keep copies of the rest. */
#include "puzzle.h"

#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "nonce.h"

/* Copy what the message points at into the puzzle, which outlives the caller's buffers. */
static void own(struct pypow_puzzle *puzzle, const struct pypow_message *message)
{
    puzzle->message = *message;
    if (message->head_len > 0)
        memcpy(puzzle->bytes, message->head, message->head_len);
    if (message->suffix_len > 0)
        memcpy(puzzle->bytes + message->head_len, message->suffix, message->suffix_len);
    puzzle->message.head = puzzle->bytes;
    puzzle->message.suffix = puzzle->bytes + message->head_len;
}

int pypow_puzzle_new(struct pypow_puzzle **puzzle, const struct pypow_nonce *nonce,
                     const struct pypow_rule *rule, const uint8_t *prefix, size_t prefix_len,
                     const uint8_t *suffix, size_t suffix_len)
{
    struct pypow_message message;
    if (!pypow_nonce_valid(nonce) || !pypow_rule_valid(rule))
        return PYPOW_BAD_ARGUMENT;
    if (!pypow_message_start(&message, prefix, prefix_len, suffix, suffix_len,
                             pypow_kernel_compress()))
        return PYPOW_BAD_ARGUMENT;
    struct pypow_puzzle *made = malloc(sizeof *made + message.head_len + suffix_len);
    if (made == NULL)
        return PYPOW_NO_MEMORY;
    made->nonce = *nonce;
    made->rule = *rule;
    made->filter = pypow_rule_filter(rule);
    made->last = UINT64_MAX;
    if (nonce->width != 0)
        made->last = pypow_nonce_count(nonce, nonce->width) - 1;
    own(made, &message);
    *puzzle = made;
    return PYPOW_OK;
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
    const struct pypow_message *message = &puzzle->message;
    struct pypow_puzzle *copy = malloc(sizeof *copy + message->head_len + message->suffix_len);
    if (copy == NULL)
        return NULL;
    *copy = *puzzle;
    own(copy, message);
    return copy;
}

void pypow_puzzle_free(struct pypow_puzzle *puzzle) { free(puzzle); }
