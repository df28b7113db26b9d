# SPDX-License-Identifier: Apache-2.0
"""What was sold for money, for operators: sums, a page, a table, and a recount."""
