"""``batch estimate``: what a batch will take, without a key and without sending anything."""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec

from deepseek_async.batch.estimate import BatchEstimator, CostRange
from deepseek_async.batch.source import open_source
from deepseek_async.cli.batch.failures import in_batch_options
from deepseek_async.cli.batch.report import count_of
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.failures import FAILED, FINE
from deepseek_async.cli.screen import Screen, StatusLine

# Bad lines that are told in full.
_LINES = 3


async def estimate(
    path: Path, estimator: BatchEstimator, screen: Screen, *, model: str, json: bool
) -> int:
    """Read the requests of a file and tell what they will take.

    Args:
        path: The file.
        estimator: Adds them up.
        screen: Where to tell.
        model: The model of requests that name none.
        json: Whether to tell it as JSON.

    Returns:
        The exit status: not 0 if the file has lines that can't be sent.

    Raises:
        BatchError: If the file can't be read.
    """
    bad: list[str] = []
    count = duplicates = 0
    notes = screen.notes
    status = StatusLine(notes, live=notes.is_terminal and not notes.is_dumb_terminal)
    source = open_source(path)
    status.show(f"reading {path.name}")
    try:
        async for entry in source:
            if entry.duplicate:
                duplicates += 1
            elif entry.bad is not None:
                estimator.add_invalid()
                bad.append(entry.bad)
                del bad[_LINES:]
            else:
                estimator.add(
                    entry.body if entry.body.get("model") else {**entry.body, "model": model}
                )
            count += 1
            if not count % 100:
                # For the line that says how long it has taken.
                await asyncio.sleep(0)
    finally:
        status.clear()
        await source.aclose()
    found = estimator.estimate()
    if json:
        screen.write(_json(found) + "\n")
    else:
        screen.console.print(str(found), soft_wrap=True)
    if duplicates:
        notes.print(f"{duplicates:,} x a line that only repeats another one", soft_wrap=True)
    for reason in bad:
        notes.print(f"bad line: {one_line(in_batch_options(reason))}", soft_wrap=True)
    if found.invalid:
        notes.print(
            f"error: {count_of(found.invalid, 'line')} of {path} can't be sent", soft_wrap=True
        )
    return FAILED if found.invalid else FINE


def _json(found: msgspec.Struct) -> str:
    values = {name: _plain(value) for name, value in msgspec.structs.asdict(found).items()}
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, CostRange):
        return {"low": float(value.low), "high": float(value.high)}
    return value
