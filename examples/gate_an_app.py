# SPDX-License-Identifier: Apache-2.0
"""The gate around an ASGI app in the same process: no proxy, one line.

Run it with ``python examples/gate_an_app.py`` and ask with ``curl -i http://127.0.0.1:8402/``.
"""

import uvicorn
from fastapi import FastAPI

from pypow_server import guard

app = FastAPI()


@app.get("/")
def greet() -> dict[str, str]:
    """What the work buys."""
    return {"hello": "you have earned this"}


gated = guard(app)

if __name__ == "__main__":
    uvicorn.run(gated, host="127.0.0.1", port=8402, proxy_headers=False, server_header=False)
