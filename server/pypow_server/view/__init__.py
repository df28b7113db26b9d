# SPDX-License-Identifier: Apache-2.0
"""The live view: what a gate did in its last minutes, as a page and as JSON, for its operators."""
