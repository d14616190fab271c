"""What became of a request."""

from typing import Literal

import msgspec

# A server that closes a request it hasn't begun does so after 10 minutes.
_LONGEST_QUEUED = 590.0


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a request, as far as it says something about the limit."""

    kind: Literal["ok", "rejected", "failed", "neutral"] = "ok"
    """Answered; 429; 500, 502, 503, 504, connection reset, timeout; or something that says nothing
    about the limit: 400, cancelled."""

    sent_at: float | None = None
    """When it was sent: the `now` of its ``on_send``. None if unknown."""

    stated_limit: int | None = None
    """The limit that the body of the 429 names."""

    stated_current: int | None = None
    """The number of requests under way that the body of the 429 names."""

    closed_in_queue: bool = False
    """Whether the server closed it without having begun, which it does after 10 minutes."""

    def was_queued_too_long(self, now: float) -> bool:
        """Tell whether it ended because the server didn't begin with it."""
        if self.closed_in_queue:
            return True
        return (
            self.kind == "failed"
            and self.sent_at is not None
            and now - self.sent_at >= _LONGEST_QUEUED
        )
