"""What can go wrong with runs themselves."""

from typing import TYPE_CHECKING

from deepseek_async.errors import DeepSeekError

if TYPE_CHECKING:
    from deepseek_async.live.run import Run


class LiveError(DeepSeekError):
    """Base of what :class:`Live` raises."""


class LiveClosedError(LiveError):
    """It was closed, or the process is ending; another process may do it."""

    retryable = True


class LiveFullError(LiveError):
    """There are as many runs as may be, and none has ended."""

    retryable = True


class LiveStoreError(LiveError):
    """The store could not be asked."""

    retryable = True


class LogReplacedError(LiveError):
    """The log in the store is another run's by now, or is closed: nothing can be added to it."""


class LogForgottenError(LiveError):
    """The store has no such log, or not any more: it has to be told from its beginning."""

    retryable = True


class RunLostError(LiveError):
    """The process that reads the upstream gave no sign of life."""

    retryable = True


class RunExistsError(LiveError, ValueError):
    """The id is taken.

    Attributes:
        run: The run that has it.
    """

    def __init__(self, message: str = "", *, run: "Run | None" = None) -> None:
        super().__init__(message)
        self.run = run
