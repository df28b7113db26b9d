/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the columns of a batch (struct pypow_column). */
#ifndef PYPOW_COLUMN_H
#define PYPOW_COLUMN_H

#include <stdbool.h>

#include "pypow.h"

struct pypow_item {
    const uint8_t *at;
    size_t len;
};

/*
 * False where the offsets of the item lie outside the data or descend. They are looked at here
 * and nowhere else, so that a caller who changes them meanwhile harms nobody.
 */
static inline bool pypow_column_item(struct pypow_item *item, const struct pypow_column *column,
                                     size_t number)
{
    if (column->offsets == NULL) {
        item->at = column->data + (ptrdiff_t)number * column->stride;
        item->len = column->width;
    } else {
        const volatile int64_t *const offsets = column->offsets + number;
        const int64_t begin = offsets[0], end = offsets[1];
        if (begin < 0 || end < begin || (uint64_t)end > column->data_len)
            return false;
        item->at = column->data + begin;
        item->len = (size_t)(end - begin);
    }
    while (column->padded && item->len > 0 && item->at[item->len - 1] == 0)
        item->len--;
    return true;
}

#endif
