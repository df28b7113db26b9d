# SPDX-License-Identifier: Apache-2.0
"""`pypow l402 doctor`: looks at any server that sells calls over Lightning, from its callers' side.

``asking.py`` alone asks, and ``paying.py`` alone pays, only when told to; all else are functions of
what was answered. ``readers.py`` and ``clients.py`` play the clients of others, each reading an
answer as its source does. Needs the extra ``[l402]``.
"""
