"""``ui``: the page that shows it at work."""

import asyncio
import contextlib
import signal
import threading
import webbrowser
from collections.abc import Generator
from dataclasses import dataclass

from rich.text import Text

from deepseek_async import ui
from deepseek_async.cli.connection import Connection, Target, connect
from deepseek_async.cli.screen import Screen


@dataclass(frozen=True)
class PageOptions:
    """Where the page is served, and how it begins."""

    model: str
    host: str = "127.0.0.1"

    port: int | None = None
    """None: the usual one, or any other if that is taken."""

    open: bool = False
    """Whether to open it in a browser."""


async def serve_page(
    target: Target, options: PageOptions, screen: Screen, *, keyless: bool
) -> None:
    """Serve the page until SIGTERM, or until cancelled; its readers are told then.

    Args:
        target: The server that is asked.
        options: Where the page is served, and how it begins.
        screen: Where to say how to open it.
        keyless: Whether the simulator is used for want of a key.

    Raises:
        OSError: If it can't listen there; the message says why.
    """
    async with connect(target, pace=ui.PACE, prepare=ui.prepare) as connection:
        server = ui.UIServer(
            connection.client,
            host=options.host,
            port=options.port,
            model=options.model,
            simulated=target.simulate,
            greet=True,
        )
        with _termination() as ended:
            async with server:
                _introduce(screen, server.url, connection, target, keyless=keyless)
                if options.open:
                    # In a thread that nobody waits for: some browsers only return when they are
                    # closed again, and the server must end before that.
                    threading.Thread(
                        target=webbrowser.open, args=(server.url_for_once(),), daemon=True
                    ).start()
                await ended.wait()


def _introduce(
    screen: Screen, url: str, connection: Connection, target: Target, *, keyless: bool
) -> None:
    where = "the built-in simulator" if target.simulate else connection.client.base_url
    # In one piece, however narrow the terminal is.
    screen.console.print(Text(url, style="bold"), soft_wrap=True)
    screen.line(f"The page, on {where}, until Ctrl-C.", "dim")
    if keyless:
        screen.line("No DEEPSEEK_API_KEY found; set it for the real thing.", "dim")


@contextlib.contextmanager
def _termination() -> Generator[asyncio.Event]:
    """Yield what is set by SIGTERM. Ctrl-C cancels what runs already."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # Windows knows no such signal.
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, ended.set)
    try:
        yield ended
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)
