"""What an item of the input says: its name, its body, and what is wrong with it.

Names stay the same from run to run, whatever the order of the input: a request without one is named
after its body, and its n-th repetition after the body and n.
"""

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import msgspec

from deepseek_async.batch.records import CHAT_URL, BatchRequest
from deepseek_async.batch.seen import Seen, key_of
from deepseek_async.wire.repair import UNREADABLE, parse_json

#: What some programs begin a file of UTF-8 with.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

#: The address of a bare body with a ``prompt``.
FIM_URL = "/v1/completions"

# Enough that no two bodies ever get one name.
_NAME_BYTES = 16

# How much of an item an error message shows, in characters.
_QUOTED = 80

_encode_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


class Entry(msgspec.Struct, gc=False):
    """One item of the input."""

    index: int
    """Its place in the input, from 0."""

    custom_id: str
    """Its name in all files. That of an item with ``bad`` set is no other item's either."""

    body: dict[str, Any]
    """What to send; empty if it can't be sent."""

    url: str
    """Which API it is for."""

    where: str
    """Where it stands, for messages: ``"requests.jsonl line 12"``."""

    digest: int
    """Key of the body: equal bodies have equal ones, in this process."""

    bad: str | None = None
    """Why it can't be sent, what to do included."""

    text: str | None = None
    """The input itself, if it can't be sent and is text or JSON."""

    duplicate: bool = False
    """Whether an earlier item has the same ``custom_id`` and the same body."""

    size: int = 0
    """Length of its body as JSON in bytes."""


class Fields(NamedTuple):
    """What an item says, before it has a name."""

    custom_id: str | None = None
    body: Mapping[str, Any] = MappingProxyType({})
    url: str = CHAT_URL
    bad: str | None = None


def decode_line(line: bytes) -> object:
    """Decode a line of a file.

    Raises:
        ValueError: If it is not JSON. Lone surrogates, which Python writes, are let through, and a
            byte order mark, also where files were put together.
    """
    line = line.removeprefix(BYTE_ORDER_MARK)
    try:
        return msgspec.json.decode(line)
    except UNREADABLE as exc:
        if b"\\ud" in line.lower():
            return parse_json(line)
        raise ValueError(str(exc)) from exc


def read_fields(item: object) -> Fields:
    """Tell what an item is: a request, the dict of one, or the body alone."""
    if isinstance(item, BatchRequest):
        return _checked(item.custom_id, item.body, item.url, item.method)
    if not isinstance(item, Mapping):
        return Fields(bad=f"expected a request or its body as a dict, got {_quote(item)}")
    values = dict(cast("Mapping[Any, Any]", item))
    if "messages" in values or "prompt" in values:
        custom_id = values.pop("custom_id", None)
        return _checked(custom_id, values, CHAT_URL if "messages" in values else FIM_URL, "POST")
    if "body" not in values:
        bad = f"neither a request with a body nor a body with messages: {_quote(values)}"
        return Fields(bad=bad)
    return _checked(
        values.get("custom_id"),
        values["body"],
        values.get("url", CHAT_URL),
        values.get("method", "POST"),
    )


def as_json(item: object) -> bytes | None:
    """Return an item as JSON; None if it can't be written so."""
    try:
        return msgspec.json.encode(item)
    except Exception:  # Of the item's own code, too.
        return None


def _checked(custom_id: Any, body: Any, url: Any, method: Any) -> Fields:
    if isinstance(custom_id, int):
        custom_id = str(custom_id)
    if custom_id is not None and not isinstance(custom_id, str):
        return Fields(bad=f"custom_id must be text, not {_quote(custom_id)}")
    # An empty name can't tell anything apart.
    custom_id = custom_id or None
    if not isinstance(body, Mapping):
        return Fields(custom_id, bad=f"body must be an object, not {_quote(body)}")
    if not isinstance(url, str) or not url.startswith("/"):
        return Fields(custom_id, bad=f"url must be a path like {CHAT_URL}, not {_quote(url)}")
    if method != "POST":
        return Fields(custom_id, bad=f"method must be POST, not {_quote(method)}")
    return Fields(custom_id, cast("Mapping[str, Any]", body), url)


def _quote(value: object) -> str:
    text = _shown(value)
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        # It contains itself a thousand times, or something that can't be shown.
        return f"<{type(value).__name__}>"


class Registry:
    """Names the items of one input and finds the repeated ones.

    Takes 16 bytes an item, and 16 more for each unnamed body that is repeated.
    """

    def __init__(self) -> None:
        self._bodies = Seen()
        self._repeats = Seen()

    def entry(self, index: int, where: str, fields: Fields, raw: bytes | None = None) -> Entry:
        """Make the entry of an item.

        Args:
            index: Its place in the input.
            where: The same for messages.
            fields: What it says.
            raw: Its line, if it came from a file; of one that is no request, its JSON.
        """
        bad = fields.bad
        canonical = b""
        body: dict[str, Any] = {}
        if bad is None:
            try:
                body = dict(fields.body)
                canonical = _encode_canonical((fields.url, body))
            except (TypeError, ValueError, OverflowError, RecursionError) as exc:
                bad = f"the body can't be written as JSON: {exc}"
        if bad is not None and raw is not None:
            canonical = raw
        elif bad is not None:
            canonical = f"{bad} {_shown(fields.body)}".encode("utf-8", "replace")
        entry = Entry(
            index, "", body, fields.url, where, key_of(canonical), bad, size=len(canonical)
        )
        if fields.custom_id is None:
            entry.custom_id = self._name_after(canonical, entry.digest)
        else:
            self._claim(entry, fields.custom_id, canonical)
        if entry.bad is not None:
            entry.body = {}
            entry.text = None if raw is None else raw.decode("utf-8", "replace")
        return entry

    def _claim(self, entry: Entry, custom_id: str, canonical: bytes) -> None:
        entry.custom_id = custom_id
        try:
            name = custom_id.encode()
        except UnicodeEncodeError:
            entry.bad = f"custom_id {custom_id!r} is not valid text"
            entry.custom_id = self._name_after(canonical, entry.digest)
            return
        before = self._bodies.add(key_of(name), entry.digest)
        if before == entry.digest:
            entry.duplicate = True
        elif before is not None:
            entry.bad = (
                f"custom_id {custom_id!r} stands before another request already; "
                "give each request its own"
            )
            # The first one keeps the name: they would be taken for each other in the files.
            entry.custom_id = f"{custom_id}~{_digest(canonical)[:8]}"

    def _name_after(self, canonical: bytes, digest: int) -> str:
        name = base = _digest(canonical)
        while self._bodies.add(key_of(name.encode()), digest) is not None:
            # The first has no number, so the first repetition is the second.
            name = f"{base}-{self._repeats.count(key_of(base.encode())) + 1}"
        return name


def _digest(canonical: bytes) -> str:
    return blake2b(canonical, digest_size=_NAME_BYTES).hexdigest()
