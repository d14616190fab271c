"""Whole runs of tools over real sockets; the simulator refuses what DeepSeek would."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest

from deepseek_async import (
    APIConnectionError,
    APIStatusError,
    AsyncDeepSeek,
    ChatCompletion,
    ChatCompletionMessage,
    ContentFilterFinishReasonError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
    PreflightError,
    StreamInterruptedError,
    ToolMessage,
)
from deepseek_async.simulator import Fault, Replay, Reply, Simulator, When
from deepseek_async.tools import (
    MaxTurnsError,
    ToolContext,
    ToolDoneEvent,
    ToolError,
    ToolParam,
    ToolRunner,
    ToolStartedEvent,
    TurnDoneEvent,
    tool,
)

GUARD = 20.0
ASK: list[Any] = [{"role": "user", "content": "What is the weather?"}]
STREAMED = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
THINKING = pytest.mark.parametrize("thinking", [True, False], ids=["thinking", "not thinking"])


def run_tools(
    client: AsyncDeepSeek, *, tools: list[ToolParam], streamed: bool = True, **options: Any
) -> ToolRunner:
    params: Any = {"model": "deepseek-flash", "messages": ASK, **options}
    return client.chat.completions.run_tools(tools=tools, stream=streamed, **params)


@asynccontextmanager
async def simulated(*replies: Reply | Replay) -> AsyncIterator[tuple[Simulator, AsyncDeepSeek]]:
    """A scripted simulator and a client; whatever a test leaves behind fails it."""
    async with asyncio.timeout(GUARD), Simulator() as sim:
        sim.script(*replies)
        async with sim.client(max_retries=0) as client:
            yield sim, client
    assert tool_tasks() == []


def tool_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("tool ")]


@tool
async def weather(city: str, days: Annotated[int, "How many days ahead."] = 1) -> str:
    """Tell the weather."""
    return f"{city}: sunny for {days} days"


@tool
def clock() -> str:
    """Tell the time, in a thread."""
    return f"noon in {threading.current_thread().name}"


@tool
async def broken() -> str:
    """Fail."""
    raise ValueError("out of order")


@tool
async def careful(city: str) -> str:
    """Fail in words for the model."""
    raise ToolError(f"Nobody knows {city}; ask for a larger one.")


class Endless:
    """A tool that never answers, and what becomes of it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = 0

    async def wait(self) -> str:
        """Wait."""
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ""


def told(messages: list[Any]) -> list[str]:
    return [message.content for message in messages if isinstance(message, ToolMessage)]


async def events_of(runner: ToolRunner) -> list[Any]:
    return [event async for event in runner]


def kinds(events: list[Any]) -> list[str]:
    return [event.type for event in events]


@STREAMED
@THINKING
async def test_three_turns_with_every_kind_of_mistake(*, streamed: bool, thinking: bool) -> None:
    endless = Endless()
    replies = (
        Reply(
            "Let me see.",
            reasoning="I should look it up.",
            tool_calls=[
                ("weather", {"city": "Ulm"}),
                ("broken", {}),
                ("wait", {}),
                ("moon", {"phase": 1}),
            ],
            match=When(turn=1),
        ),
        Reply(
            reasoning="Some of it failed.",
            tool_calls=[("weather", {"city": "Ulm", "days": "two"}), ("clock", "")],
            match=When(turn=2),
        ),
        Reply("It is sunny.", reasoning="Now I know.", match=When(turn=3)),
    )
    async with simulated(*replies) as (sim, client):
        runner = run_tools(
            client,
            tools=[weather, clock, broken, endless.wait],
            thinking=thinking,
            streamed=streamed,
            # Enough for the others on a busy machine.
            tool_timeout=0.25,
        )
        final = await runner.until_done()
        assert len(sim.requests) == 3
    assert final.choices[0].message.content == "It is sunny."
    assert final is runner.completion
    assert runner.turns == 3
    assert endless.cancelled == 1
    first, second = told(runner.messages)[:4], told(runner.messages)[4:]
    assert first == [
        "Ulm: sunny for 1 days",
        "Error: ValueError: out of order",
        "Error: wait did not finish within 0.25 seconds.",
        'There is no tool named "moon". These are the tools: weather, clock, broken, wait.',
    ]
    assert second[0] == (
        "Invalid arguments for weather: Expected `int`, got `str` - at `$.days`. Call it again "
        "with arguments that fit its parameters."
    )
    assert second[1].startswith("noon in ")
    assert "MainThread" not in second[1]
    roles = [getattr(message, "role", None) or "tool" for message in runner.messages[1:]]
    assert roles == ["assistant", *["tool"] * 4, "assistant", *["tool"] * 2, "assistant"]
    reasoning = [
        message.reasoning_content
        for message in runner.messages
        if isinstance(message, ChatCompletionMessage)
    ]
    expected = ["I should look it up.", "Some of it failed.", "Now I know."]
    assert reasoning == (expected if thinking else [None] * 3)
    usages = [completion.usage for completion in runner.completions]
    assert runner.usage is not None
    assert runner.usage.total_tokens == sum(usage.total_tokens for usage in usages if usage)


@STREAMED
async def test_the_history_can_be_sent_on(*, streamed: bool) -> None:
    replies = (
        Reply(reasoning="Hm.", tool_calls=[("weather", {"city": "Ulm"}), ("clock", {})]),
        Reply("Sunny."),
        Reply("You are welcome."),
    )
    async with simulated(*replies) as (sim, client):
        runner = run_tools(client, tools=[weather, clock], streamed=streamed)
        await runner.until_done()
        thanks = {"role": "user", "content": "Thanks"}
        answer = await client.chat.completions.create(
            model="deepseek-flash",
            messages=[*runner.messages, thanks],
            tools=[weather.definition, clock.definition],
        )
        assert answer.choices[0].message.content == "You are welcome."
        sent = sim.requests[-1].body
        assert sent is not None
    assert [message["role"] for message in sent["messages"]] == [
        *("user", "assistant", "tool", "tool", "assistant", "user")
    ]
    calls = sent["messages"][1]["tool_calls"]
    assert [message["tool_call_id"] for message in sent["messages"][2:4]] == [
        call["id"] for call in calls
    ]
    assert sent["messages"][1]["reasoning_content"] == "Hm."


async def test_what_the_caller_gave_stays_as_it_is() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    async with simulated(Reply(tool_calls=[("clock", {})]), Reply("Noon.")) as (_, client):
        runner = run_tools(client, tools=[clock], messages=messages)
        await runner.until_done()
        runner.messages.clear()
        assert len(runner.messages) == 4
    assert messages == [{"role": "user", "content": "Hi"}]


async def test_messages_may_be_any_iterable() -> None:
    async with simulated(Reply(tool_calls=[("clock", {})]), Reply("Noon.")) as (_, client):
        runner = run_tools(client, tools=[clock], messages=(message for message in ASK))
        assert (await runner.until_done()).choices[0].message.content == "Noon."


async def test_a_typed_function_is_a_tool() -> None:
    async def double(number: int) -> dict[str, int]:
        """Double a number."""
        return {"doubled": 2 * number}

    async with simulated(Reply(tool_calls=[("double", {"number": 4})]), Reply("8")) as (_, client):
        runner = run_tools(client, tools=[double])
        await runner.until_done()
    assert told(runner.messages) == ['{"doubled":8}']


@STREAMED
async def test_arguments_that_are_no_json_are_told_to_the_model(*, streamed: bool) -> None:
    replies = (Reply(tool_calls=[("weather", "{'city': 1}")]), Reply("I see."))
    async with simulated(*replies) as (sim, client):
        runner = run_tools(client, tools=[weather], streamed=streamed)
        await runner.until_done()
        sent = (sim.requests[-1].body or {})["messages"][1]["tool_calls"][0]
        assert sent["function"]["arguments"] == "{'city': 1}"
    assert told(runner.messages)[0].startswith("Invalid arguments for weather: Invalid JSON")


async def test_a_tool_can_say_what_is_wrong() -> None:
    replies = (Reply(tool_calls=[("careful", {"city": "Ulm"})]), Reply("I see."))
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[careful])
        await runner.until_done()
    assert told(runner.messages) == ["Nobody knows Ulm; ask for a larger one."]


async def test_a_tool_may_know_where_its_call_comes_from() -> None:
    seen: list[ToolContext] = []

    def look(word: str, context: ToolContext) -> str:
        seen.append(context)
        return word

    async with simulated(
        Reply(tool_calls=[("look", {"word": "a"})]), Reply(tool_calls=[("look", {"word": "b"})])
    ) as (sim, client):
        sim.script(Reply("Done."))
        runner = run_tools(client, tools=[look])
        await runner.until_done()
    assert [context.turn for context in seen] == [1, 2]
    assert [len(context.messages) for context in seen] == [1, 3]
    ids = [message.tool_call_id for message in runner.messages if isinstance(message, ToolMessage)]
    assert [context.call_id for context in seen] == ids


@STREAMED
async def test_strict_tools_get_arguments_with_nulls(*, streamed: bool) -> None:
    strict = tool(weather, strict=True)
    replies = (
        Reply(tool_calls=[("weather", {"city": "Ulm", "days": None})]),
        Reply("Sunny."),
    )
    async with simulated(*replies) as (sim, client):
        runner = run_tools(client, tools=[strict], streamed=streamed)
        await runner.until_done()
        assert {request.path for request in sim.requests} == {"/beta/chat/completions"}
    assert told(runner.messages) == ["Ulm: sunny for 1 days"]


async def test_events_of_a_streamed_run() -> None:
    replies = (
        Reply("Hm", reasoning="So", tool_calls=[("weather", {"city": "Ulm"})]),
        Reply("Sunny", reasoning="Oh"),
    )
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[weather])
        events = await events_of(runner)
    order = [kind for kind in kinds(events) if not kind.endswith(".delta")]
    assert order == [
        "reasoning.done",
        "content.done",
        "tool_calls.function.arguments.done",
        "turn.done",
        "tool.started",
        "tool.done",
        "reasoning.done",
        "content.done",
        "turn.done",
        "done",
    ]
    turns = [event for event in events if isinstance(event, TurnDoneEvent)]
    assert [event.turn for event in turns] == [1, 2]
    assert [event.completion for event in turns] == runner.completions
    started = next(event for event in events if isinstance(event, ToolStartedEvent))
    assert (started.turn, started.index, started.name) == (1, 0, "weather")
    assert started.arguments == '{"city": "Ulm"}'
    done = next(event for event in events if isinstance(event, ToolDoneEvent))
    assert (done.id, done.content, done.is_error) == (started.id, "Ulm: sunny for 1 days", False)
    assert done.seconds >= 0
    assert events[-1].finish_reason == "stop"
    assert events[-1].usage == runner.usage


async def test_events_of_a_plain_run() -> None:
    replies = (Reply(tool_calls=[("broken", {})]), Reply("Pity."))
    async with simulated(*replies) as (_, client):
        events = await events_of(run_tools(client, tools=[broken], streamed=False))
    assert kinds(events) == ["turn.done", "tool.started", "tool.done", "turn.done", "done"]
    assert events[2].is_error


@STREAMED
async def test_tools_run_side_by_side_and_tell_of_it_at_once(*, streamed: bool) -> None:
    meeting = asyncio.Event()

    async def first() -> str:
        await meeting.wait()
        return "1"

    async def second() -> str:
        return "2"

    calls: list[tuple[str, dict[str, Any]]] = [("first", {}), ("second", {})]
    async with simulated(Reply(tool_calls=calls), Reply("Done.")) as (_, client):
        runner = run_tools(client, tools=[first, second], streamed=streamed)
        done: list[str] = []
        async for event in runner:
            if isinstance(event, ToolDoneEvent):
                done.append(event.name)
                # Only now may the first one go on: its end can't be waited for to get here.
                meeting.set()
    assert done == ["second", "first"]
    assert told(runner.messages) == ["1", "2"]


async def test_no_more_tools_run_at_once_than_allowed() -> None:
    running = most = 0

    async def busy() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return ""

    calls: list[tuple[str, dict[str, Any]]] = [("busy", {})] * 7
    async with simulated(Reply(tool_calls=calls), Reply("Done.")) as (_, client):
        runner = run_tools(client, tools=[busy], max_parallel=3)
        await runner.until_done()
    assert most == 3
    assert told(runner.messages) == ["(no output)"] * 7


async def test_a_blocking_function_does_not_block_the_loop() -> None:
    release = threading.Event()

    def blocking() -> str:
        assert release.wait(GUARD)
        return "released"

    async def releasing() -> str:
        release.set()
        return ""

    calls: list[tuple[str, dict[str, Any]]] = [("blocking", {}), ("releasing", {})]
    async with simulated(Reply(tool_calls=calls), Reply("Done.")) as (_, client):
        runner = run_tools(client, tools=[blocking, releasing])
        await runner.until_done()
    assert told(runner.messages) == ["released", "(no output)"]


async def test_until_done_goes_on_from_where_iteration_stopped() -> None:
    replies = (Reply("Hm", tool_calls=[("clock", {})]), Reply("Noon."))
    async with simulated(*replies) as (_, client):
        async with run_tools(client, tools=[clock]) as runner:
            async for event in runner:
                if event.type == "tool.started":
                    break
            final = await runner.until_done()
            assert await runner.until_done() is final
    assert final.choices[0].message.content == "Noon."


async def test_a_second_iteration_is_refused() -> None:
    async with simulated(Reply("Hello")) as (_, client):
        runner = run_tools(client, tools=[clock])
        await events_of(runner)
        with pytest.raises(RuntimeError, match="this run is over"):
            await events_of(runner)
        with pytest.raises(StopAsyncIteration):
            await anext(runner)


async def test_only_one_task_reads() -> None:
    endless = Endless()
    async with simulated(Reply(tool_calls=[("wait", {})])) as (_, client):
        async with run_tools(client, tools=[endless.wait]) as runner:
            reading = asyncio.create_task(runner.until_done())
            await endless.started.wait()
            with pytest.raises(RuntimeError, match="another task is reading"):
                await anext(runner)
        with pytest.raises(RuntimeError, match="closed or cancelled"):
            await reading


@STREAMED
@pytest.mark.parametrize(
    ("finish_reason", "error"),
    [
        ("length", LengthFinishReasonError),
        ("content_filter", ContentFilterFinishReasonError),
        ("aborted", InterruptedFinishReasonError),
        ("insufficient_system_resource", InterruptedFinishReasonError),
        ("enigmatic", InterruptedFinishReasonError),
    ],
)
async def test_calls_of_an_answer_that_is_not_whole_never_run(
    finish_reason: str, error: type[Exception], *, streamed: bool
) -> None:
    endless = Endless()
    cut = Reply("Hm", tool_calls=[("wait", '{"ci')], finish_reason=finish_reason)
    async with simulated(cut) as (_, client):
        runner = run_tools(client, tools=[endless.wait], streamed=streamed)
        with pytest.raises(error, match="run") as caught:
            await runner.until_done()
        assert getattr(caught.value, "completion", None) is runner.completion
        with pytest.raises(error):
            await runner.until_done()
    assert not endless.started.is_set()
    assert runner.messages == ASK


@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "aborted"])
async def test_an_answer_that_is_not_whole_is_an_error_without_calls_as_well(
    finish_reason: str,
) -> None:
    async with simulated(Reply("Hm", finish_reason=finish_reason)) as (_, client):
        runner = run_tools(client, tools=[clock])
        with pytest.raises(
            (LengthFinishReasonError, ContentFilterFinishReasonError, InterruptedFinishReasonError)
        ):
            await runner.until_done()


async def test_an_unknown_end_without_calls_is_an_end() -> None:
    async with simulated(Reply("Hm", finish_reason="enigmatic")) as (_, client):
        final = await run_tools(client, tools=[clock]).until_done()
    assert final.choices[0].finish_reason == "enigmatic"


@STREAMED
async def test_a_host_that_says_stop_means_tool_calls(*, streamed: bool) -> None:
    replies = (Reply(tool_calls=[("clock", {})], finish_reason="stop"), Reply("Noon."))
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[clock], streamed=streamed)
        await runner.until_done()
    assert runner.turns == 2


@STREAMED
async def test_calls_after_a_cut_never_run(*, streamed: bool) -> None:
    endless = Endless()
    cut = Reply("Hm", tool_calls=[("wait", {})], fault=Fault("cut", after_events=5))
    async with simulated(cut) as (_, client):
        runner = run_tools(client, tools=[endless.wait], streamed=streamed)
        with pytest.raises(StreamInterruptedError if streamed else APIConnectionError):
            await runner.until_done()
    assert not endless.started.is_set()
    assert runner.messages == ASK


async def test_an_answer_without_a_finish_reason_runs_nothing() -> None:
    endless = Endless()
    odd = Reply("Hm", tool_calls=[("wait", {})], fault=Fault("omit_finish"))
    async with simulated(odd) as (_, client):
        with pytest.raises(InterruptedFinishReasonError, match="None"):
            await run_tools(client, tools=[endless.wait]).until_done()
    assert not endless.started.is_set()


async def test_an_answer_without_a_choice_ends_the_run() -> None:
    async with simulated(Reply("Hm", fault=Fault("empty_choices"))) as (_, client):
        runner = run_tools(client, tools=[clock], streamed=False)
        assert (await runner.until_done()).choices == []
    assert runner.messages == ASK


@STREAMED
async def test_the_last_turn_may_not_ask_for_tools(*, streamed: bool) -> None:
    endless = Endless()
    replies = (Reply(tool_calls=[("clock", {})]), Reply(tool_calls=[("wait", {})]))
    async with simulated(*replies) as (sim, client):
        runner = run_tools(client, tools=[clock, endless.wait], streamed=streamed, max_turns=2)
        with pytest.raises(MaxTurnsError, match="max_turns=2") as caught:
            await runner.until_done()
        assert caught.value.completion is runner.completion
        assert caught.value.messages == runner.messages
        assert len(runner.messages) == 3
        sim.script(Reply("Enough."))
        again = run_tools(client, tools=[clock], messages=caught.value.messages)
        assert (await again.until_done()).choices[0].message.content == "Enough."
    assert not endless.started.is_set()


async def test_a_function_that_is_only_defined_is_the_callers() -> None:
    endless = Endless()
    shell: Mapping[str, Any] = {"type": "function", "function": {"name": "shell"}}
    replies = (
        Reply(tool_calls=[("clock", {})]),
        Reply(tool_calls=[("shell", {}), ("wait", {})]),
    )
    async with simulated(*replies) as (sim, client):
        runner = run_tools(client, tools=[clock, shell, endless.wait])
        events = await events_of(runner)
        final = await runner.until_done()
        assert events[-1].finish_reason == "tool_calls"
        message = final.choices[0].message
        assert [call.function.name for call in message.tool_calls or ()] == ["shell", "wait"]
        assert len(runner.messages) == 3
        sim.script(Reply("Done."))
        answers = [
            ToolMessage(content="", tool_call_id=call.id) for call in message.tool_calls or ()
        ]
        await run_tools(
            client, tools=[clock], messages=[*runner.messages, message, *answers]
        ).until_done()
    assert not endless.started.is_set()


async def test_an_error_of_the_server_ends_the_run_and_keeps_the_turns() -> None:
    replies = (Reply(tool_calls=[("clock", {})]), Reply.error("insufficient_balance"))
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[clock])
        with pytest.raises(APIStatusError):
            await runner.until_done()
        with pytest.raises(APIStatusError):
            await anext(runner)
        assert len(runner.messages) == 3
        assert runner.turns == 1


@pytest.mark.parametrize(
    ("choice", "then"),
    [
        ("required", "auto"),
        ({"type": "function", "function": {"name": "clock"}}, "auto"),
        ("auto", "auto"),
    ],
    ids=str,
)
async def test_a_call_is_forced_once(choice: Any, then: str) -> None:
    replies = (Reply(tool_calls=[("clock", {})]), Reply("Noon."))
    async with simulated(*replies) as (sim, client):
        await run_tools(client, tools=[clock], tool_choice=choice, thinking=False).until_done()
        sent = [request.body["tool_choice"] for request in sim.requests if request.body]
    assert sent == [choice, then]


async def test_all_requests_have_the_same_tools() -> None:
    replies = (Reply(tool_calls=[("clock", {})]), Reply("Noon."))
    async with simulated(*replies) as (sim, client):
        await run_tools(client, tools=[clock, weather]).until_done()
        sent = [request.body["tools"] for request in sim.requests if request.body]
    assert sent == [[clock.definition, weather.definition]] * 2


async def test_a_run_needs_no_tools() -> None:
    async with simulated(Reply("Hello")) as (sim, client):
        await run_tools(client, tools=[]).until_done()
        assert "tools" not in (sim.requests[0].body or {})


@STREAMED
@pytest.mark.parametrize("kind", ["blank_ids", "duplicate_ids"])
async def test_calls_of_odd_hosts_get_ids_of_their_own(kind: Any, *, streamed: bool) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("weather", {"city": "Ulm"}), ("clock", {})]
    replies = (Reply(tool_calls=calls, fault=Fault(kind)), Reply("Done."))
    async with simulated(*replies) as (sim, client):
        runner = run_tools(client, tools=[weather, clock], streamed=streamed)
        await runner.until_done()
        body = sim.requests[-1].body or {}
    sent = [call["id"] for call in body["messages"][1]["tool_calls"]]
    assert len({*sent, ""}) == 3
    assert [message["tool_call_id"] for message in body["messages"][2:]] == sent


async def test_a_new_id_is_none_that_another_call_has() -> None:
    calls = [
        {"id": call_id, "type": "function", "function": {"name": "clock", "arguments": "{}"}}
        for call_id in ("", "call_1_0", "", "call_1_0")
    ]
    message = {"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": calls}
    body = {
        "id": "1",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    async with simulated(Reply(body=body), Reply("Noon.")) as (sim, client):
        await run_tools(client, tools=[clock], streamed=False).until_done()
        sent = (sim.requests[-1].body or {})["messages"][1]["tool_calls"]
    assert [call["id"] for call in sent] == ["call_1_0_", "call_1_0", "call_1_2", "call_1_3"]


async def test_text_that_is_no_unicode_can_be_sent() -> None:
    def names() -> list[str]:
        return [b"caf\xe9".decode("utf-8", "surrogateescape")]

    def name() -> str:
        return names()[0]

    def failing() -> str:
        raise ValueError(name())

    calls: list[tuple[str, dict[str, Any]]] = [("name", {}), ("names", {}), ("failing", {})]
    async with simulated(Reply(tool_calls=calls), Reply("Done.")) as (_, client):
        runner = run_tools(client, tools=[name, names, failing])
        await runner.until_done()
    texts = told(runner.messages)
    assert texts[:2] == ["caf?", '["caf?"]']
    assert texts[2] == "Error: ValueError: caf?"


async def leave_by_break(runner: ToolRunner, started: asyncio.Event) -> None:
    async with runner:
        async for event in runner:
            if event.type == "tool.started":
                await started.wait()
                break


async def leave_by_exception(runner: ToolRunner, started: asyncio.Event) -> None:
    with pytest.raises(KeyError):
        async with runner:
            async for event in runner:
                if event.type == "tool.started":
                    await started.wait()
                    raise KeyError


async def leave_by_cancellation(runner: ToolRunner, started: asyncio.Event) -> None:
    task = asyncio.create_task(runner.until_done())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def leave_by_timeout(runner: ToolRunner, started: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            asyncio.get_running_loop().create_task(expire(limit, started))
            await runner.until_done()


async def expire(limit: asyncio.Timeout, started: asyncio.Event) -> None:
    await started.wait()
    limit.reschedule(asyncio.get_running_loop().time())


async def leave_by_cancel_scope(runner: ToolRunner, started: asyncio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(runner.until_done)
        await started.wait()
        group.cancel_scope.cancel()


async def leave_from_another_task(runner: ToolRunner, started: asyncio.Event) -> None:
    async def read() -> None:
        with pytest.raises(RuntimeError, match="closed or cancelled"):
            await runner.until_done()

    task = asyncio.create_task(read())
    await started.wait()
    await asyncio.gather(runner.aclose(), runner.aclose())
    await task


LEAVES = [
    leave_by_break,
    leave_by_exception,
    leave_by_cancellation,
    leave_by_timeout,
    leave_by_cancel_scope,
    leave_from_another_task,
]


@STREAMED
@pytest.mark.parametrize("leave", LEAVES)
async def test_leaving_while_tools_run_ends_them(
    leave: Callable[[ToolRunner, asyncio.Event], Awaitable[None]], *, streamed: bool
) -> None:
    endless = Endless()
    calls: list[tuple[str, dict[str, Any]]] = [("wait", {}), ("clock", {}), ("wait", {})]
    async with simulated(Reply("Hm", tool_calls=calls)) as (sim, client):
        runner = run_tools(client, tools=[endless.wait, clock], streamed=streamed, max_parallel=9)
        await leave(runner, endless.started)
        assert tool_tasks() == []
        assert endless.cancelled == 2
        assert runner.messages == ASK
        with pytest.raises(RuntimeError, match="closed or cancelled"):
            await runner.until_done()
        await idle(sim)


async def idle(sim: Simulator) -> None:
    while sim.metrics.in_flight:
        await asyncio.sleep(0.005)


@STREAMED
@pytest.mark.parametrize("leave", LEAVES[2:])
async def test_leaving_while_the_model_answers_closes_the_connection(
    leave: Callable[[ToolRunner, asyncio.Event], Awaitable[None]], *, streamed: bool
) -> None:
    slow = Reply("Hm", first_token_seconds=3600)
    asked = asyncio.Event()
    async with simulated(slow) as (sim, client):
        runner = run_tools(client, tools=[clock], streamed=streamed)

        async def watch() -> None:
            while not sim.metrics.in_flight:
                await asyncio.sleep(0.005)
            asked.set()

        watching = asyncio.create_task(watch())
        await leave(runner, asked)
        await watching
        await idle(sim)


async def test_leaving_in_the_middle_of_an_answer_closes_the_connection() -> None:
    async with simulated(Reply("One two three four", tokens_per_second=0.001)) as (sim, client):
        async with run_tools(client, tools=[clock]) as runner:
            await anext(runner)
            assert sim.metrics.in_flight == 1
        await idle(sim)
    assert runner.turns == 0


@STREAMED
async def test_cancelled_at_any_moment_nothing_is_left_and_the_history_is_whole(
    *, streamed: bool
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("weather", {"city": "Ulm"}), ("pause", {})]

    async def pause() -> str:
        await asyncio.sleep(0)
        return ""

    lengths: set[int] = set()
    for steps in range(0, 300, 4):
        replies = [Reply("Hm", reasoning="So", tool_calls=calls) for _ in range(2)]
        async with simulated(*replies, Reply("Done.")) as (sim, client):
            runner = run_tools(client, tools=[weather, pause], streamed=streamed)
            task = asyncio.create_task(runner.until_done())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert tool_tasks() == []
            lengths.add(len(runner.messages))
            await idle(sim)
    assert lengths <= {1, 4, 7, 8}
    assert len(lengths) > 2


async def test_dropping_a_run_ends_its_tools() -> None:
    endless = Endless()
    gc.collect()
    gc.disable()
    try:
        async with simulated(Reply(tool_calls=[("wait", {})])) as (_, client):
            runner = run_tools(client, tools=[endless.wait])
            async for event in runner:
                if event.type == "tool.started":
                    break
            await endless.started.wait()
            del runner
            while tool_tasks():
                await asyncio.sleep(0)
    finally:
        gc.enable()
    assert endless.cancelled == 1


async def test_a_tool_that_takes_its_time_to_end_is_waited_for() -> None:
    ended: list[str] = []
    started = asyncio.Event()

    async def slow() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            ended.append("slow")
        return ""

    for leave in LEAVES:
        started.clear()
        async with simulated(Reply(tool_calls=[("slow", {})])) as (_, client):
            await leave(run_tools(client, tools=[slow]), started)
            assert ended.pop() == "slow"


async def test_a_thread_is_left_to_itself() -> None:
    release = threading.Event()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    finished = threading.Event()

    def blocking() -> str:
        loop.call_soon_threadsafe(started.set)
        release.wait(GUARD)
        finished.set()
        return ""

    async with simulated(Reply(tool_calls=[("blocking", {})])) as (_, client):
        await leave_by_cancellation(run_tools(client, tools=[blocking]), started)
        assert not finished.is_set()
    release.set()
    assert finished.wait(GUARD)


async def test_a_thread_that_takes_too_long_is_left_to_itself() -> None:
    release = threading.Event()

    def blocking() -> str:
        release.wait(GUARD)
        return ""

    replies = (Reply(tool_calls=[("blocking", {})]), Reply("Pity."))
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[blocking], tool_timeout=0.02)
        await runner.until_done()
    release.set()
    assert told(runner.messages) == ["Error: blocking did not finish within 0.02 seconds."]


async def test_a_tool_that_was_cancelled_by_somebody_else_ends_the_run() -> None:
    endless = Endless()

    async def cancelled() -> str:
        await endless.started.wait()
        for task in tool_tasks():
            if task.get_name() == "tool cancelled":
                task.cancel()
        await asyncio.sleep(GUARD)
        return ""

    calls: list[tuple[str, dict[str, Any]]] = [("wait", {}), ("cancelled", {})]
    async with simulated(Reply(tool_calls=calls)) as (_, client):
        runner = run_tools(client, tools=[endless.wait, cancelled])
        with pytest.raises(asyncio.CancelledError):
            await runner.until_done()
        assert endless.cancelled == 1
        # Nobody cancelled this task: neither did the time limit of this test.
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
    assert runner.messages == ASK


async def test_a_time_limit_of_the_tools_own_is_its_own() -> None:
    async def impatient() -> str:
        async with asyncio.timeout(0):
            await asyncio.sleep(GUARD)
        return ""

    replies = (Reply(tool_calls=[("impatient", {})]), Reply("Pity."))
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[impatient], tool_timeout=GUARD)
        await runner.until_done()
    assert told(runner.messages) == ["Error: TimeoutError"]


async def test_a_tool_may_wait_for_what_is_cancelled() -> None:
    async def hopeful() -> str:
        job = asyncio.ensure_future(asyncio.sleep(GUARD, ""))
        job.cancel()
        return await job

    replies = (Reply(tool_calls=[("hopeful", {}), ("clock", {})]), Reply("Pity."))
    async with simulated(*replies) as (_, client):
        runner = run_tools(client, tools=[hopeful, clock])
        completion = await runner.until_done()
    assert told(runner.messages)[0] == "Error: CancelledError"
    assert completion.choices[0].message.content == "Pity."


async def test_an_exception_may_be_as_broken_as_its_tool() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no message")

    async def silent() -> str:
        raise Mute

    async with simulated(Reply(tool_calls=[("silent", {})]), Reply("Pity.")) as (_, client):
        runner = run_tools(client, tools=[silent])
        await runner.until_done()
    assert told(runner.messages) == ["Error: Mute"]


async def test_a_tool_may_return_another_kind_of_str() -> None:
    class Markup(str):
        __slots__ = ()

    async def page() -> str:
        return Markup("<p>")

    async with simulated(Reply(tool_calls=[("page", {})]), Reply("Done.")) as (_, client):
        runner = run_tools(client, tools=[page])
        await runner.until_done()
    assert told(runner.messages) == ["<p>"]


async def test_a_turn_is_in_the_history_as_soon_as_its_last_tool_is_done() -> None:
    async with simulated(Reply(tool_calls=[("clock", {})])) as (_, client):
        async with run_tools(client, tools=[clock]) as runner:
            async for event in runner:
                if event.type == "tool.done":
                    break
    # What tools have done is done: a run that goes on from here must not do it again.
    assert len(runner.messages) == 3


async def test_nothing_is_sent_before_it_is_read() -> None:
    async with simulated() as (sim, client):
        async with run_tools(client, tools=[clock]) as runner:
            assert runner.completion is None
            assert runner.usage is None
            assert runner.turns == 0
        assert not sim.requests


def mistakes() -> Iterator[Any]:
    yield pytest.param({"tools": [clock, tool(weather, name="clock")]}, "named", id="one name")
    shell = {"type": "function", "function": {"name": "clock"}}
    yield pytest.param({"tools": [clock, shell]}, "named", id="one name, one definition")
    yield pytest.param({"tools": [clock, tool(weather, strict=True)]}, "strict", id="some strict")
    yield pytest.param({"messages": "Hi"}, "messages", id="messages are text")
    yield pytest.param({"max_turns": 0}, "max_turns", id="no turns")
    yield pytest.param({"max_parallel": 0}, "max_parallel", id="nothing at once")
    yield pytest.param({"tool_timeout": 0}, "tool_timeout", id="no time")


@pytest.mark.parametrize(("options", "message"), list(mistakes()))
async def test_mistakes_of_the_caller_are_told_before_anything_is_sent(
    options: dict[str, Any], message: str
) -> None:
    async with simulated() as (sim, client):
        with pytest.raises(PreflightError, match=message):
            run_tools(client, **{"tools": [clock], **options})
        assert not sim.requests


def test_a_runner_can_be_made_without_a_loop() -> None:
    def never(**params: Any) -> Any:
        raise AssertionError(params)

    runner = ToolRunner(
        stream=never, create=never, tools=[clock], params={"model": "m", "messages": ASK}
    )
    assert runner.messages == ASK


async def test_a_tool_starts_when_it_is_its_turn() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("clock", {})] * 3
    async with simulated(Reply(tool_calls=calls), Reply("Done.")) as (_, client):
        events = await events_of(run_tools(client, tools=[clock], max_parallel=1))
    order = [(event.type, event.index) for event in events if event.type.startswith("tool.")]
    # Its time begins then, too: the others may take as long as they like.
    assert order == [(kind, index) for index in range(3) for kind in ("tool.started", "tool.done")]


async def test_answers_are_completions() -> None:
    async with simulated(Reply("Hello")) as (_, client):
        assert isinstance(await run_tools(client, tools=[]).until_done(), ChatCompletion)


async def test_an_answer_without_reasoning_is_no_dead_end() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    bare = Reply(body={"id": "1", "model": "deepseek-flash", "choices": [choice]})

    def f() -> str:
        return "1"

    async with simulated(bare, Reply("One.")) as (sim, client):
        run = run_tools(client, tools=[tool(f)], streamed=False)
        assert (await run.until_done()).choices[0].message.content == "One."
        sent = [(request.body or {})["messages"][-2:] for request in sim.requests][1]
    assert sent[0] == {**message, "reasoning_content": ""}
