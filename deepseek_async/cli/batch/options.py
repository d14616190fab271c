"""What a batch is asked to do: options as they are typed, and as they are kept for later runs."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from deepseek_async.cli.failures import UsageProblem

MODEL = "deepseek-flash"


class Cache(StrEnum):
    """``--cache``."""

    AUTO = "auto"
    OFF = "off"


class Schedule(StrEnum):
    """``--schedule``."""

    ANY = "any"
    OFF_PEAK = "off-peak"


class On402(StrEnum):
    """``--on-402``."""

    STOP = "stop"
    PAUSE = "pause"


class Durability(StrEnum):
    """``--durability``."""

    GROUP = "group"
    EACH = "each"
    NONE = "none"


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is run, as it is kept beside its results."""

    model: str = MODEL
    max_concurrency: int | None = None
    budget_usd: float | None = None
    budget_tokens: int | None = None
    strict: bool = False
    dedupe: bool = False
    cache: Literal["auto", "off"] = "auto"
    schedule: Literal["any", "off_peak"] = "any"
    deadline: datetime | None = None
    on_402: Literal["stop", "pause"] = "stop"
    durability: Literal["group", "each", "none"] = "group"

    def changed(self, given: dict[str, Any]) -> "BatchOptions":
        """Return the options with those that were given anew; None stands for one that was not."""
        return msgspec.structs.replace(
            self, **{name: value for name, value in given.items() if value is not None}
        )


class Display(msgspec.Struct, frozen=True):
    """How a run is told of."""

    json: bool = False
    quiet: bool = False
    chart: Path | None = None


_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CLOCK = re.compile(r"\d{1,2}:\d\d")


def read_deadline(text: str, now: datetime) -> datetime:
    """Return the moment that a deadline names.

    Args:
        text: A time span from now (``90m``, ``6h``, ``2d``), a time of day (``07:30``, the next
            one), or a date with or without a time; local time unless it names a zone.
        now: The current time, with a time zone.

    Raises:
        UsageProblem: If it is none of these, or not in the future.
    """
    text = text.strip()
    try:
        if found := _SPAN.fullmatch(text):
            return now + timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        if _CLOCK.fullmatch(text):
            hour, minute = map(int, text.split(":"))
            at = now.astimezone().replace(hour=hour, minute=minute, second=0, microsecond=0)
            return at if at > now else at + timedelta(days=1)
        at = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as exc:
        raise UsageProblem(
            f"--deadline {text!r} is no time: write 6h, 07:30 or 2026-12-01T18:00"
        ) from exc
    if at <= now:
        raise UsageProblem(f"--deadline {text!r} has passed")
    return at


MaxConcurrency = Annotated[
    int | None,
    typer.Option(
        "--max-concurrency",
        metavar="N",
        min=1,
        help="Most requests at once; without it as many as the server takes, found by trying.",
    ),
]
BudgetUsd = Annotated[
    float | None,
    typer.Option("--budget-usd", metavar="USD", help="Most US dollars that this run may spend."),
]
BudgetTokens = Annotated[
    int | None,
    typer.Option("--budget-tokens", metavar="N", help="Most tokens, prompts and answers together."),
]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict/--no-strict",
        help="Keep to the budget even if each answer is as long as it may be.",
        show_default=False,
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="WHEN",
        help="Send nothing after it: 6h, 07:30 or 2026-12-01T18:00. With --schedule off-peak: "
        "work at peak prices if it would be late otherwise.",
    ),
]
ScheduleOption = Annotated[
    Schedule | None,
    typer.Option(
        "--schedule", help="off-peak: pause while prices are doubled.", show_default=False
    ),
]
On402Option = Annotated[
    On402 | None,
    typer.Option(
        "--on-402",
        help="When the balance is used up: stop, or pause until it is topped up.",
        show_default=False,
    ),
]
DaskScheduler = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="SCHEDULER",
        help="Run in parts on a Dask cluster: the address of its scheduler, or local:N for N "
        "processes here. --dedupe then looks at each part for itself.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Go on although settings or input have changed."),
]
Chart = Annotated[
    Path | None,
    typer.Option("--chart", metavar="FILE", help="Draw the run: a name in .svg or .png."),
]
ReportJson = Annotated[bool, typer.Option("--json", help="The report as JSON, for scripts.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no report; failures are told.")
]
Pace = Annotated[
    float,
    typer.Option("--pace", min=0, hidden=True, help="Speed of the simulator; 0: no pauses."),
]
OutArgument = Annotated[
    Path, typer.Argument(metavar="OUT", help="The results file.", show_default=False)
]
