"""Answers on the wire: to browsers and other clients, by server-sent events or WebSocket.

What all of it has in common: the response begins before the upstream answers, so that whoever
leaves is seen to leave from the first moment on; and when they have left, the upstream is closed
within milliseconds, whether it talks or is silent.

ASGI is spoken as it is, and aiohttp.web; :mod:`deepseek_async.web.starlette` has a response class
for Starlette and FastAPI. Names are loaded when first used: ``import deepseek_async.web`` imports
no server and no framework.
"""

from typing import TYPE_CHECKING

from deepseek_async.lazy import lazy_names

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

_HOME = {
    "ClientGone": f"{__name__}.leaving",
    "PublicError": f"{__name__}.refusal",
    "aiohttp_sse": f"{__name__}.aiohttp_reply",
    "aiohttp_ws": f"{__name__}.aiohttp_socket",
    "asgi_sse": f"{__name__}.asgi",
    "asgi_ws": f"{__name__}.asgi_socket",
    "live_aiohttp": f"{__name__}.aiohttp_app",
    "live_asgi": f"{__name__}.asgi_live",
    "public_error": f"{__name__}.refusal",
    "sse_bytes": f"{__name__}.pieces",
    "while_connected": f"{__name__}.waiting",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
