"""How answers are asked for: the options of ``chat`` as a request has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from deepseek_async import ChatParams, MessageParam, Tool
from deepseek_async.cli.prints import Prints

# DeepSeek refuses JSON mode unless a message has the word in it.
_JSON_INSTRUCTION = "Answer with one JSON object, and nothing else."


class ToolLimits(TypedDict, total=False):
    """Limits of calls, as ``run_tools`` takes them. What wasn't asked for is left out."""

    max_turns: int
    tool_timeout: float


@dataclass(frozen=True)
class ToolUse:
    """What the model may call, and how."""

    functions: Sequence[Tool[..., object]]
    limits: ToolLimits

    prints: Prints | None = None
    """What takes that which the functions print; None: nobody."""


@dataclass(frozen=True)
class ChatOptions:
    """How answers are asked for and shown. What is None is left to the server."""

    model: str
    system: str | None = None
    thinking: bool | None = None
    effort: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: Sequence[str] = ()

    auto_continue: int = 0
    """How often to go on after ``length``."""

    resume: int = 0
    """How often to go on after a cut or a stall."""

    json: bool = False
    """Whether the answer has to be JSON."""

    tools: Sequence[Tool[..., object]] = ()
    """What the model may call."""

    max_turns: int | None = None
    """Most requests for one answer, if tools are called."""

    tool_timeout: float | None = None
    """Seconds for each call of a tool."""

    prints: Prints | None = None
    """What takes that which tools print."""

    show_reasoning: bool = True

    def params(self, messages: list[MessageParam]) -> ChatParams:
        """Return the parameters of a request for the next answer, but for the tools.

        Not every host knows them all, so what wasn't asked for is left out.
        """
        params: ChatParams = {"model": self.model, "messages": messages}
        if self.thinking is not None:
            params["thinking"] = self.thinking
        if self.effort is not None:
            params["reasoning_effort"] = self.effort
        if self.max_tokens is not None:
            params["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            params["temperature"] = self.temperature
        if self.stop:
            params["stop"] = list(self.stop)
        if self.auto_continue:
            params["auto_continue"] = self.auto_continue
        if self.resume:
            params["resume"] = self.resume
        if self.json:
            params["response_format"] = {"type": "json_object"}
        return params

    @property
    def tool_use(self) -> ToolUse | None:
        """What the model may call, and how; None if it may call nothing."""
        if not self.tools:
            return None
        limits: ToolLimits = {}
        if self.max_turns is not None:
            limits["max_turns"] = self.max_turns
        if self.tool_timeout is not None:
            limits["tool_timeout"] = self.tool_timeout
        return ToolUse(self.tools, limits, self.prints)

    def beginning(self, prompt: str = "") -> list[MessageParam]:
        """Return the messages that a conversation begins with.

        Args:
            prompt: The first question, if it is known already.
        """
        parts = [] if self.system is None else [self.system]
        if self.json and not any("json" in text.lower() for text in (*parts, prompt)):
            parts.append(_JSON_INSTRUCTION)
        return [{"role": "system", "content": "\n\n".join(parts)}] if parts else []
