/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: exact comparison of whole digests, and the word by which kernels preselect. */
#include "rule.h"

#include "sha256.h"

bool pypow_rule_valid(const struct pypow_rule *rule)
{
    if (rule->type != PYPOW_MASKED)
        return rule->type <= PYPOW_AT_LEAST && rule->little <= 1;
    for (int i = 0; i < PYPOW_DIGEST_BYTES; i++)
        if (rule->value[i] & ~rule->mask[i])
            return false;
    return true;
}

static int compare(const uint8_t *digest, const uint8_t *value, bool little)
{
    for (int i = 0; i < PYPOW_DIGEST_BYTES; i++) {
        const int difference = digest[little ? PYPOW_DIGEST_BYTES - 1 - i : i] - value[i];
        if (difference != 0)
            return difference;
    }
    return 0;
}

bool pypow_rule_wins(const struct pypow_rule *rule, const uint8_t *digest)
{
    if (rule->type == PYPOW_AT_MOST)
        return compare(digest, rule->value, rule->little) <= 0;
    if (rule->type == PYPOW_AT_LEAST)
        return compare(digest, rule->value, rule->little) >= 0;
    for (int i = 0; i < PYPOW_DIGEST_BYTES; i++)
        if ((digest[i] & rule->mask[i]) != rule->value[i])
            return false;
    return true;
}

/* A mask of the leading bits of `x` that are all zero. */
static uint32_t leading_zeros(uint32_t x)
{
    uint32_t mask = UINT32_MAX;
    for (; x != 0; x >>= 1)
        mask <<= 1;
    return mask;
}

static struct pypow_filter threshold_filter(const struct pypow_rule *rule)
{
    const uint32_t top = load_be32(rule->value);
    const bool at_most = rule->type == PYPOW_AT_MOST;
    struct pypow_filter filter = {.word = 0, .mask = leading_zeros(at_most ? top : ~top)};
    filter.value = at_most ? 0 : filter.mask;
    if (rule->little) {
        filter.word = STATE_WORDS - 1;
        filter.value = __builtin_bswap32(filter.value);
        filter.mask = __builtin_bswap32(filter.mask);
    }
    return filter;
}

static int weight(const struct pypow_rule *rule, uint32_t word)
{
    return __builtin_popcount(load_be32(rule->mask + 4 * word));
}

static struct pypow_filter masked_filter(const struct pypow_rule *rule)
{
    /* Kernels are fastest at the first word, then the last: these two win ties. */
    static const uint8_t preference[STATE_WORDS] = {0, 7, 1, 2, 3, 4, 5, 6};
    uint32_t word = 0;
    for (int i = 1; i < STATE_WORDS; i++)
        if (weight(rule, preference[i]) > weight(rule, word))
            word = preference[i];
    return (struct pypow_filter){
        .word = word,
        .value = load_be32(rule->value + 4 * word),
        .mask = load_be32(rule->mask + 4 * word),
    };
}

struct pypow_filter pypow_rule_filter(const struct pypow_rule *rule)
{
    return rule->type == PYPOW_MASKED ? masked_filter(rule) : threshold_filter(rule);
}
