/* SPDX-License-Identifier: Apache-2.0 */
/* Which instructions this CPU has and this operating system has switched on. */
#ifndef PYPOW_CPU_H
#define PYPOW_CPU_H

#include <stdbool.h>

/* x86; false elsewhere */
bool pypow_cpu_has_sse41(void); /* with SSSE3 */
bool pypow_cpu_has_avx2(void);
bool pypow_cpu_has_avx512(void); /* F, BW and VL */
bool pypow_cpu_has_sha(void);    /* SHA extensions, with SSE4.1 and SSSE3 */

/* 64-bit ARM; false elsewhere */
bool pypow_cpu_has_neon(void);
bool pypow_cpu_has_armsha(void); /* the four instructions for SHA-256, with NEON */

#endif
