/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of LANES messages, as bytes wherever they lie, turned into words side by side.
 *
 * sha256_lanes.tpl.h includes this. A kernel may define V_TRANSPOSE and with it
 *   v_transpose   (vec [WIDTH]) -> void: element i of vector j becomes element j of vector i
 */

#ifndef V_TRANSPOSE

KERNEL_FN void v_transpose(vec rows[WIDTH])
{
    uint32_t element[WIDTH][WIDTH], turned[WIDTH][WIDTH];
    memcpy(element, rows, sizeof element);
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < WIDTH; j++)
            turned[i][j] = element[j][i];
    memcpy(rows, turned, sizeof turned);
}

#endif

/* Words whose bytes were loaded as they lie in a message. */
KERNEL_FN vec v_big_endian(vec x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = (v_ror(x, 8) & 0xff00ff00) | (v_ror(x, 24) & 0x00ff00ff);
#endif
    return x;
}

KERNEL_TARGET static void load_many(uint32_t *words, const uint8_t *const *blocks)
{
    for (int j = 0; j < WAYS; j++)
        for (int first = 0; first < BLOCK_WORDS; first += WIDTH) {
            vec rows[WIDTH];
            UNROLL(16)
            for (int i = 0; i < WIDTH; i++)
                memcpy(&rows[i], blocks[j * WIDTH + i] + 4 * first, sizeof(vec));
            v_transpose(rows);
            UNROLL(16)
            for (int i = 0; i < WIDTH; i++) {
                const vec word = v_big_endian(rows[i]);
                memcpy(words + (first + i) * LANES + j * WIDTH, &word, sizeof(vec));
            }
        }
    v_leave();
}
