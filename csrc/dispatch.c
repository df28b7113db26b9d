/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kernels, and the choice among them. */
#include <string.h>

#include "kernel.h"

/* Best measured first; the last one must run everywhere. */
static const struct pypow_kernel *const kernels[] = {
#if defined(__x86_64__)
    &pypow_kernel_avx512,
    &pypow_kernel_shani,
    &pypow_kernel_shani_vl,
    &pypow_kernel_avx2,
    &pypow_kernel_sse41,
#endif
    &pypow_kernel_scalar,
};

enum { KERNELS = sizeof kernels / sizeof kernels[0] };

int pypow_kernel_at(struct pypow_kernel_info *info, uint32_t index)
{
    if (index >= KERNELS)
        return PYPOW_NOT_FOUND;
    const struct pypow_kernel *kernel = kernels[index];
    info->name = kernel->name;
    info->lanes = kernel->lanes;
    info->usable = kernel->usable();
    return PYPOW_OK;
}

int pypow_kernel_choose(const struct pypow_kernel **kernel, const char *name)
{
    for (uint32_t i = 0; i < KERNELS; i++) {
        const bool wanted = name == NULL || strcmp(name, kernels[i]->name) == 0;
        if (wanted && kernels[i]->usable()) {
            *kernel = kernels[i];
            return PYPOW_OK;
        }
    }
    return PYPOW_NO_KERNEL;
}

pypow_compress *pypow_kernel_compress(void)
{
#if defined(__x86_64__)
    if (pypow_kernel_shani.usable())
        return pypow_kernel_shani.compress;
#endif
    return pypow_kernel_scalar.compress;
}
