/* SPDX-License-Identifier: Apache-2.0 */
/*
 * L402 credentials as docs/macaroons.md has them, written down plainly, and without any care for
 * speed or for what a clock could tell.
 */
#ifndef PYPOW_FUZZ_CREDENTIAL_H
#define PYPOW_FUZZ_CREDENTIAL_H

#include <stdbool.h>

#include "pypow.h"
#include "reference.h"

enum { LONGEST_MACAROON = 1024, MOST_CAVEATS = 16, MOST_LISTED = 32, IDENTIFIER = 66 };

/* Bytes of their own. */
struct bytes {
    size_t len;
    uint8_t at[LONGEST_MACAROON + 8];
};

void bytes_add(struct bytes *bytes, const void *more, size_t len);
void bytes_say(struct bytes *bytes, const char *words);
bool bytes_are(const struct bytes *bytes, const void *other, size_t len);

struct caveat {
    struct bytes location, identifier, verification;
    bool has_location, has_verification;
};

struct macaroon {
    struct bytes location, identifier, signature;
    struct caveat caveats[MOST_CAVEATS];
    uint32_t caveat_count;
};

/* What a credential is held against. */
struct wanted {
    const struct reference_hmac *keys; /* their ids are 0, 1, ... */
    uint32_t key_count;
    int64_t now_s;
    struct bytes service, capability, audience, tool, body, holder;
};

/* V2 binary. */
void credential_write(struct bytes *octets, const struct macaroon *macaroon);
/* The chain of HMACs, keyed by what the identifier says; false where there is no such key. */
bool credential_sign(uint8_t *signature, const struct macaroon *macaroon,
                     const struct wanted *wanted);
/* enum pypow_macaroon_reason of a text and a preimage; nothing is set but where it stands. */
int credential_judge(struct pypow_macaroon_terms *terms, const uint8_t *text, size_t text_len,
                     const uint8_t *preimage, size_t preimage_len, const struct wanted *wanted);

#endif
