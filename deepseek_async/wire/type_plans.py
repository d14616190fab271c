"""How to make values of a type from JSON of which a part is still missing.

A plan belongs to a type and says what its parts are and how to build it. What is finished is
converted, and left as it is if it doesn't fit; what is missing takes its default, or None.
"""

import functools
import json
import types
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import msgspec

from deepseek_async.wire.json_schema import pydantic_type
from deepseek_async.wire.type_fields import Fields, fields_of

_LISTS = {list: list, set: set, frozenset: frozenset}
_WRAPPERS = (Annotated, Required, NotRequired)


# From so many on, converting a list of them costs less than one by one.
_MANY = 16

#: A container of JSON.
Container = list[Any] | dict[str, Any]


class Plan:
    """How values of a type without visible parts are made: numbers, dates, tuples and so on."""

    def __init__(self, cls: Any, *, is_text: bool = False) -> None:
        #: Whether a string may be shown before it has ended: a half date is no date.
        self.is_text = is_text
        #: Builds a value of its gathered parts, which it leaves alone; None: they are the value.
        self.build: Callable[[Any], Any] | None = None
        self._cls = cls
        #: A type of which every value is fine as it is.
        self.exact = cls if cls in (str, int, float, bool) else None
        self._list: Any = list[cls]
        self._pydantic = pydantic_type(cls)

    def chosen(self, value: Container) -> "Plan | None":
        """Return the plan for a container that begins like this; None: it can't be shown yet."""
        return None

    def member(self, key: str | None) -> "tuple[str | None, Plan]":
        """Return the name under which a member is gathered, and its plan; key None: of an item.

        The name is None if the type has no place for it.
        """
        return key, _ANYTHING

    def start(self) -> Any:
        """Return what the parts of a value are gathered in."""
        return {}

    def finish(self, value: Any) -> Any:
        """Convert JSON that is finished; what doesn't fit is made without validation."""
        try:
            if self._pydantic is not None:
                return self._pydantic.validate_json(json.dumps(value))
            return msgspec.convert(value, self._cls)
        except (ValueError, TypeError, RecursionError):
            return self._loose(value)

    def finish_all(self, values: list[Any]) -> list[Any]:
        """Convert several values."""
        if len(values) >= _MANY:
            try:
                return cast("list[Any]", msgspec.convert(values, self._list))
            except (ValueError, TypeError, RecursionError):
                # One of them doesn't fit, or msgspec doesn't know the type.
                return [self.finish(value) for value in values]
        return [self.finish(value) for value in values]

    def _loose(self, value: Any) -> Any:
        try:
            # Keys that are numbers: asking for them costs three times as much.
            return msgspec.convert(value, self._cls, str_keys=True)
        except (ValueError, TypeError, RecursionError):
            return self._by_parts(value)

    def _by_parts(self, value: Any) -> Any:
        plan = self.chosen(cast("Container", value)) if isinstance(value, list | dict) else None
        if plan is None:
            return cast("Any", value)
        if isinstance(value, list):
            made: Any = plan.member(None)[1].finish_all(cast("list[Any]", value))
        else:
            made = plan.start()
            for key, each in cast("dict[str, Any]", value).items():
                name, part = plan.member(key)
                if name is not None:
                    made[name] = part.finish(each)
        return made if plan.build is None else plan.build(made)


class _AnythingPlan(Plan):
    def chosen(self, value: Container) -> Plan | None:
        return self

    def finish(self, value: Any) -> Any:
        return value

    def finish_all(self, values: list[Any]) -> list[Any]:
        return values


class _ListPlan(Plan):
    def __init__(self, cls: Any, item: Any, make: Callable[[list[Any]], Any]) -> None:
        super().__init__(cls)
        self._item = item
        self.build = None if make is list else functools.partial(_collected, make)

    def chosen(self, value: Container) -> Plan | None:
        return self if isinstance(value, list) else None

    def member(self, key: str | None) -> tuple[str | None, Plan]:
        return key, plan_of(self._item)


def _collected(make: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    try:
        return make(items)
    except TypeError:
        # A list or an object, which can't be in a set.
        return items.copy()


class _MapPlan(Plan):
    def __init__(self, cls: Any, key: Any, item: Any) -> None:
        super().__init__(cls)
        self._keys: Any = None if key in (str, Any) else dict[key, None]
        self._item = item

    def chosen(self, value: Container) -> Plan | None:
        return self if isinstance(value, dict) else None

    def member(self, key: str | None) -> tuple[Any, Plan]:
        return self._converted(key), plan_of(self._item)

    def _converted(self, key: str | None) -> Any:
        if self._keys is None or key is None:
            return key
        try:
            return next(iter(msgspec.convert({key: None}, self._keys, str_keys=True)))
        except (ValueError, TypeError):
            return key


class _UnionPlan(Plan):
    def __init__(self, cls: Any, members: list[Any]) -> None:
        self._members = [plan_of(member) for member in members]
        super().__init__(cls, is_text=any(member.is_text for member in self._members))

    def chosen(self, value: Container) -> Plan | None:
        plans = [plan for member in self._members if (plan := member.chosen(value)) is not None]
        if len(plans) > 1 and isinstance(value, dict):
            plans = [
                plan for plan in plans if isinstance(plan, _ObjectPlan) and plan.has_tag(value)
            ]
        return plans[0] if plans else None


class _ObjectPlan(Plan):
    """How objects with named fields are made."""

    def __init__(self, cls: Any, described: Fields) -> None:
        super().__init__(cls)
        self._fields = fields = described.by_key
        self._blank = {field.name: None for field in fields.values() if field.required}
        self._members: dict[str | None, tuple[str | None, Plan]] = {}
        self._tags: dict[str, Any] = {
            key: get_args(field.cls)
            for key, field in fields.items()
            if get_origin(field.cls) is Literal
        }
        config = getattr(cls, "__struct_config__", None)
        if config is not None and config.tag is not None:
            self._tags[config.tag_field] = (config.tag,)
        self.build = described.make

    def has_tag(self, value: dict[str, Any]) -> bool:
        """Whether the members that are there mark an object as one of this type."""
        tags = self._tags
        return any(key in value for key in tags) and all(
            value[key] in allowed for key, allowed in tags.items() if key in value
        )

    def chosen(self, value: Container) -> Plan | None:
        return self if isinstance(value, dict) else None

    def member(self, key: str | None) -> tuple[str | None, Plan]:
        member = self._members.get(key)
        if member is None:
            # Not before: a type may contain itself.
            field = self._fields.get(key or "")
            if field is None:
                return None, _ANYTHING
            member = self._members[key] = (field.name, plan_of(field.cls))
        return member

    def start(self) -> Any:
        return self._blank.copy()


_ANYTHING = _AnythingPlan(Any, is_text=True)


def plan_of(cls: Any) -> Plan:
    """Return the plan of a type."""
    try:
        return _cached_plan(cls)
    except TypeError:
        # Annotated with something that can't be a key.
        return _new_plan(cls)


def _new_plan(cls: Any) -> Plan:
    inner, arguments = cls, get_args(cls)
    while get_origin(inner) in _WRAPPERS:
        inner, arguments = arguments[0], get_args(arguments[0])
    origin = get_origin(inner) or inner
    if inner in (Any, object) or isinstance(inner, TypeVar):
        return _ANYTHING
    if inner is str:
        return Plan(cls, is_text=True)
    if origin in (Union, types.UnionType):
        return _UnionPlan(cls, [each for each in arguments if each is not types.NoneType])
    if origin in _LISTS:
        return _ListPlan(cls, arguments[0] if arguments else Any, _LISTS[origin])
    if origin is tuple and arguments[1:] == (...,):
        return _ListPlan(cls, arguments[0], tuple)
    if origin is dict:
        key, item = arguments or (str, Any)
        return _MapPlan(cls, key, item)
    fields = fields_of(inner)
    return Plan(cls) if fields is None else _ObjectPlan(cls, fields)


_cached_plan = functools.lru_cache(maxsize=1024)(_new_plan)
