"""A program as users write it; it runs, and strict type checkers have nothing to say about it.

There is no cast in it and no ignored finding: what the library returns is typed well enough.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from deepseek_async import (
    AsyncDeepSeek,
    BatchReport,
    BatchRequest,
    Budget,
    ChatCompletion,
    ChatCompletionMessage,
    ChatStream,
    ConcurrencyLimitError,
    MessageParam,
    RateLimitError,
    StreamInterruptedError,
    ToolMessage,
    Usage,
    UserMessage,
    tool,
)

MODEL = "deepseek-flash"


@dataclass
class Bill:
    """What a number of answers took."""

    cached: int = 0
    fresh: int = 0
    reasoning: int = 0
    usd: Decimal = Decimal(0)

    def add(self, completion: ChatCompletion) -> None:
        usage = completion.usage
        if usage is None:
            return
        self.cached += usage.prompt_cache_hit_tokens or 0
        self.fresh += usage.prompt_cache_miss_tokens or 0
        details = usage.completion_tokens_details
        if details is not None and details.reasoning_tokens is not None:
            self.reasoning += details.reasoning_tokens
        self.usd += completion.cost() or 0


async def ask(client: AsyncDeepSeek, question: str) -> tuple[str, str]:
    """Return the reasoning and the answer."""
    completion = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        thinking=True,
        reasoning_effort="high",
        extra_body={"seed": 1},
    )
    message = completion.choices[0].message
    return message.reasoning_content or "", message.content or ""


async def ask_streamed(client: AsyncDeepSeek, question: str) -> tuple[str, str, Usage | None]:
    """Return the reasoning, the answer, and the token counts of a stream."""
    reasoning = content = ""
    usage: Usage | None = None
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[UserMessage(content=question)],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        for choice in chunk.choices:
            reasoning += choice.delta.reasoning_content or ""
            content += choice.delta.content or ""
        if chunk.usage is not None:
            usage = chunk.usage
    return reasoning, content, usage


async def lines(stream: ChatStream) -> AsyncIterator[str]:
    """Turn a stream into lines for a web page; what was cut off is told."""
    try:
        async with stream:
            async for chunk in stream:
                text = "".join(choice.delta.content or "" for choice in chunk.choices)
                if text:
                    yield f"data: {json.dumps(text)}\n\n"
    except StreamInterruptedError as exc:
        if exc.partial is not None:
            yield f"event: cut\ndata: {len(exc.partial.choices)}\n\n"


async def follow(client: AsyncDeepSeek, question: str) -> list[str]:
    """Return what a terminal would show."""
    shown: list[str] = []
    async with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": question}]
    ) as stream:
        async for event in stream:
            match event.type:
                case "queued":
                    shown.append(f"waiting for {event.elapsed:.0f} s")
                case "reasoning.delta" | "content.delta":
                    shown.append(event.delta)
                case "tool_calls.function.arguments.done":
                    shown.append(f"{event.name}({event.arguments})")
                case "done":
                    shown.append(event.finish_reason or "?")
                case _:
                    continue
        final = await stream.get_final_completion()
    shown.append(final.model)
    return shown


async def weather(location: str, days: int) -> str:
    return f"Fog in {location} in {days} days"


FUNCTIONS: dict[str, Callable[..., Awaitable[str]]] = {"weather": weather}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["location", "days"],
            },
        },
    }
]


async def agent(client: AsyncDeepSeek, question: str, bill: Bill) -> list[MessageParam]:
    """Let the model call functions until it has an answer; return the conversation."""
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    while True:
        completion = await client.chat.completions.create(
            model=MODEL, messages=messages, tools=TOOLS
        )
        bill.add(completion)
        message = completion.choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return messages
        for call in message.tool_calls:
            arguments: dict[str, Any] = json.loads(call.function.arguments)
            result = await FUNCTIONS[call.function.name](**arguments)
            messages.append(ToolMessage(content=result, tool_call_id=call.id))


@tool
async def forecast(location: str, days: int = 1) -> str:
    """Tell the weather of a place in some days."""
    return await weather(location, days)


async def agent_of_the_library(client: AsyncDeepSeek, question: str) -> tuple[list[str], str]:
    """Return the tools that ran, and the answer."""
    ran: list[str] = []
    async with client.chat.completions.run_tools(
        model=MODEL, messages=[{"role": "user", "content": question}], tools=[forecast]
    ) as runner:
        async for event in runner:
            if event.type == "tool.done":
                ran.append(f"{event.name}: {event.content}")
        final = await runner.until_done()
    return ran, final.choices[0].message.content or ""


@dataclass
class Quiz:
    question: str
    answer: str


async def extract(client: AsyncDeepSeek, text: str) -> str:
    """Return the answer of a quiz that a text holds."""
    completion = await client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": text}],
        response_format=Quiz,
        thinking=False,
    )
    quiz = completion.parsed
    return f"{quiz.answer.upper()} ({quiz.question})"


async def fill(client: AsyncDeepSeek, before: str, after: str) -> str:
    completion = await client.completions.create(
        model=MODEL, prompt=before, suffix=after, max_tokens=128, stop=["\n\n"]
    )
    return completion.choices[0].text


async def patiently(client: AsyncDeepSeek, question: str) -> str:
    """Return the answer, or why there is none."""
    try:
        completion = await client.with_options(max_retries=0, timeout=30.0).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": question}]
        )
    except ConcurrencyLimitError as exc:
        return f"at most {exc.limit} at once"
    except RateLimitError as exc:
        after = exc.response.headers.get("retry-after", "?") if exc.response is not None else "?"
        return f"{exc.status_code}: {exc.request_id is not None}, {after}"
    message: ChatCompletionMessage = completion.choices[0].message
    return message.content or ""


async def account(client: AsyncDeepSeek) -> tuple[list[str], Decimal]:
    models = await client.models.list()
    balance = await client.user.balance()
    return [model.id for model in models], balance.total("CNY")


async def label(client: AsyncDeepSeek, texts: list[str]) -> dict[str, str]:
    """Return a label for each text that got one."""
    labels: dict[str, str] = {}
    requests = (
        BatchRequest(str(number), {"messages": [{"role": "user", "content": text}]})
        for number, text in enumerate(texts)
    )
    async with client.batch(requests, model=MODEL, budget=Budget(usd=1)) as job:
        async for item in job:
            if item.error is None:
                labels[item.custom_id] = item.completion.choices[0].message.content or ""
    report: BatchReport = job.report()
    report.raise_if_stopped()
    return labels


async def compare(client: AsyncDeepSeek, question: str) -> list[str]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    answers = await client.gather(body, body)
    quizzes = await client.gather(body, body, response_model=Quiz)
    return [
        *(answer.choices[0].message.content or "" for answer in answers),
        *(quiz.answer.upper() for quiz in quizzes),
    ]
