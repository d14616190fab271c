"""What a JSON text that is still growing says so far."""

from typing import Any

from deepseek_async.wire.json_reader import MISSING, JSONReader, OpenContainer


class PartialJSON:
    """An incremental parser of JSON text.

    White space and a Markdown fence around the value are skipped. Shown are open strings, lists
    and objects as far as they have come; a number only once something follows it, since its
    digits may go on, but at the top level as soon as it is one; ``true``, ``false``, ``null`` and
    keys only when they are whole. Of equal keys the last one wins.

    Malformed text raises nothing: ``error`` says what is wrong, ``value`` stays what it was
    before, and further text is ignored. That is so for text after the value, too.

    The cost is linear in the length of the text, plus that of copying what is open at each view.
    """

    def __init__(self) -> None:
        self._reader = JSONReader()
        self._view: Any = MISSING

    def feed(self, text: str) -> None:
        """Add text; it is read at the next look at ``value``, ``complete`` or ``error``."""
        self._reader.feed(text)

    @property
    def value(self) -> Any:
        """The value as far as it has come; None before it begins.

        It stays what it is when more text comes, and shares what is finished with later ones.
        """
        reader = self._reader
        self._read()
        if self._view is MISSING:
            value = reader.token() if reader.root is MISSING else reader.root
            for container in reversed(reader.containers):
                value = _with(container, value)
            self._view = value
        return None if self._view is MISSING else self._view

    @property
    def complete(self) -> bool:
        """Whether the value is whole; a number at the top level may still go on."""
        self._read()
        return self._reader.complete

    @property
    def error(self) -> str | None:
        """What is wrong with the text and where, None as long as nothing is."""
        self._read()
        return self._reader.error

    def _read(self) -> None:
        if self._reader.read():
            self._view = MISSING


def _with(container: OpenContainer, value: Any) -> Any:
    """Copy a container, with what is open in it as its last item."""
    items: Any = container.value
    if value is MISSING:
        return items.copy()
    if container.key is not None:
        return {**items, container.key: value}
    # Copied once, at the right size: lists may be long.
    items.append(value)
    copy = items.copy()
    items.pop()
    return copy


def partial_json(text: str) -> Any:
    """Return what the beginning of a JSON text says so far; None if that is nothing yet.

    For text that comes in pieces, feed a :class:`PartialJSON`: this reads from the beginning.
    """
    parser = PartialJSON()
    parser.feed(text)
    return parser.value
