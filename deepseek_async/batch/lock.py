"""One writer at a time, whichever process it is in; the lock of a killed one is free."""

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path

from deepseek_async.batch.files import file_error
from deepseek_async.errors import BatchLockedError

# What the system says when somebody else holds the lock.
_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Locked bytes can't be read by others: one far behind what stands in the file.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # flock, not lockf: that one would let a second job of this process in.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """A lock on the files of a job. The system frees it when the process ends, however it ends.

    Args:
        path: The lock file; it is there only as long as the lock is held.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, results: Path) -> None:
        """Take the lock.

        Args:
            results: What it protects, for the error.

        Raises:
            BatchLockedError: If another job holds it.
            BatchFileError: If the lock file can't be written.
        """
        while self._descriptor is None:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as exc:
                raise file_error(results, exc) from exc
            try:
                self._lock(descriptor, results)
                # The former holder may have removed the file between our opening and our locking.
                if self._is_current(descriptor):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def _lock(self, descriptor: int, results: Path) -> None:
        try:
            _lock(descriptor)
        except OSError as exc:
            if exc.errno not in _HELD:
                raise file_error(self._path, exc, "locked") from exc
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip()
            raise BatchLockedError(
                f"another batch job writes to {results}"
                f"{f' ({holder})' if holder else ''}; wait for its end or choose another file",
                path=str(results),
            ) from exc
        if self._is_current(descriptor):
            self._sign(descriptor)

    def _sign(self, descriptor: int) -> None:
        try:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except OSError:
            # On a full disk: the lock holds without a signature.
            return

    def _is_current(self, descriptor: int) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))

    def release(self) -> None:
        """Give the lock back; nothing happens if it isn't held."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if sys.platform != "win32":
            # While we hold it: nobody can have locked this file since. A lock file that can't be
            # removed does no harm.
            with contextlib.suppress(OSError):
                self._path.unlink()
        # Children of a fork may have the descriptor, too, so closing alone would not do.
        _unlock(descriptor)
        os.close(descriptor)
