"""A DeepSeek server on loopback: real HTTP, no key, no cost, faults on demand.

The core is sans-IO: request, options, clock and seeded randomness in; a planned reply (status,
headers, timed frames of body bytes) out. One module, `server`, puts that on sockets with
`aiohttp.web`. Nothing here imports the client, so that the simulator can judge it; prices are
those of `deepseek_async.PRICES`. `recording` stores what a real host answers, and plays it back.

Names are loaded when first used: ``import deepseek_async.simulator`` doesn't import aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepseek_async.lazy import lazy_names

if TYPE_CHECKING:
    from deepseek_async.simulator.clock import Clock
    from deepseek_async.simulator.core import Options, ReceivedRequest
    from deepseek_async.simulator.faults import FAULT_KINDS, Fault
    from deepseek_async.simulator.metrics import Metrics
    from deepseek_async.simulator.pace import Constant, LogNormal, Uniform
    from deepseek_async.simulator.recording.files import RecordingFileError
    from deepseek_async.simulator.recording.recorder import Recorder
    from deepseek_async.simulator.recording.replayer import Replayer
    from deepseek_async.simulator.recording.thread import RecordingThread
    from deepseek_async.simulator.script_file import ScriptFile, ScriptFileError, load_script
    from deepseek_async.simulator.scripted import Replay, Reply, When
    from deepseek_async.simulator.server import Simulator
    from deepseek_async.simulator.thread import SimulatorThread

__all__ = [
    "FAULT_KINDS",
    "Clock",
    "Constant",
    "Fault",
    "LogNormal",
    "Metrics",
    "Options",
    "ReceivedRequest",
    "Recorder",
    "RecordingFileError",
    "RecordingThread",
    "Replay",
    "Replayer",
    "Reply",
    "ScriptFile",
    "ScriptFileError",
    "Simulator",
    "SimulatorThread",
    "Uniform",
    "When",
    "load_script",
]

_HOME = {
    "FAULT_KINDS": f"{__name__}.faults",
    "Clock": f"{__name__}.clock",
    "Constant": f"{__name__}.pace",
    "Fault": f"{__name__}.faults",
    "LogNormal": f"{__name__}.pace",
    "Metrics": f"{__name__}.metrics",
    "Options": f"{__name__}.core",
    "ReceivedRequest": f"{__name__}.core",
    "Recorder": f"{__name__}.recording.recorder",
    "RecordingFileError": f"{__name__}.recording.files",
    "RecordingThread": f"{__name__}.recording.thread",
    "Replay": f"{__name__}.scripted",
    "Replayer": f"{__name__}.recording.replayer",
    "Reply": f"{__name__}.scripted",
    "ScriptFile": f"{__name__}.script_file",
    "ScriptFileError": f"{__name__}.script_file",
    "Simulator": f"{__name__}.server",
    "SimulatorThread": f"{__name__}.thread",
    "Uniform": f"{__name__}.pace",
    "When": f"{__name__}.scripted",
    "load_script": f"{__name__}.script_file",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
