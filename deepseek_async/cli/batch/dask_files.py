"""The files of a run on Dask: the shards beside the results, and whether both belong together."""

from pathlib import Path

import msgspec

from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.shard_parts import ShardPart
from deepseek_async.cli.batch.memory import Memory, recall, remember
from deepseek_async.cli.batch.plan import Plan
from deepseek_async.cli.failures import UsageProblem


def shards_beside(paths: BatchPaths) -> Path:
    """Return where the shards are: ``answers.shards`` beside ``answers.jsonl``."""
    stem = paths.meta.name.removesuffix(".meta.json")
    return paths.results.with_name(f"{stem}.shards")


def check_beside(paths: BatchPaths, plan: Plan) -> None:
    """Make sure that what is there may be gone on with.

    Raises:
        UsageProblem: If the results are not those of the shards, or the shards have answers of the
            simulator and real ones would be added, or the other way round.
    """
    directory = shards_beside(paths)
    if paths.results.exists() and _sealed(paths) != _look_of(paths.results):
        raise UsageProblem(
            f"{paths.results.name} has answers that are not those of {directory.name}: go on with "
            "batch resume or batch retry, or name another file"
        )
    memory = recall(paths)
    if memory is None or not directory.exists() or is_forced(paths, plan):
        return
    if memory.simulate != plan.target.simulate:
        were, now = ("simulated", "real") if memory.simulate else ("real", "simulated")
        raise UsageProblem(
            f"the answers in {directory.name} are {were} ones, and {now} ones would be added: name "
            "another file, or pass --force"
        )


def check_no_shards(out: Path) -> None:
    """Make sure that one process does not ask again what shards have answers to.

    Raises:
        UsageProblem: If there are shards that are not in the results yet.
    """
    paths = BatchPaths.of(out)
    directory = shards_beside(paths)
    is_begun = any(path.stat().st_size for path in directory.glob("*.jsonl"))
    if is_begun and not paths.results.exists():
        raise UsageProblem(
            f"{directory} has the answers of a run with --dask: go on with --dask, name another "
            "file, or pass --force to ask for all of them again"
        )


def is_forced(paths: BatchPaths, plan: Plan) -> bool:
    """Tell whether shards may go on with other settings.

    A plan says so as well where the results are gone and nothing could be mixed, but for shards.
    """
    files = (paths.results, paths.errors)
    is_gone = paths.meta.exists() and not any(
        each.exists() and each.stat().st_size for each in files
    )
    return plan.force and not is_gone


def check_cut(paths: BatchPaths, parts: list[ShardPart]) -> None:
    """Make sure that the input is still the one that was begun with.

    Raises:
        UsageProblem: If it isn't.
    """
    directory = shards_beside(paths)
    try:
        cut = (directory / "cut.txt").read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return
    if not parts or cut != parts[0].cut:
        raise UsageProblem(
            f"{directory} has the shards of another input, or of this one before it changed: "
            "name another file for the results, or remove that directory"
        )


def begin(paths: BatchPaths, memory: Memory) -> None:
    """Take note of how it is begun: whoever goes on shall know whose answers these are.

    Raises:
        BatchFileError: If that fails.
    """
    try:
        shards_beside(paths).mkdir(parents=True, exist_ok=True)
        remember(paths, memory)
    except OSError as exc:
        raise file_error(paths.meta, exc) from exc


def seal(paths: BatchPaths, memory: Memory) -> None:
    """Take note that the results are those of the shards, as they are now.

    Raises:
        BatchFileError: If that fails.
    """
    try:
        remember(paths, memory)
        look = msgspec.json.encode(_look_of(paths.results))
        replace_file(shards_beside(paths) / "merged.json", [look, b"\n"])
    except OSError as exc:
        raise file_error(paths.meta, exc) from exc


def _look_of(path: Path) -> list[int]:
    """Return what a file is known again by."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _sealed(paths: BatchPaths) -> list[int] | None:
    """Return what the results were known by when they were merged; None if they never were."""
    path = shards_beside(paths) / "merged.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[int])
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
