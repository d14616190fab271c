"""A typed program of the OpenAI SDK after the import change, with nothing to hide from checkers."""

import json
from typing import Any

from deepseek_async.compat import (
    NOT_GIVEN,
    APIConnectionError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionMessageToolCall,
    ChatCompletionToolParam,
    ChatCompletionUserMessageParam,
    CompletionUsage,
    OpenAIError,
)

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class Assistant:
    """A conversation."""

    def __init__(
        self, client: AsyncOpenAI, *, model: str, temperature: float | None = None
    ) -> None:
        self.client = client
        self.model = model
        self.temperature = temperature
        self.history: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": "Be brief."}
        ]
        self.usage: CompletionUsage | None = None

    async def say(self, text: str) -> str:
        """Return the answer to a text, tools included."""
        self.history.append(ChatCompletionUserMessageParam(role="user", content=text))
        while True:
            response = await self.client.chat.completions.create(
                model=self.model,
                messages=self.history,
                tools=[WEATHER],
                tool_choice="auto",
                temperature=NOT_GIVEN if self.temperature is None else self.temperature,
            )
            self.usage = response.usage
            message = response.choices[0].message
            self.history.append(message)
            if message.tool_calls is None:
                return message.content or ""
            for call in message.tool_calls:
                self.history.append(
                    {"role": "tool", "tool_call_id": call.id, "content": self.run(call)}
                )

    def run(self, call: ChatCompletionMessageToolCall) -> str:
        arguments: dict[str, Any] = json.loads(call.function.arguments)
        return f"{call.function.name} of {arguments['city']}: fog"

    async def tell(self, text: str) -> AsyncStream[ChatCompletionChunk]:
        return await self.client.chat.completions.create(
            model=self.model,
            messages=[*self.history, {"role": "user", "content": text}],
            stream=True,
        )


async def read(stream: AsyncStream[ChatCompletionChunk]) -> tuple[str, str]:
    """Return the reasoning and the text of a stream."""
    reasoning: list[str] = []
    text: list[str] = []
    async for chunk in stream:
        delta = chunk.choices[0].delta
        if delta.reasoning_content:
            reasoning.append(delta.reasoning_content)
        if delta.content:
            text.append(delta.content)
    return "".join(reasoning), "".join(text)


async def outcome(assistant: Assistant, text: str) -> str:
    """Return the answer, or what went wrong."""
    try:
        return await assistant.say(text)
    except APIStatusError as exc:
        return f"status {exc.status_code}: {exc.message}"
    except APIConnectionError as exc:
        return f"no connection: {exc}"
    except OpenAIError as exc:
        return f"failed: {exc}"


def cached(usage: CompletionUsage | None) -> int:
    """Return how many tokens of the prompt came from the cache."""
    if usage is None or usage.prompt_tokens_details is None:
        return 0
    return usage.prompt_tokens_details.cached_tokens or 0
