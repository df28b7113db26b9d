/* SPDX-License-Identifier: Apache-2.0 */
/* Base64url (RFC 4648, section 5) of whole quads: no padding, and so no bits to spare. */
#ifndef PYPOW_BASE64_H
#define PYPOW_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether every character is one of A-Z a-z 0-9 - _. */
bool pypow_base64_valid(const uint8_t *text, size_t text_len);

/* Turn `quads` times four characters into three octets. False where one is none of base64url. */
bool pypow_base64_decode(uint8_t *octets, const uint8_t *text, size_t quads);

#endif
