# SPDX-License-Identifier: Apache-2.0
"""A small MCP server, as anybody might have one: it knows the phases of the moon.

It knows nothing of pypow. Run it alone with ``python examples/mcp_server.py --port 8000``, and
put the gate in front of it with ``pypow gate --upstream http://127.0.0.1:8000``. It prints its
URL once it can be reached.
"""

import argparse
import asyncio
import datetime
import socket

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NEW_MOON = datetime.date(2000, 1, 6)
SYNODIC_MONTH_DAYS = 29.530588
PHASES = (
    "new",
    "waxing crescent",
    "first quarter",
    "waxing gibbous",
    "full",
    "waning gibbous",
    "last quarter",
    "waning crescent",
)

server = MCPServer("almanac", log_level="ERROR")


@server.tool()
def moon_phase(date: str) -> str:
    """The phase of the moon on a date such as 2026-07-28."""
    days = (datetime.date.fromisoformat(date) - NEW_MOON).days
    eighths = days % SYNODIC_MONTH_DAYS / SYNODIC_MONTH_DAYS * len(PHASES)
    return PHASES[round(eighths) % len(PHASES)]


@server.custom_route("/moon/{date}", methods=["GET"])  # type: ignore[untyped-decorator]  # the SDK's
async def moon(request: Request) -> Response:
    """The same over plain HTTP."""
    date = request.path_params["date"]
    try:
        return JSONResponse({"date": date, "phase": moon_phase(date)})
    except ValueError:
        return JSONResponse({"error": "expected a date such as 2026-07-28"}, status_code=400)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="An MCP server that knows the moon.")
    parser.add_argument("--port", type=int, default=8000, help="0 is any free port")
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port))
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", ws="none")
    # The socket listens already: whoever reads this line may connect.
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
