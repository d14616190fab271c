"""What was published, for any number of tasks over one connection."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from typing import Any, Self

from deepseek_async.integrations.redis.server import ended

_logger = logging.getLogger("deepseek_async.live")

# For how many seconds a connection may be silent before it is asked whether it lives.
_QUIET = 5.0
# How long to wait before another connection is tried, in seconds; then twice as long.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
# How often to look whether there is something new that nobody has told of, in seconds.
_LOOK_EVERY = 5.0


class News:
    """Sets events when something was published on their channels.

    They are set as well whenever something may have been missed: once a channel is listened to, at
    once if it is already, and after the connection was lost. So whoever looks for what there is,
    waits for the event, and looks again, misses nothing.

    Belongs to one event loop. Its task ends by itself soon after the last one has left.

    Args:
        client: The ``redis.asyncio.Redis`` to listen with.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._events: dict[bytes, set[asyncio.Event]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        # The connection, and whether it may be told of other channels.
        self._pubsub: Any = None
        self._is_open = False
        # What the server has been told to send on this connection.
        self._asked: set[bytes] = set()
        self._is_broken = False

    @contextlib.contextmanager
    def of(self, channel: bytes) -> Generator[asyncio.Event]:
        """Listen to a channel, and return its event."""
        event = asyncio.Event()
        if channel in self._asked:
            # What came since its owner looked has been told to others only.
            event.set()
        self._events.setdefault(channel, set()).add(event)
        self._listen_to_what_is_wanted()
        try:
            yield event
        finally:
            events = self._events[channel]
            events.discard(event)
            if not events:
                del self._events[channel]
                self._listen_to_what_is_wanted()

    async def aclose(self) -> None:
        """Listen to nothing any more."""
        tasks = [task for task in (self._listening, self._asking) if task is not None]
        await ended(tasks)

    def _listen_to_what_is_wanted(self) -> None:
        loop = asyncio.get_running_loop()
        if self._listening is None or self._listening.done():
            if self._events:
                self._listening = loop.create_task(self._listen(), name="redis news")
        elif self._asking is None and self._is_open:
            # Later, together with what else comes in this turn of the loop.
            self._asking = loop.create_task(self._ask(self._pubsub), name="redis news: channels")

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while self._events:
            pubsub = self._pubsub = self._client.pubsub()
            self._is_broken = False
            try:
                await self._change_channels(pubsub)
                self._is_open = True
                pause = _FIRST_PAUSE
                await self._read(pubsub)
            except Exception as exc:  # Of redis-py, and of all that it is made of.
                _logger.debug("the connection for news was lost: %s: %s", type(exc).__name__, exc)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            finally:
                self._pubsub = None
                self._is_open = False
                self._asked.clear()
                await self._give_up(pubsub)

    async def _read(self, pubsub: Any) -> None:
        is_alive = True
        while self._asked:
            message = await pubsub.get_message(timeout=_QUIET)
            if self._is_broken or not (message or is_alive):
                raise ConnectionError("no answer")
            is_alive = message is not None
            if message is None:
                if not self._events:
                    return
                await pubsub.ping()
            elif message["type"] in ("message", "subscribe"):
                for event in self._events.get(message["channel"], ()):
                    event.set()

    async def _give_up(self, pubsub: Any) -> None:
        """Close a connection."""
        try:
            if self._asking is not None:
                # It would open it again.
                await ended([self._asking])
        finally:
            with contextlib.suppress(Exception):  # It may be broken.
                await pubsub.aclose()

    async def _ask(self, pubsub: Any) -> None:
        try:
            await self._change_channels(pubsub)
        except Exception:  # As in _listen, which finds it broken and makes another one.
            self._is_broken = True
        finally:
            self._asking = None

    async def _change_channels(self, pubsub: Any) -> None:
        """Tell the server what to send, until it is what is wanted."""
        while self._pubsub is pubsub:
            wanted = self._events.keys()
            missing, spare = wanted - self._asked, self._asked - wanted
            if missing:
                self._asked |= missing
                await pubsub.subscribe(*missing)
            elif spare:
                self._asked -= spare
                await pubsub.unsubscribe(*spare)
            else:
                return


class Looks:
    """Tells when to look again, after a first look.

    Args:
        news: Where to hear of news.
        channel: Of what to hear.
    """

    def __init__(self, news: News, channel: bytes) -> None:
        self._news = news
        self._channel = channel
        self._stack = contextlib.ExitStack()
        self._is_new: asyncio.Event | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    async def again(self) -> None:
        """Wait until there may be something new; not longer than some seconds."""
        if self._is_new is None:
            # Not sooner: most who look for something that is not there need not wait for it.
            self._is_new = self._stack.enter_context(self._news.of(self._channel))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY):
                await self._is_new.wait()
        self._is_new.clear()
