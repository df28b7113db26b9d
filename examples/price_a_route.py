# SPDX-License-Identifier: Apache-2.0
"""A FastAPI app of which one route costs work, and the others cost nothing.

Run it with ``python examples/price_a_route.py`` and ask with
``curl -i http://127.0.0.1:8402/search``.
"""

from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

from pypow_server.require import Charged, install, require

app = FastAPI()
install(app, prices={"search": 12})


@app.get("/")
async def greet() -> dict[str, str]:
    """Free."""
    return {"try": "/search"}


@app.get("/search")
async def search(who: Annotated[Charged, Depends(require("search"))]) -> dict[str, str | None]:
    """What the work buys."""
    return {"found": "what you looked for", "charged": who}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8402, proxy_headers=False)
