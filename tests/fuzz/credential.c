/* SPDX-License-Identifier: Apache-2.0 */
#include "credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END, LOCATION_FIELD, IDENTIFIER_FIELD, VERIFICATION_FIELD = 4, SIGNATURE_FIELD = 6 };

void bytes_add(struct bytes *bytes, const void *more, size_t len)
{
    if (len > sizeof bytes->at - bytes->len)
        len = sizeof bytes->at - bytes->len;
    memcpy(bytes->at + bytes->len, more, len);
    bytes->len += len;
}

void bytes_say(struct bytes *bytes, const char *words) { bytes_add(bytes, words, strlen(words)); }

bool bytes_are(const struct bytes *bytes, const void *other, size_t len)
{
    return bytes->len == len && memcmp(bytes->at, other, len) == 0;
}

static bool same(const struct bytes *one, const struct bytes *other)
{
    return bytes_are(one, other->at, other->len);
}

static void write_octet(struct bytes *octets, size_t octet)
{
    bytes_add(octets, &(uint8_t){(uint8_t)octet}, 1);
}

static void write_field(struct bytes *octets, uint8_t type, const struct bytes *field)
{
    write_octet(octets, type);
    if (field->len >= 128)
        write_octet(octets, field->len % 128 + 128);
    write_octet(octets, field->len >= 128 ? field->len / 128 : field->len);
    bytes_add(octets, field->at, field->len);
}

void credential_write(struct bytes *octets, const struct macaroon *macaroon)
{
    octets->len = 0;
    write_octet(octets, 2);
    write_field(octets, LOCATION_FIELD, &macaroon->location);
    write_field(octets, IDENTIFIER_FIELD, &macaroon->identifier);
    write_octet(octets, END);
    for (uint32_t i = 0; i < macaroon->caveat_count; i++) {
        const struct caveat *caveat = &macaroon->caveats[i];
        if (caveat->has_location)
            write_field(octets, LOCATION_FIELD, &caveat->location);
        write_field(octets, IDENTIFIER_FIELD, &caveat->identifier);
        if (caveat->has_verification)
            write_field(octets, VERIFICATION_FIELD, &caveat->verification);
        write_octet(octets, END);
    }
    write_octet(octets, END);
    write_field(octets, SIGNATURE_FIELD, &macaroon->signature);
}

static void hmac(uint8_t *mac, const void *key, size_t key_len, const void *message, size_t len)
{
    const struct reference_hmac prepared = reference_hmac_key(key, key_len);
    reference_hmac(mac, &prepared, message, len);
}

bool credential_sign(uint8_t *signature, const struct macaroon *macaroon,
                     const struct wanted *wanted)
{
    static const char generator[] = "macaroons-key-generator";
    const struct bytes *identifier = &macaroon->identifier;
    uint8_t key[REFERENCE_DIGEST];
    const uint32_t id = identifier->at[34] * 256U + identifier->at[35];
    if (id >= wanted->key_count)
        return false;
    reference_hmac(key, &wanted->keys[id], identifier->at, identifier->len);
    hmac(key, generator, sizeof generator - 1, key, sizeof key);
    hmac(signature, key, sizeof key, identifier->at, identifier->len);
    for (uint32_t i = 0; i < macaroon->caveat_count; i++) {
        const struct bytes *caveat = &macaroon->caveats[i].identifier;
        memcpy(key, signature, sizeof key);
        hmac(signature, key, sizeof key, caveat->at, caveat->len);
    }
    return true;
}

static int value_of(const char *alphabet, uint8_t c)
{
    const char *found = c == 0 ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

static int hex_value(uint8_t c)
{
    const int upper = value_of("0123456789ABCDEF", c);
    return upper >= 0 ? upper : value_of("0123456789abcdef", c);
}

static bool read_hex(struct bytes *octets, const uint8_t *text, size_t text_len)
{
    octets->len = 0;
    for (size_t i = 0; i + 1 < text_len; i += 2) {
        const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
        if (high < 0 || low < 0 || octets->len == LONGEST_MACAROON)
            return false;
        write_octet(octets, (size_t)high * 16 + (size_t)low);
    }
    return text_len % 2 == 0;
}

static int base64_value(uint8_t c)
{
    static const char standard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return c == '-' ? 62 : c == '_' ? 63 : value_of(standard, c);
}

/* Bit by bit. */
static bool read_base64(struct bytes *octets, const uint8_t *text, size_t text_len)
{
    uint32_t bits = 0, held = 0;
    octets->len = 0;
    if (text_len % 4 == 0 && text_len > 0 && text[text_len - 1] == '=') {
        text_len--;
        if (text[text_len - 1] == '=')
            text_len--;
    }
    for (size_t i = 0; i < text_len; i++) {
        const int six = base64_value(text[i]);
        if (six < 0)
            return false;
        for (int bit = 5; bit >= 0; bit--) {
            held = held * 2 + ((uint32_t)six >> bit & 1);
            if (++bits < 8)
                continue;
            if (octets->len == LONGEST_MACAROON)
                return false;
            write_octet(octets, held);
            bits = held = 0;
        }
    }
    return text_len % 4 != 1 && held == 0;
}

/* What is left of a macaroon's octets. */
struct rest {
    const uint8_t *at;
    size_t len;
};

static int read_octet(struct rest *rest)
{
    if (rest->len == 0)
        return -1;
    rest->len--;
    return *rest->at++;
}

static int coming(const struct rest *rest) { return rest->len == 0 ? -1 : *rest->at; }

static bool read_field(struct bytes *field, struct rest *rest, int type)
{
    field->len = 0;
    if (read_octet(rest) != type)
        return false;
    int len = read_octet(rest);
    if (len >= 128) {
        const int more = read_octet(rest);
        if (more < 1 || more > 127)
            return false;
        len += 128 * (more - 1);
    }
    if (len < 0 || (size_t)len > rest->len)
        return false;
    bytes_add(field, rest->at, (size_t)len);
    rest->at += len;
    rest->len -= (size_t)len;
    return true;
}

static bool read_caveat(struct caveat *caveat, struct rest *rest)
{
    caveat->location.len = caveat->verification.len = 0;
    if (coming(rest) == LOCATION_FIELD && !read_field(&caveat->location, rest, LOCATION_FIELD))
        return false;
    if (!read_field(&caveat->identifier, rest, IDENTIFIER_FIELD))
        return false;
    if (coming(rest) == VERIFICATION_FIELD &&
        !read_field(&caveat->verification, rest, VERIFICATION_FIELD))
        return false;
    return read_octet(rest) == END;
}

static bool read_octets(struct macaroon *macaroon, const struct bytes *octets)
{
    struct rest rest = {octets->at, octets->len};
    macaroon->location.len = macaroon->caveat_count = 0;
    if (read_octet(&rest) != 2)
        return false;
    if (coming(&rest) == LOCATION_FIELD && !read_field(&macaroon->location, &rest, LOCATION_FIELD))
        return false;
    if (!read_field(&macaroon->identifier, &rest, IDENTIFIER_FIELD) || read_octet(&rest) != END)
        return false;
    while (coming(&rest) != END) {
        if (macaroon->caveat_count == MOST_CAVEATS ||
            !read_caveat(&macaroon->caveats[macaroon->caveat_count++], &rest))
            return false;
    }
    read_octet(&rest);
    return read_field(&macaroon->signature, &rest, SIGNATURE_FIELD) && rest.len == 0 &&
           macaroon->signature.len == REFERENCE_DIGEST;
}

static bool read_form(struct bytes *octets, const uint8_t *text, size_t text_len)
{
    if (text_len > 0 && text[0] == '0')
        return read_hex(octets, text, text_len);
    if (text_len == 0 || text[0] != 2)
        return read_base64(octets, text, text_len);
    octets->len = 0;
    bytes_add(octets, text, text_len);
    return text_len <= LONGEST_MACAROON;
}

static int read_text(struct macaroon *macaroon, const uint8_t *text, size_t text_len)
{
    static struct bytes octets;
    const bool read = read_form(&octets, text, text_len);
    if (!read || !read_octets(macaroon, &octets))
        return PYPOW_MACAROON_MALFORMED;
    if (!bytes_are(&macaroon->location, "lsat", 4) || macaroon->identifier.len != IDENTIFIER ||
        macaroon->identifier.at[0] != 0 || macaroon->identifier.at[1] != 0)
        return PYPOW_MACAROON_FOREIGN;
    for (uint32_t i = 0; i < macaroon->caveat_count; i++)
        if (macaroon->caveats[i].location.len > 0 || macaroon->caveats[i].verification.len > 0)
            return PYPOW_MACAROON_THIRD_PARTY;
    return PYPOW_MACAROON_STANDS;
}

/* The number in decimal digits without zeros before them, or -1. */
static int64_t number(const struct bytes *digits, size_t most)
{
    int64_t value = 0;
    if (digits->len == 0 || digits->len > most || (digits->len > 1 && digits->at[0] == '0'))
        return -1;
    for (size_t i = 0; i < digits->len; i++) {
        if (digits->at[i] < '0' || digits->at[i] > '9')
            return -1;
        value = value * 10 + digits->at[i] - '0';
    }
    return value;
}

/* The parts between separators; their number, at most one more than there may be. */
static uint32_t parts_of(struct bytes *parts, const struct bytes *text, char separator)
{
    uint32_t count = 0;
    parts[0].len = 0;
    for (size_t i = 0; i < text->len; i++) {
        if (text->at[i] != separator)
            bytes_add(&parts[count], &text->at[i], 1);
        else if (count < MOST_LISTED)
            parts[++count].len = 0;
        else
            break;
    }
    return count + 1;
}

struct service {
    struct bytes name;
    int64_t tier;
};

static bool read_service(struct service *service, const struct bytes *entry)
{
    struct bytes tier = {0};
    bool colon = false;
    service->name.len = 0;
    for (size_t i = 0; i < entry->len; i++) {
        const bool first = entry->at[i] == ':' && !colon;
        colon |= first;
        if (!first)
            bytes_add(colon ? &tier : &service->name, &entry->at[i], 1);
    }
    service->tier = number(&tier, 3);
    return colon && service->name.len > 0 && service->tier >= 0 && service->tier <= 255;
}

/* The first service of this name, or -1. */
static int64_t tier_of(const struct bytes *list, const struct bytes *name)
{
    static struct bytes entries[MOST_LISTED + 1];
    const uint32_t count = parts_of(entries, list, ',');
    for (uint32_t i = 0; i < count; i++) {
        struct service service;
        if (read_service(&service, &entries[i]) && same(&service.name, name))
            return service.tier;
    }
    return -1;
}

/* A caveat's value, and the one of the same condition before it, or NULL. */
struct pair {
    const struct bytes *value, *before;
};

static int judge_services(struct pair pair, const struct wanted *wanted)
{
    static struct bytes entries[MOST_LISTED + 1];
    const uint32_t count = parts_of(entries, pair.value, ',');
    for (uint32_t i = 0; i < count; i++) {
        struct service service;
        if (i == MOST_LISTED || !read_service(&service, &entries[i]))
            return PYPOW_MACAROON_BAD_CAVEAT;
        if (pair.before != NULL && service.tier > tier_of(pair.before, &service.name))
            return PYPOW_MACAROON_WIDENED;
    }
    return tier_of(pair.value, &wanted->service) < 0 ? PYPOW_MACAROON_WRONG_SERVICE
                                                     : PYPOW_MACAROON_STANDS;
}

static int judge_end(struct pair pair, const struct wanted *wanted)
{
    const int64_t end = number(pair.value, 15);
    if (end < 0)
        return PYPOW_MACAROON_BAD_CAVEAT;
    if (pair.before != NULL && end > number(pair.before, 15))
        return PYPOW_MACAROON_WIDENED;
    return wanted->now_s >= end ? PYPOW_MACAROON_EXPIRED : PYPOW_MACAROON_STANDS;
}

static bool lists(const struct bytes *list, const struct bytes *name)
{
    static struct bytes entries[MOST_LISTED + 1];
    const uint32_t count = parts_of(entries, list, ',');
    for (uint32_t i = 0; i < count; i++)
        if (same(&entries[i], name))
            return true;
    return false;
}

static int judge_capabilities(struct pair pair, const struct wanted *wanted)
{
    static struct bytes entries[MOST_LISTED + 1];
    if (pair.value->len == 0)
        return PYPOW_MACAROON_WRONG_CAPABILITY;
    const uint32_t count = parts_of(entries, pair.value, ',');
    for (uint32_t i = 0; i < count; i++) {
        if (i == MOST_LISTED || entries[i].len == 0)
            return PYPOW_MACAROON_BAD_CAVEAT;
        if (pair.before != NULL && !lists(pair.before, &entries[i]))
            return PYPOW_MACAROON_WIDENED;
    }
    return wanted->capability.len > 0 && lists(pair.value, &wanted->capability)
               ? PYPOW_MACAROON_STANDS
               : PYPOW_MACAROON_WRONG_CAPABILITY;
}

static int judge_uses(struct pair pair, const struct wanted *wanted)
{
    (void)wanted;
    const int64_t uses = number(pair.value, 10);
    if (uses < 1 || uses > UINT32_MAX)
        return PYPOW_MACAROON_BAD_CAVEAT;
    return pair.before != NULL && uses > number(pair.before, 10) ? PYPOW_MACAROON_WIDENED
                                                                 : PYPOW_MACAROON_STANDS;
}

static bool is_beneath(const struct bytes *place, const struct bytes *whole)
{
    struct bytes folder = *whole;
    if (same(place, whole))
        return true;
    if (folder.at[folder.len - 1] != '/')
        bytes_say(&folder, "/");
    return place->len >= folder.len && memcmp(place->at, folder.at, folder.len) == 0;
}

static int judge_audience(struct pair pair, const struct wanted *wanted)
{
    if (pair.value->len == 0)
        return PYPOW_MACAROON_BAD_CAVEAT;
    if (pair.before != NULL && !is_beneath(pair.value, pair.before))
        return PYPOW_MACAROON_WIDENED;
    return is_beneath(&wanted->audience, pair.value) ? PYPOW_MACAROON_STANDS
                                                     : PYPOW_MACAROON_WRONG_AUDIENCE;
}

static int judge_just(struct pair pair, const struct bytes *wanted, int otherwise)
{
    if (pair.before != NULL && !same(pair.value, pair.before))
        return PYPOW_MACAROON_WIDENED;
    return same(pair.value, wanted) ? PYPOW_MACAROON_STANDS : otherwise;
}

static int judge_tool(struct pair pair, const struct wanted *wanted)
{
    return pair.value->len == 0 ? PYPOW_MACAROON_BAD_CAVEAT
                                : judge_just(pair, &wanted->tool, PYPOW_MACAROON_WRONG_TOOL);
}

static bool is_hex_digest(const uint8_t *text, size_t len)
{
    struct bytes octets;
    return len == 64 && read_hex(&octets, text, len);
}

static int judge_body(struct pair pair, const struct wanted *wanted)
{
    return is_hex_digest(pair.value->at, pair.value->len)
               ? judge_just(pair, &wanted->body, PYPOW_MACAROON_WRONG_BODY)
               : PYPOW_MACAROON_BAD_CAVEAT;
}

static int judge_holder(struct pair pair, const struct wanted *wanted)
{
    return pair.value->len == 43 ? judge_just(pair, &wanted->holder, PYPOW_MACAROON_WRONG_HOLDER)
                                 : PYPOW_MACAROON_BAD_CAVEAT;
}

static int judge_carried(struct pair pair, const struct wanted *wanted)
{
    (void)wanted;
    return is_hex_digest(pair.value->at, pair.value->len)
               ? judge_just(pair, pair.value, PYPOW_MACAROON_STANDS)
               : PYPOW_MACAROON_BAD_CAVEAT;
}

enum { SERVICES, VALID_UNTIL, CAPABILITIES, USES, AUDIENCE, TOOL, BODY, HOLDER, CARRIED, KNOWN };

static int (*const judges[KNOWN])(struct pair pair, const struct wanted *wanted) = {
    judge_services, judge_end,  judge_capabilities, judge_uses,    judge_audience,
    judge_tool,     judge_body, judge_holder,       judge_carried,
};

static int condition_of(const struct bytes *name, const struct bytes *service)
{
    static const char *const names[KNOWN] = {
        "services",   "_valid_until", "_capabilities", "pypow_uses", "pypow_audience",
        "pypow_tool", "pypow_body",   "pypow_cnf",     "preimage",
    };
    for (int i = 0; i < KNOWN; i++) {
        struct bytes whole = {0};
        if (names[i][0] == '_')
            whole = *service;
        bytes_say(&whole, names[i]);
        if (same(name, &whole))
            return i;
    }
    return KNOWN;
}

/* A value may be any bytes, but its name ends at the first "=". */
static int judge_caveat(struct bytes *values, bool *met, const struct bytes *caveat,
                        const struct wanted *wanted)
{
    struct bytes name = {0}, value = {0}, before;
    bool equals = false;
    for (size_t i = 0; i < caveat->len; i++) {
        const bool first = caveat->at[i] == '=' && !equals;
        equals |= first;
        if (!first)
            bytes_add(equals ? &value : &name, &caveat->at[i], 1);
    }
    const int condition = condition_of(&name, &wanted->service);
    if (!equals || condition == KNOWN)
        return PYPOW_MACAROON_UNKNOWN_CAVEAT;
    before = values[condition];
    const struct pair pair = {&value, met[condition] ? &before : NULL};
    values[condition] = value;
    met[condition] = true;
    return judges[condition](pair, wanted);
}

static bool pays(const uint8_t *preimage, size_t len, const struct bytes *identifier)
{
    struct bytes octets;
    uint8_t digest[REFERENCE_DIGEST];
    octets.len = 0;
    if (len == REFERENCE_DIGEST)
        bytes_add(&octets, preimage, len);
    else if (len != 2 * REFERENCE_DIGEST || !read_hex(&octets, preimage, len))
        return false;
    reference_sha256(digest, octets.at, octets.len);
    return memcmp(digest, identifier->at + 2, sizeof digest) == 0;
}

int credential_judge(struct pypow_macaroon_terms *terms, const uint8_t *text, size_t text_len,
                     const uint8_t *preimage, size_t preimage_len, const struct wanted *wanted)
{
    static struct macaroon macaroon;
    struct bytes values[KNOWN] = {0};
    bool met[KNOWN] = {0};
    uint8_t signature[REFERENCE_DIGEST];
    int reason = read_text(&macaroon, text, text_len);
    if (reason != PYPOW_MACAROON_STANDS)
        return reason;
    if (!credential_sign(signature, &macaroon, wanted))
        return PYPOW_MACAROON_UNKNOWN_KEY;
    if (!bytes_are(&macaroon.signature, signature, sizeof signature))
        return PYPOW_MACAROON_BAD_MAC;
    for (uint32_t i = 0; i < macaroon.caveat_count; i++) {
        reason = judge_caveat(values, met, &macaroon.caveats[i].identifier, wanted);
        if (reason != PYPOW_MACAROON_STANDS)
            return reason;
    }
    if (!met[SERVICES] || !met[VALID_UNTIL])
        return PYPOW_MACAROON_MISSING_CAVEAT;
    if (preimage_len == 0 && !met[CARRIED])
        return PYPOW_MACAROON_WRONG_PREIMAGE;
    if (met[CARRIED] && !pays(values[CARRIED].at, values[CARRIED].len, &macaroon.identifier))
        return PYPOW_MACAROON_WRONG_PREIMAGE;
    if (preimage_len > 0 && !pays(preimage, preimage_len, &macaroon.identifier))
        return PYPOW_MACAROON_WRONG_PREIMAGE;
    memcpy(terms->payment_hash, macaroon.identifier.at + 2, 32);
    memcpy(terms->token_id, macaroon.identifier.at + 34, 32);
    terms->valid_until = (uint64_t)number(&values[VALID_UNTIL], 15);
    terms->uses = met[USES] ? (uint32_t)number(&values[USES], 10) : 0;
    terms->tier = (uint32_t)tier_of(&values[SERVICES], &wanted->service);
    return PYPOW_MACAROON_STANDS;
}
