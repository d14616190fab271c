"""What a job is asked to do."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from deepseek_async.errors import PreflightError
from deepseek_async.types.batch import Budget

CacheOption = Literal["auto", "off"]
Schedule = Literal["any", "off_peak"]
On402 = Literal["stop", "pause"]
Durability = Literal["group", "each", "none"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "cache": ("auto", "off"),
    "schedule": ("any", "off_peak"),
    "on_402": ("stop", "pause"),
    "durability": ("group", "each", "none"),
}


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``client.batch``, where they are documented.

    Raises:
        PreflightError: If one can't be meant.
    """

    out: Path | None = None
    model: str | None = None
    map: Callable[[Any], Any] | None = None
    response_model: type[Any] | None = None
    max_concurrency: int | Literal["auto"] = "auto"
    ordered: bool = False
    dedupe: bool = False
    budget: Budget | None = None
    cache: CacheOption = "auto"
    schedule: Schedule = "any"
    deadline: datetime | None = None
    is_holiday: Callable[[date], bool] | None = None
    on_402: On402 = "stop"
    durability: Durability = "group"
    progress: Callable[[Any], Any] | None = None
    weight: float = 1.0
    at_once: int = 0
    """How many to send at once in the beginning, if the limit isn't known."""

    retry: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise PreflightError(
                    f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
                )
        most = cast("object", self.max_concurrency)
        if most != "auto" and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise PreflightError(
                f'max_concurrency must be "auto" or a whole number from 1 up, got {most!r}'
            )
        weight = cast("object", self.weight)
        if not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise PreflightError(f"weight must be a number above 0, got {weight!r}")
        if self.budget is not None and not isinstance(cast("object", self.budget), Budget):
            raise PreflightError(
                f"budget must be Budget(usd=...) or Budget(tokens=...), got {self.budget!r}"
            )
        if self.deadline is not None and self.deadline.tzinfo is None:
            raise PreflightError(
                "deadline must carry a time zone, such as datetime(..., tzinfo=UTC)"
            )
        for name in ("map", "progress", "is_holiday"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise PreflightError(f"{name} must be a function, got {value!r}")
