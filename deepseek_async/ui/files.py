"""The files of the page, as they lie beside this module."""

from importlib import resources

from aiohttp import web

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FOLDER = "static"
_INDEX = "index.html"


class Files:
    """All files, read once: what isn't among them can't be asked for."""

    def __init__(self) -> None:
        self._bodies: dict[str, tuple[bytes, str]] = {}
        for entry in resources.files("deepseek_async.ui").joinpath(_FOLDER).iterdir():
            media_type = _TYPES.get("." + entry.name.rpartition(".")[2])
            if media_type is not None:
                self._bodies[entry.name] = (entry.read_bytes(), media_type)

    async def index(self, request: web.Request) -> web.Response:
        """Answer with the page."""
        return self._answer(_INDEX)

    async def file(self, request: web.Request) -> web.Response:
        """Answer with one of the files."""
        return self._answer(request.match_info["name"])

    def _answer(self, name: str) -> web.Response:
        if name not in self._bodies:
            raise web.HTTPNotFound
        body, media_type = self._bodies[name]
        return web.Response(
            body=body,
            content_type=media_type,
            charset="utf-8",
            # The next version may lie under the same address.
            headers={"Cache-Control": "no-cache"},
        )
