/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of proofs of native challenges: every kernel must give each of them the verdict that it
 * would get alone.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "fence.h"
#include "sent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ROWS = 70 };

static struct signer signers[KEYS];
static struct pypow_mac_key keys[KEYS];
static struct fence text_rows, nonce_rows, reasons_out;

static void prepare(void)
{
    prepare_keys(signers, keys);
    text_rows = fence_around(MOST_ROWS * TEXT);
    nonce_rows = fence_around(MOST_PUZZLES * NONCE);
    reasons_out = fence_around(MOST_ROWS);
}

/* The nonces of a proof as a row of a batch, as far as there is room. */
static void put_nonces(uint8_t *row, uint32_t nonces_each, const struct proof *proof)
{
    uint32_t nonce = 0, len = 0;
    memset(row, 0, (size_t)nonces_each * NONCE);
    for (size_t i = 0; i < proof->nonces_len && nonce < nonces_each; i++) {
        if (proof->nonces[i] == '.')
            nonce++, len = 0;
        else if (len < NONCE)
            row[nonce * NONCE + len++] = proof->nonces[i];
    }
}

/* And what such a row stands for, as a proof that travels alone. */
static struct proof proof_of_row(uint8_t *joined, const uint8_t *row, uint32_t nonces_each)
{
    struct proof proof = {.nonces = joined};
    size_t used = 0;
    for (uint32_t i = 0; i < nonces_each; i++, row += NONCE) {
        size_t len = NONCE;
        while (len > 0 && row[len - 1] == 0)
            len--;
        if (i > 0)
            joined[used++] = '.';
        memcpy(joined + used, row, len);
        used += len;
        if (len > 0) {
            proof.nonces_len = used;
            proof.count = i + 1;
        }
    }
    return proof;
}

/* Two challenges with one proof's nonces, by turns, in every lane of a batch. */
static void check_batch(const uint8_t *one, const uint8_t *other, struct input *in,
                        const struct demand *demand, const struct proof *sent, bool front)
{
    static const uint8_t each[] = {1, 1, 2, 2, 8, 64};
    const uint32_t nonces_each = each[take_below(in, sizeof each)], some = take_below(in, 256);
    const size_t count = some < 192 ? some % 8 : some % (MOST_ROWS + 1), width = nonces_each * (size_t)NONCE;
    uint8_t *text = fence_place(&text_rows, count * TEXT, front), row[MOST_PUZZLES * NONCE];
    uint8_t *nonce = fence_place(&nonce_rows, width, front), joined[LONGEST_NONCES];
    uint8_t *reasons = fence_place(&reasons_out, count, front);
    put_nonces(row, nonces_each, sent);
    memcpy(nonce, row, width);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * TEXT, i % 2 == 0 ? one : other, TEXT);
    const struct pypow_column texts_in = {.data = text, .stride = TEXT, .width = TEXT};
    const struct pypow_column nonces_in = {.data = nonce, .width = width};
    const struct proof proof = proof_of_row(joined, row, nonces_each);
    const int wanted[] = {protocol_check(demand, one, TEXT, &proof),
                          protocol_check(demand, other, TEXT, &proof)};
    struct pypow_kernel_info info;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (!info.usable)
            continue;
        const int status = pypow_challenge_check_batch(
            reasons, keys, demand->signer_count, demand->now_ms, demand->epoch, demand->weight,
            demand->resource, demand->principal, &texts_in, &nonces_in, nonces_each, count,
            info.name);
        require(status == PYPOW_OK, "batch", info.name);
        for (size_t j = 0; j < count; j++)
            require(reasons[j] == wanted[j % 2], "a verdict of a batch", info.name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t octets[OCTETS], one[TEXT], other[TEXT], joined[LONGEST_NONCES];
    if (text_rows.begin == NULL)
        prepare();
    struct input in = {data, size};
    const bool front = take_below(&in, 2);
    const struct demand demand = take_demand(&in, signers);
    take_octets(octets, &in, &demand);
    protocol_encode(one, octets);
    const struct proof proof = take_proof(joined, &in, puzzles_of(octets));
    if (take_below(&in, 2))
        take_octets(octets, &in, &demand);
    else
        take_flip(octets, &in);
    protocol_encode(other, octets);
    if (take_below(&in, 4) == 3) {
        const uint32_t at = take_below(&in, TEXT);
        other[at] = (uint8_t)take(&in, 1);
    }
    check_batch(one, other, &in, &demand, &proof, front);
    return 0;
}
