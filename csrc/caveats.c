/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the caveats of a macaroon permit. Each is a condition and a value, joined by "=". One that
 * nobody here knows is refused, and a condition that is repeated may only be narrower than before:
 * so whatever the last says holds, and every caveat is held against the call.
 */
#include <string.h>

#include "macaroon.h"

enum condition {
    SERVICES,
    VALID_UNTIL,
    CAPABILITIES,
    USES,
    AUDIENCE,
    TOOL,
    BODY,
    HOLDER,
    PREIMAGE,
    CONDITIONS
};

enum { MAX_TIER = 255, TIME_DIGITS = 15, THUMBPRINT_TEXT = 43 };

/* A caveat among those that were read before it. */
struct reading {
    struct pypow_conditions *conditions;
    const struct pypow_macaroon_expected *expected;
    int64_t now_s;
    struct pypow_text value;
    struct pypow_text before; /* the condition's last value, or no length */
    bool repeated;
};

static bool equal(struct pypow_text one, struct pypow_text other)
{
    return one.len == other.len && (one.len == 0 || memcmp(one.at, other.at, one.len) == 0);
}

/* What comes before the first such character; `rest` is what comes after it. */
static bool split(struct pypow_text *first, struct pypow_text *rest, struct pypow_text text, char at)
{
    const uint8_t *found = memchr(text.at, at, text.len);
    if (found == NULL)
        return false;
    *first = (struct pypow_text){text.at, (size_t)(found - text.at)};
    *rest = (struct pypow_text){found + 1, text.len - first->len - 1};
    return true;
}

/* Take the next entry off a list; false past its end. An empty text is a list of one. */
static bool next(struct pypow_text *entry, struct pypow_text *list)
{
    if (list->at == NULL)
        return false;
    if (!split(entry, list, *list, ',')) {
        *entry = *list;
        list->at = NULL;
    }
    return true;
}

/* A decimal number without sign or leading zeros. */
static bool number(uint64_t *value, struct pypow_text text, size_t most_digits)
{
    *value = 0;
    if (text.len < 1 || text.len > most_digits || (text.len > 1 && text.at[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(text.at[i] - '0');
    }
    return true;
}

static bool read_service(struct pypow_text *name, uint32_t *tier, struct pypow_text entry)
{
    struct pypow_text digits;
    uint64_t value;
    if (!split(name, &digits, entry, ':') || name->len == 0 || !number(&value, digits, 3))
        return false;
    *tier = (uint32_t)value;
    return value <= MAX_TIER;
}

/* The tier of the first service of this name in a list that was read. */
static bool find_service(uint32_t *tier, struct pypow_text list, struct pypow_text name)
{
    struct pypow_text entry, found;
    while (next(&entry, &list))
        if (read_service(&found, tier, entry) && equal(found, name))
            return true;
    return false;
}

static enum pypow_macaroon_reason judge_services(struct reading *reading)
{
    struct pypow_text list = reading->value, entry, name;
    uint32_t tier, before;
    for (uint32_t count = 0; next(&entry, &list); count++) {
        if (count == PYPOW_MAX_LISTED || !read_service(&name, &tier, entry))
            return PYPOW_MACAROON_BAD_CAVEAT;
        if (reading->repeated &&
            (!find_service(&before, reading->before, name) || tier > before))
            return PYPOW_MACAROON_WIDENED;
    }
    return find_service(&reading->conditions->tier, reading->value, reading->expected->service)
               ? PYPOW_MACAROON_STANDS
               : PYPOW_MACAROON_WRONG_SERVICE;
}

static enum pypow_macaroon_reason judge_valid_until(struct reading *reading)
{
    uint64_t *const last = &reading->conditions->valid_until, value;
    if (!number(&value, reading->value, TIME_DIGITS))
        return PYPOW_MACAROON_BAD_CAVEAT;
    if (reading->repeated && value > *last)
        return PYPOW_MACAROON_WIDENED;
    *last = value;
    return reading->now_s < (int64_t)value ? PYPOW_MACAROON_STANDS : PYPOW_MACAROON_EXPIRED;
}

static bool lists(struct pypow_text list, struct pypow_text name)
{
    struct pypow_text entry;
    while (next(&entry, &list))
        if (equal(entry, name))
            return true;
    return false;
}

/* No capability at all is an empty list, as aperture writes it. */
static enum pypow_macaroon_reason judge_capabilities(struct reading *reading)
{
    const struct pypow_text wanted = reading->expected->capability;
    struct pypow_text list = reading->value, entry;
    for (uint32_t count = 0; next(&entry, &list); count++) {
        if (count == PYPOW_MAX_LISTED || (entry.len == 0 && reading->value.len > 0))
            return PYPOW_MACAROON_BAD_CAVEAT;
        if (reading->repeated && entry.len > 0 && !lists(reading->before, entry))
            return PYPOW_MACAROON_WIDENED;
    }
    return wanted.len > 0 && lists(reading->value, wanted) ? PYPOW_MACAROON_STANDS
                                                           : PYPOW_MACAROON_WRONG_CAPABILITY;
}

static enum pypow_macaroon_reason judge_uses(struct reading *reading)
{
    uint32_t *const last = &reading->conditions->uses;
    uint64_t value;
    if (!number(&value, reading->value, 10) || value < 1 || value > UINT32_MAX)
        return PYPOW_MACAROON_BAD_CAVEAT;
    if (reading->repeated && value > *last)
        return PYPOW_MACAROON_WIDENED;
    *last = (uint32_t)value;
    return PYPOW_MACAROON_STANDS;
}

/* Whether one host and path is the other, or lies beneath it. */
static bool is_within(struct pypow_text place, struct pypow_text whole)
{
    if (place.len < whole.len || memcmp(place.at, whole.at, whole.len) != 0)
        return false;
    return place.len == whole.len || whole.at[whole.len - 1] == '/' || place.at[whole.len] == '/';
}

static enum pypow_macaroon_reason judge_audience(struct reading *reading)
{
    if (reading->value.len == 0)
        return PYPOW_MACAROON_BAD_CAVEAT;
    if (reading->repeated && !is_within(reading->value, reading->before))
        return PYPOW_MACAROON_WIDENED;
    return is_within(reading->expected->audience, reading->value) ? PYPOW_MACAROON_STANDS
                                                                 : PYPOW_MACAROON_WRONG_AUDIENCE;
}

/* A condition that names just one thing: repeated, it can only say the same. */
static enum pypow_macaroon_reason judge_one(const struct reading *reading,
                                            struct pypow_text wanted,
                                            enum pypow_macaroon_reason otherwise)
{
    if (reading->repeated && !equal(reading->value, reading->before))
        return PYPOW_MACAROON_WIDENED;
    return equal(reading->value, wanted) ? PYPOW_MACAROON_STANDS : otherwise;
}

static enum pypow_macaroon_reason judge_tool(struct reading *reading)
{
    if (reading->value.len == 0)
        return PYPOW_MACAROON_BAD_CAVEAT;
    return judge_one(reading, reading->expected->tool, PYPOW_MACAROON_WRONG_TOOL);
}

static enum pypow_macaroon_reason judge_body(struct reading *reading)
{
    uint8_t digest[PYPOW_DIGEST_BYTES];
    if (reading->value.len != 2 * PYPOW_DIGEST_BYTES ||
        !pypow_hex_decode(digest, reading->value.at, PYPOW_DIGEST_BYTES))
        return PYPOW_MACAROON_BAD_CAVEAT;
    return judge_one(reading, reading->expected->body, PYPOW_MACAROON_WRONG_BODY);
}

static enum pypow_macaroon_reason judge_holder(struct reading *reading)
{
    if (reading->value.len != THUMBPRINT_TEXT)
        return PYPOW_MACAROON_BAD_CAVEAT;
    return judge_one(reading, reading->expected->holder, PYPOW_MACAROON_WRONG_HOLDER);
}

/* Whether it is right is looked at when all else is. */
static enum pypow_macaroon_reason judge_preimage(struct reading *reading)
{
    uint8_t preimage[PYPOW_DIGEST_BYTES];
    if (reading->value.len != 2 * PYPOW_DIGEST_BYTES ||
        !pypow_hex_decode(preimage, reading->value.at, PYPOW_DIGEST_BYTES))
        return PYPOW_MACAROON_BAD_CAVEAT;
    return judge_one(reading, reading->value, PYPOW_MACAROON_STANDS);
}

/* A condition's name, which may begin with that of the service. */
static const struct row {
    const char *name;
    uint32_t name_len;
    bool of_service;
    enum pypow_macaroon_reason (*judge)(struct reading *reading);
} rows[CONDITIONS] = {
#define ROW(name, of_service, judge) {name, sizeof name - 1, of_service, judge}
    [SERVICES] = ROW("services", false, judge_services),
    [VALID_UNTIL] = ROW("_valid_until", true, judge_valid_until),
    [CAPABILITIES] = ROW("_capabilities", true, judge_capabilities),
    [USES] = ROW("pypow_uses", false, judge_uses),
    [AUDIENCE] = ROW("pypow_audience", false, judge_audience),
    [TOOL] = ROW("pypow_tool", false, judge_tool),
    [BODY] = ROW("pypow_body", false, judge_body),
    [HOLDER] = ROW("pypow_cnf", false, judge_holder),
    [PREIMAGE] = ROW("preimage", false, judge_preimage),
#undef ROW
};

static bool is_named(const struct row *row, struct pypow_text name, struct pypow_text service)
{
    const size_t before = row->of_service ? service.len : 0;
    return name.len == before + row->name_len && memcmp(name.at, service.at, before) == 0 &&
           memcmp(name.at + before, row->name, row->name_len) == 0;
}

static enum condition find_condition(struct pypow_text name, struct pypow_text service)
{
    uint32_t i = 0;
    while (i < CONDITIONS && !is_named(&rows[i], name, service))
        i++;
    return (enum condition)i;
}

static enum pypow_macaroon_reason judge(struct reading *reading, struct pypow_text caveat)
{
    struct pypow_text name;
    if (!split(&name, &reading->value, caveat, '='))
        return PYPOW_MACAROON_UNKNOWN_CAVEAT;
    const enum condition condition = find_condition(name, reading->expected->service);
    if (condition == CONDITIONS)
        return PYPOW_MACAROON_UNKNOWN_CAVEAT;
    struct pypow_text *const last = &reading->conditions->last[condition];
    reading->before = *last;
    reading->repeated = last->at != NULL;
    *last = reading->value;
    return rows[condition].judge(reading);
}

enum pypow_macaroon_reason pypow_caveats_judge(struct pypow_conditions *conditions,
                                               const struct pypow_macaroon *macaroon,
                                               const struct pypow_macaroon_expected *expected,
                                               int64_t now_s)
{
    struct reading reading = {.conditions = conditions, .expected = expected, .now_s = now_s};
    *conditions = (struct pypow_conditions){0};
    for (uint32_t i = 0; i < macaroon->caveat_count; i++) {
        const enum pypow_macaroon_reason reason = judge(&reading, macaroon->caveats[i]);
        if (reason != PYPOW_MACAROON_STANDS)
            return reason;
    }
    return conditions->last[SERVICES].at == NULL || conditions->last[VALID_UNTIL].at == NULL
               ? PYPOW_MACAROON_MISSING_CAVEAT
               : PYPOW_MACAROON_STANDS;
}

struct pypow_text pypow_caveats_preimage(const struct pypow_conditions *conditions)
{
    return conditions->last[PREIMAGE];
}
