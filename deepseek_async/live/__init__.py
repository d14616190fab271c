"""One answer, many readers: runs that survive a reload, are seen by several tabs, and stop.

A :class:`Run` reads one upstream into a log; readers follow it from wherever they are, and go on
where they were after their connection broke. :class:`Live` holds the runs of a process; through a
:class:`LogStore` several processes read and stop one another's. Everything here is asyncio and
knows nothing of the web; :mod:`deepseek_async.web` puts it on the wire.
"""

from deepseek_async.live.batch import Batch
from deepseek_async.live.errors import (
    LiveClosedError,
    LiveError,
    LiveFullError,
    LiveStoreError,
    LogForgottenError,
    LogReplacedError,
    RunExistsError,
    RunLostError,
)
from deepseek_async.live.events import (
    DrainEvent,
    FailedEvent,
    LiveEvent,
    ResetEvent,
    StoppedEvent,
)
from deepseek_async.live.failures import FAILURES
from deepseek_async.live.memory_store import MemoryLogStore
from deepseek_async.live.records import OtherEvent
from deepseek_async.live.registry import Live
from deepseek_async.live.run import Run
from deepseek_async.live.source import Source
from deepseek_async.live.store import LogStore

__all__ = [
    "FAILURES",
    "Batch",
    "DrainEvent",
    "FailedEvent",
    "Live",
    "LiveClosedError",
    "LiveError",
    "LiveEvent",
    "LiveFullError",
    "LiveStoreError",
    "LogForgottenError",
    "LogReplacedError",
    "LogStore",
    "MemoryLogStore",
    "OtherEvent",
    "ResetEvent",
    "Run",
    "RunExistsError",
    "RunLostError",
    "Source",
    "StoppedEvent",
]
