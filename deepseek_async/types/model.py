"""The base of all structs that a server fills."""

from typing import Any, Self, cast

import msgspec

_encode = msgspec.json.Encoder(decimal_format="string").encode

# Wire names with this prefix are ours, not the server's: they are left out of every dump.
_PRIVATE = "$"


class Model(
    msgspec.Struct,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    # Unknown fields fail the fast decoder and reach `wire.repair`, which keeps them.
    forbid_unknown_fields=True,
):
    """A JSON object of the API: its fields as attributes, named as on the wire.

    A field that the server left out and one that it sent as ``null`` are both None.
    """

    model_extra: dict[str, Any] | None = msgspec.field(default=None, name=f"{_PRIVATE}model_extra")
    """Fields this library doesn't know, and known ones whose value had an unexpected shape."""

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """Return the object as plain dicts and lists, unknown fields last.

        Args:
            exclude_none: Leave out the fields that are None.
        """
        result: dict[str, Any] = {}
        for name, key in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            if key.startswith(_PRIVATE):
                continue
            value = getattr(self, name)
            if value is not None or not exclude_none:
                result[key] = _dump(value, exclude_none)
        if self.model_extra:
            result.update(self.model_extra)
        return result

    def model_dump_json(self, *, exclude_none: bool = False, indent: int | None = None) -> str:
        """Return the object as JSON text, unknown fields last.

        Args:
            exclude_none: Leave out the fields that are None.
            indent: Spaces for each level, on lines of their own; None for one line.
        """
        text = _encode(self.model_dump(exclude_none=exclude_none))
        return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()

    def to_dict(self) -> dict[str, Any]:
        """Return the object as plain dicts and lists, without the fields that are None."""
        return self.model_dump(exclude_none=True)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the object as JSON text, without the fields that are None.

        Args:
            indent: Spaces for each level, on lines of their own; None for one line.
        """
        return self.model_dump_json(exclude_none=True, indent=indent)

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Self:
        """Return a shallow copy, with the fields in ``update`` replaced."""
        return msgspec.structs.replace(self, **(update or {}))


def _dump(value: object, exclude_none: bool) -> object:
    if isinstance(value, Model):
        return value.model_dump(exclude_none=exclude_none)
    if isinstance(value, list):
        return [_dump(item, exclude_none) for item in cast("list[object]", value)]
    return value


class Result(Model, kw_only=True):
    """The answer to one call."""

    request_id: str | None = msgspec.field(default=None, name=f"{_PRIVATE}request_id")
    """The server's id of the request (``x-ds-trace-id``), to quote to its support."""

    attempts: int = msgspec.field(default=1, name=f"{_PRIVATE}attempts")
    """How many times the request was sent until this answer came."""
