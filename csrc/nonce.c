/* SPDX-License-Identifier: Apache-2.0 */
/* Nonce encodings: the digits of a number, each written as one byte. */
#include "nonce.h"

bool pypow_nonce_valid(const struct pypow_nonce *nonce)
{
    bool seen[256] = {false};
    if (nonce->base < 2 || nonce->base > 256 || nonce->width > PYPOW_MAX_NONCE_BYTES)
        return false;
    if (nonce->little > 1 || (nonce->little && nonce->width == 0))
        return false;
    for (uint32_t i = 0; i < nonce->base; i++) {
        if (seen[nonce->symbols[i]])
            return false;
        seen[nonce->symbols[i]] = true;
    }
    return true;
}

uint64_t pypow_nonce_count(const struct pypow_nonce *nonce, uint32_t digits)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(count, nonce->base, &count))
            return 0;
    return count;
}

uint32_t pypow_nonce_digits(const struct pypow_nonce *nonce, uint64_t index)
{
    if (nonce->width != 0)
        return nonce->width;
    uint32_t digits = 1;
    while ((index /= nonce->base) != 0)
        digits++;
    return digits;
}

static inline void write_digits(uint8_t *bytes, const struct pypow_nonce *nonce, uint32_t base,
                                uint32_t digits, uint64_t index)
{
    for (uint32_t i = 0; i < digits; i++) {
        bytes[nonce->little ? i : digits - 1 - i] = nonce->symbols[index % base];
        index /= base;
    }
}

void pypow_nonce_write(uint8_t *bytes, const struct pypow_nonce *nonce, uint32_t digits,
                       uint64_t index)
{
    /* A base known to the compiler saves it the divisions. */
    switch (nonce->base) {
    case 10: write_digits(bytes, nonce, 10, digits, index); break;
    case 16: write_digits(bytes, nonce, 16, digits, index); break;
    case 256: write_digits(bytes, nonce, 256, digits, index); break;
    default: write_digits(bytes, nonce, nonce->base, digits, index); break;
    }
}

int pypow_nonce_encode(uint8_t *encoded, size_t *encoded_len, const struct pypow_nonce *nonce,
                       uint64_t index)
{
    if (!pypow_nonce_valid(nonce))
        return PYPOW_BAD_ARGUMENT;
    const uint32_t digits = pypow_nonce_digits(nonce, index);
    if (index > pypow_nonce_count(nonce, digits) - 1)
        return PYPOW_BAD_ARGUMENT;
    pypow_nonce_write(encoded, nonce, digits, index);
    *encoded_len = digits;
    return PYPOW_OK;
}
