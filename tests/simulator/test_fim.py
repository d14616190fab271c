"""FIM completions: plain, streamed, as events, raw; and how they fail."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from deepseek_async import (
    AsyncDeepSeek,
    BadRequestError,
    ChatEvent,
    Completion,
    CompletionStream,
    ContentDeltaEvent,
    ContentDoneEvent,
    DeepSeekWarning,
    DoneEvent,
    PreflightError,
    QueuedEvent,
    StreamInterruptedError,
)
from deepseek_async.simulator import Fault, Reply, Simulator

GAP: dict[str, Any] = {
    "model": "deepseek-v4-pro",
    "prompt": "def fib(n):\n",
    "suffix": "    return fib(n - 1) + fib(n - 2)\n",
}
FILLING = "    if n < 2:\n        return n\n"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        simulator.script(Reply(FILLING, times="forever"))
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client() as client:
        yield client


async def test_the_gap_is_filled(sim: Simulator, api: AsyncDeepSeek) -> None:
    completion = await api.completions.create(**GAP, max_tokens=50, stop=["\n\n"])
    assert completion.choices[0].text == FILLING
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.request_id is not None
    assert completion.cost() is not None
    (request,) = sim.requests
    assert request.path == "/beta/completions"
    assert request.body == {**GAP, "max_tokens": 50, "stop": ["\n\n"]}


async def test_the_answer_can_be_streamed(api: AsyncDeepSeek) -> None:
    stream = await api.completions.create(**GAP, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(isinstance(chunk, Completion) for chunk in chunks)
    assert "".join(chunk.choices[0].text for chunk in chunks) == FILLING
    plain = await api.completions.create(**GAP)
    whole = stream.completion()
    assert whole.choices == plain.choices
    assert stream.usage == whole.usage
    assert (stream.finish_reason, stream.saw_done, stream.attempts) == ("stop", True, 1)
    assert stream.request_id == whole.request_id


async def test_echo_and_logprobs(api: AsyncDeepSeek) -> None:
    params = {**GAP, "echo": True, "logprobs": 2}
    del params["suffix"]
    plain = await api.completions.create(**params)
    stream = await api.completions.create(**params, stream=True)
    await stream.until_done()
    for choice in (plain.choices[0], stream.completion().choices[0]):
        assert choice.text == GAP["prompt"] + FILLING
        assert choice.logprobs is not None
        assert choice.logprobs.tokens is not None
        assert choice.logprobs.top_logprobs is not None
        assert "".join(choice.logprobs.tokens).endswith(FILLING)
    assert plain.choices[0].logprobs == stream.completion().choices[0].logprobs


async def test_events() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply("one two", queue_seconds=0.01))
        async with client.completions.stream(**GAP) as stream:
            events: list[ChatEvent] = [event async for event in stream]
    assert isinstance(events[0], QueuedEvent)
    assert [event for event in events if not isinstance(event, QueuedEvent)] == [
        ContentDeltaEvent("one"),
        ContentDeltaEvent(" two"),
        ContentDoneEvent("one two"),
        DoneEvent("stop", stream.usage),
    ]
    assert stream.snapshot.choices[0].text == "one two"


async def test_text_alone(api: AsyncDeepSeek) -> None:
    async with api.completions.stream(**GAP) as stream:
        assert "".join([text async for text in stream.text_stream]) == FILLING
        assert (await stream.get_final_completion()).choices[0].text == FILLING
        assert await stream.get_final_text() == FILLING


async def test_without_the_text_kept(api: AsyncDeepSeek) -> None:
    async with api.completions.stream(**GAP, accumulate=False) as stream:
        events = [event async for event in stream]
        assert ContentDoneEvent(None) in events
        with pytest.raises(RuntimeError, match="accumulate=False"):
            await stream.get_final_text()


async def test_no_answer_at_all_is_still_an_end(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.faults(Fault("empty_choices"))
    async with api.completions.stream(**GAP) as stream:
        assert [text async for text in stream.text_stream] != []


async def test_what_came_before_a_cut_is_kept(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.faults(Fault("cut", after_events=3))
    stream = await api.completions.create(**GAP, stream=True)
    with pytest.raises(StreamInterruptedError) as caught:
        await stream.until_done()
    partial = caught.value.partial
    assert isinstance(partial, Completion)
    assert FILLING.startswith(partial.choices[0].text)
    assert partial.choices[0].text


async def test_a_cut_before_any_text_is_retried(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.faults(Fault("cut", after_events=0))
    stream = await api.completions.create(**GAP, stream=True)
    await stream.until_done()
    assert stream.completion().choices[0].text == FILLING
    assert stream.attempts == 2


async def test_raw_events(api: AsyncDeepSeek) -> None:
    stream = await api.completions.create(**GAP, stream=True)
    raw = [event async for event in stream.raw()]
    assert raw[-1] == b"data: [DONE]\n\n"
    assert b'"text_completion"' in raw[0]


async def test_raw_responses(api: AsyncDeepSeek) -> None:
    plain = await api.completions.with_raw_response.create(**GAP)
    assert plain.status == 200
    assert plain.body is not None
    assert b"text_completion" in plain.body
    assert plain.parse().choices[0].text == FILLING
    assert plain.request_id == plain.headers["x-ds-trace-id"]
    streamed = await api.completions.with_raw_response.create(**GAP, stream=True)
    assert streamed.body is None
    stream = streamed.parse()
    assert isinstance(stream, CompletionStream)
    await stream.until_done()


async def test_other_hosts_have_no_beta_address(sim: Simulator) -> None:
    async with sim.client(dialect="generic", base_url=f"{sim.base_url}/beta") as client:
        await client.completions.create(**GAP)
    assert [request.path for request in sim.requests] == ["/beta/completions"]


async def test_extra_body(sim: Simulator, api: AsyncDeepSeek) -> None:
    await api.completions.create(**GAP, extra_body={"max_tokens": 1, "seed": 5})
    (request,) = sim.requests
    assert request.body == {**GAP, "max_tokens": 1, "seed": 5}
    with pytest.raises(PreflightError, match="stream=True"):
        await api.completions.create(**GAP, extra_body={"stream": True})


async def test_what_would_be_refused_is_not_sent(sim: Simulator, api: AsyncDeepSeek) -> None:
    bad: dict[str, Any] = {**GAP, "stop": [str(i) for i in range(17)]}
    with pytest.raises(PreflightError, match="stop"):
        await api.completions.create(**bad)
    assert not sim.requests
    with pytest.raises(BadRequestError):
        await api.completions.create(**bad, preflight="off")
    with pytest.warns(DeepSeekWarning, match="frequency_penalty") as caught:
        await api.completions.create(**GAP, frequency_penalty=1)
    assert caught[0].filename == __file__, "the warning points at the user's line"


async def test_unknown_and_missing_arguments(api: AsyncDeepSeek) -> None:
    wrong: Any = {**GAP, "prmpt": ""}
    with pytest.raises(TypeError, match="did you mean 'prompt'"):
        await api.completions.create(**wrong)
    incomplete: Any = {"model": "m"}
    with pytest.raises(TypeError, match=r"stream\(\) missing the keyword argument 'prompt'"):
        api.completions.stream(**incomplete)
