"""Answers on the wire: to browsers and other clients, by server-sent events or WebSocket.

What all of it has in common: the response begins before the upstream answers, so that whoever
leaves is seen to leave from the first moment on; and when they have left, the upstream is closed
within milliseconds, whether it talks or is silent.

ASGI is spoken as it is, and aiohttp.web; :mod:`deepseek_async.web.starlette` has a response class
for Starlette and FastAPI. Names are loaded when first used: ``import deepseek_async.web`` imports
no server and no framework.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepseek_async.web.aiohttp_app import live_aiohttp
    from deepseek_async.web.aiohttp_reply import aiohttp_sse
    from deepseek_async.web.aiohttp_socket import aiohttp_ws
    from deepseek_async.web.asgi import asgi_sse
    from deepseek_async.web.asgi_live import live_asgi
    from deepseek_async.web.asgi_socket import asgi_ws
    from deepseek_async.web.leaving import ClientGone
    from deepseek_async.web.pieces import sse_bytes
    from deepseek_async.web.refusal import PublicError, public_error
    from deepseek_async.web.waiting import while_connected

__all__ = [
    "ClientGone",
    "PublicError",
    "aiohttp_sse",
    "aiohttp_ws",
    "asgi_sse",
    "asgi_ws",
    "live_aiohttp",
    "live_asgi",
    "public_error",
    "sse_bytes",
    "while_connected",
]

_MODULES = {
    "ClientGone": "leaving",
    "PublicError": "refusal",
    "aiohttp_sse": "aiohttp_reply",
    "aiohttp_ws": "aiohttp_socket",
    "asgi_sse": "asgi",
    "asgi_ws": "asgi_socket",
    "live_aiohttp": "aiohttp_app",
    "live_asgi": "asgi_live",
    "public_error": "refusal",
    "sse_bytes": "pieces",
    "while_connected": "waiting",
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
