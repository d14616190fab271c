"""Answers of a type, against the simulator."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from deepseek_async import (
    APIResponseValidationError,
    AsyncDeepSeek,
    ChatCompletion,
    ContentFilterFinishReasonError,
    EmptyResponseError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
    PreflightError,
    SystemMessage,
    UserMessage,
)
from deepseek_async.simulator import Reply, Simulator
from deepseek_async.structured import ParsedChatCompletion, Strategy, parse


class Day(msgspec.Struct):
    """What one day will be like."""

    celsius: float
    sky: Literal["clear", "cloudy"]
    note: str = "none"


class Weather(msgspec.Struct):
    """The weather of a place."""

    city: Annotated[str, msgspec.Meta(description="In English.")]
    days: list[Day]


@dataclass
class Person:
    name: str
    age: int
    friends: list["Person"] = field(default_factory=list)


class Address(TypedDict):
    street: str
    number: int


@attrs.define
class Book:
    title: str
    pages: int
    lent: bool = False


class Author(pydantic.BaseModel):
    name: str = pydantic.Field(description="First name first.")
    born: int
    died: int | None = None


TYPES = [Weather, Person, Address, Book, Author]
STRATEGIES: list[Strategy] = ["json", "tool"]
QUESTION = [{"role": "user", "content": "How is the weather in Hangzhou?"}]
GOOD = {"city": "Hangzhou", "days": [{"celsius": 21, "sky": "clear"}]}
BAD = {"city": "Hangzhou", "days": [{"celsius": "warm", "sky": "clear"}]}
REASON = "Expected `float`, got `str` - at `$.days[0].celsius`"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client() as client:
        yield client


async def asked(
    client: AsyncDeepSeek, cls: Any = Weather, strategy: Strategy = "json", **options: Any
) -> ParsedChatCompletion[Any]:
    retries = options.pop("parse_retries", 2)
    params = {"model": "deepseek-flash", "messages": QUESTION, **options}
    return await parse(
        client.chat.completions.create, cls, strategy=strategy, parse_retries=retries, params=params
    )


def reply(strategy: Strategy, value: object, **fields: Any) -> Reply:
    """Return an answer where the strategy expects it."""
    text = value if isinstance(value, str) else json.dumps(value)
    if strategy == "json":
        return Reply(text, **fields)
    return Reply(tool_calls=[("Weather", text)], **fields)


def bodies(sim: Simulator) -> list[Any]:
    return [request.body for request in sim.requests]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("cls", TYPES)
async def test_an_answer_is_of_the_type(
    client: AsyncDeepSeek, cls: Any, strategy: Strategy
) -> None:
    completion = await asked(client, cls, strategy)
    parsed: Any = completion.parsed
    if cls is Address:
        assert isinstance(parsed["street"], str)
        assert isinstance(parsed["number"], int)
    else:
        assert isinstance(parsed, cls)
    assert isinstance(completion, ChatCompletion)
    assert completion.choices[0].message.parsed is parsed
    assert completion.segments is None
    assert "parsed" not in completion.to_json()


async def test_the_json_strategy_puts_the_schema_in_the_system_message(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    for _ in range(2):
        await asked(client)
    body, again = bodies(sim)
    # Byte for byte, for the prompt cache.
    assert json.dumps(body) == json.dumps(again)
    assert body["response_format"] == {"type": "json_object"}
    instruction, question = body["messages"]
    assert instruction["role"] == "system"
    assert instruction["content"].startswith("Answer with one JSON object that fits this JSON")
    assert '"description":"In English."' in instruction["content"]
    assert question == QUESTION[0]


@pytest.mark.parametrize(
    ("system", "sent"),
    [
        ({"role": "system", "content": "Be brief.", "name": "x"}, {"name": "x"}),
        (SystemMessage(content="Be brief."), {}),
        (SystemMessage(content="Be brief.", name="x"), {"name": "x"}),
    ],
)
async def test_the_first_system_message_is_kept(
    sim: Simulator, client: AsyncDeepSeek, system: Any, sent: dict[str, str]
) -> None:
    messages = [UserMessage(content="Hi"), system, {"role": "system", "content": "Last."}]
    before = list(messages)
    await asked(client, messages=messages)
    _, first, last = bodies(sim)[0]["messages"]
    content = first.pop("content")
    assert content.startswith("Be brief.\n\nAnswer with one JSON object")
    assert first == {"role": "system", **sent}
    assert last["content"] == "Last."
    assert messages == before


async def test_a_system_message_of_parts_gets_one_more() -> None:
    seen: list[Any] = []

    async def create(**params: Any) -> ChatCompletion:
        seen.append(params)
        return msgspec.convert(
            {"id": "1", "choices": [{"message": {"content": json.dumps(GOOD)}}]}, ChatCompletion
        )

    parts = [{"type": "text", "text": "Be brief."}]
    params = {"messages": [{"role": "system", "content": parts}]}
    await parse(create, Weather, params=params)
    content = seen[0]["messages"][0]["content"]
    assert content[0] == parts[0]
    assert content[1]["text"].startswith("Answer with one JSON object")
    assert len(parts) == 1


async def test_the_tool_strategy_forces_one_strict_tool(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    await asked(client, strategy="tool", thinking=False)
    (body,) = bodies(sim)
    assert sim.requests[0].path == "/beta/chat/completions"
    assert body["thinking"] == {"type": "disabled"}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "Weather"}}
    (tool,) = body["tools"]
    function = tool["function"]
    assert (function["name"], function["strict"]) == ("Weather", True)
    assert function["description"] == "The weather of a place."
    parameters = function["parameters"]
    assert parameters["required"] == ["city", "days"]
    assert parameters["$def"]["Day"]["required"] == ["celsius", "sky", "note"]


async def test_the_tool_has_a_name_that_the_api_takes(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    cls = msgspec.defstruct("Wörter " + "x" * 80, [("n", int)])
    await asked(client, cls, "tool")
    (body,) = bodies(sim)
    assert body["tools"][0]["function"]["name"] == "W_rter_" + "x" * 57


async def test_null_means_left_out(sim: Simulator, client: AsyncDeepSeek) -> None:
    days = [{"celsius": 21, "sky": "clear", "note": None}]
    sim.script(reply("tool", {"city": "Hangzhou", "days": days}))
    completion = await asked(client, strategy="tool")
    assert completion.parsed.days == [Day(celsius=21.0, sky="clear", note="none")]


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}```\n", "\n ```JSON\n{}\n ``` \n"])
async def test_a_fence_around_the_json_is_no_fault(
    sim: Simulator, client: AsyncDeepSeek, fence: str
) -> None:
    good = json.dumps(GOOD | {"city": "``` {} ```"}, indent=1)
    sim.script(Reply(fence.replace("{}", good)))
    completion = await asked(client)
    assert completion.parsed.city == "``` {} ```"
    assert len(sim.requests) == 1


@pytest.mark.parametrize(
    "around",
    ["\ufeff{}", "Here is the JSON: {}", "{} I hope this helps!", "Here:\n```json\n{}\n```\nDone."],
)
async def test_words_around_the_json_are_no_fault(
    sim: Simulator, client: AsyncDeepSeek, around: str
) -> None:
    sim.script(Reply(around.replace("{}", json.dumps(GOOD))))
    completion = await asked(client)
    assert completion.parsed == Weather("Hangzhou", [Day(21.0, "clear")])
    assert len(sim.requests) == 1


@pytest.mark.parametrize(
    "text", ["[{}]", "{}{}", "One {} or {}", json.dumps("{}"), "{} ]", "{} {", "{", "See [1]: {}"]
)
async def test_what_is_more_than_one_object_is_asked_for_again(
    sim: Simulator, client: AsyncDeepSeek, text: str
) -> None:
    good = json.dumps(GOOD)
    sim.script(Reply(text.replace("{}", good)), Reply(good))
    await asked(client)
    assert len(sim.requests) == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_an_invalid_answer_is_asked_for_again_with_the_reason(
    sim: Simulator, client: AsyncDeepSeek, strategy: Strategy
) -> None:
    sim.script(reply(strategy, BAD), reply(strategy, "{"), reply(strategy, GOOD))
    completion = await asked(client, strategy=strategy)
    assert completion.parsed == Weather("Hangzhou", [Day(21.0, "clear")])
    first, second, third = (body["messages"] for body in bodies(sim))
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    answer, correction = second[len(first) :]
    assert answer["role"] == "assistant"
    assert REASON in correction["content"]
    assert "Invalid JSON: Input data was truncated" in third[-1]["content"]
    if strategy == "json":
        assert correction["role"] == "user"
        assert answer["content"] == json.dumps(BAD)
    else:
        (call,) = answer["tool_calls"]
        assert (correction["role"], correction["tool_call_id"]) == ("tool", call["id"])
        assert call["function"]["arguments"] == json.dumps(BAD)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_the_answer_costs_what_all_its_requests_cost(
    sim: Simulator, client: AsyncDeepSeek, strategy: Strategy
) -> None:
    counts = [{"prompt_tokens": n, "completion_tokens": 2 * n} for n in (100, 200, 300)]
    answers = [BAD, "", GOOD]
    sim.script(*(reply(strategy, a, usage=u) for a, u in zip(answers, counts, strict=True)))
    completion = await asked(client, strategy=strategy)
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (600, 1200)
    assert completion.attempts == 3
    segments = completion.segments or []
    assert [segment.continued_after for segment in segments] == ["invalid", "empty", None]
    assert [segment.usage and segment.usage.prompt_tokens for segment in segments] == [
        100,
        200,
        300,
    ]
    assert [segment.attempts for segment in segments] == [1, 2, 3]
    assert segments[-1].request_id == completion.request_id


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_an_answer_that_stays_invalid_is_an_error(
    sim: Simulator, client: AsyncDeepSeek, strategy: Strategy
) -> None:
    sim.script(reply(strategy, BAD, times=2))
    with pytest.raises(APIResponseValidationError) as caught:
        await asked(client, strategy=strategy, parse_retries=1)
    assert caught.value.message == f"The answer does not fit Weather: {REASON}"
    assert caught.value.body == json.dumps(BAD)
    assert caught.value.attempts == 2
    assert caught.value.request_id
    assert len(sim.requests) == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_an_answer_that_stays_empty_is_an_error(
    sim: Simulator, client: AsyncDeepSeek, strategy: Strategy
) -> None:
    sim.script(reply(strategy, " \n", times="forever"))
    with pytest.raises(EmptyResponseError) as caught:
        await asked(client, strategy=strategy)
    assert caught.value.attempts == 3
    assert len(sim.requests) == 3


async def test_words_in_place_of_the_call_are_read_too(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    sim.script(Reply("It is warm."), Reply(json.dumps(GOOD)))
    completion = await asked(client, strategy="tool")
    assert completion.parsed.city == "Hangzhou"
    answer, demand = bodies(sim)[1]["messages"][-2:]
    assert answer == {"role": "assistant", "content": "It is warm."}
    assert demand["role"] == "user"
    assert "Call Weather again" in demand["content"]


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("length", LengthFinishReasonError),
        ("content_filter", ContentFilterFinishReasonError),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_shortened_answer_is_an_error_at_once(
    sim: Simulator, client: AsyncDeepSeek, strategy: Strategy, reason: str, error: Any
) -> None:
    sim.script(reply(strategy, '{"city"', finish_reason=reason))
    with pytest.raises(error) as caught:
        await asked(client, strategy=strategy)
    assert caught.value.completion.choices[0].finish_reason == reason
    assert caught.value.completion.usage.completion_tokens > 0
    assert len(sim.requests) == 1


@pytest.mark.parametrize("reason", ["aborted", "insufficient_system_resource"])
async def test_an_interrupted_answer_is_asked_for_again_as_it_was(
    sim: Simulator, client: AsyncDeepSeek, reason: str
) -> None:
    sim.script(reply("json", '{"city"', finish_reason=reason), reply("json", GOOD))
    completion = await asked(client)
    assert completion.parsed.city == "Hangzhou"
    first, second = bodies(sim)
    assert first == second
    assert [segment.continued_after for segment in completion.segments or []] == [reason, None]


async def test_an_answer_that_stays_interrupted_is_an_error_with_all_its_cost(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    usage = {"prompt_tokens": 10}
    sim.script(reply("json", "{", finish_reason="aborted", usage=usage, times=2))
    with pytest.raises(InterruptedFinishReasonError) as caught:
        await asked(client, parse_retries=1)
    completion = caught.value.completion
    assert completion is not None
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 20
    assert len(completion.segments or []) == 2


async def test_an_answer_without_choices_counts_as_empty(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    sim.script(Reply(body={"id": "1", "choices": []}), reply("json", GOOD))
    assert (await asked(client)).parsed.city == "Hangzhou"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tools": []}, "parse\\(\\) doesn't take tools"),
        ({"tool_choice": "auto"}, "parse\\(\\) doesn't take tool_choice"),
        ({"extra_body": {"stream": True}}, "parse\\(\\) doesn't take stream"),
        ({"response_format": {"type": "text"}}, "parse\\(\\) doesn't take response_format"),
        ({"messages": "Hi"}, "messages must be a list, got str"),
        ({"messages": None}, "messages must be a list, got NoneType"),
        ({"strategy": "tool", "thinking": True}, "needs thinking=False"),
        ({"strategy": "tool", "thinking": {"type": "enabled"}}, "needs thinking=False"),
        ({"strategy": "tool", "extra_body": {"thinking": {"type": "enabled"}}}, "needs thinking"),
        ({"strategy": "both"}, "strategy must be 'json' or 'tool', got 'both'"),
    ],
)
async def test_contradictions_are_refused_before_anything_is_sent(
    sim: Simulator, client: AsyncDeepSeek, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PreflightError, match=message):
        await asked(client, **options)
    assert len(sim.requests) == 0


class Scores(msgspec.Struct):
    points: dict[str, int]


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


async def test_a_type_that_strict_mode_can_not_express_is_refused(client: AsyncDeepSeek) -> None:
    with pytest.raises(PreflightError, match=r"Scores can't .*\$.points: .*use strategy='json'"):
        await asked(client, Scores, "tool")
    assert isinstance((await asked(client, Scores)).parsed, Scores)


async def test_a_union_of_objects_can_be_asked_for_as_json(
    sim: Simulator, client: AsyncDeepSeek
) -> None:
    sim.script(Reply.json({"type": "Square", "side": 2}))
    assert (await asked(client, Circle | Square)).parsed == Square(2.0)
    with pytest.raises(PreflightError, match="is not one object in JSON"):
        await asked(client, Circle | Square, "tool")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("cls", [list[Day], int, Circle | int])
async def test_what_is_no_object_is_refused(
    client: AsyncDeepSeek, cls: Any, strategy: Strategy
) -> None:
    with pytest.raises(PreflightError, match=r"is not one object in JSON.*a field of a class"):
        await asked(client, cls, strategy)


async def test_what_can_not_be_described_is_a_type_error(client: AsyncDeepSeek) -> None:
    with pytest.raises(TypeError, match="object can't be described as a JSON schema"):
        await asked(client, object)
