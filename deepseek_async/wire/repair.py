"""Turn a JSON object of unexpected shape into a struct without losing anything of it.

The fast decoders refuse an object with an unknown field or a value of the wrong type. Then the
same bytes come here: unknown fields go to ``model_extra`` of the struct they sat in, and a known
field of the wrong shape takes its default while its original goes there as well.
"""

import functools
import json
import types
from typing import Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import msgspec

from deepseek_async.types.chat import ChatCompletionMessage, ChoiceDelta
from deepseek_async.types.model import Model

M = TypeVar("M", bound=Model)

#: Names under which other hosts send the reasoning (vLLM, OpenRouter; some gateways).
REASONING_ALIASES = ("reasoning", "reasoning_text")


#: What a strict decoder raises for bytes that may still be readable: another shape than the
#: type's; text that is not UTF-8; nesting too deep to follow.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Field(NamedTuple):
    name: str
    annotation: Any
    struct: type[Model] | None
    """The struct that the field holds, directly or as list items."""

    is_list: bool
    required: bool


@functools.cache
def _fields(cls: type[Model]) -> dict[str, _Field]:
    """Describe the fields of ``cls`` by their wire name."""
    fields: dict[str, _Field] = {}
    for field in msgspec.structs.fields(cls):
        if field.encode_name.startswith("$"):
            continue
        inner = _without_none(field.type)
        is_list = get_origin(inner) is list
        if is_list:
            (inner,) = get_args(inner)
        struct = inner if isinstance(inner, type) and issubclass(inner, Model) else None
        fields[field.encode_name] = _Field(field.name, field.type, struct, is_list, field.required)
    return fields


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not types.NoneType]
        if len(members) == 1:
            return members[0]
    return annotation


def repair(value: dict[str, Any], cls: type[M]) -> M:
    """Build a ``cls`` from any JSON object."""
    known = _fields(cls)
    arguments: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, item in value.items():
        field = known.get(key)
        if field is None:
            extra[key] = item
            continue
        try:
            arguments[field.name] = _convert(item, field)
        except msgspec.ValidationError:
            # null for a field that has a default means the same as leaving it out.
            if item is not None:
                extra[key] = item
    for field in known.values():
        if field.required and field.name not in arguments:
            arguments[field.name] = _empty(field)
    if issubclass(cls, (ChoiceDelta, ChatCompletionMessage)):
        _read_reasoning_alias(arguments, extra)
    return cls(**arguments, model_extra=extra or None)


def _convert(item: Any, field: _Field) -> Any:
    if field.struct is None or item is None:
        return msgspec.convert(item, field.annotation)
    if not field.is_list:
        return repair(_object(item), field.struct)
    if not isinstance(item, list):
        raise msgspec.ValidationError("not a list")
    return [repair(_object(each), field.struct) for each in cast("list[Any]", item)]


def _object(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise msgspec.ValidationError("not an object")
    return cast("dict[str, Any]", item)


def _empty(field: _Field) -> Any:
    """Return what stands for a required field that is not there."""
    if field.is_list:
        return []
    return field.annotation()


def _read_reasoning_alias(arguments: dict[str, Any], extra: dict[str, Any]) -> None:
    if arguments.get("reasoning_content") is None:
        for alias in REASONING_ALIASES:
            if isinstance(text := extra.get(alias), str):
                # The original stays in `extra`, under the name it came by.
                arguments["reasoning_content"] = text
                return


def parse_json(data: bytes) -> Any:
    """Decode JSON as leniently as Python can.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # NaN, Infinity, lone surrogates, raw control characters, a BOM: not JSON by the book,
        # but hosts send them. What is not UTF-8 and the surrogates become U+FFFD, so that the
        # text can be sent again.
        text = data.decode("utf-8-sig", "replace")
        return json.loads(text, strict=False, object_pairs_hook=_clean_object)


def _clean_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_clean(key): _clean(value) for key, value in pairs}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in cast("list[Any]", value)]
    return value
