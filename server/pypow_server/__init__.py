# SPDX-License-Identifier: Apache-2.0
"""A gate that lets callers earn their way into an ASGI app or an upstream server."""

from .embedding import guard
from .gate import Gate

__all__ = ["Gate", "guard"]
