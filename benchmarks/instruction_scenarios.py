"""The programs whose instructions are counted: nothing but the library, no sockets.

Each does the same thing a number of times, and makes sure that it was done. All of them run once in
one process. Copies of that process then do nothing, and each of the named programs a number of
times: what a copy takes more than the first is its own.

Run by ``benchmarks.instructions``: python -m benchmarks.instruction_scenarios [NAME ...]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, cast

from benchmarks import payloads
from benchmarks.in_memory import MemorySession
from benchmarks.questions import check
from deepseek_async import AsyncDeepSeek, BatchRequest
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.wire.accumulate import ChatAccumulator
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.codec import decode_result

_BLOCK = 16 * 1024
_CHUNKS = 2000
_FRAGMENTS = 2000
_ASK: Any = {"model": payloads.MODEL, "messages": payloads.MESSAGES}


def _blocks(events: list[bytes], between: bytes = b"") -> list[bytes]:
    data = between.join(events)
    return [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)]


def _client(
    blocks: list[bytes],
    content_type: str = "text/event-stream",
    dialect: Literal["deepseek", "generic"] = "deepseek",
) -> AsyncDeepSeek:
    session = cast("Any", MemorySession(blocks, content_type))
    return AsyncDeepSeek("sk-benchmark", session=session, dialect=dialect, trust_env=False)


def _decode(blocks: list[bytes], times: int) -> ChatAccumulator:
    """Decode a stream and add it up, the number of times."""
    accumulator = ChatAccumulator()
    for _ in range(times):
        decoder = ChunkDecoder(ChatCompletionChunk)
        accumulator = ChatAccumulator()
        for block in blocks:
            accumulator.add(decoder.feed(block))
        check(decoder.done, True, "end of the stream")
    return accumulator


_CONTENT = "".join(payloads.pieces(_CHUNKS)[1])
# Rendered before anything is counted.
_TEXT = _blocks(payloads.text_events(_CHUNKS))
_KEPT_TEXT = _blocks(payloads.text_events(_CHUNKS), payloads.KEEP_ALIVE)
_CALLS = _blocks(payloads.tool_events(_FRAGMENTS))


def _chunks(times: int) -> None:
    answer = _decode(_TEXT, times)
    check(answer.content, _CONTENT, "text")


def _kept_chunks(times: int) -> None:
    answer = _decode(_KEPT_TEXT, times)
    check(answer.content, _CONTENT, "text")


def _fragments(times: int) -> None:
    answer = _decode(_CALLS, times)
    calls = answer.build().choices[0].message.tool_calls or []
    got = [(call.function.name, call.function.arguments) for call in calls]
    check(got, payloads.tool_calls(), "tool calls")


def _build(times: int) -> None:
    completions = _client([]).chat.completions
    for _ in range(times):
        completions.prepare("create", _ASK, stream=False)


def _decode_answers(times: int) -> None:
    info = ResponseInfo(200, Headers([("content-type", "application/json")]), "6f3b1c0d")
    text: str | None = None
    for _ in range(times):
        text = decode_result(payloads.ANSWER, ChatCompletion, info).choices[0].message.content
    check(text, payloads.ANSWER_TEXT, "text")


def _requests(times: int) -> None:
    async def run() -> None:
        text: str | None = None
        async with _client([payloads.ANSWER], "application/json") as client:
            for _ in range(times):
                completion = await client.chat.completions.create(**_ASK)
                text = completion.choices[0].message.content
        check(text, payloads.ANSWER_TEXT, "text")

    asyncio.run(run())


def _stream(times: int) -> None:
    async def run() -> None:
        async with _client(_TEXT) as client:
            for _ in range(times):
                async with await client.chat.completions.create(**_ASK, stream=True) as stream:
                    texts = [chunk.choices[0].delta.content async for chunk in stream]
                check("".join(filter(None, texts)), _CONTENT, "text")

    asyncio.run(run())


def _events(times: int) -> None:
    async def run() -> None:
        async with _client(_TEXT) as client:
            for _ in range(times):
                async with client.chat.completions.stream(**_ASK) as stream:
                    texts = [event.delta async for event in stream if event.type == "content.delta"]
                check("".join(texts), _CONTENT, "text")

    asyncio.run(run())


def _batch(times: int) -> None:
    def requests() -> Iterator[BatchRequest]:
        for number in range(times):
            question = {"role": "user", "content": f"{number}: {'why? ' * 200}"}
            yield BatchRequest(f"item-{number}", {**_ASK, "messages": [question]})

    async def run(out: str) -> None:
        # DeepSeek's own host is asked for one answer in twenty as a stream; this session has none.
        async with _client([payloads.ANSWER], "application/json", "generic") as client:
            report = await client.batch(requests(), out=out).run()
        check(report.succeeded, times, "answers")

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(f"{folder}/answers.jsonl"))


class Scenario(NamedTuple):
    """A program.

    Attributes:
        run: Does it, the given number of times.
        times: How often it is done to be counted.
        units: What it does each time.
        unit: What that is.
    """

    run: Callable[[int], None]
    times: int
    units: int
    unit: str


SCENARIOS = {
    "decode and accumulate": Scenario(_chunks, 4, _CHUNKS, "chunk"),
    "with keep-alives between": Scenario(_kept_chunks, 4, _CHUNKS, "chunk"),
    "tool call fragments": Scenario(_fragments, 4, _FRAGMENTS, "fragment"),
    "create(stream=True)": Scenario(_stream, 4, _CHUNKS, "chunk"),
    ".stream() events": Scenario(_events, 4, _CHUNKS, "chunk"),
    "build requests": Scenario(_build, 1000, 1, "request"),
    "decode answers": Scenario(_decode_answers, 1000, 1, "answer"),
    "create()": Scenario(_requests, 1000, 1, "request"),
    "batch(), with its journal": Scenario(_batch, 1000, 1, "item"),
}


def _in_a_copy(run: Callable[[int], None], times: int) -> None:
    """Run a program in a copy of this process, and wait for its end."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        if status:
            sys.exit("a program failed")
        return
    failed = True
    try:
        if times:
            run(times)
        failed = False
    finally:
        # At once: what the interpreter does at its end is not to be counted.
        os._exit(failed)


def main() -> None:
    for scenario in SCENARIOS.values():
        scenario.run(1)
    _in_a_copy(_build, 0)
    for name in sys.argv[1:]:
        _in_a_copy(SCENARIOS[name].run, SCENARIOS[name].times)


if __name__ == "__main__":
    main()
