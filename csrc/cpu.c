/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU facts: on x86 from CPUID and XCR0 (Intel SDM volume 1, chapters 13 and 14.3; volume 2,
 * CPUID), on ARM from the operating system (Linux: Documentation/arch/arm64/elf_hwcaps.rst).
 *
 * Not __builtin_cpu_supports: some packaged compilers link a runtime for which it answers "no"
 * on a CPU that has the instructions.
 */
#include "cpu.h"

#include <stdatomic.h>
#include <stdint.h>

enum {
    ASKED = 1,
    HAS_AVX2 = 2,
    HAS_AVX512 = 4,
    HAS_SHA = 8,
    HAS_SSE41 = 16,
    HAS_NEON = 32,
    HAS_ARMSHA = 64,
};

#if defined(__x86_64__)

#include <cpuid.h>

/* CPUID.1:ECX */
#define SSSE3_BIT (UINT32_C(1) << 9)
#define SSE41_BIT (UINT32_C(1) << 19)
#define OSXSAVE_BIT (UINT32_C(1) << 27)
/* CPUID.7.0:EBX */
#define AVX2_BIT (UINT32_C(1) << 5)
#define AVX512F_BIT (UINT32_C(1) << 16)
#define SHA_BIT (UINT32_C(1) << 29)
#define AVX512BW_BIT (UINT32_C(1) << 30)
#define AVX512VL_BIT (UINT32_C(1) << 31)
/* XCR0: state the operating system saves and restores */
#define YMM_STATE UINT32_C(0x06)
#define ZMM_STATE UINT32_C(0xe6)

static bool all(uint32_t set, uint32_t wanted) { return (set & wanted) == wanted; }

static uint32_t saved_state(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static uint32_t ask(void)
{
    uint32_t eax, ebx, ecx, edx, features;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return 0;
    const uint32_t saved = all(ecx, OSXSAVE_BIT) ? saved_state() : 0;
    features = all(ecx, SSSE3_BIT | SSE41_BIT) ? HAS_SSE41 : 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return features;
    if (all(ebx, AVX2_BIT) && all(saved, YMM_STATE))
        features |= HAS_AVX2;
    if (all(ebx, AVX512F_BIT | AVX512BW_BIT | AVX512VL_BIT) && all(saved, ZMM_STATE))
        features |= HAS_AVX512;
    if (all(ebx, SHA_BIT) && (features & HAS_SSE41) != 0)
        features |= HAS_SHA;
    return features;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

static uint32_t ask(void)
{
    const unsigned long features = getauxval(AT_HWCAP);
    if ((features & HWCAP_ASIMD) == 0)
        return 0;
    return HAS_NEON | ((features & HWCAP_SHA2) != 0 ? HAS_ARMSHA : 0);
}

#else

static uint32_t ask(void) { return 0; }

#endif

/* CPUID traps to the hypervisor in a virtual machine (microseconds), hence asked once. */
static bool has(uint32_t feature)
{
    static _Atomic uint32_t answer;
    uint32_t known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == 0) {
        known = ask() | ASKED;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return (known & feature) != 0;
}

bool pypow_cpu_has_sse41(void) { return has(HAS_SSE41); }
bool pypow_cpu_has_avx2(void) { return has(HAS_AVX2); }
bool pypow_cpu_has_avx512(void) { return has(HAS_AVX512); }
bool pypow_cpu_has_sha(void) { return has(HAS_SHA); }
bool pypow_cpu_has_neon(void) { return has(HAS_NEON); }
bool pypow_cpu_has_armsha(void) { return has(HAS_ARMSHA); }
