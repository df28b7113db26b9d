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

void pypow_schedule_fold(struct pypow_schedule *schedule, const uint32_t *block,
                         uint64_t varying)
{
    uint32_t w[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        /* Varying words are kept as zero, and so add nothing to the sums of others. */
        w[i] = i < BLOCK_WORDS ? block[i]
                               : small_sigma1(w[i - 2]) + w[i - 7] + small_sigma0(w[i - 15]) +
                                     w[i - 16];
        schedule->uniform[i] = w[i];
        if (varying >> i & 1)
            w[i] = 0;
        schedule->constant[i] = pypow_sha256_k[i] + w[i];
    }
}

void pypow_tail_fold(struct pypow_tail *tail, uint32_t bits)
{
    memset(tail->words, 0, sizeof tail->words);
    tail->words[STATE_WORDS] = UINT32_C(1) << 31;
    tail->words[BLOCK_WORDS - 1] = bits;
    pypow_schedule_fold(&tail->schedule, tail->words, pypow_schedule_varying(TAIL_VARYING));
}

/* Made by the compiler; at run time it would take as long as all the rest. */
static uint64_t varying_with(uint32_t word)
{
    switch (word) {
    case 0: return pypow_schedule_varying(1 << 0);
    case 1: return pypow_schedule_varying(1 << 1);
    case 2: return pypow_schedule_varying(1 << 2);
    case 3: return pypow_schedule_varying(1 << 3);
    case 4: return pypow_schedule_varying(1 << 4);
    case 5: return pypow_schedule_varying(1 << 5);
    case 6: return pypow_schedule_varying(1 << 6);
    case 7: return pypow_schedule_varying(1 << 7);
    case 8: return pypow_schedule_varying(1 << 8);
    case 9: return pypow_schedule_varying(1 << 9);
    case 10: return pypow_schedule_varying(1 << 10);
    case 11: return pypow_schedule_varying(1 << 11);
    case 12: return pypow_schedule_varying(1 << 12);
    case 13: return pypow_schedule_varying(1 << 13);
    case 14: return pypow_schedule_varying(1 << 14);
    default: return pypow_schedule_varying(1 << 15);
    }
}

void pypow_scan_fold(struct pypow_scan *scan)
{
    fold_rounds(scan);
    pypow_schedule_fold(&scan->schedule, scan->block, varying_with(scan->word));
    for (uint32_t i = 1; i <= 3; i++)
        scan->schedule.constant[scan->word + i] += scan->after[STATE_WORDS - i];
}
