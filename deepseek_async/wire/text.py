"""Join many small pieces of text without keeping them."""

# A `str` of a token takes ten times its text. Joining this many at a time keeps the overhead
# of the blocks below a few percent, and each character is copied only twice.
_PIECES = 256


class TextBuilder:
    """A text that grows by pieces; linear in time, about its own size in memory."""

    __slots__ = ("_blocks", "_pieces", "_text", "append", "seen")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self._text = ""
        # The bound method of a list: the loops that call it are the hottest of the library.
        self.append = self._pieces.append
        self.seen = False
        """A piece has come, be it empty."""

    def compact(self) -> None:
        """Join the pieces, if there are many. To be called every few hundred of them."""
        if len(self._pieces) >= _PIECES:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    @property
    def text(self) -> str:
        """The text so far."""
        if self._blocks or self._pieces:
            text, self._text = self._text, ""
            # Python lengthens a text in place if nobody else refers to it: those who look after
            # each piece would copy all of it each time.
            text += "".join([*self._blocks, *self._pieces])
            self._blocks.clear()
            self._pieces.clear()
            self._text = text
        return self._text

    @property
    def text_or_none(self) -> str | None:
        """The text so far; None if no piece has come."""
        text = self.text
        return text if text or self.seen else None
