"""Options that are not part of a request's body."""

import msgspec


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """The clocks of a call, in seconds; None switches one off.

    ``idle``, ``progress`` and ``first_event`` run only while the library waits for the
    socket: a reader that takes its time never runs into them.
    """

    connect: float | None = 15.0
    """Until a connection is there: name look-up, TCP, TLS."""

    idle: float | None = 300.0
    """Without any byte, keep-alives included. For a plain request it starts with the first
    byte of the body, since some hosts send nothing before the answer."""

    first_event: float | None = None
    """Until the first event of a stream; keep-alives don't count. DeepSeek itself closes a
    request that has not started after 10 minutes."""

    progress: float | None = 300.0
    """Without an event in a stream that has begun; keep-alives don't count."""

    total: float | None = None
    """For the whole call: waiting for a slot, all attempts, the whole answer."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Timeouts.{name} must be above 0 seconds or None, got {value!r}")
