/* SPDX-License-Identifier: Apache-2.0 */
/* When a digest wins, and the one-word filter that kernels use to find candidates. */
#ifndef PYPOW_RULE_H
#define PYPOW_RULE_H

#include <stdbool.h>

#include "pypow.h"

/* Passes when ((H[word] ^ value) & mask) == 0. Every winning digest passes; so may others. */
struct pypow_filter {
    uint32_t word; /* 0..7, which word of the digest */
    uint32_t value;
    uint32_t mask;
};

/* False for an unknown type, and for a rule that no digest can meet by its form. */
bool pypow_rule_valid(const struct pypow_rule *rule);

bool pypow_rule_wins(const struct pypow_rule *rule, const uint8_t *digest);

struct pypow_filter pypow_rule_filter(const struct pypow_rule *rule);

#endif
