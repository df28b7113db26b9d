/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar set-up of a scan: everything that does not depend on the varying word. */
#include <string.h>

#include "kernel.h"

struct state {
    uint32_t a, b, c, d, e, f, g, h;
};

/* One round (FIPS 180-4, 6.2.2); `kw` is K + W. */
static struct state advance(struct state v, uint32_t kw)
{
    const uint32_t t1 = v.h + big_sigma1(v.e) + ch32(v.e, v.f, v.g) + kw;
    const uint32_t t2 = big_sigma0(v.a) + maj32(v.a, v.b, v.c);
    return (struct state){t1 + t2, v.a, v.b, v.c, v.d + t1, v.e, v.f, v.g};
}

static void fold_rounds(struct pypow_scan *scan)
{
    struct state v;
    memcpy(&v, scan->chain, sizeof v);
    for (uint32_t i = 0; i <= scan->word; i++) {
        if (i % 4 == 0)
            memcpy(scan->quad, &v, sizeof v);
        v = advance(v, pypow_sha256_k[i] + scan->block[i]);
    }
    memcpy(scan->after, &v, sizeof v);
}

static void fold_schedule(struct pypow_scan *scan)
{
    uint32_t w[ROUNDS];
    memcpy(w, scan->block, sizeof scan->block);
    w[scan->word] = 0;
    for (int i = BLOCK_WORDS; i < ROUNDS; i++) {
        /* Varying words are kept as zero, and so add nothing to the sums of others. */
        const uint32_t sum =
            small_sigma1(w[i - 2]) + w[i - 7] + small_sigma0(w[i - 15]) + w[i - 16];
        scan->uniform[i] = sum;
        w[i] = scan->varying >> i & 1 ? 0 : sum;
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
        scan->constant[scan->word + i] += scan->after[STATE_WORDS - i];
}
