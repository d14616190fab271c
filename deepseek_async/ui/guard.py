"""Who may talk to the server: the page it served, in a browser that was given the token.

Behind it is an API key with money on it, and a port on this machine can be reached by every web
site that is open in a browser, and by every user of the machine. So there are three locks:

- The name in ``Host`` must be one that no other site can point here (DNS rebinding).
- What changes something must come from our own page (``Origin``, ``Sec-Fetch-Site``).
- Everything needs a cookie, which only the URL on the terminal brings, or the one that a browser
  is started with. That one works once: the arguments of a process are no secret.
"""

import hmac
import ipaddress
import secrets
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler, Middleware

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = ("GET", "HEAD")


class Guard:
    """The locks.

    Args:
        host: The address or name that the server was asked to listen on.

    Attributes:
        token: What opens the page.
    """

    def __init__(self, host: str) -> None:
        self._host = host.lower()
        self.token = secrets.token_urlsafe(16)
        # Browsers keep one set of cookies for all ports of a host.
        self._cookie = f"deepseek_ui_{secrets.token_hex(4)}"
        self._pass: str | None = None

    def issue_pass(self) -> str:
        """Return what opens the page once, and is worth nothing then; the one before is void.

        For where others may see it, as they see the arguments of a program that is started.
        """
        self._pass = secrets.token_urlsafe(16)
        return self._pass

    def middleware(self) -> "Middleware":
        """Return what stands before every handler."""

        @web.middleware
        async def guard(request: web.Request, handler: "Handler") -> web.StreamResponse:
            problem = self._problem(request)
            if problem is not None:
                return web.Response(status=403, text=problem)
            if request.path == "/" and self._opens(request.query):
                return self._admit()
            if not self._is_token(request.cookies.get(self._cookie, "")):
                return web.Response(
                    status=401,
                    text="Open the address that the terminal shows: it has the token.\n",
                )
            return await handler(request)

        return guard

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer carries; a signal of aiohttp, so that streams have it too."""
        response.headers.update(_HEADERS)

    def _opens(self, query: "Mapping[str, str]") -> bool:
        """Whether an address has the token in it, or the pass, which is used up by that."""
        if self._is_token(query.get("token", "")):
            return True
        if self._pass is None or not _equal(query.get("pass", ""), self._pass):
            return False
        self._pass = None
        return True

    def _is_token(self, given: str) -> bool:
        return _equal(given, self.token)

    def _admit(self) -> web.Response:
        """Keep the token in a cookie, and out of the address."""
        response = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
        response.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict", path="/")
        return response

    def _problem(self, request: web.Request) -> str | None:
        if not self._is_ours(request.headers.get("Host", "")):
            return (
                "This server is not known by that name; use the address that the terminal shows.\n"
            )
        if request.method in _SAFE:
            return None
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return "This request comes from another site.\n"
        if request.headers.get("Origin") != f"http://{request.headers['Host']}":
            return "This request does not come from this page.\n"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a ``Host`` can't be a name that somebody else owns."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.lower()
        if name in ("localhost", self._host):
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def _equal(given: str, secret: str) -> bool:
    # Lone surrogates, as of undecodable bytes in a query, are in no secret.
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())
