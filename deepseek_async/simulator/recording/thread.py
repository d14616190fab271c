"""A recorder or a replayer with a thread and an event loop of its own."""

from __future__ import annotations

from deepseek_async.simulator.recording.recorder import Recorder
from deepseek_async.simulator.recording.replayer import Replayer
from deepseek_async.simulator.thread import SimulatorThread


class RecordingThread(SimulatorThread):
    """A running `Recorder` or `Replayer` that any thread may use; ``with`` starts and stops it.

    Args:
        server: Not running yet.
    """

    def __init__(self, server: Recorder | Replayer) -> None:
        super().__init__()
        self._simulator = server
