"""Kill a process that writes a journal, damage what it had not acknowledged, and look.

Each run goes on with the files of the last one. A request that is acknowledged must be in the files
then and for ever, and no request may be in them twice.

Run: python -m tests.batch.crash [--runs N] [--seed N]
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import msgspec

from tests.batch.files import Recorded, failure, result

# Seconds that a process may live once it writes, at most.
_LONGEST_LIFE = 0.4


async def work(out: Path, seed: int) -> None:
    """Add results and failures until the end comes; tell what is durable."""
    rng = random.Random(seed)

    def tell(tokens: list[str]) -> None:
        try:
            os.write(1, "".join(f"{token}\n" for token in tokens).encode())
        except BrokenPipeError:
            # Who was to kill this process is gone.
            os._exit(1)

    journal = Recorded().journal(out, on_durable=tell)
    await journal.open()
    os.write(1, b"open\n")
    for number in count():
        name = f"request-{number}"
        if journal.is_done(name) or journal.is_failed(name):
            continue
        if number % 10 == 3:
            journal.add_dead_letter(failure(name), name)
        else:
            journal.add(result(name, "x" * rng.choice([0, 100, 2000, 20_000])), name)
        if not rng.randrange(50):
            await asyncio.sleep(rng.choice([0, 0, 0, 0.02]))
        await journal.room()


def run_and_kill(out: Path, rng: random.Random) -> list[str]:
    """Return what a process acknowledged until it was killed."""
    command = [sys.executable, "-m", "tests.batch.crash", "--work", str(out)]
    process = subprocess.Popen(
        [*command, "--seed", str(rng.randrange(1 << 30))],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        if rng.random() < 0.8:
            assert process.stdout.readline() == b"open\n"
            time.sleep(rng.uniform(0, _LONGEST_LIFE))
        else:
            # Perhaps while it reads or repairs the files.
            time.sleep(rng.uniform(0.1, 0.6))
        process.kill()
        told = process.stdout.read().decode()
    # A line that was cut off was not told.
    return [line for line in told.split("\n")[:-1] if line != "open"]


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Return where the whole lines of a file end, and their names."""
    found: list[tuple[int, str]] = []
    position = 0
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        position += len(line)
        try:
            found.append((position, msgspec.json.decode(line)["custom_id"]))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def damage(path: Path, acknowledged: set[str], rng: random.Random) -> None:
    """Spoil the end of a file, as far as it was not acknowledged."""
    if not path.exists():
        return
    safe = max((end for end, name in lines_of(path) if name in acknowledged), default=0)
    content = path.read_bytes()
    place = rng.randint(safe, len(content))
    kind = rng.choice(["none", "truncated", "truncated", "zeroed", "garbage"])
    if kind == "none":
        return
    rest = b""
    if kind == "zeroed":
        rest = b"\0" * (len(content) - place)
    elif kind == "garbage":
        rest = rng.randbytes(rng.randint(0, 10_000))
    path.write_bytes(content[:place] + rest)


def check(runs: int, seed: int, folder: Path) -> str:
    """Kill as many processes; return a line about it.

    Raises:
        AssertionError: If something was lost or is there twice.
    """
    rng = random.Random(seed)
    out, errors = folder / "answers.jsonl", folder / "answers.errors.jsonl"
    acknowledged: set[str] = set()
    for _ in range(runs):
        told = run_and_kill(out, rng)
        # One that had been lost would have been sent and told once more.
        assert len(set(told)) == len(told)
        assert acknowledged.isdisjoint(told), sorted(acknowledged & set(told))[:5]
        acknowledged.update(told)
        names = [name for path in (out, errors) for _, name in lines_of(path)]
        assert acknowledged <= set(names), sorted(acknowledged - set(names))[:5]
        assert len(set(names)) == len(names)
        damage(out, acknowledged, rng)
        damage(errors, acknowledged, rng)
    asyncio.run(_look(out, acknowledged))
    return f"{runs} processes killed, {len(acknowledged)} requests acknowledged, none lost or twice"


async def _look(out: Path, acknowledged: set[str]) -> None:
    async with Recorded().journal(out) as journal:
        missing = [
            name
            for name in acknowledged
            if not journal.is_done(name) and not journal.is_failed(name)
        ]
    assert missing == []
    for path in (out, out.with_name("answers.errors.jsonl")):
        if path.exists():
            assert path.read_bytes().count(b"\n") == len(lines_of(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        asyncio.run(work(options.work, options.seed))
        return
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(check(options.runs, options.seed, Path(folder)) + "\n")


if __name__ == "__main__":
    main()
