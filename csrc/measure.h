/* SPDX-License-Identifier: Apache-2.0 */
/* How fast kernels are here and now. */
#ifndef PYPOW_MEASURE_H
#define PYPOW_MEASURE_H

#include "kernel.h"

/* The best of several short tries, at least 1; zero where the kernel is not usable. */
struct pypow_speed {
    uint64_t hashes_per_s; /* grinding a range of nonces */
    uint64_t blocks_per_s; /* advancing one message */
};

/* Measure each of `count` kernels; less than 2 ms on a CPU that can run a wide one. */
void pypow_measure(struct pypow_speed *speeds, const struct pypow_kernel *const *kernels,
                   uint32_t count);

#endif
