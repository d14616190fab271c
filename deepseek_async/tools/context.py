"""What a tool may know about the call that it answers."""

from collections.abc import Sequence

import msgspec

from deepseek_async.types.params import MessageParam


class ToolContext(msgspec.Struct, frozen=True):
    """Where a call comes from; given to a tool that has a parameter of this type.

    The parameter is no part of what the model sees.
    """

    turn: int = 0
    """1 for the first request of the run; 0 outside of one."""

    call_id: str = ""
    """``id`` of the call."""

    messages: Sequence[MessageParam] = ()
    """The conversation that the model has seen; the answer that asks for the tool excluded."""
