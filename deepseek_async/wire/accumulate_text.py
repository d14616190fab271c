"""FIM chunks to the completion they add up to."""

from collections.abc import Iterable
from typing import Any

from deepseek_async.types.fim import Completion, CompletionChoice, CompletionLogprobs
from deepseek_async.types.usage import Usage
from deepseek_async.wire.accumulate import StreamFormat, copied, merge
from deepseek_async.wire.text import TextBuilder


class _GrowingText:
    """One answer while it arrives."""

    __slots__ = ("_extra", "_logprobs", "finish_reason", "index", "text")

    def __init__(self, index: int) -> None:
        self.index = index
        self.text = TextBuilder()
        self.finish_reason: str | None = None
        self._logprobs: CompletionLogprobs | None = None
        self._extra: dict[str, Any] = {}

    def add(self, choice: CompletionChoice) -> None:
        self.text.append(choice.text)
        self.text.compact()
        # A later null never erases the reason.
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        if choice.logprobs is not None:
            if self._logprobs is None:
                self._logprobs = CompletionLogprobs()
            _extend(self._logprobs, choice.logprobs)
        if choice.model_extra:
            merge(self._extra, choice.model_extra)

    def build(self) -> CompletionChoice:
        logprobs = self._logprobs
        if logprobs is not None:
            # Lists of their own: the ones here go on growing.
            logprobs = _extend(CompletionLogprobs(), logprobs)
        return CompletionChoice(
            index=self.index,
            text=self.text.text,
            logprobs=logprobs,
            finish_reason=self.finish_reason,
            model_extra=copied(self._extra),
        )


class CompletionAccumulator:
    """The FIM answer that the chunks so far add up to; linear in their number.

    Args:
        keep: False to keep no text, only :attr:`usage` and :attr:`finish_reason`.

    Attributes:
        keeps: Whether the text is kept.
        chunks: How many chunks have been added.
        usage: The last token counts that came; hosts that repeat them count cumulatively.
    """

    reasoning = ""
    """FIM answers have none."""

    def __init__(self, keep: bool = True) -> None:
        self.keeps = keep
        self.chunks = 0
        self.usage: Usage | None = None
        self._choices: dict[int, _GrowingText] = {}
        self._finish_reason: str | None = None
        self._id = ""
        self._created = 0
        self._model = ""
        self._system_fingerprint: str | None = None
        self._extra: dict[str, Any] = {}

    @property
    def finish_reason(self) -> str | None:
        """Why the first answer ended; None while it goes on."""
        return self._finish_reason

    @property
    def content(self) -> str:
        """The first answer's text so far."""
        first = self._choices.get(0)
        return "" if first is None else first.text.text

    def add(self, chunks: Iterable[Completion]) -> None:
        """Add chunks in the order they came."""
        for chunk in chunks:
            self.chunks += 1
            if chunk.usage is not None:
                self.usage = chunk.usage
            for choice in chunk.choices:
                if choice.index == 0 and choice.finish_reason is not None:
                    self._finish_reason = choice.finish_reason
                if self.keeps:
                    self._choice(choice.index).add(choice)
            if self.keeps:
                self._add_head(chunk)

    def _add_head(self, chunk: Completion) -> None:
        """Take what describes the answer from the first chunks that have it."""
        self._id = self._id or chunk.id
        self._created = self._created or chunk.created
        self._model = self._model or chunk.model
        self._system_fingerprint = self._system_fingerprint or chunk.system_fingerprint
        if chunk.model_extra:
            merge(self._extra, chunk.model_extra)

    def _choice(self, index: int) -> _GrowingText:
        if index not in self._choices:
            self._choices[index] = _GrowingText(index)
        return self._choices[index]

    def build(self) -> Completion:
        """Return the answer as far as it has come."""
        return Completion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[choice.build() for _, choice in sorted(self._choices.items())],
            usage=self.usage,
            system_fingerprint=self._system_fingerprint,
            model_extra=copied(self._extra),
        )


def _carries_text(chunk: Completion) -> bool:
    """Tell whether a chunk brings text."""
    return any(choice.text for choice in chunk.choices)


FIM = StreamFormat(Completion, CompletionAccumulator, _carries_text)


def _extend(target: CompletionLogprobs, more: CompletionLogprobs) -> CompletionLogprobs:
    """Append the lists of one to those of the other, which is returned."""
    for name in ("text_offset", "token_logprobs", "tokens", "top_logprobs"):
        values = getattr(more, name)
        if values is not None:
            known = getattr(target, name)
            if known is None:
                setattr(target, name, list(values))
            else:
                known.extend(values)
    if more.model_extra:
        target.model_extra = {**(target.model_extra or {}), **more.model_extra}
    return target
