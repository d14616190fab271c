"""Chunks to the completion they add up to."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from deepseek_async.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChunkChoice,
    Logprobs,
    TokenLogprob,
)
from deepseek_async.types.fim import Completion
from deepseek_async.types.model import Result
from deepseek_async.types.usage import Usage
from deepseek_async.wire.repair import REASONING_ALIASES
from deepseek_async.wire.text import TextBuilder
from deepseek_async.wire.tool_calls import ToolCallAssembler

# How many chunks come between two looks at whether there is much to join.
_COMPACT_AFTER = 256

C = TypeVar("C", bound=ChatCompletionChunk | Completion)
C_contra = TypeVar("C_contra", bound=ChatCompletionChunk | Completion, contravariant=True)
R = TypeVar("R", bound=Result)
R_co = TypeVar("R_co", bound=Result, covariant=True)


class Accumulator(Protocol[C_contra, R_co]):
    """What the chunks of one answer add up to."""

    keeps: bool
    """Whether the text is kept."""

    chunks: int
    """How many chunks have been added."""

    usage: Usage | None
    """The last token counts that came."""

    @property
    def finish_reason(self) -> str | None:
        """Why the first answer ended; None while it goes on."""
        ...

    @property
    def content(self) -> str:
        """The first answer's text so far."""
        ...

    @property
    def reasoning(self) -> str:
        """The first answer's reasoning so far."""
        ...

    def add(self, chunks: Iterable[C_contra]) -> None:
        """Add chunks in the order they came."""
        ...

    def build(self) -> R_co:
        """Return the answer as far as it has come."""
        ...


class StreamFormat(NamedTuple, Generic[C, R]):
    """What a stream consists of."""

    chunk: type[C]
    """Type of its events."""

    accumulator: Callable[[bool], Accumulator[C, R]]
    """Makes what they are added to; the argument tells whether to keep the text."""

    carries_data: Callable[[C], bool]
    """Tells whether a chunk brings anything of the answer itself."""


class _GrowingChoice:
    """One answer while it arrives."""

    __slots__ = (
        "_extra",
        "_logprobs",
        "_logprobs_extra",
        "_message_extra",
        "content",
        "finish_reason",
        "index",
        "reasoning",
        "role",
        "tool_calls",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.role = "assistant"
        self.content = TextBuilder()
        self.reasoning = TextBuilder()
        self.tool_calls = ToolCallAssembler()
        self.finish_reason: str | None = None
        self._logprobs: Logprobs | None = None
        self._logprobs_extra: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._message_extra: dict[str, Any] = {}

    def add(self, choice: ChunkChoice) -> None:
        # The delta first: a finish chunk may carry text.
        delta = choice.delta
        if delta.content is not None:
            self.content.append(delta.content)
            self.content.seen = True
        if delta.reasoning_content is not None:
            self.reasoning.append(delta.reasoning_content)
            self.reasoning.seen = True
        if delta.tool_calls:
            self.tool_calls.add(delta.tool_calls, keep=True)
        if delta.role:
            self.role = delta.role
        if delta.model_extra:
            merge(self._message_extra, delta.model_extra)
        # A later null never erases the reason.
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        if choice.logprobs is not None:
            self._add_logprobs(choice.logprobs)
        if choice.model_extra:
            merge(self._extra, choice.model_extra)

    def compact(self) -> None:
        """Join the pieces of text, if there are many."""
        self.content.compact()
        self.reasoning.compact()

    def _add_logprobs(self, logprobs: Logprobs) -> None:
        if self._logprobs is None:
            self._logprobs = Logprobs()
        self._logprobs.content = _extended(self._logprobs.content, logprobs.content)
        self._logprobs.reasoning_content = _extended(
            self._logprobs.reasoning_content, logprobs.reasoning_content
        )
        if logprobs.model_extra:
            merge(self._logprobs_extra, logprobs.model_extra)

    def build(self) -> Choice:
        extra = copied(self._message_extra) or {}
        for alias in REASONING_ALIASES:
            if isinstance(extra.get(alias), str):
                extra[alias] = self.reasoning.text
        logprobs = self._logprobs
        if logprobs is not None:
            # Lists of their own: the ones here go on growing.
            logprobs = Logprobs(
                content=_extended(None, logprobs.content),
                reasoning_content=_extended(None, logprobs.reasoning_content),
                model_extra=copied(self._logprobs_extra),
            )
        return Choice(
            index=self.index,
            message=ChatCompletionMessage(
                role=self.role,
                content=self.content.text_or_none,
                reasoning_content=self.reasoning.text_or_none,
                tool_calls=[call.build() for call in self.tool_calls.calls] or None,
                model_extra=extra or None,
            ),
            logprobs=logprobs,
            finish_reason=self.finish_reason,
            model_extra=copied(self._extra),
        )


class ChatAccumulator:
    """The answer that the chunks so far add up to; linear in their number.

    Args:
        keep: False to keep no text, only what :attr:`usage`, :attr:`finish_reason` and the
            identity of the tool calls need.

    Attributes:
        keeps: Whether the text is kept.
        chunks: How many chunks have been added.
        usage: The last token counts that came; hosts that repeat them count cumulatively.
    """

    def __init__(self, keep: bool = True) -> None:
        self.keeps = keep
        self.chunks = 0
        self.usage: Usage | None = None
        self._first = _GrowingChoice(0)
        self._choices: dict[int, _GrowingChoice] = {}
        self._id = ""
        self._created = 0
        self._model = ""
        self._system_fingerprint: str | None = None
        self._extra: dict[str, Any] = {}

    @property
    def finish_reason(self) -> str | None:
        """Why the first answer ended; None while it goes on."""
        return self._first.finish_reason

    @property
    def content(self) -> str:
        """The first answer's text so far."""
        return self._first.content.text

    @property
    def reasoning(self) -> str:
        """The first answer's reasoning so far."""
        return self._first.reasoning.text

    @property
    def tool_calls(self) -> ToolCallAssembler:
        """The first answer's tool calls so far."""
        return self._first.tool_calls

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> None:
        """Add chunks in the order they came."""
        first = self._first
        if not self.keeps:
            self._add_end(chunks)
            return
        for chunk in chunks:
            self.chunks += 1
            if not self._id or not self._model:
                self._add_head(chunk)
            for choice in chunk.choices:
                if choice.index == 0:
                    self._choices[0] = first
                    first.add(choice)
                else:
                    self._choice(choice.index).add(choice)
            if chunk.usage is not None:
                self.usage = chunk.usage
            if chunk.model_extra:
                merge(self._extra, chunk.model_extra)
            if not self.chunks % _COMPACT_AFTER:
                for growing in self._choices.values():
                    growing.compact()

    def _add_end(self, chunks: Iterable[ChatCompletionChunk]) -> None:
        """Take only what tells the tool calls apart, and how the answer ended."""
        for chunk in chunks:
            self.chunks += 1
            for choice in chunk.choices:
                if choice.index == 0:
                    if choice.delta.tool_calls:
                        self._first.tool_calls.add(choice.delta.tool_calls, keep=False)
                    if choice.finish_reason is not None:
                        self._first.finish_reason = choice.finish_reason
            if chunk.usage is not None:
                self.usage = chunk.usage

    def _add_head(self, chunk: ChatCompletionChunk) -> None:
        """Take what describes the answer from the first chunks that have it."""
        self._id = self._id or chunk.id
        self._created = self._created or chunk.created
        self._model = self._model or chunk.model
        self._system_fingerprint = self._system_fingerprint or chunk.system_fingerprint

    def _choice(self, index: int) -> _GrowingChoice:
        if index not in self._choices:
            self._choices[index] = _GrowingChoice(index)
        return self._choices[index]

    def build(self) -> ChatCompletion:
        """Return the answer as far as it has come."""
        return ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[choice.build() for _, choice in sorted(self._choices.items())],
            usage=self.usage,
            system_fingerprint=self._system_fingerprint,
            model_extra=copied(self._extra),
        )


def _carries_data(chunk: ChatCompletionChunk) -> bool:
    """Tell whether a chunk brings content, reasoning or a tool call."""
    for choice in chunk.choices:
        delta = choice.delta
        if delta.content or delta.reasoning_content or delta.tool_calls:
            return True
    return False


CHAT = StreamFormat(ChatCompletionChunk, ChatAccumulator, _carries_data)


def _extended(
    target: list[TokenLogprob] | None, more: list[TokenLogprob] | None
) -> list[TokenLogprob] | None:
    if more is None:
        return target
    if target is None:
        return list(more)
    target += more
    return target


def merge(target: dict[str, Any], extra: dict[str, Any]) -> None:
    """Add unknown fields: lists grow, of anything else the last that is not null stays."""
    for key, value in extra.items():
        if isinstance(value, list):
            items = cast("list[Any]", value)
            known = target.get(key)
            if isinstance(known, list):
                cast("list[Any]", known).extend(items)
            else:
                target[key] = list(items)
        elif value is not None or key not in target:
            target[key] = value


def copied(extra: dict[str, Any]) -> dict[str, Any] | None:
    """Return what has been merged, with lists of its own: the ones here go on growing."""
    return {
        key: list(cast("list[Any]", value)) if isinstance(value, list) else value
        for key, value in extra.items()
    } or None
