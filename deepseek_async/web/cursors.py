"""Where a reader says it was."""

from collections.abc import Iterable

from deepseek_async.web.refusal import Refusal

# A cursor has some 20 characters.
_MAX_CURSOR = 128


def last_event_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the cursor that a browser sends when it comes back; None if it does not.

    Raises:
        Refusal: If it is no cursor of anybody.
    """
    for name, value in headers:
        if name.lower() == b"last-event-id":
            return checked(value.decode("latin-1"))
    return None


def checked(cursor: str) -> str | None:
    """Return a cursor that a client sent; None for an empty one.

    One of another run, or made up, is no fault: its reader is told to forget what it has.

    Raises:
        Refusal: If it is none of anybody's.
    """
    if len(cursor) > _MAX_CURSOR or not (cursor.isascii() and cursor.isprintable()):
        raise Refusal(400, "invalid", "the cursor is not one that was ever sent")
    return cursor or None
