/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64url (RFC 4648, section 5) in the words of messages that lie side by side: four characters
 * are one word. Wants `vec` and LANES, and gets decode_many.
 */

/* As signed numbers, so that characters above 127 are below all others. */
typedef int8_t v_chars __attribute__((vector_size(sizeof(vec))));

KERNEL_FN v_chars v_chars_within(v_chars c, int first, int last)
{
    return (v_chars)(c > (int8_t)(first - 1)) & (v_chars)(c < (int8_t)(last + 1));
}

/* 24 bits from each word; `strange` gets bits where a character is none of base64url. */
KERNEL_FN vec v_quad(vec *strange, vec word)
{
    v_chars c = (v_chars)word;
    const v_chars upper = v_chars_within(c, 'A', 'Z'), lower = v_chars_within(c, 'a', 'z');
    const v_chars digit = v_chars_within(c, '0', '9');
    const v_chars dash = (v_chars)(c == '-'), underscore = (v_chars)(c == '_');
    *strange |= (vec)~(upper | lower | digit | dash | underscore);
    c += (upper & (int8_t)(0 - 'A')) + (lower & (int8_t)(26 - 'a')) + (digit & (int8_t)(52 - '0')) +
         (dash & (int8_t)(62 - '-')) + (underscore & (int8_t)(63 - '_'));
    const vec six = (vec)c;
    const vec twelve = (six & 0x003f003f) | (six >> 2 & 0x0fc00fc0);
    return (twelve & 0xfff) | (twelve >> 4 & 0xfff000);
}

KERNEL_TARGET static void decode_many(uint32_t *quads, uint32_t *strange, const uint32_t *words,
                                      uint32_t count)
{
    for (uint32_t at = 0; at < LANES; at += sizeof(vec) / sizeof *words) {
        vec bits = (vec){0} + 0;
        for (uint32_t i = 0; i < count; i++) {
            vec word;
            memcpy(&word, words + i * LANES + at, sizeof word);
            word = v_quad(&bits, word);
            memcpy(quads + i * LANES + at, &word, sizeof word);
        }
        memcpy(strange + at, &bits, sizeof bits);
    }
    v_leave();
}
