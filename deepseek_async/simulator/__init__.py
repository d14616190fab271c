"""A DeepSeek server on loopback: real HTTP, no key, no cost, faults on demand.

The core is sans-IO: request, options, clock and seeded randomness in; a planned reply (status,
headers, timed frames of body bytes) out. One module, `server`, puts that on sockets with
`aiohttp.web`. Nothing here imports the client library, so that it can judge it.

Names are loaded when first used: ``import deepseek_async.simulator`` doesn't import aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepseek_async.simulator.clock import Clock
    from deepseek_async.simulator.core import Options, ReceivedRequest
    from deepseek_async.simulator.metrics import Metrics
    from deepseek_async.simulator.scripted import Fault, Replay, Reply
    from deepseek_async.simulator.server import Simulator

__all__ = [
    "Clock",
    "Fault",
    "Metrics",
    "Options",
    "ReceivedRequest",
    "Replay",
    "Reply",
    "Simulator",
]

_MODULES = {
    "Clock": "clock",
    "Fault": "scripted",
    "Metrics": "metrics",
    "Options": "core",
    "ReceivedRequest": "core",
    "Replay": "scripted",
    "Reply": "scripted",
    "Simulator": "server",
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
