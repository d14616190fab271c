"""What a JSON text that is still growing says so far, as a value of the type it will have."""

from itertools import islice
from typing import Any, Generic, TypeVar, cast

from deepseek_async.wire.json_reader import MISSING, JSONReader, OpenContainer
from deepseek_async.wire.type_plans import Plan, plan_of
from deepseek_async.wire.typed import MismatchError, convert_as

T = TypeVar("T")


class TypedPartial(Generic[T]):
    """An incremental parser of JSON text whose type is known.

    Views are built without validation, so they may violate the type until the text is complete:
    a field that has not come takes its default, and None if it has none; keys of a TypedDict that
    need not be there are left out. A string is shown while it grows where the type is ``str``, and
    only when it is whole where it is an enum, a date or the like; so are tuples of fixed length
    and, of a union of several classes, what comes before the member that tells them apart.
    Finished parts are converted once, and left as plain JSON if they don't fit. Once complete, the
    text is decoded like :func:`deepseek_async.wire.typed.decode_as` does, if it fits.

    The cost is linear in the length of the text, plus that of copying what is open at each view.
    """

    def __init__(self, cls: type[T]) -> None:
        self._cls = cls
        self._plan = plan_of(cls)
        self._reader = JSONReader()
        self._caches: list[_Cache] = []
        self._view: Any = None

    def feed(self, text: str) -> None:
        """Add text; it is read at the next look."""
        self._reader.feed(text)

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

    def view(self) -> T | None:
        """Return the value as far as it has come; None before there is anything to show.

        A view stays what it is when more text comes.
        """
        self._read()
        if self._view is MISSING:
            self._view = self._look()
        return cast("T | None", self._view)

    def _read(self) -> None:
        if self._reader.read():
            self._view = MISSING

    def _look(self) -> Any:
        reader = self._reader
        if containers := reader.containers:
            value = self._open(containers)
        elif reader.complete:
            return self._whole(reader.token() if reader.root is MISSING else reader.root)
        else:
            value = reader.token() if self._plan.is_text else MISSING
        return None if value is MISSING else value

    def _whole(self, value: Any) -> Any:
        try:
            return convert_as(self._cls, value)
        except MismatchError:
            return self._plan.finish(value)

    def _open(self, containers: list[OpenContainer]) -> Any:
        caches = self._caches
        # An outer container gets no new item while the one in it is open: where the innermost one
        # is still the same, those around it are, and nothing has been added to them.
        del caches[len(containers) :]
        while caches and containers[len(caches) - 1].typed is not caches[-1]:
            caches.pop()
        plan = self._plan
        if caches:
            caches[-1].catch_up()
            plan = caches[-1].part()
        for container in containers[len(caches) :]:
            chosen = plan.chosen(container.value)
            if chosen is None:
                return _built(caches, MISSING)
            cache = container.typed = _Cache(container, chosen)
            caches.append(cache)
            cache.catch_up()
            plan = cache.part()
        return _built(caches, self._reader.token() if plan.is_text else MISSING)


class _Cache:
    """The finished items of an open container, converted.

    Attributes:
        plan: How its value is made.
        build: The last step of that, if there is one.
        is_list: Whether it is a list.
        made: The items, or the fields by their names in Python.
        name: The name of the field that is open; None: it is not to be seen.
    """

    __slots__ = ("_container", "_done", "build", "is_list", "made", "name", "plan")

    def __init__(self, container: OpenContainer, plan: Plan) -> None:
        self.plan = plan
        self.build = plan.build
        self.is_list = isinstance(container.value, list)
        self.made: Any = [] if self.is_list else plan.start()
        self.name: str | None = None
        self._container = container
        self._done = 0

    def part(self) -> Plan:
        """Return the plan of the item that is open."""
        self.name, part = self.plan.member(self._container.key)
        return part

    def catch_up(self) -> None:
        """Convert what has been finished since the last time."""
        container, plan, done = self._container, self.plan, self._done
        items = container.value
        if len(items) == done:
            return
        self._done = len(items)
        closed = container.closed
        if self.is_list:
            new = items[done:]
            if closed is not None and closed.typed is not None and closed.value is new[0]:
                self.made.append(_finished(closed.typed))
                del new[0]
            self.made += plan.member(None)[1].finish_all(new)
            return
        for key, value in islice(items.items(), done, None):
            name, part = plan.member(key)
            if name is None:
                continue
            if type(value) is part.exact:
                self.made[name] = value
            elif closed is not None and closed.typed is not None and closed.value is value:
                self.made[name] = _finished(closed.typed)
            else:
                self.made[name] = part.finish(value)


def _finished(cache: _Cache) -> Any:
    """Build the value of a container that has been closed."""
    cache.catch_up()
    return _built([cache], MISSING)


def _built(caches: list[_Cache], value: Any) -> Any:
    """Build the containers from within, each with the one in it as its last item."""
    # One loop without calls: it runs for each level at each view.
    for cache in reversed(caches):
        made, build, is_open = cache.made, cache.build, value is not MISSING
        if cache.is_list:
            if is_open:
                # Copied once, at the right size: lists may be long.
                made.append(value)
            value = made.copy() if build is None else build(made)
            if is_open:
                made.pop()
            continue
        if is_open and cache.name is not None:
            # It stays there until more of it has come, or all of it.
            made[cache.name] = value
        value = made.copy() if build is None else build(made)
    return value
