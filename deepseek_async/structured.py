"""Answers of a type: ask for JSON, decode it, and ask again with the reason where it is wrong.

Source: https://api-docs.deepseek.com/guides/json_mode ("the API may occasionally return empty
content") and https://api-docs.deepseek.com/guides/tool_calls, "Strict Mode", read 2026-11-21.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from deepseek_async.errors import (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    EmptyResponseError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
    PreflightError,
)
from deepseek_async.types.chat import ChatCompletion, ChatCompletionMessage, Choice, Segment
from deepseek_async.types.requests import SystemMessage, get_field
from deepseek_async.types.usage import Usage, add_usage
from deepseek_async.wire.json_schema import (
    Schema,
    definitions_of,
    options_of,
    resolve,
    schema_of,
    strict_schema,
    type_name,
)
from deepseek_async.wire.typed import MismatchError, decode_as

T = TypeVar("T")
Strategy = Literal["json", "tool"]

_FINISHED = (
    ContentFilterFinishReasonError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
)
_FinishError = (
    type[ContentFilterFinishReasonError]
    | type[InterruptedFinishReasonError]
    | type[LengthFinishReasonError]
)
_FINISH_ERRORS: dict[str, tuple[_FinishError, str]] = {
    "length": (
        LengthFinishReasonError,
        "The answer was cut off before its JSON was complete; raise max_tokens or ask for less",
    ),
    "content_filter": (ContentFilterFinishReasonError, "The answer was filtered by the server"),
    "aborted": (InterruptedFinishReasonError, "The server aborted the answer"),
    "insufficient_system_resource": (
        InterruptedFinishReasonError,
        "The server ran out of resources in the middle of the answer",
    ),
}
_NOT_IN_NAMES = re.compile("[^a-zA-Z0-9_-]")

_OURS = {
    "response_format": "it asks for the type's own; call create() instead",
    "tools": "the answer is the value; call run_tools() or create() instead",
    "tool_choice": "the answer is the value; call run_tools() or create() instead",
    "stream": "the value needs the whole answer; call stream() instead",
}

# One object in other text: in a Markdown fence, after a byte order mark, between polite words.
_surrounded = re.compile(r"""[^{["]*(\{.*\})[^][{}]*""", re.DOTALL).fullmatch


class ParsedChatCompletion(ChatCompletion, Generic[T], kw_only=True, gc=False):
    """A whole answer whose text, or tool call, has been decoded.

    ``usage`` is the sum over all requests that it took; ``segments`` lists them if there were
    several. ``choices[0].message.parsed`` is the same as ``parsed``.
    """

    @property
    def parsed(self) -> T:
        """The answer as a value of the type that was asked for."""
        return cast("T", self.choices[0].message.parsed)


async def parse(
    create: Callable[..., Awaitable[ChatCompletion]],
    response_format: type[T],
    *,
    strategy: Strategy = "json",
    parse_retries: int = 2,
    params: Mapping[str, Any],
) -> ParsedChatCompletion[T]:
    """Ask for an answer that is a value of a type.

    Args:
        create: Makes a chat completion of keyword arguments.
        response_format: The type: msgspec Struct, dataclass, TypedDict, attrs class or pydantic
            model, of which the JSON is an object.
        strategy: ``"json"``: JSON mode, with the schema in the system message. ``"tool"``: the
            server holds the model to the schema (strict mode), which works with thinking off only
            and not for all types.
        parse_retries: How often to ask again after an answer that is empty, invalid, or was
            interrupted by the server; the model is told what was wrong.
        params: The keyword arguments of the call; not changed.

    Raises:
        TypeError: If the type can't be described as a JSON schema.
        PreflightError: If ``params`` and the strategy contradict each other, or the type can't be
            asked for in this way.
        LengthFinishReasonError: If ``max_tokens`` or the context was too small for the answer.
        ContentFilterFinishReasonError: If the answer was filtered.
        InterruptedFinishReasonError: If the server interrupted the last one, too.
        EmptyResponseError: If the last answer was empty, too.
        APIResponseValidationError: If the last answer was invalid, too; its text is in ``body``.
    """
    asking = _asking(response_format, strategy)
    fields = asking.request(params)
    spent = _Spent()
    left = parse_retries
    while True:
        completion = await create(**fields)
        choice = completion.choices[0] if completion.choices else Choice()
        spent.add(completion, choice.finish_reason)
        try:
            parsed = asking.read(choice)
        except _FINISHED as exc:
            exc.completion = spent.summed(completion)
            if left <= 0 or not exc.retryable:
                raise
            spent.go_on_after(choice.finish_reason)
        except (EmptyResponseError, APIResponseValidationError) as exc:
            exc.request_id = completion.request_id
            exc.attempts = spent.attempts
            if left <= 0:
                raise
            spent.go_on_after("empty" if isinstance(exc, EmptyResponseError) else "invalid")
            more = asking.correction(choice.message, exc.message)
            fields["messages"] = [*fields["messages"], *more]
        else:
            return _result(spent.summed(completion), choice, parsed)
        left -= 1


def _result(completion: ChatCompletion, choice: Choice, parsed: Any) -> ParsedChatCompletion[Any]:
    message = choice.message.model_copy(update={"parsed": parsed})
    values = {name: getattr(completion, name) for name in completion.__struct_fields__}
    values["choices"] = [choice.model_copy(update={"message": message}), *completion.choices[1:]]
    return ParsedChatCompletion(**values)


class _Spent:
    """What all requests for one answer have cost together."""

    def __init__(self) -> None:
        self.attempts = 0
        self._usage: Usage | None = None
        self._segments: list[Segment] = []

    def add(self, completion: ChatCompletion, finish_reason: str | None) -> None:
        self._usage = add_usage(self._usage, completion.usage)
        self.attempts += completion.attempts
        self._segments += completion.segments or [
            Segment(
                usage=completion.usage,
                finish_reason=finish_reason,
                request_id=completion.request_id,
                attempts=self.attempts,
            )
        ]

    def go_on_after(self, problem: str | None) -> None:
        self._segments[-1] = msgspec.structs.replace(self._segments[-1], continued_after=problem)

    def summed(self, completion: ChatCompletion) -> ChatCompletion:
        segments = self._segments if len(self._segments) > 1 else None
        update = {"usage": self._usage, "attempts": self.attempts, "segments": segments}
        return completion.model_copy(update=update)


def check_response_format(cls: type[Any]) -> None:
    """Make sure that answers of a type can be asked for.

    Raises:
        TypeError: If the type can't be described as a JSON schema.
        PreflightError: If its JSON is no object.
    """
    _asking(cls, "json")


class _Asking(ABC):
    """One way to ask for a value and to find it in an answer."""

    def __init__(self, cls: Any, schema: dict[str, Any]) -> None:
        self._cls = cls
        self._schema = schema

    @abstractmethod
    def request(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of the call."""

    @abstractmethod
    def text(self, message: ChatCompletionMessage) -> str:
        """Return where the value is in an answer."""

    @abstractmethod
    def correction(self, message: ChatCompletionMessage, problem: str) -> list[Any]:
        """Return the messages that tell the model what was wrong with its answer."""

    def read(self, choice: Choice) -> Any:
        """Return the value.

        Raises:
            LengthFinishReasonError: And its like: the answer was cut off.
            EmptyResponseError: If there is nothing.
            APIResponseValidationError: If it isn't of the type.
        """
        if (error := _FINISH_ERRORS.get(choice.finish_reason or "")) is not None:
            raise error[0](error[1])
        text = self.text(choice.message)
        if not text.strip():
            raise EmptyResponseError("The answer was empty")
        found = _surrounded(text)
        try:
            return decode_as(self._cls, found[1] if found else text)
        except MismatchError as exc:
            raise APIResponseValidationError(
                f"The answer does not fit {type_name(self._cls)}: {exc}", body=text
            ) from exc


class _JSONMode(_Asking):
    def request(self, params: Mapping[str, Any]) -> dict[str, Any]:
        schema = msgspec.json.encode(self._schema).decode()
        instruction = (
            "Answer with one JSON object that fits this JSON schema, and with nothing else:\n"
            f"{schema}"
        )
        return {
            **params,
            "messages": _instructed(_messages(params), instruction),
            "response_format": {"type": "json_object"},
        }

    def text(self, message: ChatCompletionMessage) -> str:
        return message.content or ""

    def correction(self, message: ChatCompletionMessage, problem: str) -> list[Any]:
        return [message, _asked_again(problem, "Answer again, with the whole JSON object only.")]


class _StrictTool(_Asking):
    def __init__(self, cls: Any, schema: dict[str, Any]) -> None:
        super().__init__(cls, schema)
        self._name = _NOT_IN_NAMES.sub("_", type_name(cls))[:64]

    def request(self, params: Mapping[str, Any]) -> dict[str, Any]:
        extra_body: Mapping[str, Any] = params.get("extra_body") or {}
        if _thinks(params.get("thinking")) or _thinks(extra_body.get("thinking")):
            raise PreflightError(
                "parse(strategy='tool') needs thinking=False, since DeepSeek takes no forced tool "
                "while thinking; leave thinking out, or use strategy='json'"
            )
        try:
            strict = strict_schema(self._schema)
        except ValueError as exc:
            raise PreflightError(
                f"{type_name(self._cls)} can't be asked for with strategy='tool': {exc}; use "
                "strategy='json'"
            ) from exc
        function = {
            "name": self._name,
            "description": strict.pop("description", "Gives the answer."),
            "parameters": strict,
            "strict": True,
        }
        return {
            **params,
            "messages": _messages(params),
            "thinking": False,
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": self._name}},
        }

    def text(self, message: ChatCompletionMessage) -> str:
        # A host that knows no forced tools answers in words.
        calls = message.tool_calls
        return calls[0].function.arguments if calls else message.content or ""

    def correction(self, message: ChatCompletionMessage, problem: str) -> list[Any]:
        demand = f"Call {self._name} again, with the whole answer."
        if not message.tool_calls:
            return [message, _asked_again(problem, demand)]
        # The server wants an answer to each call.
        return [
            message,
            *(
                {"role": "tool", "tool_call_id": call.id, "content": f"{problem}. {demand}"}
                for call in message.tool_calls
            ),
        ]


def _asking(cls: Any, strategy: Strategy) -> _Asking:
    if strategy not in ("json", "tool"):
        raise PreflightError(f"strategy must be 'json' or 'tool', got {strategy!r}")
    schema = schema_of(cls)
    is_tool = strategy == "tool"
    if not (schema.get("type") == "object" if is_tool else _is_object(schema, schema)):
        raise PreflightError(
            f"{type_name(cls)} is not one object in JSON, as parse(strategy={strategy!r}) needs; "
            "make it a field of a class"
        )
    return _StrictTool(cls, schema) if is_tool else _JSONMode(cls, schema)


def _is_object(schema: Schema, root: Schema) -> bool:
    named = resolve(schema, definitions_of(root)) or {}
    if options := options_of(named):
        return all(_is_object(option, root) for option in options)
    return named.get("type") == "object"


def _messages(params: Mapping[str, Any]) -> list[Any]:
    """Check the parameters that have to do with the form of the answer; return the messages."""
    extra_body: Mapping[str, Any] = params.get("extra_body") or {}
    for name in _OURS:
        if params.get(name) is not None or extra_body.get(name) is not None:
            raise PreflightError(f"parse() doesn't take {name}: {_OURS[name]}")
    messages: Any = params.get("messages")
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
        kind = type(cast("Any", messages)).__name__
        raise PreflightError(f"messages must be a list, got {kind}")
    return list(cast("Iterable[Any]", messages))


def _instructed(messages: list[Any], instruction: str) -> list[Any]:
    """Add an instruction to the first system message, or as one."""
    for i, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            content = _joined(message.content, instruction)
            changed: Any = msgspec.structs.replace(message, content=content)
        elif get_field(message, "role") == "system" and isinstance(message, Mapping):
            fields = cast("Mapping[str, Any]", message)
            changed = {**fields, "content": _joined(fields.get("content"), instruction)}
        else:
            continue
        return [*messages[:i], changed, *messages[i + 1 :]]
    return [{"role": "system", "content": instruction}, *messages]


def _joined(content: Any, instruction: str) -> Any:
    if isinstance(content, list):
        return [*cast("list[Any]", content), {"type": "text", "text": instruction}]
    return f"{content}\n\n{instruction}" if content else instruction


def _asked_again(problem: str, demand: str) -> dict[str, Any]:
    return {"role": "user", "content": f"{problem}. {demand}"}


def _thinks(thinking: Any) -> bool:
    return thinking in (True, "enabled") or get_field(thinking, "type") not in (None, "disabled")
