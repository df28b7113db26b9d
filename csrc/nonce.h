/* SPDX-License-Identifier: Apache-2.0 */
/* Nonce encodings: from an index to digits and bytes. */
#ifndef PYPOW_NONCE_H
#define PYPOW_NONCE_H

#include <stdbool.h>

#include "pypow.h"

bool pypow_nonce_valid(const struct pypow_nonce *nonce);

/* base^digits, or 0 where that is 2^64 or more: so that minus one is the highest index. */
uint64_t pypow_nonce_count(const struct pypow_nonce *nonce, uint32_t digits);

/* How many digits the nonce with this index has. */
uint32_t pypow_nonce_digits(const struct pypow_nonce *nonce, uint64_t index);

/* Write an index as `digits` digits, which are enough for it. */
void pypow_nonce_write(uint8_t *bytes, const struct pypow_nonce *nonce, uint32_t digits,
                       uint64_t index);

#endif
