"""Put streamed tool calls together again.

Hosts disagree about how they mark the pieces: DeepSeek sends ``index`` always and ``id`` and
``name`` once; others repeat both, blank them, leave ``index`` out, or give every call index 0.
"""

from collections.abc import Sequence

from deepseek_async.types.chat import Function, ToolCall, ToolCallDelta
from deepseek_async.wire.text import TextBuilder


class OpenCall:
    """A tool call that is still growing.

    Attributes:
        index: Position among the calls of the answer.
        sent_index: The index that the host gave it first; some give every call 0.
        id: The first id that came, "" if none did.
        name: The first name that came, "" if none did.
    """

    __slots__ = (
        "arguments",
        "extra",
        "function_extra",
        "id",
        "index",
        "name",
        "sent_index",
        "type",
    )

    def __init__(self, index: int, sent_index: int | None) -> None:
        self.index = index
        self.sent_index = sent_index
        self.id = ""
        self.name = ""
        self.type = "function"
        self.arguments = TextBuilder()
        self.extra: dict[str, object] = {}
        self.function_extra: dict[str, object] = {}

    def add(self, delta: ToolCallDelta, *, keep: bool) -> str:
        """Add a piece and return what it adds to the arguments.

        Args:
            delta: The piece.
            keep: Whether to keep the arguments, too.
        """
        # A later blank or repeated id or name neither overwrites nor adds to the first.
        if not self.id and delta.id:
            self.id = delta.id
        if delta.type:
            self.type = delta.type
        if delta.model_extra:
            self.extra.update(delta.model_extra)
        function = delta.function
        if function is None:
            return ""
        if not self.name and function.name:
            self.name = function.name
        if function.model_extra:
            self.function_extra.update(function.model_extra)
        if function.arguments and keep:
            self.arguments.append(function.arguments)
            self.arguments.compact()
        return function.arguments or ""

    def build(self) -> ToolCall:
        """Return the call as far as it has come."""
        return ToolCall(
            index=self.index,
            id=self.id,
            type=self.type,
            function=Function(
                name=self.name,
                arguments=self.arguments.text,
                model_extra=dict(self.function_extra) or None,
            ),
            model_extra=dict(self.extra) or None,
        )


class ToolCallAssembler:
    """The tool calls of one answer, keyed by id, then index, then position.

    Attributes:
        latest: The calls that the last chunk added to, and what it added to their arguments.
    """

    __slots__ = ("_by_id", "_by_index", "_calls", "_last", "latest")

    def __init__(self) -> None:
        self._calls: list[OpenCall] = []
        self._by_id: dict[str, OpenCall] = {}
        self._by_index: dict[int, OpenCall] = {}
        self._last: OpenCall | None = None
        self.latest: list[tuple[OpenCall, str]] = []

    @property
    def calls(self) -> list[OpenCall]:
        """The calls in index order; those of equal index in the order they came."""
        return sorted(self._calls, key=lambda call: call.index)

    def add(self, pieces: Sequence[ToolCallDelta], *, keep: bool) -> None:
        """Add the pieces of one chunk.

        Args:
            pieces: The pieces, as they stand in the chunk.
            keep: Whether to keep the arguments, too.
        """
        latest: list[tuple[OpenCall, str]] = []
        for position, piece in enumerate(pieces):
            call = self._find(piece, position, len(pieces))
            latest.append((call, call.add(piece, keep=keep)))
        self.latest = latest

    def _find(self, delta: ToolCallDelta, position: int, count: int) -> OpenCall:
        """Return the call that a piece belongs to, a new one if it starts one."""
        call = self._known(delta, position, count)
        if call is None:
            call = OpenCall(self._free_index(delta.index), delta.index)
            self._calls.append(call)
        if delta.id:
            self._by_id.setdefault(delta.id, call)
        if delta.index is not None:
            # A host that numbers every call 0 goes on with the newest of them.
            self._by_index[delta.index] = call
        self._last = call
        return call

    def _free_index(self, index: int | None) -> int:
        """Return the index of a new call: the host's own, unless another call has it."""
        taken = {call.index for call in self._calls}
        if index is not None and index not in taken:
            return index
        return max(taken, default=-1) + 1

    def _known(self, delta: ToolCallDelta, position: int, count: int) -> OpenCall | None:
        at_index = None if delta.index is None else self._by_index.get(delta.index)
        name = delta.function.name if delta.function is not None else None
        if delta.id:
            # The call at the index may carry this id as well: hosts that repeat the id of the
            # first call tell the others apart by index only.
            if at_index is not None and at_index.id in ("", delta.id):
                return at_index
            known = self._by_id.get(delta.id)
            if known is not None and name and delta.index not in (None, known.sent_index):
                return None
            return known
        if delta.index is not None:
            return at_index
        if count > 1:
            return self._calls[position] if position < len(self._calls) else None
        if name and self._last is not None and self._last.name not in ("", name):
            return None
        return self._last
