"""What shards did together, and what is wrong with them."""

from decimal import Decimal

import msgspec

from deepseek_async.totals import ModelTotals

# Problems that are told one by one.
_MOST_TOLD = 10


class MergeReport(msgspec.Struct, kw_only=True):
    """What the shards did together, by what is in their files."""

    shards: int

    answered: int
    """Items with a result."""

    failed: int
    """Items that failed and have no result from another shard."""

    usage: ModelTotals
    """Tokens and cost of all answers, those of killed runs included."""

    problems: list[str]
    """Why these are not all results, or not each once; empty if they are."""

    out: str | None
    """The file with all results, if one was written."""

    dead_letters: str | None
    """The file with all failed items, if one was written."""

    @property
    def ok(self) -> bool:
        """Whether every item of all shards has an answer."""
        return not self.problems and not self.failed

    @property
    def cost(self) -> Decimal | None:
        """US dollars that the answers cost; None if a price isn't known."""
        return self.usage.cost()

    def __str__(self) -> str:
        lines = [
            f"{self.shards:,} shards: {self.answered:,} answered, {self.failed:,} failed",
            f"tokens and cost: {self.usage}",
            *(f"problem: {problem}" for problem in self.problems),
        ]
        if self.out is not None:
            lines.append(f"results: {self.out}")
        if self.dead_letters is not None:
            lines.append(f"failed items: {self.dead_letters}")
        return "\n".join(lines)


class Problems:
    """What is wrong, the first few of each kind in words."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._counts: dict[str, int] = {}

    def add(self, kind: str, text: str) -> None:
        """Take note of one."""
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count <= _MOST_TOLD:
            self._told.append(text)

    def texts(self) -> list[str]:
        """Return them all."""
        more = [
            f"{count - _MOST_TOLD:,} more of: {kind}"
            for kind, count in self._counts.items()
            if count > _MOST_TOLD
        ]
        return self._told + more
