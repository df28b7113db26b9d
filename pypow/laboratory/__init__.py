# SPDX-License-Identifier: Apache-2.0
"""A laboratory for gates: honest callers, attackers and controllers, without sockets."""
