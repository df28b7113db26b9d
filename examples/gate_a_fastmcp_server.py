# SPDX-License-Identifier: Apache-2.0
"""A FastMCP server of which one tool costs work; its clients keep their sessions.

Run it with ``python examples/gate_a_fastmcp_server.py``; the server is at
``http://127.0.0.1:8402/mcp``.
"""

import uvicorn
from fastmcp import FastMCP

from pypow_server import guard

server: FastMCP[None] = FastMCP("almanac")


@server.tool
def search_moon(date: str) -> str:
    """What the moon did on a date: costs work."""
    return f"On {date} it shone."


@server.tool
def about() -> str:
    """What this is: free."""
    return "An almanac."


app = guard(
    server.http_app(),
    prices={"tools/call about": None, "tools/call search_*": 12},
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8402, proxy_headers=False)
