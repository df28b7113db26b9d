# SPDX-License-Identifier: Apache-2.0
"""A small OAuth authorization server for callers that pay: no users, no refresh tokens, no state.

It is off unless the operator wants it. Stock OAuth clients get in by it with work or sats: what
they buy is a pass, in the form of an access token (RFC 9068). All that it hands out is signed or
sealed with the gate's own keys, and what may be used once is spent in the gate's ledger, so that
every gate of a deployment can go on where another began.

What is here needs joserfc, which comes with the extra ``oauth``.
"""
