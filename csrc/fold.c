/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar set-up of a scan: everything that does not depend on the varying word. */
#include <string.h>

#include "kernel.h"

enum { A, B, C, D, E, F, G, H };

/* One round (FIPS 180-4, 6.2.2); `kw` is K + W. */
static void advance(uint32_t *v, uint32_t kw)
{
    const uint32_t t1 = v[H] + big_sigma1(v[E]) + ch32(v[E], v[F], v[G]) + kw;
    const uint32_t t2 = big_sigma0(v[A]) + maj32(v[A], v[B], v[C]);
    memmove(v + 1, v, 7 * sizeof *v);
    v[E] += t1;
    v[A] = t1 + t2;
}

static void fold_rounds(struct pypow_scan *scan)
{
    uint32_t v[STATE_WORDS];
    memcpy(v, scan->chain, sizeof v);
    for (uint32_t i = 0; i <= scan->word; i++) {
        if (i % 4 == 0)
            memcpy(scan->quad, v, sizeof v);
        advance(v, pypow_sha256_k[i] + scan->block[i]);
    }
    memcpy(scan->after, v, sizeof v);
}

static void fold_schedule(struct pypow_scan *scan)
{
    const uint64_t varying = pypow_scan_varying(scan->word);
    uint32_t w[ROUNDS];
    memcpy(w, scan->block, sizeof scan->block);
    w[scan->word] = 0;
    for (int i = BLOCK_WORDS; i < ROUNDS; i++) {
        /* Varying words are kept as zero, and so add nothing to the sums of others. */
        const uint32_t sum =
            small_sigma1(w[i - 2]) + w[i - 7] + small_sigma0(w[i - 15]) + w[i - 16];
        scan->uniform[i] = sum;
        w[i] = varying >> i & 1 ? 0 : sum;
    }
    for (int i = 0; i < ROUNDS; i++)
        scan->constant[i] = pypow_sha256_k[i] + w[i];
}

void pypow_scan_fold(struct pypow_scan *scan)
{
    fold_rounds(scan);
    fold_schedule(scan);
    /* In the three rounds after the varying word, h is still a value from before it. */
    for (uint32_t i = 1; i <= 3; i++)
        scan->constant[scan->word + i] += scan->after[H + 1 - i];
}
