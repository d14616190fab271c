"""Formats made of parts: the same message, however the answer is cut into batches."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ChatCompletion,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    ReasoningDeltaEvent,
    ToolDoneEvent,
    TurnDoneEvent,
)
from deepseek_async.live import Live, LiveEvent, Run
from deepseek_async.simulator import Simulator
from deepseek_async.web import sse_bytes
from deepseek_async.web.formats import format_of
from tests.foreign.web_answers import ANSWERS, ENDLESS, script, source
from tests.foreign.web_answers import told as what_was_told
from tests.web.parts_wire import (
    Cutter,
    Objects,
    events_of,
    joined,
    objects,
    turns_in_chunks,
    turns_in_events,
)

COMPLETION: dict[str, Any] = {
    "id": "c",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "text",
                "reasoning_content": "reasoning",
                "tool_calls": [
                    {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
        }
    ],
}

texts = st.text(st.sampled_from("ab\n€😀\u2028"), min_size=1, max_size=4)
places = st.integers(0, 2)
ids = st.sampled_from(["", "x", "y"])
events = st.one_of(
    texts.map(ContentDeltaEvent),
    texts.map(ReasoningDeltaEvent),
    st.builds(ArgumentsDeltaEvent, places, ids, st.just("f"), texts | st.just("")),
    st.builds(ArgumentsDoneEvent, places, ids, st.just("f"), texts | st.just('{"a":\n1}')),
    st.builds(
        ToolDoneEvent, st.just(1), places, ids, st.just("f"), texts, st.booleans(), st.just(0.5)
    ),
    st.just(ContentDoneEvent("whole")),
    st.just(DoneEvent("stop", None)),
    st.builds(TurnDoneEvent, st.just(1), st.just(msgspec.convert(COMPLETION, ChatCompletion))),
)
answers = st.lists(events, max_size=12).map(lambda told: [*told, DoneEvent("stop", None)])
FORMATS = ["ai-sdk", "ag-ui"]


@pytest.fixture(scope="module")
def run() -> Run:
    """A run that has ended; nothing of it is read but its name."""

    async def ended() -> Run:
        async with Live() as live:
            run = await live.start(events_of(["a"]), id="run")
            await run.wait()
        return run

    return asyncio.run(ended())


@pytest.mark.parametrize("name", FORMATS)
@given(told=answers, data=st.data())
def test_any_cut_tells_the_same(
    run: Run, name: str, told: list[LiveEvent], data: st.DataObject
) -> None:
    cutter = Cutter(run, told)
    cuts = data.draw(st.sets(st.sampled_from(cutter.ends)))
    leaves = data.draw(st.sets(st.sampled_from(cutter.ends)))
    whole = objects(cutter.told(format_of(name), [], set()))
    cut = objects(cutter.told(format_of(name), [*cuts], leaves))
    assert joined(cut) == joined(whole)


@pytest.mark.parametrize("name", FORMATS)
@given(told=answers)
def test_a_reader_that_is_cut_off_within_a_batch_goes_on_behind_its_last_id(
    run: Run, name: str, told: list[LiveEvent]
) -> None:
    cutter = Cutter(run, told)
    wire_format = format_of(name)
    whole = cutter.told(wire_format, [], set())
    for match in re.finditer(rb"id: e\.(\d+)\ndata: .*\n\n", whole):
        position = int(match[1])
        if position < cutter.ends[-1]:
            state = wire_format.begin(run, cutter.batch(0, position).events)
            rest, _ = wire_format.encode(run, state, cutter.batch(position, cutter.ends[-1]))
            assert joined(objects(whole[: match.end()] + rest)) == joined(objects(whole))


@pytest.mark.parametrize("name", FORMATS)
@given(told=answers, data=st.data())
def test_the_last_id_of_a_batch_is_its_cursor(
    run: Run, name: str, told: list[LiveEvent], data: st.DataObject
) -> None:
    cutter = Cutter(run, told)
    cut = data.draw(st.sampled_from(cutter.ends))
    wire_format = format_of(name)
    state = wire_format.begin(run, cutter.batch(0, cut).events)
    end = cutter.ends[-1]
    if cut < end:
        found, _ = wire_format.encode(run, state, cutter.batch(cut, end))
        assert re.findall(rb"^id: (.*)$", found, re.MULTILINE)[-1] == b"e.%d" % end


@given(told=answers)
def test_what_is_opened_is_closed_and_nothing_else(run: Run, told: list[LiveEvent]) -> None:
    whole = objects(Cutter(run, told).told(format_of("ag-ui"), [], set()))
    is_open: set[tuple[str, str]] = set()
    calls: set[str] = set()
    for each in whole[1:-1]:
        # TEXT_MESSAGE, REASONING, REASONING_MESSAGE, TOOL_CALL
        kind, _, what = each["type"].rpartition("_")
        key = (kind, each.get("toolCallId") or each["messageId"])
        if what == "START":
            assert key not in is_open
            is_open.add(key)
            if kind == "TOOL_CALL":
                assert key[1] not in calls
                calls.add(key[1])
        elif what == "END":
            is_open.remove(key)
        elif what == "RESULT":
            assert key[1] in calls
        else:
            assert key in is_open
    assert is_open == set()


@pytest.mark.parametrize("fps", [0, 100])
@pytest.mark.parametrize("name", [answer for answer in ANSWERS if answer != ENDLESS])
async def test_answers_of_the_server_are_told_as_they_are(name: str, fps: float) -> None:
    async with Simulator(seed=7) as sim, sim.client(max_retries=0) as client, Live() as live:
        script(sim, name)
        run = await live.start(source(client, name), fps=fps, on_disconnect="continue")
        readers = [read(run, wire_format) for wire_format in FORMATS]
        chunks, events = await asyncio.gather(*readers)
        turns = [turn for turn in what_was_told(run)["turns"] if any(turn.values())]
    assert turns_in_chunks(chunks) == turns
    for turn in turns:
        for call in turn["calls"]:
            call.pop("is_error", None)
    assert turns_in_events(events) == turns


async def read(run: Run, wire_format: str) -> Objects:
    return objects(b"".join([piece async for piece in sse_bytes(run, wire_format)]))
