/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include "hash.h"
#include "nonce.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* A sixteenth of the work expected or less: a run rarely outlives its winner for long. */
static uint32_t longest_run(const struct pypow_puzzle *puzzle, uint32_t lanes)
{
    const uint64_t cost = pypow_hash_cost(&puzzle->hash, &puzzle->message);
    const uint64_t work = UINT64_C(1) << __builtin_popcount(puzzle->filter.mask);
    const uint64_t most = lanes * RUN_BLOCKS_OF_LANE;
    const uint64_t blocks = work / 16 < most ? work / 16 : most;
    return (uint32_t)((blocks > RUN_BLOCKS ? blocks : RUN_BLOCKS) / cost);
}

uint64_t pypow_layout_place(const struct pypow_layout *layout, const struct pypow_puzzle *puzzle,
                            uint32_t digit)
{
    return puzzle->message.head_len + (puzzle->nonce.little ? digit : layout->digits - 1 - digit);
}

static bool share_word(const struct pypow_layout *layout, const struct pypow_puzzle *puzzle,
                       uint32_t digit, uint32_t other)
{
    return other < layout->digits && pypow_layout_place(layout, puzzle, digit) / 4 ==
                                         pypow_layout_place(layout, puzzle, other) / 4;
}

/* Vary up to `most` values of the digits from `first` on, as far as they share a word. */
static void vary(struct pypow_layout *layout, const struct pypow_puzzle *puzzle, uint32_t first,
                 uint32_t most)
{
    const uint32_t base = puzzle->nonce.base;
    uint32_t digit = first, count = 1;
    for (; count * base <= most && share_word(layout, puzzle, first, digit); count *= base)
        digit++;
    layout->fast_digits = first;
    layout->whole_digits = digit - first;
    layout->whole_count = count;
    layout->parts = share_word(layout, puzzle, first, digit) ? least(base, most / count) : 1;
}

void pypow_layout_choose(struct pypow_layout *layout, const struct pypow_puzzle *puzzle,
                         uint32_t lanes, uint32_t digits)
{
    layout->longest_run = longest_run(puzzle, lanes);
    layout->digits = digits;
    layout->fast_count = 1;
    vary(layout, puzzle, 0, MAX_INNER);
    const struct pypow_layout plain = *layout;
    if (share_word(layout, puzzle, 0, plain.whole_digits))
        return;
    /* The word ends here. Perhaps the one before it has room for more. */
    layout->fast_count = plain.whole_count;
    vary(layout, puzzle, plain.whole_digits,
         least(MAX_INNER, layout->longest_run / plain.whole_count));
    if (layout->whole_count * layout->parts <= plain.whole_count)
        *layout = plain;
}

struct pypow_run pypow_layout_run(const struct pypow_layout *layout,
                                  const struct pypow_puzzle *puzzle, uint64_t index)
{
    const uint32_t base = puzzle->nonce.base;
    const uint32_t step = layout->fast_count * layout->whole_count;
    struct pypow_run run = {.first = index - index % step, .length = step, .parts = 1};
    if (layout->parts > 1) {
        const uint32_t value = (uint32_t)(index / step % base);
        const uint32_t above = value % layout->parts;
        run.lowest = value - above;
        run.parts = least(layout->parts, base - run.lowest);
        run.first -= (uint64_t)above * step;
        run.length *= run.parts;
    }
    return run;
}
