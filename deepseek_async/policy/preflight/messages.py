"""Messages that DeepSeek refuses, by themselves or where they stand.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21, and replies of
the server: serde's, which names the roles and parts it knows, and those about tool calls.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, cast

from deepseek_async.errors import PreflightError
from deepseek_async.policy.preflight.shapes import LIST, OBJECT, TEXT, quoted, require
from deepseek_async.types.requests import get_field

# Roles whose content may come in parts, and the parts that each may have. The last is not
# documented; the server names it where it refuses others.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "system": ("text",),
    "user": ("text", "image_url", "file"),
    "tool": ("text", "image_url", "file"),
    "latest_reminder": ("text",),
}
_ROLES = "system, user, assistant or tool"

# Roles of OpenAI's that go by another name here.
_RENAMED = {"developer": "system", "function": "tool"}


def check_messages(messages: Sequence[Mapping[str, Any]], *, needs_reasoning: bool) -> None:
    """Refuse a conversation that the server would refuse.

    Args:
        messages: As in the request.
        needs_reasoning: Whether earlier answers must come with their ``reasoning_content``.

    Raises:
        PreflightError: The message says where and why.
    """
    if not messages:
        raise PreflightError("messages is empty; a request needs at least one message")
    last = len(messages) - 1
    asked_at = -1
    waiting: list[str] = []
    for index, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if type(role) is not str:
            role = _role_of(role, index)
        if role == "tool":
            if type(content) is not str:
                _check_content(role, content, index)
            call_id = message.get("tool_call_id")
            if call_id in waiting:
                waiting.remove(call_id)
            elif asked_at < 0 or not _is_of_server(messages[asked_at], call_id):
                _refuse_answer(call_id, waiting, index)
        else:
            if waiting:
                _refuse_unanswered(asked_at, waiting)
            if role == "assistant":
                calls = message.get("tool_calls")
                if type(content) is not str and not (content is None and calls):
                    _check_said(content, index)
                if needs_reasoning and message.get("reasoning_content") is None:
                    _check_reasoning(message, index)
                if calls:
                    waiting, asked_at = _ids_of(calls, index), index
            elif type(content) is not str or role not in _PARTS:
                _check_content(role, content, index)
        if "prefix" in message and message["prefix"] is True:
            _check_prefix(role, index, last)
    if waiting:
        _refuse_unanswered(asked_at, waiting)


def mentions_json(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether some message has the word "json", as JSON mode wants it."""
    return any("json" in text.lower() for message in messages for text in _texts(message))


def first_image(messages: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the index of the first message with an image, None if there is none."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if type(content) is not str and any(
            get_field(part, "type") in ("image_url", "file") for part in _parts(content)
        ):
            return index
    return None


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
        return
    for part in _parts(content):
        if isinstance(text := get_field(part, "text"), str):
            yield text


def _parts(content: object) -> Sequence[object]:
    return cast("Sequence[object]", content) if isinstance(content, list | tuple) else ()


def _role_of(role: object, index: int) -> str:
    # Enumerations are sent as their values.
    value = getattr(role, "value", role)
    if not isinstance(value, str):
        _refuse_role(value, index)
    return value


def _check_content(role: str, content: object, index: int) -> None:
    """Check role and content of a message that is not the assistant's."""
    if role not in _PARTS:
        _refuse_role(role, index)
    known = _PARTS[role]
    where = f"messages[{index}].content"
    if content is None:
        hint = '; an empty result is sent as ""' if role == "tool" else ""
        raise PreflightError(f"{where} is missing{hint}")
    hint = "; encode it with json.dumps" if role == "tool" else ""
    require(where, content, TEXT, LIST, hint=hint)
    for number, part in enumerate(_parts(content)):
        require(f"{where}[{number}]", part, OBJECT, hint='; as in {"type": "text", "text": ...}')
        if (kind := get_field(part, "type")) not in known:
            raise PreflightError(
                f"{where}[{number}].type must be {' or '.join(known)} in a message of "
                f"role {role!r}, got {quoted(kind)}"
            )


def _refuse_role(role: object, index: int) -> NoReturn:
    where = f"messages[{index}].role"
    if role is None:
        raise PreflightError(f"{where} is missing; it must be {_ROLES}")
    known_as = _RENAMED.get(role) if isinstance(role, str) else None
    hint = f"; DeepSeek calls it {known_as!r}" if known_as else ""
    raise PreflightError(f"{where} must be {_ROLES}, got {quoted(role)}{hint}")


def _check_said(content: object, index: int) -> None:
    where = f"messages[{index}].content"
    if content is None:
        raise PreflightError(f"{where} is missing; an assistant message needs text or tool_calls")
    require(where, content, TEXT, hint="; join the text of the parts")


def _check_reasoning(message: Mapping[str, Any], index: int) -> None:
    # A prefix is the answer itself: its reasoning is still to come.
    if message.get("prefix") is not True:
        raise PreflightError(
            f"messages[{index}].reasoning_content is missing; while thinking, a request with "
            "tools must send back the reasoning of every earlier answer: append the message of "
            'the completion as it is, or pass reasoning_replay="backfill" or thinking=False'
        )


def _check_prefix(role: object, index: int, last: int) -> None:
    where = f"messages[{index}].prefix"
    if role != "assistant":
        raise PreflightError(f"{where} is only for assistant messages, got one of role {role!r}")
    if index != last:
        raise PreflightError(f"{where} is only for the last message; {last - index} more follow")


def _ids_of(calls: object, index: int) -> list[str]:
    """Check the tool calls of an assistant message; return their ids."""
    where = f"messages[{index}].tool_calls"
    if not isinstance(calls, list | tuple):
        raise PreflightError(f"{where} must be a list, got {type(calls).__name__}")
    found = [
        _id_of(call, where, number) for number, call in enumerate(cast("Sequence[Any]", calls))
    ]
    # Hardly ever: one look at all of them costs less than one at each.
    if None in found:
        return [call_id for call_id in found if call_id is not None]
    return cast("list[str]", found)


def _id_of(call: Any, where: str, number: int) -> str | None:
    # Not type(): type checkers would want a cast, which costs as much as the rest.
    if call.__class__ is dict and (function := call.get("function")).__class__ is dict:
        # The usual case: histories have hundreds of calls.
        call_id = call.get("id")
        if (
            type(call_id) is str
            and call.get("type") == "function"
            and type(function.get("name")) is str
            and type(function.get("arguments")) is str
        ):
            return call_id
    function, kind = get_field(call, "function"), get_field(call, "type")
    if function is None and isinstance(kind, str) and kind != "function":
        # A tool of the server's own, which answers it as well; not documented.
        return None
    where = f"{where}[{number}]"
    for name, value in (
        ("type", kind),
        ("function.name", get_field(function, "name")),
        ("id", get_field(call, "id")),
    ):
        if not isinstance(value, str):
            raise PreflightError(f"{where}.{name} must be text, got {quoted(value)}")
    hint = "; encode them with json.dumps, or keep the text as it came"
    require(f"{where}.function.arguments", get_field(function, "arguments"), TEXT, hint=hint)
    return cast("str", get_field(call, "id"))


def _is_of_server(message: Mapping[str, Any], call_id: object) -> bool:
    """Tell whether a call of an assistant message goes to a tool of the server's own."""
    calls = message.get("tool_calls")
    return isinstance(calls, list | tuple) and any(
        get_field(call, "id") == call_id and get_field(call, "function") is None
        for call in cast("Sequence[Any]", calls)
    )


def _refuse_answer(call_id: object, waiting: Sequence[str], index: int) -> NoReturn:
    where = f"messages[{index}].tool_call_id"
    if not isinstance(call_id, str):
        raise PreflightError(
            f"{where} must be the id of the tool call that the message answers, "
            f"got {quoted(call_id)}"
        )
    open_calls = f"; waiting for {_listed(waiting)}" if waiting else ""
    raise PreflightError(
        f"{where} {quoted(call_id)} is not an open call{open_calls}: a tool message must follow "
        "the assistant message whose tool_calls it answers, once for each call"
    )


def _refuse_unanswered(index: int, waiting: Sequence[str]) -> NoReturn:
    raise PreflightError(
        f"messages[{index}].tool_calls: no answer to {_listed(waiting)}; each call needs a message "
        'of role "tool" with its id as tool_call_id, before any other message'
    )


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(quoted(call_id) for call_id in ids)
