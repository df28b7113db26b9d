/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's C interface: the only place where a line of the ABI is written. cffi reads the
 * part between the two marks (build_ffi.py); pypow/_native.pyi is its typed face, and a test
 * compares the two. Header and module ship together: no ABI is promised between versions.
 *
 * Argument order, everywhere: outputs, in-outs, inputs; a length right after its pointer.
 * Nothing here prints, aborts or keeps state between calls, but for the kernels' speeds. A call
 * that can block is safe to make without the GIL. Nonces are named by their index: 0 is the
 * encoding's first nonce.
 */
#ifndef PYPOW_H
#define PYPOW_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */

/* 0 is success, positive an ordinary outcome, negative a fault. */
enum pypow_status {
    PYPOW_OK = 0,
    PYPOW_NOT_FOUND = 1,     /* the range holds no winning nonce; or a proof does not win */
    PYPOW_RUNNING = 2,       /* the time slice is over, the search is not */
    PYPOW_STOPPED = 3,       /* pypow_pool_stop was called, or the stop flag was set */
    PYPOW_BAD_ARGUMENT = -1, /* a length, width, alphabet or range that cannot be */
    PYPOW_NO_KERNEL = -2,    /* no kernel of that name, or this CPU cannot run it */
    PYPOW_NO_MEMORY = -3,
    PYPOW_FORKED = -4 /* this process is a fork of the one that began the search */
};

enum pypow_limit {
    PYPOW_DIGEST_BYTES = 32,
    PYPOW_MAX_NONCE_BYTES = 64,
    PYPOW_MAX_THREADS = 1024,
    PYPOW_MAX_PROOFS = 64,
    PYPOW_MAX_ITERATIONS = 10000000, /* about a second of one thread, for one digest */
    PYPOW_MAX_SALT_BYTES = 1048576,
    PYPOW_MAX_Q = 61440,         /* the hardest difficulty, in 1/1024 bit */
    PYPOW_CHALLENGE_BYTES = 78,  /* a native challenge (docs/protocol.md), */
    PYPOW_CHALLENGE_TEXT = 104,  /* the characters in which it travels, */
    PYPOW_CHALLENGE_NONCE = 15,  /* those of its nonce at most, */
    PYPOW_SCOPE_BYTES = 12,      /* and its resource or principal */
    PYPOW_MAX_CLOCK_SKEW_MS = 5000, /* how far ahead the clock of its issuer may be */
    PYPOW_MAX_MACAROON_BYTES = 1024, /* of a macaroon (V2 binary), */
    PYPOW_MAX_CAVEATS = 16,          /* and of the caveats in it */
    PYPOW_MAX_LISTED = 32            /* services or capabilities in one of those */
};

enum pypow_hash_type {
    PYPOW_SHA256 = 0, /* FIPS 180-4; of the message, then of its digest, `iterations` in all */
    PYPOW_PBKDF2_HMAC_SHA256 = 1 /* RFC 8018, 5.2: the message is the password, the key 32 bytes */
};

enum pypow_rule_type {
    PYPOW_AT_MOST = 0,  /* digest <= value */
    PYPOW_AT_LEAST = 1, /* digest >= value */
    PYPOW_MASKED = 2    /* (digest & mask) == value, byte by byte */
};

/*
 * How an index becomes the bytes of a nonce: digits of a number in some base, each written as
 * one byte. Decimal is base 10 without width; hex is base 16; u64 is base 256 with width 8.
 */
struct pypow_nonce {
    uint32_t base;        /* 2..256 */
    uint32_t width;       /* digits, 1..PYPOW_MAX_NONCE_BYTES; 0: as few as the number needs */
    uint32_t little;      /* 1: the least significant digit comes first; needs a width */
    uint8_t symbols[256]; /* the byte for each digit; the first `base` are used, all distinct */
};

/* How a message becomes a digest. */
struct pypow_hash {
    uint32_t type;       /* enum pypow_hash_type */
    uint32_t iterations; /* 1..PYPOW_MAX_ITERATIONS */
    const uint8_t *salt; /* PBKDF2 only; else NULL */
    size_t salt_len;     /* at most PYPOW_MAX_SALT_BYTES */
};

/* When a digest wins. */
struct pypow_rule {
    uint32_t type;     /* enum pypow_rule_type */
    uint32_t little;   /* 1: AT_MOST and AT_LEAST read digest and value last byte first */
    uint8_t value[32]; /* the target as 32 bytes, most significant first, or MASKED's value */
    uint8_t mask[32];  /* MASKED only */
};

/* Why a proof of a native challenge does not stand, in the order of the checks. */
enum pypow_reason {
    PYPOW_STANDS = 0,
    PYPOW_MALFORMED = 1, /* length, alphabet, version, algorithm, or a field out of its range */
    PYPOW_UNKNOWN_KEY = 2,
    PYPOW_BAD_MAC = 3,
    PYPOW_NOT_YET_VALID = 4,
    PYPOW_EXPIRED = 5,
    PYPOW_STALE_EPOCH = 6,
    PYPOW_WRONG_RESOURCE = 7,
    PYPOW_UNDERWEIGHT = 8,
    PYPOW_WRONG_PRINCIPAL = 9,
    PYPOW_WRONG_NONCES = 10, /* their number, length or alphabet */
    PYPOW_NOT_ENOUGH_WORK = 11
};

/*
 * Why a macaroon and its preimage do not buy a call. Shape, key and MAC come first, then the
 * caveats as they stand one after another, then what is missing, and the preimage.
 */
enum pypow_macaroon_reason {
    PYPOW_MACAROON_STANDS = 0,
    PYPOW_MACAROON_MALFORMED = 1,   /* not base64 or hex, not V2 binary, or beyond the limits */
    PYPOW_MACAROON_FOREIGN = 2,     /* a macaroon, but no L402 one: its location or identifier */
    PYPOW_MACAROON_THIRD_PARTY = 3, /* a caveat for somebody else to discharge */
    PYPOW_MACAROON_UNKNOWN_KEY = 4,
    PYPOW_MACAROON_BAD_MAC = 5,
    PYPOW_MACAROON_UNKNOWN_CAVEAT = 6,
    PYPOW_MACAROON_BAD_CAVEAT = 7, /* a known condition with a value that it cannot have */
    PYPOW_MACAROON_WIDENED = 8,    /* a repeated condition permits what it did not before */
    PYPOW_MACAROON_WRONG_SERVICE = 9,
    PYPOW_MACAROON_EXPIRED = 10,
    PYPOW_MACAROON_WRONG_CAPABILITY = 11,
    PYPOW_MACAROON_WRONG_AUDIENCE = 12,
    PYPOW_MACAROON_WRONG_TOOL = 13,
    PYPOW_MACAROON_WRONG_BODY = 14,
    PYPOW_MACAROON_WRONG_HOLDER = 15,
    PYPOW_MACAROON_MISSING_CAVEAT = 16, /* its services, or until when it is good */
    PYPOW_MACAROON_WRONG_PREIMAGE = 17  /* none, or not that of the payment */
};

/* An HMAC-SHA256 secret of which both pads are hashed: as secret as the secret itself. */
struct pypow_hmac_key {
    uint32_t inner[8]; /* chaining value after the secret xor ipad */
    uint32_t outer[8]; /* chaining value after the secret xor opad */
};

/* What a challenge may be signed with; `id` is how it names it. */
struct pypow_mac_key {
    uint32_t id;
    struct pypow_hmac_key hmac;
};

/*
 * One part of each of many messages, as it lies in memory. Item i is the `width` bytes at
 * data + i * stride; or, with offsets (one more of them than items, none of them descending),
 * those from data + offsets[i] to data + offsets[i + 1], all within data_len.
 */
struct pypow_column {
    const uint8_t *data;
    size_t data_len;        /* with offsets only */
    const int64_t *offsets; /* or NULL */
    int64_t stride;         /* bytes from an item to the next; 0: all have the same */
    size_t width;
    uint32_t padded; /* 1: zeros at the end of an item are no part of it */
};

/* Bytes that lie elsewhere; no length is none. */
struct pypow_text {
    const uint8_t *at;
    size_t len;
};

/* What a call asks for. But for the service, which is never empty, nothing stands for none. */
struct pypow_macaroon_expected {
    struct pypow_text service;
    struct pypow_text capability;
    struct pypow_text audience; /* host and canonical path */
    struct pypow_text tool;
    struct pypow_text body;   /* SHA-256 of the body, in lower-case hex */
    struct pypow_text holder; /* thumbprint of the key that was proven (RFC 7638) */
};

/* What a macaroon that stands says. */
struct pypow_macaroon_terms {
    uint8_t payment_hash[32];
    uint8_t token_id[32];
    uint64_t valid_until; /* Unix seconds */
    uint32_t uses;        /* calls in all; 0 for any number */
    uint32_t tier;        /* of the service */
};

struct pypow_kernel_info {
    const char *name;
    uint32_t lanes;        /* messages ground at a time */
    uint32_t usable;       /* 1: this CPU and operating system can run it */
    uint64_t hashes_per_s; /* one thread, as measured; 0 where not usable */
};

struct pypow_progress {
    uint64_t hashes; /* nonces tried so far, all threads; a winner's thread counts up to it */

    /* The lowest winning nonce; set by PYPOW_OK only. */
    uint64_t nonce; /* its index */
    uint32_t encoded_len;
    uint8_t encoded[64]; /* its bytes */
    uint8_t digest[32];  /* of its message */
};

/* Opaque: what a kernel grinds, prepared once; and threads that search one after another. */
struct pypow_puzzle;
struct pypow_pool;

/* The package version this module was built from. */
const char *pypow_version(void);

/*
 * The table of kernels, fastest first; what this CPU cannot run comes last. The first call that
 * needs the order measures it, in less than 3 ms, and the process keeps it.
 * Returns PYPOW_OK, or PYPOW_NOT_FOUND past the end of the table.
 */
int pypow_kernel_at(struct pypow_kernel_info *info, uint32_t index);

/* SHA-256 (FIPS 180-4) of a message with one kernel's block function; NULL is the best one. */
int pypow_sha256(uint8_t *digest, const uint8_t *message, size_t message_len, const char *kernel);

/*
 * Prepare a puzzle over the messages prefix || nonce || suffix.
 * Copies everything it needs. Free with pypow_puzzle_free (which accepts NULL).
 * Returns PYPOW_OK, PYPOW_BAD_ARGUMENT or PYPOW_NO_MEMORY.
 */
int pypow_puzzle_new(struct pypow_puzzle **puzzle, const struct pypow_nonce *nonce,
                     const struct pypow_hash *hash, const struct pypow_rule *rule,
                     const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                     size_t suffix_len);
void pypow_puzzle_free(struct pypow_puzzle *puzzle);

/*
 * Write the nonce with this index; at most PYPOW_MAX_NONCE_BYTES bytes.
 * Returns PYPOW_OK, or PYPOW_BAD_ARGUMENT where the width cannot hold the index.
 */
int pypow_nonce_encode(uint8_t *encoded, size_t *encoded_len, const struct pypow_nonce *nonce,
                       uint64_t index);

/*
 * Scan the indices [first, first + count) on the calling thread, with the named kernel
 * (NULL: the best usable), for the lowest that wins. Indices past 2^64 - 1, or past what the
 * encoding holds, are no part of the range: it may be empty, which is PYPOW_NOT_FOUND.
 * `progress->hashes` is set on every return that is not a fault.
 * `stop` may be NULL; non-zero ends the scan. It is looked at every 1,024 block computations,
 * or every 4,096 where a nonce takes many of them and the kernel has 32 lanes.
 * Returns PYPOW_OK, PYPOW_NOT_FOUND, PYPOW_STOPPED, or a fault. Allocates nothing.
 */
int pypow_search(struct pypow_progress *progress, const struct pypow_puzzle *puzzle,
                 const char *kernel, uint64_t first, uint64_t count, const int *stop);

/*
 * The opening of such a search, of a puzzle that need not be prepared: what one thread does in
 * about the time that waking another takes, 100 to 200 us of a wide kernel, or a few ms of a hard
 * puzzle whose digits straddle two words; and nothing where nonces take so long that it would be
 * much more. An easy puzzle needs no more than this.
 * PYPOW_RUNNING: the rest, from first + progress->hashes on, is left to search.
 */
int pypow_search_opening(struct pypow_progress *progress, const struct pypow_nonce *nonce,
                         const struct pypow_hash *hash, const struct pypow_rule *rule,
                         const uint8_t *prefix, size_t prefix_len, const uint8_t *suffix,
                         size_t suffix_len, const char *kernel, uint64_t first, uint64_t count);

/*
 * Threads for one search after another: `threads` of them (1..PYPOW_MAX_THREADS), the caller's
 * included. The others are started when they are first needed. They park between searches, and
 * after the chunk in which no run has come for 100 ms.
 *
 * begin sets out for the lowest winning nonce of [first, first + count), as pypow_search does,
 * and forgets the search before it. The pool keeps a copy of the puzzle. run grinds, or waits
 * where others fill every core, for about `slice_ms` and then answers PYPOW_RUNNING, so that
 * the caller can look at signals, clocks and progress. The result is the same whatever the
 * kernel, threads and slices. Before the first begin it is that of an empty range.
 *
 * One thread at a time may begin and run; any may stop, which ends the search begun last: run
 * then answers PYPOW_STOPPED. free ends every thread. In a forked child begin and run answer
 * PYPOW_FORKED, and free only frees memory.
 */
int pypow_pool_new(struct pypow_pool **pool, const char *kernel, uint32_t threads);
int pypow_pool_begin(struct pypow_pool *pool, const struct pypow_puzzle *puzzle, uint64_t first,
                     uint64_t count);
int pypow_pool_run(struct pypow_progress *progress, struct pypow_pool *pool, uint32_t slice_ms);
void pypow_pool_stop(struct pypow_pool *pool);
void pypow_pool_free(struct pypow_pool *pool);

/*
 * Hash prefix || nonce || suffix for `count` nonces and hold each digest against the rule.
 * The nonces lie one after another in `nonces`; `nonce_lens[i]` is the length of the i-th.
 *
 * Out:  digests  32 bytes for each nonce that was hashed; may be NULL
 *       failed   index of the first nonce that does not win (set by PYPOW_NOT_FOUND)
 * Stops at the first that does not win. Returns PYPOW_OK when all win, PYPOW_NOT_FOUND, or
 * PYPOW_BAD_ARGUMENT (count outside 1..PYPOW_MAX_PROOFS, an impossible hash or rule). No
 * allocation.
 */
int pypow_verify(uint8_t *digests, uint32_t *failed, const struct pypow_hash *hash,
                 const struct pypow_rule *rule, const uint8_t *prefix, size_t prefix_len,
                 const uint8_t *suffix, size_t suffix_len, const uint8_t *nonces,
                 const uint8_t *nonce_lens, uint32_t count);

/*
 * The highest winning digest at a difficulty, target(q) - 1, as 32 bytes, most significant first.
 * Returns PYPOW_OK, or PYPOW_BAD_ARGUMENT for q above PYPOW_MAX_Q.
 */
int pypow_target(uint8_t *highest, uint32_t q);

/* Prepare the key with which challenges that name `identity` are signed. */
void pypow_mac_key_init(struct pypow_mac_key *key, uint32_t identity, const uint8_t *secret,
                        size_t secret_len);

/*
 * Read the characters of a native challenge into its PYPOW_CHALLENGE_BYTES octets; nothing is
 * said about its MAC. Returns PYPOW_STANDS or PYPOW_MALFORMED (octets then hold nothing).
 */
int pypow_challenge_decode(uint8_t *octets, const char *text, size_t text_len);

/*
 * Whether the nonces win their challenge, whose MAC and terms are not looked at. There are
 * `count` of them, joined by dots as they travel, so that none has a dot of its own.
 *
 * Out:  failed   index of the first nonce that does not win (set by PYPOW_NOT_ENOUGH_WORK)
 * Returns PYPOW_STANDS, PYPOW_MALFORMED, PYPOW_WRONG_NONCES or PYPOW_NOT_ENOUGH_WORK.
 */
int pypow_challenge_work(uint32_t *failed, const char *text, size_t text_len, const uint8_t *nonces,
                         size_t nonces_len, uint32_t count);

/*
 * Hold a whole proof against the keys, the clock, what is asked for, and the work. Difficulty
 * comes from the signed octets only.
 *
 * In:   now_ms               Unix milliseconds
 *       epoch, weight        the ledger's; what the call costs
 *       resource, principal  PYPOW_SCOPE_BYTES each; what is asked for, and by whom
 * Out:  octets  those of the challenge; nothing in case of PYPOW_MALFORMED
 * Returns PYPOW_STANDS or the first reason against it (enum pypow_reason). No allocation.
 */
int pypow_challenge_check(uint8_t *octets, const struct pypow_mac_key *keys, uint32_t key_count,
                          int64_t now_ms, uint32_t epoch, uint32_t weight,
                          const uint8_t *resource, const uint8_t *principal, const char *text,
                          size_t text_len, const uint8_t *nonces, size_t nonces_len,
                          uint32_t count);

/*
 * Hash prefix || nonce || suffix (SHA-256) for each of `count` pairs, as many at a time as the
 * kernel has lanes (NULL: the best usable), and hold each digest against the rule.
 *
 * Out:  wins_each  1 for each message that wins, else 0; undefined after a fault
 * Returns PYPOW_OK, PYPOW_BAD_ARGUMENT (an impossible rule, offsets that descend or leave the
 * data) or PYPOW_NO_KERNEL. No allocation.
 */
int pypow_verify_batch(uint8_t *wins_each, const struct pypow_rule *rule,
                       const struct pypow_column *prefixes, const struct pypow_column *nonces,
                       const uint8_t *suffix, size_t suffix_len, size_t count, const char *kernel);

/*
 * pypow_challenge_work and pypow_challenge_check for each of `count` proofs, as many at a time as
 * the kernel has lanes (NULL: the best usable). Challenges are rows of PYPOW_CHALLENGE_TEXT bytes.
 * Nonces are rows of `nonces_each` (up to PYPOW_MAX_PROOFS) times PYPOW_CHALLENGE_NONCE bytes;
 * zeros fill up a shorter nonce, and stand for those that a challenge has no sub-puzzle for.
 * No offsets in either.
 *
 * Out:  reasons  enum pypow_reason for each
 * Returns PYPOW_OK, PYPOW_BAD_ARGUMENT (other columns, no keys) or PYPOW_NO_KERNEL. No allocation.
 */
int pypow_challenge_work_batch(uint8_t *reasons, const struct pypow_column *challenges,
                               const struct pypow_column *nonces, uint32_t nonces_each,
                               size_t count, const char *kernel);
int pypow_challenge_check_batch(uint8_t *reasons, const struct pypow_mac_key *keys,
                                uint32_t key_count, int64_t now_ms, uint32_t epoch,
                                uint32_t weight, const uint8_t *resource,
                                const uint8_t *principal, const struct pypow_column *challenges,
                                const struct pypow_column *nonces, uint32_t nonces_each,
                                size_t count, const char *kernel);

/*
 * Hold an L402 credential against the keys, the clock and what a call asks for. The macaroon is
 * V2 binary, as it is, in hex, or in base64, either alphabet (RFC 4648, 4 and 5), padded or not.
 * Its root key is the HMAC of its identifier under the key that the first two octets of its token
 * id name.
 *
 * In:   preimage  32 octets or 64 hex digits; or nothing, where it is a caveat of the macaroon
 *       now_s     Unix seconds
 * Out:  terms     set where it stands
 * Returns PYPOW_MACAROON_STANDS or the first reason against it. No allocation.
 */
int pypow_macaroon_check(struct pypow_macaroon_terms *terms, const struct pypow_mac_key *keys,
                         uint32_t key_count, int64_t now_s,
                         const struct pypow_macaroon_expected *expected, const char *text,
                         size_t text_len, const char *preimage, size_t preimage_len);

/*
 * pypow_macaroon_check for each of `count` credentials, as many at a time as the kernel has lanes
 * (NULL: the best usable).
 *
 * Out:  reasons  enum pypow_macaroon_reason for each
 * Returns PYPOW_OK, PYPOW_BAD_ARGUMENT (offsets that descend or leave the data; the reasons then
 * hold nothing) or PYPOW_NO_KERNEL. No allocation.
 */
int pypow_macaroon_check_batch(uint8_t *reasons, const struct pypow_mac_key *keys,
                               uint32_t key_count, int64_t now_s,
                               const struct pypow_macaroon_expected *expected,
                               const struct pypow_column *texts,
                               const struct pypow_column *preimages, size_t count,
                               const char *kernel);

/* cffi-end */

#endif
