"""Durable writing: what was written stays, or an error says why not."""

import contextlib
import errno
import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from deepseek_async.errors import BatchFileError

# Where the system has no cheaper one (macOS, Windows).
_sync = getattr(os, "fdatasync", os.fsync)

_BINARY = getattr(os, "O_BINARY", 0)

# Lines that are written at once: of the usual size they fit into the cache of the processor, and
# take no new memory each time, which makes up two thirds of the cost.
_AT_ONCE = 32

_ADVICE = {
    errno.ENOSPC: "free some space and run the same call again",
    errno.EDQUOT: "free some of your quota and run the same call again",
    errno.EFBIG: "the process may not write files as large (ulimit -f)",
    errno.EACCES: "choose a directory that you may write to",
    errno.EPERM: "choose a directory that you may write to",
    errno.EROFS: "choose a directory that you may write to",
    errno.ENOENT: "create the directory first",
    errno.ENOTDIR: "choose a path whose parents are directories",
    errno.EISDIR: "name a file, not a directory",
}


def file_error(path: Path, exc: OSError, doing: str = "written") -> BatchFileError:
    """Return the error for a failure of the system, with what to do about it."""
    reason = exc.strerror or type(exc).__name__
    advice = _ADVICE.get(exc.errno or 0)
    message = f"{path} can't be {doing}: {reason}" + (f"; {advice}" if advice else "")
    return BatchFileError(message, path=str(path))


def sync_directory(path: Path) -> None:
    """Make the names of the files in the directory of ``path`` durable."""
    if os.name == "nt":
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, in as many pieces as the system wants."""
    written = os.write(descriptor, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(data):
            written += os.write(descriptor, view[written:])


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def remove_rest(path: Path) -> None:
    """Remove what a killed process left of a new content for ``path``."""
    _temporary(path).unlink(missing_ok=True)


def replace_file(path: Path, parts: Iterable[bytes]) -> None:
    """Put new content in the place of a file, so that it is either the old or the new one.

    Raises:
        OSError: If that fails; the old file is untouched then.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("wb", buffering=1 << 20) as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path)


class AppendFile:
    """A file that grows by whole commits: after a failure it ends where the last one ended.

    Blocks; to be used in a thread. The file is created with the first write.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        # How long it was after the last commit, and how much has been written since.
        self._size = 0
        self._ahead = 0
        self._has_rest = False

    def open(self) -> None:
        """Open the file at its end, or create it; ``write`` does that, too.

        Raises:
            BatchFileError: If that fails.
        """
        try:
            self._open()
        except OSError as exc:
            raise file_error(self._path, exc) from exc

    def write(self, lines: Sequence[bytes]) -> None:
        """Hand lines to the system, which keeps them if this process is killed.

        Args:
            lines: Whole lines, for the end of the file.

        Raises:
            BatchFileError: If it fails; then nothing since the last commit is in the file.
        """
        with self._whole():
            descriptor = self._open() if self._descriptor is None else self._descriptor
            if self._has_rest:
                self._cut_rest(descriptor)
            for start in range(0, len(lines), _AT_ONCE):
                piece = b"".join(lines[start : start + _AT_ONCE])
                write_all(descriptor, piece)
                self._ahead += len(piece)

    def commit(self, *, sync: bool) -> None:
        """Let what has been written stay.

        Args:
            sync: Whether it must be on the disk when this returns.

        Raises:
            BatchFileError: If it fails; then nothing since the last commit is in the file.
        """
        with self._whole():
            if sync and self._ahead and self._descriptor is not None:
                _sync(self._descriptor)
        self._size += self._ahead
        self._ahead = 0

    @contextlib.contextmanager
    def _whole(self) -> Generator[None]:
        """Go back to the last commit if something fails."""
        try:
            yield
        except BaseException as exc:
            if self._descriptor is not None:
                # If it can't be done now: before the next write; else the next run finds the rest.
                with contextlib.suppress(OSError):
                    self._cut_rest(self._descriptor)
            if isinstance(exc, OSError):
                raise file_error(self._path, exc) from exc
            raise

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY
        is_new = not self._path.exists()
        descriptor = os.open(self._path, flags, 0o666)
        try:
            self._size = os.fstat(descriptor).st_size
            if is_new:
                sync_directory(self._path)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _cut_rest(self, descriptor: int) -> None:
        # Also after a failed sync: the system may have forgotten that those pages aren't on the
        # disk, and would report success for them the next time.
        self._has_rest = True
        self._ahead = 0
        os.ftruncate(descriptor, self._size)
        self._has_rest = False
