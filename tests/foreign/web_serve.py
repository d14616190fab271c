"""A relay for clients that read web formats: prints where it listens, serves until its input ends.

``/FORMAT/ANSWER`` starts a run and tells it; with ``?cuts=SEED`` over connections that break again
and again, each going on behind the last cursor that got through. ``/told/RUN`` is what it came to.
``/chat`` and ``/chat/CHAT/stream`` are what ``useChat`` calls: the first connection ends in the
middle of the answer, as in a process that is replaced, or breaks with ``?break=1``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys

from aiohttp import web

from deepseek_async.live import Batch, DrainEvent, Live, Run, StoppedEvent
from deepseek_async.simulator import Simulator
from deepseek_async.web import aiohttp_sse, sse_bytes
from deepseek_async.web.formats import format_of
from tests.foreign import web_answers
from tests.foreign.web_answers import ENDLESS, source, told


class Relay:
    """The handlers, and what they share."""

    def __init__(self, sim: Simulator, live: Live) -> None:
        self.sim = sim
        self.live = live
        self.client = sim.client(max_retries=0)

    async def start(self, name: str, fps: float, run_id: str | None = None) -> Run:
        web_answers.script(self.sim, name)
        run = await self.live.start(
            source(self.client, name), id=run_id, fps=fps, on_disconnect="continue"
        )
        if name == ENDLESS:
            asyncio.get_running_loop().call_later(0.05, run.end, StoppedEvent("stopped"))
        return run

    async def tell(self, request: web.Request) -> web.StreamResponse:
        chance = random.Random(request.query.get("cuts", "0"))
        name = request.match_info["answer"]
        run = await self.start(name, fps=chance.choice([0, 0, 20, 200]))
        wire_format = request.match_info["format"]
        if "cuts" not in request.query:
            return await aiohttp_sse(request, run, wire_format)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        after: str | None = None
        whole = False
        while not whole:
            data, after, whole = await part_of(run, wire_format, after, chance)
            await response.write(data)
        return response

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Begin an answer, and end the connection in its middle."""
        chat = (await request.json())["id"]
        run = await self.start("tool loop", 0, chat)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        data = b"".join([piece async for piece in sse_bytes(run, "ai-sdk")])
        events = data.split(b"\n\n")
        # Behind the beginning of a reasoning, which is still open then.
        middle = next(at for at, event in enumerate(events) if b'"More' in event) + 1
        await response.write(b"\n\n".join(events[:middle]) + b"\n\n")
        if "break" not in request.query:
            wire_format = format_of("ai-sdk")
            last = Batch([DrainEvent(0.1)], run.cursor, 0, 0, 0.0, last=True)
            farewell, _ = wire_format.encode(run, wire_format.begin(run, []), last)
            await response.write(farewell)
        else:
            assert request.transport is not None
            # What was sent must not be lost with it.
            await asyncio.sleep(0.05)
            request.transport.abort()
        return response

    async def again(self, request: web.Request) -> web.StreamResponse:
        """Tell the answer to a page that came back: from the beginning, or from ``?after``."""
        run = self.live.get(request.match_info["chat"])
        assert run is not None
        return await aiohttp_sse(request, run, "ai-sdk", request.query.get("after"))

    async def answers(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(list(web_answers.ANSWERS))

    async def told(self, request: web.Request) -> web.StreamResponse:
        run = self.live.get(request.match_info["run"])
        assert run is not None
        await run.wait()
        return web.json_response(told(run))


async def part_of(
    run: Run, wire_format: str, after: str | None, chance: random.Random
) -> tuple[bytes, str | None, bool]:
    """Return what gets through on one connection, the last cursor in it, and whether it is all."""
    kept = b""
    left = chance.randrange(1, 8)
    async for piece in sse_bytes(run, wire_format, after, None):
        for event in piece.split(b"\n\n")[:-1]:
            kept += event + b"\n\n"
            left -= 1
            if event.startswith(b"id: "):
                after = event[4:].partition(b"\n")[0].decode()
                if left <= 0 and run.cursor != after:
                    return kept, after, False
    return kept, after, True


async def main() -> None:
    # Runs that fail are meant to.
    logging.getLogger("deepseek_async.live").setLevel(logging.CRITICAL)
    async with Simulator(seed=7, tokens_per_second=3000) as sim, Live() as live:
        relay = Relay(sim, live)
        app = web.Application()
        app.add_routes(
            [
                web.post("/chat", relay.chat),
                web.get("/chat/{chat}/stream", relay.again),
                web.get("/told/{run}", relay.told),
                web.get("/answers", relay.answers),
                web.route("*", "/{format}/{answer}", relay.tell),
            ]
        )
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)
        await relay.client.aclose()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
