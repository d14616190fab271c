"""What a test tells the simulator to answer: `Reply`, `Replay`, and `When`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, cast

import msgspec

from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.pace import Amount, check_amount, check_seconds
from deepseek_async.simulator.refusals import REFUSALS

# What a request's JSON body is: any object; callers read it as they know it.
Body = dict[str, Any]

EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Which requests an answer is for: those that fit all that is given."""

    text: str | None = None
    """Part of the last user message, or of a FIM request's prompt."""
    tools: str | Sequence[str] | None = None
    """Functions that the request offers, among others; an empty sequence: it offers none."""
    turn: int | None = None
    """1 for a conversation without an answer yet, 2 after the first answer, and so on."""
    model: str | None = None
    """The model that the request names."""
    user_id: str | None = None
    stream: bool | None = None
    """Whether the answer is streamed."""

    def __post_init__(self) -> None:
        if self.turn is not None and self.turn < 1:
            raise ValueError(f"turns are counted from 1; there is no turn {self.turn}")

    def fits(self, body: Body, asked: str) -> bool:
        """Whether a request is meant.

        Args:
            body: The JSON of the request.
            asked: The last user message, or the prompt.
        """
        return (
            (self.text is None or self.text in asked)
            and (self.model is None or self.model == body.get("model"))
            and (self.user_id is None or self.user_id == body.get("user_id"))
            and (self.stream is None or self.stream == bool(body.get("stream")))
            and (self.turn is None or self.turn == _turn(body))
            and (self.tools is None or self._offers(_offered(body)))
        )

    def _offers(self, offered: set[str]) -> bool:
        wanted = {self.tools} if isinstance(self.tools, str) else set(self.tools or ())
        return wanted <= offered if wanted else not offered


def _turn(body: Body) -> int:
    return 1 + [message.get("role") for message in _objects(body.get("messages"))].count(
        "assistant"
    )


def _offered(body: Body) -> set[str]:
    functions = _objects([tool.get("function") for tool in _objects(body.get("tools"))])
    return {str(function.get("name")) for function in functions}


def _objects(value: object) -> list[Body]:
    # Of FIM requests nobody has checked what they have under the names of chat's fields.
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Body", item) for item in items if isinstance(item, dict)]


Match = str | When | Callable[[Body], bool]
Times = int | Literal["forever"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A scripted answer to one chat or FIM request.

    Without `text`, `tool_calls`, `body` and an error `status`, the simulator's own answer is
    given: ``Reply(queue_seconds=30)`` changes only the timing.
    """

    text: str | None = None
    """The answer; None: the simulator's own, or nothing next to `tool_calls`."""
    _: KW_ONLY
    reasoning: str | None = None
    """Reasoning content, sent only if the request leaves thinking on; None is empty reasoning
    next to `text` or `tool_calls`."""
    tool_calls: Sequence[tuple[str, str | Mapping[str, Any]]] = ()
    """Pairs of function name and arguments, in index order; a string is sent as it is."""
    finish_reason: str | None = None
    """None: what follows from the answer (stop, tool_calls, length)."""
    usage: Mapping[str, Any] | None = None
    """Counts of tokens that replace computed ones: prompt_tokens, completion_tokens,
    reasoning_tokens, prompt_cache_hit_tokens. Other keys are added to the usage object as given."""
    status: int = 200
    """HTTP status; anything but 200 answers with `body` at once."""
    body: bytes | str | Mapping[str, Any] | None = None
    """The whole HTTP body instead of an answer; a mapping is sent as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers to add or replace; an empty value removes one."""
    retry_after: float | None = None
    """Seconds for a ``Retry-After`` header; DeepSeek itself never sent one."""
    queue_seconds: float = 0.0
    """Seconds of keep-alives (the first one at once) before the answer begins."""
    first_token_seconds: Amount | None = None
    """Seconds from the end of the queue to the first token; None: the simulator's option."""
    tokens_per_second: Amount | None = None
    """Pace of the answer; None: the simulator's option."""
    match: Match | None = None
    """Only for requests whose last user message contains this text, that fit this `When`, or
    whose body this function accepts."""
    times: Times = 1
    """How many requests it answers."""
    fault: Fault | None = None
    """What goes wrong with it each time; its `rate` and `times` don't count here."""

    def __post_init__(self) -> None:
        # Here, where a traceback shows who wrote it: in the server it would be a status 500.
        _check_match(self.match)
        _check_times(self.times)
        _check_status(self.status)
        _check_headers(self.headers)
        self._check_answer()
        check_seconds("queue_seconds", self.queue_seconds)
        check_amount("first_token_seconds", self.first_token_seconds)
        check_amount("tokens_per_second", self.tokens_per_second)
        _check_tool_calls(self.tool_calls)
        _check_usage(self.usage or {})
        for name in ("text", "reasoning", "finish_reason", "tool_calls", "usage", "body"):
            _check_encodable(name, getattr(self, name))

    def _check_answer(self) -> None:
        if self.text is not None and not isinstance(self.text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # tests aren't always typed
            raise ValueError(f"text is a string, not {self.text!r}; JSON is given by Reply.json")
        if self.body is None and self.status == 200:
            return
        for name in ("text", "reasoning", "tool_calls", "finish_reason", "usage"):
            if getattr(self, name):
                instead = "body" if self.body is not None else f"status {self.status}"
                raise ValueError(f"{name} can't be given with {instead}, which answers with a body")

    @property
    def raw_tool_calls(self) -> tuple[tuple[str, str], ...]:
        """The tool calls with their arguments as JSON text."""
        return tuple((name, _json_text(arguments)) for name, arguments in self.tool_calls)

    @classmethod
    def json(cls, value: object, **fields: Any) -> Self:
        """An answer that is JSON, as JSON mode gives it.

        Args:
            value: What the text is to be the JSON of.
            fields: The other fields.
        """
        return cls(_json_text(value, keep_text=False), **fields)

    @classmethod
    def error(
        cls,
        name: str,
        *,
        retry_after: float | None = None,
        match: Match | None = None,
        times: Times = 1,
    ) -> Reply:
        """An error that DeepSeek sends, byte for byte.

        Args:
            name: A key of `deepseek_async.simulator.refusals.REFUSALS`, such as
                ``insufficient_balance`` or ``overloaded``.
            retry_after: Seconds for a ``Retry-After`` header.
            match: See the field.
            times: See the field.

        Raises:
            ValueError: There is no error of this name; the message lists them.
        """
        refusal = REFUSALS.get(name)
        if refusal is None:
            raise ValueError(f"no error {name!r}; there are {', '.join(REFUSALS)}")
        return cls(
            status=refusal.status,
            body=refusal.body,
            headers={"Content-Type": refusal.content_type or ""},
            retry_after=retry_after,
            match=match,
            times=times,
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """Recorded bytes as the HTTP body of one chat or FIM request, cut where you say.

    Each piece is its own HTTP chunk and its own write, at least one turn of the event loop after
    the one before.
    """

    source: str | PathLike[str] | bytes
    """The bytes, or the file that has them; read when scripted."""
    cuts: Sequence[int] | int | None = None
    """Offsets to cut at; an int is the seed of random ones; None: one piece."""
    pause: float = 0.0
    """Seconds between pieces."""
    _: KW_ONLY
    step: int | None = None
    """Bytes of each piece, instead of `cuts`."""
    status: int = 200
    content_type: str | None = None
    """None: an event stream if a line starts with ``data:`` or ``:``, else JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers to add or replace; an empty value removes one."""
    match: Match | None = None
    """As in `Reply`."""
    times: Times = 1
    """As in `Reply`."""
    fault: Fault | None = None
    """As in `Reply`; the content of a recording isn't changed."""

    def __post_init__(self) -> None:
        _check_match(self.match)
        _check_times(self.times)
        _check_status(self.status)
        _check_headers(self.headers)
        check_seconds("pause", self.pause)

    def data(self) -> bytes:
        """The body; reads the file."""
        return self.source if isinstance(self.source, bytes) else Path(self.source).read_bytes()

    def pieces(self) -> list[bytes]:
        """The body as it will be written, without empty pieces."""
        data = self.data()
        if self.step is not None:
            if self.step < 1:
                raise ValueError(f"a piece has at least one byte, not {self.step}")
            offsets = list(range(self.step, len(data), self.step))
        elif self.cuts is None:
            offsets = []
        elif isinstance(self.cuts, int):
            # About one cut in 50 bytes: several in a typical event of 300.
            count = min(len(data) - 1, 1 + len(data) // 50)
            offsets = random.Random(self.cuts).sample(range(1, len(data)), max(count, 0))
        else:
            offsets = [offset for offset in self.cuts if 0 < offset < len(data)]
        bounds = [0, *sorted(set(offsets)), len(data)]
        return [data[a:b] for a, b in pairwise(bounds) if a < b]

    def media_type(self) -> str:
        """The ``Content-Type`` to send."""
        if self.content_type is not None:
            return self.content_type
        start = self.data()[:4096].lstrip()
        return EVENT_STREAM if start.startswith((b"data:", b":")) else "application/json"


def take(script: list[Reply | Replay], body: Body, asked: str) -> Reply | Replay | None:
    """Take the first answer that fits a request off the script, if there is one.

    Args:
        script: Answers in order; one that answers several requests stays until it has.
        body: The JSON of the request.
        asked: The last user message, or the prompt.
    """
    for index, scripted in enumerate(script):
        if not _fits(scripted.match, body, asked):
            continue
        if scripted.times == 1:
            del script[index]
        elif scripted.times != "forever":
            script[index] = replace(scripted, times=scripted.times - 1)
        return scripted
    return None


def _fits(match: Match | None, body: Body, asked: str) -> bool:
    if match is None:
        return True
    if isinstance(match, str):
        return match in asked
    return match.fits(body, asked) if isinstance(match, When) else bool(match(body))


def _json_text(value: object, *, keep_text: bool = True) -> str:
    if keep_text and isinstance(value, str):
        return value
    # With the spaces that models write.
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _check_match(match: object) -> None:
    if match is not None and not isinstance(match, str | When) and not callable(match):
        raise ValueError(f"match is a text, a When or a function, not {match!r}")


def _check_times(times: Times) -> None:
    if isinstance(times, str):
        if times != "forever":
            raise ValueError(f"times is a number or 'forever', not {times!r}")
    elif times < 1:
        raise ValueError(f"a reply is for at least one request, not {times}")


def _check_status(status: int) -> None:
    # Those below are followed by another reply.
    if not 200 <= status <= 599:
        raise ValueError(f"status is from 200 to 599, not {status}")


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} can't be the name of a header")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"header {name} can't be {value!r}")


def _check_tool_calls(calls: Sequence[object]) -> None:
    for index, call in enumerate(calls):
        pair = cast("Sequence[object]", call) if isinstance(call, tuple | list) else ()
        if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], str | Mapping):
            raise ValueError(
                f"tool_calls[{index}] is a pair of a function's name and its arguments, such as "
                f"('weather', {{'city': 'Ulm'}}), not {call!r}"
            )


_COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "prompt_cache_hit_tokens",
)


def _check_usage(usage: Mapping[str, Any]) -> None:
    for name in _COUNTS:
        count = usage.get(name, 0)
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"usage.{name} is a number of tokens, not {count!r}")


def _check_encodable(name: str, value: object) -> None:
    try:
        msgspec.json.encode(value)
    except (TypeError, UnicodeEncodeError) as exc:
        raise ValueError(f"{name} can't be sent as JSON: {exc}") from None
