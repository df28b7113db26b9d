/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes too long for a scan: a group of nonces at a time, with looks at the watch in between. */
#ifndef PYPOW_GROUP_H
#define PYPOW_GROUP_H

#include "search.h"

/* Whether this puzzle is searched by groups: its nonces cost many block computations. */
bool pypow_group_wanted(const struct pypow_puzzle *puzzle);

/* As pypow_search_range, for such a hash. */
int pypow_group_search(struct pypow_progress *progress, const struct pypow_search *search,
                       uint64_t first, uint64_t last, const struct pypow_watch *watch);

#endif
