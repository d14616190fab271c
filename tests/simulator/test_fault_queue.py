"""Which requests faults meet, and what is written on the wire for those of other hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepseek_async.simulator import FAULT_KINDS, Fault, Reply
from deepseek_async.simulator.faults import FaultQueue
from deepseek_async.simulator.frames import Frame, Kind, Timing
from deepseek_async.simulator.spoiling import with_fault

from .loopback import Client, RawConnection, chat

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "clock")]


def kinds(queue: FaultQueue, count: int, now: float = 0.0) -> list[str | None]:
    met = [queue.take(now) for _ in range(count)]
    return [None if fault is None else fault.kind for fault in met]


def test_faults_come_in_order_and_none_lets_one_pass() -> None:
    queue = FaultQueue()
    queue.extend([Fault("cut"), None, Fault("error", times=2)])
    assert kinds(queue, 5) == ["cut", None, "error", "error", None]


def test_a_storm_lasts_its_time_from_the_first_request_on() -> None:
    queue = FaultQueue()
    queue.extend([Fault("rate_limit", seconds=10), Fault("cut")])
    assert kinds(queue, 3, now=100.0) == ["rate_limit"] * 3
    assert kinds(queue, 1, now=109.9) == ["rate_limit"]
    assert kinds(queue, 2, now=110.0) == ["cut", None]


def test_a_storm_can_be_counted() -> None:
    queue = FaultQueue()
    queue.extend([Fault("rate_limit", times=3)])
    assert kinds(queue, 4) == ["rate_limit"] * 3 + [None]


def test_a_rate_is_kept_and_repeats_with_the_seed() -> None:
    def drawn(seed: int) -> list[str | None]:
        queue = FaultQueue(seed)
        queue.extend([Fault("cut", rate=0.05), Fault("reset", rate=0.1)])
        return kinds(queue, 10_000)

    found = drawn(1)
    assert 400 < found.count("cut") < 600
    assert 800 < found.count("reset") < 1100
    assert found == drawn(1) != drawn(2)


def test_a_rate_can_be_limited_and_leaves_what_is_certain_alone() -> None:
    queue = FaultQueue()
    queue.extend([Fault("cut", rate=1.0, times=2), None, Fault("error")])
    assert kinds(queue, 6) == [None, "error", "cut", "cut", None, None]
    queue.extend([Fault("cut", times="forever")])
    queue.clear()
    assert kinds(queue, 1) == [None]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kind": "explode"}, "no fault 'explode'; there are close"),
        ({"kind": "cut", "rate": 1.5}, "from 0 to 1"),
        ({"kind": "cut", "times": 0}, "at least once"),
        ({"kind": "cut", "after_events": -1}, "after_events can't be negative"),
    ],
)
def test_faults_without_sense_are_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Fault(**fields)


async def streamed(client: Client, fault: Fault, **fields: Any) -> list[bytes]:
    client.sim.script(Reply("Hi", tool_calls=[("weather", {"city": "Ulm"}), ("clock", {})]))
    client.sim.faults(fault)
    _, _, data = await client.post(chat(stream=True, tools=TOOLS, **fields))
    return data.split(b"\n\n")[:-1]


async def chunks(client: Client, fault: Fault) -> list[Any]:
    events = await streamed(client, fault)
    return [json.loads(event[6:]) for event in events if event.startswith(b"data: {")]


def calls(found: list[Any]) -> list[Any]:
    deltas = [choice["delta"] for chunk in found for choice in chunk["choices"]]
    return [call for delta in deltas for call in delta.get("tool_calls") or ()]


async def test_all_calls_can_have_the_same_id(client: Client) -> None:
    ids = [
        call["id"] for call in calls(await chunks(client, Fault("duplicate_ids"))) if "id" in call
    ]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_ids_and_later_names_can_be_blank(client: Client) -> None:
    found = calls(await chunks(client, Fault("blank_ids")))
    assert {call["id"] for call in found} == {""}
    names = [call["function"]["name"] for call in found if call["function"]["name"]]
    assert names == ["weather", "clock"]


async def test_calls_can_lack_their_index(client: Client) -> None:
    assert all("index" not in call for call in calls(await chunks(client, Fault("missing_index"))))


async def test_names_can_be_repeated(client: Client) -> None:
    found = calls(await chunks(client, Fault("repeated_names")))
    names = [call["function"]["name"] for call in found]
    assert names == ["weather"] * (len(names) - 2) + ["clock"] * 2
    assert all(call["id"] for call in found)


async def test_chunks_can_lack_choices(client: Client) -> None:
    found = await chunks(client, Fault("empty_choices", after_events=1))
    assert [chunk["choices"] for chunk in found[1:3]] == [[], None]


async def test_deltas_can_be_null(client: Client) -> None:
    found = await chunks(client, Fault("null_deltas"))
    deltas = [chunk["choices"][0]["delta"] for chunk in found]
    assert deltas[1] is None
    assert {"role", "content", "reasoning_content", "tool_calls"} <= set(deltas[2])


async def test_usage_can_come_in_its_own_chunk(client: Client) -> None:
    found = await chunks(client, Fault("usage_chunk"))
    assert "usage" not in found[-2]
    assert (found[-1]["choices"], found[-1]["usage"]["total_tokens"] > 0) == ([], True)


async def test_comments_can_be_other_hosts(client: Client) -> None:
    events = await streamed(client, Fault("host_comments"))
    assert events[0] == b": OPENROUTER PROCESSING"
    assert events[2] == b":"
    client.sim.faults(Fault("host_comments"))
    assert (await client.post())[2].startswith(b"\n         \n{")


async def test_openrouters_error_has_a_number_and_a_choice(client: Client) -> None:
    found = await chunks(client, Fault("openrouter_error", after_events=2))
    assert found[-1]["error"]["code"] == 502
    assert found[-1]["choices"][0]["finish_reason"] == "error"


async def test_a_trickle_is_one_byte_a_chunk(client: Client) -> None:
    client.sim.script(Reply("Hi"))
    client.sim.faults(Fault("trickle"))
    connection = await RawConnection.open(client.sim, chat(stream=True))
    await connection.head()
    found = await connection.chunks()
    assert {len(chunk) for chunk in found} == {1}
    assert b"".join(found).endswith(b"data: [DONE]\n\n")
    await connection.close()


async def test_a_truncated_body_is_whole_for_http(client: Client) -> None:
    client.sim.faults(Fault("truncated", after_bytes=20))
    assert len((await client.post())[2]) == 20


async def test_a_storm_waits_for_the_clock(client: Client) -> None:
    client.sim.faults(Fault("rate_limit", seconds=60, retry_after=1.5))
    client.sim.script(Reply("Hi"))
    status, headers, _ = await client.post()
    assert (status, headers["retry-after"]) == (429, "1.5")
    client.sim.clock.advance(60)
    # The scripted answer waited for a request that is answered.
    assert (await client.json(chat()))["choices"][0]["message"]["content"] == "Hi"


async def test_resetting_forgets_scripts_and_faults(client: Client) -> None:
    client.sim.script(Reply("Hi"))
    client.sim.faults(Fault("close"))
    client.sim.reset()
    reply = await client.json(chat())
    assert reply["choices"][0]["message"]["content"] != "Hi"
    assert len(client.sim.requests) == 1


@pytest.mark.parametrize("kind", FAULT_KINDS)
@pytest.mark.parametrize("data", [b"no json", b"[1]", b'{"error":1}'])
def test_no_fault_stumbles_over_other_bodies(kind: Any, data: bytes) -> None:
    frames = [Frame(0.0, data, Kind.BODY)]
    assert list(with_fault(frames, Fault(kind, seconds=0.0), Timing())) is not None
    pieces = [Frame(0.0, b"data: [", Kind.PIECE), Frame(0.0, b"DONE]", Kind.PIECE)]
    assert list(with_fault(pieces, Fault(kind, seconds=0.0), Timing())) is not None
