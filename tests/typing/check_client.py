"""Types of the public calls; never run, checked by mypy and pyright in strict mode."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TypedDict, assert_never, assert_type

from deepseek_async import (
    AssistantMessage,
    AsyncDeepSeek,
    Balance,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatEvent,
    ChatEventStream,
    ChatStream,
    Headers,
    LogprobsDeltaEvent,
    MessageParam,
    Model,
    ModelList,
    ParsedChatCompletion,
    RawResponse,
    ResponseInfo,
    Timeouts,
    TokenLogprob,
    ToolCall,
    ToolRunner,
    ToolRunnerEvent,
    Usage,
    UserMessage,
    tool,
)

HELLO = [{"role": "user", "content": "Hello"}]


async def later() -> str:
    return "sk-1"


async def check_client() -> None:
    AsyncDeepSeek()
    AsyncDeepSeek("sk-1", timeout=5, max_concurrency="auto")
    AsyncDeepSeek(lambda: "sk-1", timeout=None, max_concurrency=5)
    AsyncDeepSeek(later, timeout=Timeouts(idle=None), dialect="generic")
    AsyncDeepSeek(api_key=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncDeepSeek(dialect="openai")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncDeepSeek(retries=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with AsyncDeepSeek() as client:
        assert_type(client, AsyncDeepSeek)
        assert_type(client.with_options(max_retries=5, timeout=3.0), AsyncDeepSeek)
        client.with_options(proxy="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        assert_type(await client.models.list(timeout=3), ModelList)
        assert_type(list(await client.models.list()), list[Model])
        balance = await client.user.balance(extra_headers={"X": "y"})
        assert_type(balance, Balance)
        assert_type(balance.total("CNY"), Decimal)
        await client.models.list(limit=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def check_create(client: AsyncDeepSeek, flag: bool) -> None:
    create = client.chat.completions.create
    assert_type(await create(model="m", messages=HELLO), ChatCompletion)
    assert_type(await create(model="m", messages=HELLO, stream=False), ChatCompletion)
    assert_type(await create(model="m", messages=HELLO, stream=True), ChatStream)
    assert_type(await create(model="m", messages=HELLO, stream=flag), ChatCompletion | ChatStream)
    assert_type(await create(model="m", messages=HELLO, stream=True, accumulate=False), ChatStream)


@dataclass
class Answer:
    text: str


class Typed(TypedDict):
    text: str


async def check_parse(client: AsyncDeepSeek) -> None:
    parse = client.chat.completions.parse
    parsed = await parse(model="m", messages=HELLO, response_format=Answer)
    assert_type(parsed, ParsedChatCompletion[Answer])
    assert_type(parsed.parsed, Answer)
    assert_type(parsed.parsed.text, str)
    assert_type(parsed.usage, Usage | None)
    typed = await parse(model="m", messages=HELLO, response_format=Typed, strategy="tool")
    assert_type(typed.parsed["text"], str)
    assert_type(
        (await parse(model="m", messages=HELLO, response_format=list[int])).parsed, list[int]
    )
    # fmt: off
    await parse(model="m", messages=HELLO)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await parse(model="m", messages=HELLO, response_format={"type": "json_object"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await parse(model="m", messages=HELLO, response_format=Answer, tools=[])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await parse(model="m", messages=HELLO, response_format=Answer, strategy="xml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # fmt: on


@tool
async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return city


def clock() -> float:
    """Tell the time."""
    return 0.0


async def check_tools(client: AsyncDeepSeek) -> None:
    # A tool is still the function.
    assert_type(await weather("Ulm"), str)
    definition = {"type": "function", "function": {"name": "f"}}
    async with client.chat.completions.run_tools(
        model="m", messages=HELLO, tools=[weather, clock, definition], max_turns=3, tool_timeout=5
    ) as runner:
        assert_type(runner, ToolRunner)
        async for event in runner:
            assert_type(event, ToolRunnerEvent)
            if event.type == "tool.started":
                assert_type((event.name, event.arguments), tuple[str, str])
            elif event.type == "tool.done":
                assert_type((event.content, event.is_error), tuple[str, bool])
            elif event.type == "turn.done":
                assert_type(event.completion, ChatCompletion)
        assert_type(await runner.until_done(), ChatCompletion)
        assert_type(runner.messages, list[MessageParam])
    # fmt: off
    client.chat.completions.run_tools(model="m", messages=HELLO)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.chat.completions.run_tools(model="m", messages=HELLO, tools=[5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    # fmt: on


async def check_parameters(client: AsyncDeepSeek, earlier: ChatCompletionMessage) -> None:
    create = client.chat.completions.create
    await create(
        model="m",
        messages=[{"role": "user", "content": "Hi"}, earlier, UserMessage(content="And?")],
        thinking=True,
        reasoning_effort="high",
        max_tokens=None,
        stop=["a", "b"],
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="auto",
        response_format={"type": "json_object"},
        timeout=Timeouts(total=5),
        max_retries=0,
        extra_headers={"X": "y"},
        extra_query={"a": "b"},
        extra_body={"seed": 1},
    )
    await create(
        model="m", messages=(AssistantMessage(content=None) for _ in HELLO), thinking="disabled"
    )
    await create(model="m", messages=HELLO, thinking={"type": "auto"}, tool_choice={"a": "b"})


async def check_refused(client: AsyncDeepSeek) -> None:
    completions = client.chat.completions
    # fmt: off
    await completions.create(model="m", messages=HELLO, temprature=1.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await completions.create(model="m")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await completions.create(messages=HELLO)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await completions.create(model=5, messages=HELLO)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await completions.create(model="m", messages=HELLO, accumulate=False)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await completions.create("m", HELLO)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    completions.stream(model="m", messages=HELLO, stream=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    completions.stream(model="m", messages=HELLO, temprature=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    # fmt: on


async def check_completion(completion: ChatCompletion) -> None:
    message = completion.choices[0].message
    assert_type(message.content, str | None)
    assert_type(message.reasoning_content, str | None)
    assert_type(message.tool_calls, list[ToolCall] | None)
    assert_type(completion.choices[0].finish_reason, str | None)
    assert_type(completion.usage, Usage | None)
    assert_type(completion.request_id, str | None)
    assert_type(completion.attempts, int)
    assert_type(completion.cost(currency="CNY"), Decimal | None)
    assert_type(completion.model_copy(update={"id": "x"}), ChatCompletion)
    assert_type(completion.to_json(), str)


async def check_raw(client: AsyncDeepSeek, flag: bool) -> None:
    raw = client.chat.completions.with_raw_response
    plain = await raw.create(model="m", messages=HELLO)
    assert_type(plain, RawResponse[ChatCompletion])
    assert_type(plain.parse(), ChatCompletion)
    assert_type(plain.headers, Headers)
    assert_type(plain.body, bytes | None)
    streamed = await raw.create(model="m", messages=HELLO, stream=True)
    assert_type(streamed.parse(), ChatStream)
    either = await raw.create(model="m", messages=HELLO, stream=flag)
    assert_type(either.parse(), ChatCompletion | ChatStream)


async def check_chunks(stream: ChatStream) -> None:
    async with stream as entered:
        assert_type(entered, ChatStream)
        async for chunk in entered:
            assert_type(chunk, ChatCompletionChunk)
            assert_type(chunk.choices[0].delta.content, str | None)
    async for event in stream.raw():
        assert_type(event, bytes)
    assert_type(stream.completion(), ChatCompletion)
    assert_type(stream.usage, Usage | None)
    assert_type(stream.response, ResponseInfo | None)
    assert_type(stream.saw_done, bool)


async def check_stream(client: AsyncDeepSeek) -> None:
    async with client.chat.completions.stream(model="m", messages=HELLO, chunks=True) as stream:
        assert_type(stream, ChatEventStream)
        async for event in stream:
            assert_type(event, ChatEvent)
        assert_type(stream.snapshot, ChatCompletion)
        assert_type(await stream.get_final_completion(), ChatCompletion)
        assert_type(await stream.get_final_text(), str)
        async for text in stream.text_stream:
            assert_type(text, str)
        async for text in stream.reasoning_stream:
            assert_type(text, str)


def check_events(event: ChatEvent) -> None:
    if event.type == "queued":
        assert_type(event.elapsed, float)
    elif event.type == "reasoning.delta" or event.type == "content.delta":
        assert_type(event.delta, str)
    elif event.type == "reasoning.done" or event.type == "content.done":
        assert_type(event.text, str | None)
    elif event.type == "tool_calls.function.arguments.delta":
        assert_type(event.arguments_delta, str)
    elif event.type == "tool_calls.function.arguments.done":
        assert_type((event.index, event.id, event.name, event.arguments), tuple[int, str, str, str])
    elif event.type == "logprobs.delta":
        assert_type(event, LogprobsDeltaEvent)
        assert_type(event.content, list[TokenLogprob] | None)
    elif event.type == "raw":
        assert_type(event.data, bytes)
    elif event.type == "chunk":
        assert_type(event.chunk, ChatCompletionChunk)
    elif event.type == "resumed":
        assert_type((event.reason, event.attempt), tuple[str, int])
    elif event.type == "done":
        assert_type(event.finish_reason, str | None)
        assert_type(event.usage, Usage | None)
    else:
        assert_never(event)
