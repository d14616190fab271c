"""Our relay in FastAPI, as users would write it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request

from benchmarks.realtime.asking import Upstream
from deepseek_async.web.starlette import SSEResponse


def build(address: str, heartbeat: float) -> Any:
    """Return it."""
    upstream = Upstream(address, heartbeat)
    app = FastAPI()

    async def stream(request: Request) -> SSEResponse:
        query = request.url.query.encode()
        return SSEResponse(upstream.stream(query), format="native", fps=0, heartbeat=heartbeat)

    app.get("/stream")(stream)
    return app
