"""What tools return, as the text that the model reads."""

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from deepseek_async.types.model import Model

#: What stands for an empty answer, as in DeepSeek's own agent.
NO_OUTPUT = "(no output)"


def result_text(value: object) -> str:
    """Return the text for what a tool returned: a str as it is, anything else as JSON.

    Raises:
        TypeError: If it can't be JSON.
    """
    if value is None:
        return NO_OUTPUT
    if isinstance(value, Model):
        return value.to_json()
    if isinstance(value, str):
        return _plain(value)
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:
        # There are lone surrogates in it: `clean_text` replaces them, once it is text.
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_encode_hook)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def clean_text(text: str) -> str:
    """Return the text as it can be sent: not empty, and without lone surrogates.

    These come with file names that are no UTF-8, for example, and would make the whole request
    invalid.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text or NO_OUTPUT


def _plain(text: str) -> str:
    """Return the text of a str, an enum, or another kind of str, as a str and nothing more."""
    return str.__str__(text)


def _encode_hook(value: object) -> object:
    """Turn what msgspec can't encode into what it can."""
    if isinstance(value, str):
        return _plain(value)
    # pydantic models.
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    raise TypeError(
        f"the tool returned an object of type {type(value).__name__}, which can't be written as "
        "JSON; return text, or plain data"
    )


_encode = msgspec.json.Encoder(enc_hook=_encode_hook, decimal_format="number").encode
