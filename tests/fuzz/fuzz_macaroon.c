/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L402 credentials: signed macaroons whose caveats are right or wrong in any respect, written down
 * in every form, and texts that were changed on their way. The core must judge them as
 * docs/macaroons.md does, one by one and in every lane of a batch.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, for fence.h */

#include <string.h>

#include "credential.h"
#include "fence.h"
#include "given.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEYS = 3, LONGEST_TEXT = 2 * LONGEST_MACAROON + 16, MOST_ROWS = 40, PREIMAGE_TEXT = 64 };

static struct reference_hmac references[KEYS];
static struct pypow_mac_key keys[KEYS];
static struct fence texts, proofs, reasons_out, terms_out, parts;

static const char preimage_text[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char hex[] = "0123456789abcdef";

static void prepare(void)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        const uint8_t secret[REFERENCE_DIGEST] = {(uint8_t)(i + 1)};
        references[i] = reference_hmac_key(secret, sizeof secret);
        pypow_mac_key_init(&keys[i], i, secret, sizeof secret);
    }
    texts = fence_around(MOST_ROWS * LONGEST_TEXT);
    proofs = fence_around(MOST_ROWS * 2 * PREIMAGE_TEXT);
    reasons_out = fence_around(MOST_ROWS);
    terms_out = fence_around(sizeof(struct pypow_macaroon_terms));
    parts = fence_around(256);
}

static void take_letters(struct bytes *bytes, struct input *in, uint32_t most)
{
    static const char letters[] = "ab/:,=0";
    for (uint32_t len = take_below(in, most + 1); len > 0; len--)
        bytes_add(bytes, &letters[take_below(in, 7)], 1);
}

static struct wanted take_wanted(struct input *in)
{
    struct wanted wanted = {.keys = references, .key_count = take_below(in, 16)};
    const uint32_t asks = take_below(in, 64);
    if (wanted.key_count > KEYS)
        wanted.key_count = KEYS;
    wanted.now_s = (int64_t)take_below(in, 256) + 100;
    bytes_say(&wanted.service, "pypow");
    if (asks & 1)
        bytes_say(&wanted.capability, "a");
    if (asks & 2)
        bytes_say(&wanted.audience, asks & 4 ? "a/b/" : "ab");
    if (asks & 4)
        bytes_say(&wanted.tool, "ab");
    if (asks & 8)
        bytes_say(&wanted.body, preimage_text);
    if (asks & 16)
        bytes_add(&wanted.holder, preimage_text, 43);
    if (asks & 32)
        take_letters(&wanted.audience, in, 4);
    return wanted;
}

static void say_number(struct bytes *bytes, uint64_t number)
{
    char digits[21];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    bytes_add(bytes, digits + at, sizeof digits - at);
}

/* Around a bound, or anything. */
static void take_number(struct bytes *bytes, struct input *in, uint64_t near)
{
    const uint32_t how = take_below(in, 64);
    if (how < 48)
        say_number(bytes, near + how % 8 - (near < 4 ? near : 4));
    else if (how < 60)
        say_number(bytes, take(in, 8) >> 4 * (how % 16));
    else
        take_letters(bytes, in, 4);
}

static void take_services(struct bytes *bytes, struct input *in)
{
    const uint32_t some = take_below(in, 128), count = some < 120 ? some % 4 : 30 + some % 4;
    for (uint32_t i = 0; i < count; i++)
        bytes_say(bytes, i % 2 == 0 ? "a:3," : "b:9,");
    if (some % 8 == 5) {
        bytes_say(bytes, "a:3");
        return;
    }
    bytes_say(bytes, some % 8 == 7 ? "other:" : "pypow:");
    take_number(bytes, in, 4);
}

static void take_list(struct bytes *bytes, struct input *in)
{
    static const char *const names[] = {"a", "b", "a,b", "b,a", "", "a,", "ab", "b,a,b"};
    const uint32_t some = take_below(in, 128);
    bytes_say(bytes, names[some % 8]);
    for (uint32_t i = 0; some > 124 && i < 30 + some % 4; i++)
        bytes_say(bytes, ",a");
}

static void take_place(struct bytes *bytes, struct input *in)
{
    static const char *const places[] = {"a", "a/", "a/b", "a/b/", "a/b/c", "ab", "", "/"};
    bytes_say(bytes, places[take_below(in, 8)]);
}

/* Just so long, or a little longer or shorter. */
static void take_digest(struct bytes *bytes, struct input *in, size_t len)
{
    const uint32_t how = take_below(in, 16);
    bytes_add(bytes, preimage_text, how == 15 ? len - 1 : len);
    if (how == 14)
        bytes_say(bytes, "0");
    if (how == 13)
        bytes->at[bytes->len - 1] = (uint8_t)take(in, 1);
}

/* What nobody knows, of a length at which its last block may have no room for its end. */
static void take_strange(struct bytes *bytes, struct input *in)
{
    const struct part part = take_part(in);
    take_letters(bytes, in, 8);
    bytes_add(bytes, part.bytes, part.len);
}

static void take_caveat(struct bytes *bytes, struct input *in, const struct wanted *wanted)
{
    switch (take_below(in, 12)) {
    case 0:
        bytes_say(bytes, "services=");
        take_services(bytes, in);
        break;
    case 1:
    case 2:
        bytes_say(bytes, "pypow_valid_until=");
        take_number(bytes, in, (uint64_t)wanted->now_s + 4);
        break;
    case 3:
        bytes_say(bytes, "pypow_capabilities=");
        take_list(bytes, in);
        break;
    case 4:
        bytes_say(bytes, "pypow_uses=");
        take_number(bytes, in, take_below(in, 2) ? UINT32_MAX : 9);
        break;
    case 5:
    case 6:
        bytes_say(bytes, "pypow_audience=");
        take_place(bytes, in);
        break;
    case 7:
        bytes_say(bytes, "pypow_tool=");
        bytes_say(bytes, take_below(in, 8) ? "ab" : "");
        break;
    case 8:
        bytes_say(bytes, "pypow_body=");
        take_digest(bytes, in, 64);
        break;
    case 9:
        bytes_say(bytes, "pypow_cnf=");
        take_digest(bytes, in, 43);
        break;
    case 10:
        bytes_say(bytes, "preimage=");
        take_digest(bytes, in, 64);
        break;
    default:
        take_strange(bytes, in);
    }
}

static void take_identifier(struct bytes *identifier, struct input *in)
{
    uint8_t preimage[REFERENCE_DIGEST], digest[REFERENCE_DIGEST];
    for (size_t i = 0; i < sizeof preimage; i++)
        preimage[i] = (uint8_t)i;
    reference_sha256(digest, preimage, sizeof preimage);
    const uint32_t some = take_below(in, 64);
    bytes_add(identifier, (uint8_t[]){0, some == 63}, 2);
    bytes_add(identifier, digest, sizeof digest);
    bytes_add(identifier, (uint8_t[]){some == 62, (uint8_t)(some % (KEYS + 1))}, 2);
    bytes_add(identifier, digest, 30U + (some == 61) - (some == 60));
}

/* What the issuer says first, and what holders add. */
static void take_caveats(struct macaroon *macaroon, struct input *in, const struct wanted *wanted)
{
    const uint32_t some = take_below(in, 256), first = some % 32 == 31 ? some / 32 % 3 : 2;
    const uint32_t count = some < 224 ? first + some % 6 : some % (MOST_CAVEATS + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct caveat *caveat = &macaroon->caveats[i];
        *caveat = (struct caveat){0};
        if (i == 0 && first > 0)
            bytes_say(&caveat->identifier, "services=a:3,pypow:9");
        else if (i == 1 && first > 1)
            bytes_say(&caveat->identifier, "pypow_valid_until=360");
        else
            take_caveat(&caveat->identifier, in, wanted);
    }
    macaroon->caveat_count = count;
}

/* Somebody else's caveat, or somebody else's macaroon. */
static void take_foreign(struct macaroon *macaroon, struct input *in)
{
    const uint32_t how = take_below(in, 64);
    bytes_say(&macaroon->location, how == 63 ? "lsax" : how == 62 ? "" : "lsat");
    if (macaroon->caveat_count == 0)
        return;
    struct caveat *caveat = &macaroon->caveats[take_below(in, 16) % macaroon->caveat_count];
    caveat->has_location = how % 16 == 1;
    caveat->has_verification = how % 16 == 2;
    if (how >= 32) {
        bytes_say(&caveat->location, "there");
        bytes_say(&caveat->verification, "v");
    }
}

static size_t write_base64(uint8_t *text, const struct bytes *octets, uint32_t how)
{
    static const char *const alphabets[] = {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
    size_t len = 0;
    for (size_t bit = 0; bit < 8 * octets->len; bit += 6) {
        uint32_t six = 0;
        for (size_t i = bit; i < bit + 6; i++)
            six = six * 2 + (i < 8 * octets->len ? octets->at[i / 8] >> (7 - i % 8) & 1U : 0);
        text[len++] = (uint8_t)alphabets[how % 2][six];
    }
    while (how < 2 && len % 4 != 0)
        text[len++] = '=';
    return len;
}

static size_t write_hex(uint8_t *text, const struct bytes *octets, bool upper)
{
    for (size_t i = 0; i < 2 * octets->len; i++) {
        const uint8_t octet = octets->at[i / 2];
        const uint8_t digit = (uint8_t)hex[i % 2 == 0 ? octet >> 4 : octet & 15];
        text[i] = upper && digit >= 'a' ? digit - 'a' + 'A' : digit;
    }
    return 2 * octets->len;
}

/* One octet or character is another, or some are missing, or there is one more if it has room. */
static size_t take_change(uint8_t *bytes, size_t len, size_t room, struct input *in)
{
    const uint32_t how = take_below(in, 64), at = take_below(in, 65536);
    if (how == 63 && len > 0)
        bytes[at % len] = (uint8_t)take(in, 1);
    if (how == 62 && len > 0)
        bytes[at % len] ^= (uint8_t)(1 << at % 8);
    if (how == 61)
        return at % (len + 1);
    if (how == 60 && len < room)
        bytes[len++] = (uint8_t)take(in, 1);
    return len;
}

static size_t take_text(uint8_t *text, struct input *in, const struct wanted *wanted)
{
    static struct macaroon macaroon;
    struct bytes octets;
    macaroon.location.len = macaroon.identifier.len = 0;
    take_identifier(&macaroon.identifier, in);
    take_caveats(&macaroon, in, wanted);
    take_foreign(&macaroon, in);
    macaroon.signature.len = REFERENCE_DIGEST;
    memset(macaroon.signature.at, 0, REFERENCE_DIGEST);
    credential_sign(macaroon.signature.at, &macaroon, wanted);
    credential_write(&octets, &macaroon);
    octets.len = take_change(octets.at, octets.len, sizeof octets.at, in);
    const uint32_t form = take_below(in, 8);
    size_t len = octets.len;
    if (form == 7)
        memcpy(text, octets.at, len);
    else if (form > 4)
        len = write_hex(text, &octets, form == 6);
    else
        len = write_base64(text, &octets, form % 4);
    return take_change(text, len, LONGEST_TEXT, in);
}

static size_t take_preimage(uint8_t *text, struct input *in)
{
    const uint32_t how = take_below(in, 8);
    memcpy(text, preimage_text, PREIMAGE_TEXT);
    if (how == 7)
        return 0;
    if (how == 6)
        for (uint8_t i = 0; i < REFERENCE_DIGEST; i++)
            text[i] = i;
    if (how == 6)
        return take_change(text, REFERENCE_DIGEST, MAX_PART, in);
    if (how == 5)
        for (int i = 0; i < PREIMAGE_TEXT; i++)
            text[i] = text[i] >= 'a' ? text[i] - 'a' + 'A' : text[i];
    return take_change(text, PREIMAGE_TEXT, MAX_PART, in);
}

static struct pypow_text text_of(const struct bytes *bytes)
{
    return (struct pypow_text){bytes->at, bytes->len};
}

/* Each of two credentials in every other lane of a batch. */
static void check_batch(const struct pypow_macaroon_expected *expected, int64_t now_s,
                        uint32_t key_count, const uint8_t *const *text, const size_t *text_len,
                        const struct part *proof, const int *reason, size_t count, bool front)
{
    int64_t offsets[MOST_ROWS + 1] = {0}, proof_offsets[MOST_ROWS + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        offsets[i + 1] = offsets[i] + (int64_t)text_len[i % 2];
        proof_offsets[i + 1] = proof_offsets[i] + (int64_t)proof->len;
    }
    const size_t all = (size_t)offsets[count], all_proofs = (size_t)proof_offsets[count];
    uint8_t *rows = fence_place(&texts, all, front), *given = fence_place(&proofs, all_proofs, front);
    for (size_t i = 0; i < count; i++) {
        memcpy(rows + offsets[i], text[i % 2], text_len[i % 2]);
        memcpy(given + proof_offsets[i], proof->bytes, proof->len);
    }
    const struct pypow_column macaroons = {.data = rows, .data_len = all, .offsets = offsets};
    const struct pypow_column preimages = {
        .data = given, .data_len = all_proofs, .offsets = proof_offsets};
    uint8_t *reasons = fence_place(&reasons_out, count, front);
    struct pypow_kernel_info info;
    for (uint32_t i = 0; pypow_kernel_at(&info, i) == PYPOW_OK; i++) {
        if (!info.usable)
            continue;
        const int status =
            pypow_macaroon_check_batch(reasons, keys, key_count, now_s, expected, &macaroons,
                                       &preimages, count, info.name);
        require(status == PYPOW_OK, "batch", info.name);
        for (size_t j = 0; j < count; j++)
            require(reasons[j] == reason[j % 2], "a verdict of a batch", info.name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t text[2][LONGEST_TEXT];
    struct pypow_macaroon_terms wanted_terms;
    struct part proof = {0};
    size_t text_len[2];
    int reason[2];
    if (texts.begin == NULL)
        prepare();
    struct input in = {data, size};
    const bool front = take_below(&in, 2);
    const uint32_t rows = take_below(&in, 64);
    const struct wanted wanted = take_wanted(&in);
    const struct pypow_macaroon_expected expected = {
        .service = text_of(&wanted.service), .capability = text_of(&wanted.capability),
        .audience = text_of(&wanted.audience), .tool = text_of(&wanted.tool),
        .body = text_of(&wanted.body), .holder = text_of(&wanted.holder)};
    proof.len = take_preimage(proof.bytes, &in);
    const uint8_t *given = fence_copy(&parts, proof.bytes, proof.len, front);
    struct pypow_macaroon_terms *terms = fence_place(&terms_out, sizeof *terms, front);
    for (int i = 0; i < 2; i++) {
        text_len[i] = take_text(text[i], &in, &wanted);
        reason[i] = credential_judge(&wanted_terms, text[i], text_len[i], proof.bytes, proof.len,
                                     &wanted);
        const char *sent = fence_copy(&texts, text[i], text_len[i], front);
        const int status =
            pypow_macaroon_check(terms, keys, wanted.key_count, wanted.now_s, &expected, sent,
                                 text_len[i], (const char *)given, proof.len);
        require(status == reason[i], "verdict", NULL);
        if (status == PYPOW_MACAROON_STANDS)
            require(memcmp(terms, &wanted_terms, sizeof *terms) == 0, "terms", NULL);
    }
    if (rows < 8)
        check_batch(&expected, wanted.now_s, wanted.key_count,
                    (const uint8_t *const[]){text[0], text[1]}, text_len, &proof, reason,
                    rows == 7 ? MOST_ROWS : rows, front);
    return 0;
}
