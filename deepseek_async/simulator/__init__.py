"""A DeepSeek server on loopback: real HTTP, no key, no cost, faults on demand.

The core is sans-IO: request, options, clock and seeded randomness in; a planned reply (status,
headers, timed frames of body bytes) out. One module, `server`, puts that on sockets with
`aiohttp.web`. Nothing here imports the client, so that the simulator can judge it; prices are
those of `deepseek_async.PRICES`. `recording` stores what a real host answers, and plays it back.

Names are loaded when first used: ``import deepseek_async.simulator`` doesn't import aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

_MODULES = {
    "FAULT_KINDS": "faults",
    "Clock": "clock",
    "Constant": "pace",
    "Fault": "faults",
    "LogNormal": "pace",
    "Metrics": "metrics",
    "Options": "core",
    "ReceivedRequest": "core",
    "Recorder": "recording.recorder",
    "RecordingFileError": "recording.files",
    "RecordingThread": "recording.thread",
    "Replay": "scripted",
    "Replayer": "recording.replayer",
    "Reply": "scripted",
    "ScriptFile": "script_file",
    "ScriptFileError": "script_file",
    "Simulator": "server",
    "SimulatorThread": "thread",
    "Uniform": "pace",
    "When": "scripted",
    "load_script": "script_file",
}


def __getattr__(name: str) -> object:
    try:
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
