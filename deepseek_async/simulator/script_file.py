"""Script files: what a simulator shall answer and do wrong, as JSON.

The format is that of `ScriptFile`; unknown keys are errors, and errors name their place.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.pace import Amount, Constant, LogNormal, Uniform
from deepseek_async.simulator.scripted import Replay, Reply, Times, When


class ScriptFileError(ValueError):
    """A script file can't be used; the message names the file and the place in it."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _Uniform(_Part, frozen=True):
    low: float
    high: float


class _LogNormal(_Part, frozen=True):
    median: float
    sigma: float = 0.5


class _Drawn(_Part, frozen=True):
    """One of the three."""

    constant: float | None = None
    uniform: _Uniform | None = None
    lognormal: _LogNormal | None = None


_Amount = float | _Drawn


class _When(_Part, frozen=True):
    text: str | None = None
    tools: str | list[str] | None = None
    turn: int | None = None
    model: str | None = None
    user_id: str | None = None
    stream: bool | None = None


class _ToolCall(_Part, frozen=True):
    name: str
    arguments: str | dict[str, Any] = {}


class _Fault(_Part, frozen=True):
    kind: str
    after_events: int | None = None
    after_bytes: int | None = None
    seconds: float | None = None
    keep_alive: bool = False
    retry_after: float | None = None
    rate: float | None = None
    times: Times | None = None


class _Reply(_Part, frozen=True):
    when: _When | None = None
    times: Times = 1
    text: str | None = None
    json: Any = msgspec.UNSET
    """The answer's text, as the JSON it is to be."""
    error: str | None = None
    """Name of an error that DeepSeek sends."""
    replay: str | None = None
    """File with a recorded body; relative to the script file."""
    step: int | None = None
    """Bytes of each write of a replay."""
    pause: float = 0.0
    """Seconds between them."""
    reasoning: str | None = None
    tool_calls: list[_ToolCall] = []
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    status: int = 200
    body: str | dict[str, Any] | None = None
    headers: dict[str, str] = {}
    retry_after: float | None = None
    queue_seconds: float = 0.0
    first_token_seconds: _Amount | None = None
    tokens_per_second: _Amount | None = None
    fault: _Fault | None = None


class _Options(_Part, frozen=True):
    tokens_per_second: _Amount | None = None
    first_token_seconds: _Amount | None = None
    keep_alive_seconds: float | None = None
    seed: int | None = None
    keys: list[str] | None = None
    max_concurrency: int | dict[str, int] | str | None = None
    max_requests_kept: int | None = None
    era: str | None = None
    accounts: dict[str, str] | None = None
    balance: dict[str, Decimal] | None = None
    concurrency_balance: Decimal | None = None
    capacity: int | None = None
    queue_timeout_seconds: float | None = None
    cache_interval: int | msgspec.UnsetType | None = msgspec.UNSET
    cache_delay_seconds: float | None = None
    cache_eviction_seconds: float | None = None
    reasoning_passback: str | None = None


class _File(_Part, frozen=True):
    # Names that Options or Fault look up are plain strings here: they say which ones there are.
    options: _Options = _Options()
    replies: list[_Reply] = []
    faults: list[_Fault | None] = []


class ScriptFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a script file says."""

    options: dict[str, Any]
    """Options of the `Simulator`."""
    replies: list[Reply | Replay]
    """For `Simulator.script`."""
    faults: list[Fault | None]
    """For `Simulator.faults`."""


def load_script(path: str | PathLike[str]) -> ScriptFile:
    """Read a script file.

    Raises:
        OSError: It can't be read, or a recording that it names can't.
        ScriptFileError: It isn't JSON, or says something that makes no sense.
    """
    file = Path(path)
    # Editors on Windows write the mark.
    data = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        data.decode()
        said = msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as exc:
        raise ScriptFileError(f"{file}: {_located(str(exc))}") from None
    except UnicodeDecodeError as exc:
        problem = f"(byte {exc.start}) this isn't UTF-8"
        raise ScriptFileError(f"{file}: {_positioned(problem, data)}") from None
    except msgspec.DecodeError as exc:
        raise ScriptFileError(f"{file}: {_positioned(str(exc), data)}") from None
    options = {
        name: value
        for name, value in msgspec.structs.asdict(said.options).items()
        if value is not None and value is not msgspec.UNSET
    }
    # The one option that null doesn't leave as it is.
    if said.options.cache_interval is None:
        options["cache_interval"] = None
    for name in ("tokens_per_second", "first_token_seconds"):
        if name in options:
            with _place(file, f"options.{name}"):
                options[name] = _amount(options[name])
    replies: list[Reply | Replay] = []
    for index, reply in enumerate(said.replies):
        with _place(file, f"replies[{index}]"):
            replies.append(_reply(reply, file.parent))
    faults: list[Fault | None] = []
    for index, fault in enumerate(said.faults):
        with _place(file, f"faults[{index}]"):
            faults.append(_fault(fault))
    return ScriptFile(options=options, replies=replies, faults=faults)


@contextmanager
def _place(file: Path, place: str) -> Generator[None]:
    try:
        yield
    except ValueError as exc:
        raise ScriptFileError(f"{file}: {place}: {exc}") from None


def _amount(said: _Amount | None) -> Amount | None:
    if not isinstance(said, _Drawn):
        return said
    given = [
        name for name in ("constant", "uniform", "lognormal") if getattr(said, name) is not None
    ]
    if len(given) != 1:
        raise ValueError("give one of constant, uniform and lognormal")
    if said.uniform is not None:
        return Uniform(said.uniform.low, said.uniform.high)
    if said.lognormal is not None:
        return LogNormal(said.lognormal.median, said.lognormal.sigma)
    return Constant(said.constant or 0.0)


def _fault(said: _Fault | None) -> Fault | None:
    return None if said is None else Fault(**msgspec.structs.asdict(said))


def _reply(said: _Reply, folder: Path) -> Reply | Replay:
    _check_answer(said)
    if said.fault is not None and (said.fault.rate, said.fault.times) != (None, None):
        raise ValueError("fault: rate and times are for faults of the whole script")
    match = None if said.when is None else When(**msgspec.structs.asdict(said.when))
    fault = _fault(said.fault)
    if said.replay is not None:
        replay = Replay(
            folder / said.replay,
            pause=said.pause,
            step=said.step,
            status=said.status,
            headers=said.headers,
            match=match,
            times=said.times,
            fault=fault,
        )
        replay.pieces()
        return replay
    if said.error is not None:
        error = Reply.error(said.error, retry_after=said.retry_after, match=match, times=said.times)
        return replace(error, fault=fault)
    fields: dict[str, Any] = {
        name: getattr(said, name)
        for name in (
            *("reasoning", "finish_reason", "usage", "status", "body", "headers", "retry_after"),
            *("queue_seconds", "times"),
        )
    }
    fields["match"] = match
    fields["fault"] = fault
    fields["tool_calls"] = tuple((call.name, call.arguments) for call in said.tool_calls)
    fields["first_token_seconds"] = _amount(said.first_token_seconds)
    fields["tokens_per_second"] = _amount(said.tokens_per_second)
    if said.json is not msgspec.UNSET:
        return Reply.json(said.json, **fields)
    return Reply(said.text, **fields)


def _check_answer(said: _Reply) -> None:
    given = [
        name for name in ("text", "body", "error", "replay") if getattr(said, name) is not None
    ]
    if said.json is not msgspec.UNSET:
        given.append("json")
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} can't be given together")
    answer = given[0] if given else "a made-up answer"
    for name in msgspec.structs.asdict(_MADE_UP):
        if getattr(said, name) != getattr(_MADE_UP, name) and not _counts(name, answer):
            raise ValueError(f"{name} can't be given with {answer}: it would change nothing")


_MADE_UP = _Reply()
# Keys that only some answers have; which of the others can't be given together, Reply says.
_WITH_ERROR = frozenset({"error", "when", "times", "retry_after", "fault"})
_WITH_REPLAY = frozenset({"replay", "step", "pause", "status", "headers", "when", "times", "fault"})
_OF_REPLAY = frozenset({"step", "pause"})


def _counts(name: str, answer: str) -> bool:
    """Whether a key means something next to the one that says what the answer is."""
    match answer:
        case "error":
            return name in _WITH_ERROR
        case "replay":
            return name in _WITH_REPLAY
        case _:
            return name not in _OF_REPLAY


def _located(message: str) -> str:
    """Put the place of what msgspec found wrong before it."""
    problem, _, path = message.partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    if problem.startswith("Object contains unknown field"):
        part = _PARTS.get(re.sub(r"\[.*?\]", "", place).rpartition(".")[2])
        known = () if part is None else part.__struct_fields__
        problem = f"{problem}; known are {', '.join(known)}" if known else problem
    return f"{place or 'the file'}: {problem[:1].lower()}{problem[1:]}"


# By the last part of their place.
_PARTS: dict[str, type[_Part]] = {
    "": _File,
    "options": _Options,
    "replies": _Reply,
    "faults": _Fault,
    "fault": _Fault,
    "when": _When,
    "tool_calls": _ToolCall,
    "tokens_per_second": _Drawn,
    "first_token_seconds": _Drawn,
    "uniform": _Uniform,
    "lognormal": _LogNormal,
}


def _positioned(message: str, data: bytes) -> str:
    """Say where JSON isn't JSON, in lines and columns."""
    found = re.search(r"\(byte (\d+)\)", message)
    if found is None:
        return f"not JSON: {message}"
    before = data[: int(found[1])]
    line = before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    return f"line {line}, column {column}: {message.replace(found[0], '').strip()}"
