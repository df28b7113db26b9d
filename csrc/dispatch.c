/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of kernels, ordered by what they are measured to do at first need, and the choice
 * among them: which one is fastest differs from CPU to CPU.
 */
#include <stdatomic.h>
#include <string.h>

#include "measure.h"

static const struct pypow_kernel *const kernels[] = {
#if defined(__x86_64__)
    &pypow_kernel_avx512,
    &pypow_kernel_shani,
    &pypow_kernel_shani_vl,
    &pypow_kernel_avx2,
    &pypow_kernel_sse41,
#endif
#if defined(PYPOW_ARMSHA)
    &pypow_kernel_armsha,
#endif
#if defined(__AARCH64EL__)
    &pypow_kernel_neon,
#endif
    &pypow_kernel_scalar,
};

enum { KERNELS = sizeof kernels / sizeof kernels[0] };

/*
 * What was measured, and whether all of it was: zero is not yet, or not usable. Each figure is
 * set once. Threads that need them at the same time may each measure, and for each figure the
 * first to set it decides for all, so that there is one order. No lock, which a fork could copy
 * while it is held.
 */
static _Atomic uint64_t hashes_per_s[KERNELS], blocks_per_s[KERNELS];
static _Atomic bool measured;

static void set_once(_Atomic uint64_t *figure, uint64_t value)
{
    uint64_t unset = 0;
    atomic_compare_exchange_strong(figure, &unset, value);
}

static void measure_once(void)
{
    struct pypow_speed speeds[KERNELS];
    if (atomic_load_explicit(&measured, memory_order_acquire))
        return;
    pypow_measure(speeds, kernels, KERNELS);
    for (uint32_t i = 0; i < KERNELS; i++) {
        set_once(&hashes_per_s[i], speeds[i].hashes_per_s);
        set_once(&blocks_per_s[i], speeds[i].blocks_per_s);
    }
    atomic_store_explicit(&measured, true, memory_order_release);
}

/* The place in the order of the kernel with this number: how many are faster. */
static uint32_t place(uint32_t number)
{
    uint32_t faster = 0;
    for (uint32_t i = 0; i < KERNELS; i++)
        faster += hashes_per_s[i] > hashes_per_s[number] ||
                  (hashes_per_s[i] == hashes_per_s[number] && i < number);
    return faster;
}

static uint32_t fastest(_Atomic uint64_t *figures)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < KERNELS; i++)
        if (figures[i] > figures[best])
            best = i;
    return best;
}

int pypow_kernel_at(struct pypow_kernel_info *info, uint32_t index)
{
    if (index >= KERNELS)
        return PYPOW_NOT_FOUND;
    measure_once();
    uint32_t number = 0;
    while (place(number) != index)
        number++;
    info->name = kernels[number]->name;
    info->lanes = kernels[number]->lanes;
    info->usable = kernels[number]->usable();
    info->hashes_per_s = hashes_per_s[number];
    return PYPOW_OK;
}

int pypow_kernel_choose(const struct pypow_kernel **kernel, const char *name)
{
    if (name == NULL) {
        measure_once();
        *kernel = kernels[fastest(hashes_per_s)];
        return PYPOW_OK;
    }
    for (uint32_t i = 0; i < KERNELS; i++) {
        if (strcmp(name, kernels[i]->name) == 0 && kernels[i]->usable()) {
            *kernel = kernels[i];
            return PYPOW_OK;
        }
    }
    return PYPOW_NO_KERNEL;
}

pypow_compress *pypow_kernel_compress(void)
{
    measure_once();
    return kernels[fastest(blocks_per_s)]->compress;
}
