"""Recorded streams, served over real sockets in every cutting, give what they should."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek, ChatCompletion, Choice
from tests.fixtures import body_of, chat_streams, needs_recordings
from tests.loopback.peer import ASK, GUARD, STREAM_HEAD, TERMINATOR, Connection, http_chunk, serving

CASES = chat_streams()
SMALL = [case for case in CASES if len(body_of(case)) <= 16 * 1024]


def summary(completion: ChatCompletion) -> dict[str, Any]:
    """Return a completion in the form of the expected results."""
    choice = completion.choices[0]
    usage = completion.usage
    return {
        "content": choice.message.content,
        "reasoning_content": choice.message.reasoning_content,
        "tool_calls": [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or []
        ],
        "finish_reason": choice.finish_reason,
        "usage": None if usage is None else usage.to_dict(),
    }


def wanted(case: dict[str, Any]) -> dict[str, Any]:
    result = {key: case[key] for key in summary(ChatCompletion(id="", choices=[_NOTHING]))}
    if result["usage"] is not None:
        result["usage"] = {k: v for k, v in result["usage"].items() if v is not None}
    return result


_NOTHING = Choice()


class Cuttings:
    """A server that sends the next of some bodies, cut into pieces."""

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] = ()
        self.pause = False

    async def handle(self, connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.write(STREAM_HEAD)
            for piece in self.pieces:
                await connection.write(http_chunk(piece))
                if self.pause:
                    # A write of its own for every piece, and a turn of the reader's.
                    await asyncio.sleep(0)
            await connection.write(TERMINATOR)


async def check(client: AsyncDeepSeek, case: dict[str, Any]) -> None:
    stream = await client.chat.completions.create(**ASK, stream=True)
    assert len([chunk async for chunk in stream]) == case["n_chunks"]
    assert summary(stream.completion()) == wanted(case)
    assert stream.saw_done == case["done_seen"]
    async with client.chat.completions.stream(**ASK) as events:
        content, reasoning = "", ""
        calls: dict[int, dict[str, str]] = {}
        queued = 0
        async for event in events:
            match event.type:
                case "queued":
                    queued += 1
                case "content.delta":
                    content += event.delta
                case "reasoning.delta":
                    reasoning += event.delta
                case "tool_calls.function.arguments.done":
                    calls[event.index] = {
                        "id": event.id,
                        "name": event.name,
                        "arguments": event.arguments,
                    }
                case "done":
                    assert event.finish_reason == case["finish_reason"]
                case _:
                    pass
        assert summary(events.snapshot) == wanted(case)
    assert content == (case["content"] or "")
    assert reasoning == (case["reasoning_content"] or "")
    assert list(calls.values()) == case["tool_calls"]
    assert queued == case["n_comments"]


@needs_recordings
@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
async def test_a_recorded_stream_gives_what_it_should_whole_and_cut(case: dict[str, Any]) -> None:
    body = body_of(case)
    server = Cuttings()
    choose = random.Random(case["file"])
    async with asyncio.timeout(6 * GUARD), serving(server.handle) as (_, client):
        server.pieces = [body]
        await check(client, case)
        for _ in range(20):
            cuts = sorted(choose.sample(range(1, len(body)), k=min(12, len(body) - 1)))
            edges = [0, *cuts, len(body)]
            server.pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
            server.pause = True
            await check(client, case)


@needs_recordings
@pytest.mark.parametrize("case", SMALL, ids=[case["file"] for case in SMALL])
async def test_a_small_recorded_stream_gives_what_it_should_byte_by_byte(
    case: dict[str, Any],
) -> None:
    server = Cuttings()
    server.pieces = [bytes([byte]) for byte in body_of(case)]
    async with asyncio.timeout(6 * GUARD), serving(server.handle) as (_, client):
        await check(client, case)


@needs_recordings
def test_all_recordings_are_there() -> None:
    assert len(CASES) == 79
    assert len(SMALL) > 20
