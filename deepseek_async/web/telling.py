"""One request for a stream, answered from its status line to its end."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Protocol

from deepseek_async.live import Batch, FailedEvent, Run
from deepseek_async.web.delivery import Delivery
from deepseek_async.web.encoding import BEGUN, Encoding
from deepseek_async.web.refusal import Refusal, refusal_of


class Reply(Protocol):
    """Where the answer to a request goes."""

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        ...

    async def write(self, data: bytes) -> None:
        """Send more of the body; waits while the client does not read."""
        ...

    async def end(self) -> None:
        """End the response."""
        ...


async def tell(asked: Delivery, after: str | None, reply: Reply) -> None:
    """Answer a request with all that comes after a cursor."""
    async with asked.run() as run:
        if is_told(run, after):
            # A browser that is sent an empty stream would come again and again.
            await reply.start(204, {})
        else:
            encoding = Encoding(run, asked.wire_format)
            async with aclosing(run.read(after, asked.heartbeat)) as batches:
                if asked.wait_first is not None:
                    await _tell_when_known(asked, run, batches, encoding, reply)
                else:
                    await reply.start(200, asked.headers)
                    await reply.write(BEGUN)
                encode, write = encoding.encode, reply.write
                async for batch in batches:
                    if data := encode(batch):
                        await write(data)
    await reply.end()


async def refuse(reply: Reply, refusal: Refusal) -> None:
    """Answer with a status and a line of text."""
    await reply.start(refusal.status, refusal.headers)
    await reply.write(refusal.body)
    await reply.end()


def is_told(run: Run, after: str | None) -> bool:
    """Return whether a reader has had all that there will ever be."""
    return after is not None and run.status != "running" and after == run.cursor


async def _tell_when_known(
    asked: Delivery, run: Run, batches: AsyncGenerator[Batch], encoding: Encoding, reply: Reply
) -> None:
    """Begin the response when the upstream has begun to answer, or did not for too long.

    Raises:
        Refusal: If the upstream has failed: that is what to answer.
    """
    assert asked.wait_first is not None
    deadline = asyncio.get_running_loop().time() + asked.wait_first
    first = asyncio.ensure_future(_first(batches, deadline))
    try:
        await asyncio.wait((first,), timeout=asked.wait_first)
        if first.done():
            _raise_failure(run, first.result(), show_errors=asked.show_errors)
        await reply.start(200, asked.headers)
        await reply.write(BEGUN)
        batch = await first
    finally:
        if not first.done():
            first.cancel()
            # Its generator is closed next, which it must have left for that.
            await asyncio.wait((first,))
    if batch is not None and (data := encoding.encode(batch)):
        await reply.write(data)


async def _first(batches: AsyncGenerator[Batch], deadline: float) -> Batch | None:
    """Return the first batch; signs of life only after the deadline."""
    loop = asyncio.get_running_loop()
    async for batch in batches:
        if batch.events or loop.time() >= deadline:
            return batch
    return None


def _raise_failure(run: Run, batch: Batch | None, *, show_errors: bool) -> None:
    if batch is not None and len(batch.events) == 1:
        event = batch.events[0]
        if isinstance(event, FailedEvent):
            raise refusal_of(run, event, show_errors=show_errors)
