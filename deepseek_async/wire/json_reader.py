"""Read JSON text that is still growing: where its end lies, and what is finished before it.

The text is read once, from left to right. What is finished is decoded in C, as much at once as
there is; token by token only what is open at the end: the containers that the end lies in, and a
string or key, which may have been cut anywhere.
"""

import json
import re
from collections.abc import Callable
from typing import Any, cast

import msgspec

from deepseek_async.wire import json_patterns as patterns

#: Deepest nesting that is followed; what models write has less than ten levels.
MAX_DEPTH = 512

# Most characters of an object or member that is read again from its beginning when more of it has
# come: while it is short, that is quicker than to follow it step by step.
_SHORT = 128

# Most characters of a number, or of the first line of a fence, that has not ended: it is read again
# when more of it has come. Python refuses longer integers.
_LONGEST = 4300

_LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_SPACES = frozenset(" \t\n\r")
# What most often stands between the items of a list, by how the first one begins.
_SEPARATORS = {"{": "},", "[": "],", '"': '",'}
_CLOSERS = {"{": "}", "[": "]", '"': '"'}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Decodes one value and says where it ends; the stubs don't know it.
_decoder: Any = json.JSONDecoder(parse_constant=_no_constant)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once

#: Stands for what has not come.
MISSING = object()


class OpenContainer:
    """A list or object that has begun and not ended.

    Attributes:
        value: Its finished items, a list or dict; whoever reads must not change it.
        key: Of an object: the key of the item after those, None before its key has ended.
        closed: The container in it that was the last one to end, if there was one.
        typed: A place for what :class:`TypedPartial` remembers.
    """

    __slots__ = ("closed", "key", "typed", "value")

    def __init__(self, value: Any) -> None:
        self.value: Any = value
        self.key: str | None = None
        self.closed: OpenContainer | None = None
        self.typed: Any = None


class JSONReader:
    """Growing JSON text as the containers that are open at its end, and what they hold.

    Attributes:
        error: What is wrong with the text and where; what follows is ignored. None if nothing is.
        root: The value, once it is whole; MISSING before.
    """

    def __init__(self) -> None:
        self.error: str | None = None
        self.root: Any = MISSING
        self._pending: list[str] = []
        self._text = ""
        self._position = 0
        # Length of the text before ``_text``.
        self._offset = 0
        self._step: Callable[[JSONReader], bool] = JSONReader._begin
        self._stack: list[OpenContainer] = []
        self._tail: OpenContainer | None = None
        self._tail_text: Any = MISSING
        self._is_fenced = False
        # Whether the innermost container is at its first item: it may be empty.
        self._is_first = False
        self._pieces: list[str] = []
        self._is_key = False
        self._budget = 0

    def feed(self, text: str) -> None:
        """Add text, to be read by the next :meth:`read`."""
        self._pending.append(text)

    def read(self) -> bool:
        """Read what has been fed; return whether there was anything."""
        if not self._pending:
            return False
        pending = "".join(self._pending)
        self._pending.clear()
        if self.error is not None:
            return False
        self._text = text = self._text + pending
        self._position = 0
        self._tail = None
        # Finished values are scanned at once; so are unfinished ones, in vain, but not more often
        # than makes up a few times the text.
        self._budget = 4 * len(text)
        while self._step(self):
            pass
        self._offset += self._position
        self._text = text[self._position :]
        self._position = 0
        return True

    @property
    def containers(self) -> "list[OpenContainer]":
        """The containers that the text has entered and not left, outermost first."""
        return self._stack if self._tail is None else [*self._stack, self._tail]

    @property
    def complete(self) -> bool:
        """Whether the value is whole; a number at the top level may still go on."""
        if self.root is not MISSING:
            return True
        return self._step is JSONReader._value and self.token() is not MISSING

    def token(self) -> Any:
        """Return the string, or the number at the top level, that the text ends in."""
        if self._tail is not None:
            return self._tail_text
        if self._step is JSONReader._string and not self._is_key:
            self._pieces = ["".join(self._pieces)]
            return self._pieces[0]
        if self._step is JSONReader._value and not self._stack:
            return _number_of(self._text[self._position :])
        return MISSING

    # Each step takes what it can at the position and says whether another one may go on. A step
    # that has to wait for more text leaves the position before what it will need again.

    def _begin(self) -> bool:
        text = self._text
        position = self._skip_space()
        if position == len(text):
            return False
        if text[position] == "`":
            fence = patterns.fence(text, position)
            if fence is None:
                is_open = patterns.open_fence(text, position) and len(text) - position <= _LONGEST
                return not is_open and self._fail("expected a JSON value")
            self._is_fenced = True
            position = fence.end()
        return self._go(JSONReader._value, position)

    def _value(self) -> bool:
        text, position = self._text, self._skip_space()
        first = text[position : position + 1]
        if first == '"':
            return self._go(JSONReader._string, position + 1)
        if first in ("{", "["):
            if not self._stack and (whole := self._whole(position)) is not None:
                return self._put(*whole)
            return self._open({} if first == "{" else [], position + 1)
        if first in _LITERALS:
            word, value = _LITERALS[first]
            if text.startswith(word, position):
                return self._put(value, position + len(word))
            if word.startswith(text[position:]):
                return False
        elif number := patterns.digits(text, position):
            is_sane = number.end() - position <= _LONGEST
            if is_sane and number.end() == len(text):
                return False
            if is_sane and (value := _number_of(number.group())) is not MISSING:
                return self._put(value, number.end())
        elif not first:
            return False
        return self._fail("expected a JSON value")

    def _items(self) -> bool:
        text, position = self._text, self._skip_space()
        items = cast("list[Any]", self._stack[-1].value)
        if self._budget >= 0:
            position = self._many(items, position)
        while (whole := self._whole(position)) is not None:
            value, end = whole
            delimiter = patterns.delimiter(text, end)
            if delimiter is None:
                if type(value) in (int, float):
                    break
                return self._put(value, end)
            items.append(value)
            self._is_first = False
            if delimiter[1] != ",":
                return self._delimited(delimiter)
            position = self._position = delimiter.end()
        if self._is_first and text.startswith("]", position):
            return self._close(position + 1)
        return not self._is_short_object(position) and self._value()

    def _is_short_object(self, position: int) -> bool:
        """Look into an object that has just begun, without entering it."""
        text, stack = self._text, self._stack
        if len(text) - position > _SHORT or len(stack) == MAX_DEPTH:
            return False
        found = patterns.open_object(text, position)
        if found is None:
            return False
        self._tail = OpenContainer(_scan(f"{{{found[1].rstrip()[:-1]}}}", 0)[0])
        self._tail.key = found[2]
        self._tail_text = MISSING if found[3] is None else found[3]
        return True

    def _members(self) -> bool:
        text, position = self._text, self._skip_space()
        container = self._stack[-1]
        while key := patterns.key(text, position):
            whole = self._whole(key.end())
            if whole is None:
                break
            value, end = whole
            delimiter = patterns.delimiter(text, end)
            if delimiter is None and type(value) in (int, float):
                break
            container.key = key[1]
            if delimiter is None:
                return self._put(value, end)
            _store(container, value)
            self._is_first = False
            if delimiter[1] != ",":
                return self._delimited(delimiter)
            position = self._position = delimiter.end()
        if len(text) - position < _SHORT and patterns.open_member(text, position):
            return False
        if key is not None:
            container.key = key[1]
            return self._go(JSONReader._value, key.end())
        if self._is_first and text.startswith("}", position):
            return self._close(position + 1)
        if text.startswith('"', position):
            self._is_key = True
            return self._go(JSONReader._string, position + 1)
        return position != len(text) and self._fail("expected a key")

    def _string(self) -> bool:
        text, position = self._text, self._position
        end = cast("re.Match[str]", patterns.string_run(text, position)).end()
        if end > position:
            run = text[position:end]
            self._pieces.append(json.loads(f'"{run}"') if "\\" in run else run)
            self._position = end
        if text.startswith('"', end):
            whole = "".join(self._pieces)
            self._pieces = []
            if not self._is_key:
                return self._put(whole, end + 1)
            self._is_key = False
            self._stack[-1].key = whole
            return self._go(JSONReader._colon, end + 1)
        if end == len(text) or patterns.open_escape(text, end):
            return False
        return self._fail("unexpected character or escape in a string")

    def _colon(self) -> bool:
        position = self._skip_space()
        if self._text.startswith(":", position):
            return self._go(JSONReader._value, position + 1)
        return position != len(self._text) and self._fail("expected ':'")

    def _after(self) -> bool:
        if delimiter := patterns.delimiter(self._text, self._position):
            return self._delimited(delimiter)
        return self._skip_space() != len(self._text) and self._fail("expected ',' or the end")

    def _end(self) -> bool:
        text, position = self._text, self._skip_space()
        if self._is_fenced and text.startswith("```", position):
            self._is_fenced = False
            return self._go(JSONReader._end, position + 3)
        if position == len(text) or (self._is_fenced and "```".startswith(text[position:])):
            return False
        return self._fail("expected nothing after the value")

    # What the steps are made of.

    def _go(self, step: "Callable[[JSONReader], bool]", position: int) -> bool:
        self._step = step
        self._position = position
        return True

    def _skip_space(self) -> int:
        position = self._position
        if self._text[position : position + 1] in _SPACES and (
            space := patterns.space(self._text, position)
        ):
            position = self._position = space.end()
        return position

    def _whole(self, position: int) -> tuple[Any, int] | None:
        """Scan the value at a position, if all of it is there."""
        text = self._text
        closer = _CLOSERS.get(text[position : position + 1])
        if self._budget < 0 or (closer is not None and text.find(closer, position + 1) < 0):
            return None
        try:
            value, end = _scan(text, position)
        except (StopIteration, ValueError, RecursionError):
            self._budget -= len(text) - position
            return None
        if self._is_too_deep(value, end - position):
            self._budget -= end - position
            return None
        return value, end

    def _many(self, items: list[Any], position: int) -> int:
        """Decode the items before the last comma at once, if it is one between items."""
        text = self._text
        separator = _SEPARATORS.get(text[position : position + 1], ",")
        found_at = text.rfind(separator, position)
        if found_at < 0:
            return position
        end = found_at + len(separator) - 1
        try:
            found = msgspec.json.decode(f"[{text[position:end]}]")
        except (ValueError, RecursionError):
            self._budget -= end - position
            return position
        if not found or self._is_too_deep(found, end - position):
            return position
        items += found
        self._is_first = False
        self._position = end + 1
        return self._skip_space()

    def _is_too_deep(self, value: Any, size: int) -> bool:
        # Each level takes two brackets.
        room = MAX_DEPTH - len(self._stack)
        return size > 2 * room and type(value) in (dict, list) and _is_deeper(value, room)

    def _open(self, value: "list[Any] | dict[str, Any]", position: int) -> bool:
        if len(self._stack) == MAX_DEPTH:
            return self._fail(f"expected at most {MAX_DEPTH} levels")
        self._stack.append(OpenContainer(value))
        self._is_first = True
        return self._go(self._inside(), position)

    def _inside(self) -> "Callable[[JSONReader], bool]":
        is_list = type(self._stack[-1].value) is list
        return JSONReader._items if is_list else JSONReader._members

    def _put(self, value: Any, end: int) -> bool:
        if not self._stack:
            self.root = value
            return self._go(JSONReader._end, end)
        _store(self._stack[-1], value)
        self._is_first = False
        return self._go(JSONReader._after, end)

    def _delimited(self, delimiter: "re.Match[str]") -> bool:
        mark, is_list = delimiter[1], type(self._stack[-1].value) is list
        if mark == ",":
            return self._go(self._inside(), delimiter.end())
        self._position = delimiter.start(1)
        if mark == ("]" if is_list else "}"):
            return self._close(delimiter.end())
        return self._fail("expected the other bracket")

    def _close(self, position: int) -> bool:
        closed = self._stack.pop()
        if self._stack:
            self._stack[-1].closed = closed
        return self._put(closed.value, position)

    def _fail(self, problem: str) -> bool:
        self.error = f"{problem} at character {self._offset + self._position}"
        return False


def _store(container: OpenContainer, value: Any) -> None:
    items = container.value
    key = container.key
    if key is None:
        items.append(value)
        return
    if key in items:
        container.typed = None
    items[key] = value
    container.key = None


def _number_of(text: str) -> Any:
    try:
        return _scan(text, 0)[0] if patterns.number(text) else MISSING
    except ValueError:
        # Python refuses integers of thousands of digits.
        return MISSING


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether a list or object has more levels than that, itself included."""
    level = [value]
    for _ in range(levels):
        level = [
            part
            for item in level
            for part in (item.values() if type(item) is dict else item)
            if type(part) in (dict, list)
        ]
        if not level:
            return False
    return True
