"""What classes are made of, and how to make one of fields that may be of the wrong type."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast, get_origin, get_type_hints, is_typeddict

import msgspec


class Field(NamedTuple):
    """One field of a class: its name in Python, its type, and whether it has no default."""

    name: str
    cls: Any
    required: bool


class Fields(NamedTuple):
    """The fields of a class by their names in JSON.

    ``make`` builds an object of those that are there, by their names in Python; none that is
    required may be missing. It doesn't validate.
    """

    by_key: Mapping[str, Field]
    make: Callable[[dict[str, Any]], Any]


def fields_of(cls: Any) -> Fields | None:
    """Return the fields of a class, None if its JSON is no object with named fields."""
    origin: Any = get_origin(cls) or cls
    if hasattr(origin, "__struct_config__"):
        return None if origin.__struct_config__.array_like else _of_struct(cls, origin)
    if is_typeddict(origin):
        required = {name: name in origin.__required_keys__ for name in _hints(origin)}
        return Fields(_hinted(origin, required), dict)
    if hasattr(origin, "model_fields") and hasattr(origin, "model_construct"):
        return _of_pydantic(origin)
    if dataclasses.is_dataclass(origin):
        fields = dataclasses.fields(origin)
        return _of_plain(origin, {field.name: _dataclass_default(field) for field in fields})
    if hasattr(origin, "__attrs_attrs__"):
        attributes: Any = origin.__attrs_attrs__
        return _of_plain(origin, {field.name: _attrs_default(field) for field in attributes})
    return None


def _of_struct(cls: Any, origin: Any) -> Fields:
    def make(values: dict[str, Any]) -> Any:
        try:
            return origin(**values)
        except Exception:
            # Its __post_init__ asks for more than has come.
            return _without_post_init(origin)(**values)

    by_key = {
        field.encode_name: Field(field.name, field.type, field.required)
        for field in msgspec.structs.fields(cls)
    }
    return Fields(by_key, make)


@functools.lru_cache(maxsize=256)
def _without_post_init(cls: Any) -> Any:
    # A struct can't be made without its __init__.
    def ignore(struct: Any) -> None:
        """Take the values as they are."""

    return type(cls)(cls.__name__, (cls,), {"__post_init__": ignore, "__module__": cls.__module__})


def _of_pydantic(cls: Any) -> Fields:
    def make(values: dict[str, Any]) -> Any:
        return cls.model_construct(**values)

    by_key = {
        field.alias or name: Field(name, field.annotation, field.is_required())
        for name, field in cls.model_fields.items()
    }
    return Fields(by_key, make)


# A function that returns what a field is if nothing is said.
_Default = Callable[[], Any] | None


def _of_plain(cls: Any, defaults: Mapping[str, _Default]) -> Fields:
    def make(values: dict[str, Any]) -> Any:
        # Without its __init__, which might refuse.
        made = object.__new__(cls)
        for name, default in defaults.items():
            value = values[name] if name in values else cast("Any", default)()
            object.__setattr__(made, name, value)
        return made

    required = {name: default is None for name, default in defaults.items()}
    return Fields(_hinted(cls, required), make)


def _dataclass_default(field: "dataclasses.Field[Any]") -> _Default:
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    factory = field.default_factory
    return None if factory is dataclasses.MISSING else factory


def _attrs_default(field: Any) -> _Default:
    default = field.default
    if hasattr(default, "factory"):
        return cast("Callable[[], Any]", default.factory)
    # attrs marks what has no default with an enum member of this name.
    return None if getattr(default, "name", None) == "NOTHING" else lambda: default


def _hinted(cls: Any, required: Mapping[str, bool]) -> dict[str, Field]:
    hints = _hints(cls)
    return {name: Field(name, hints[name], needed) for name, needed in required.items()}


def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)
