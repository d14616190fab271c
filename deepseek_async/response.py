"""One HTTP response, and what becomes of its connection.

Knows how aiohttp's responses behave, but imports nothing of aiohttp.
"""

import asyncio
import contextlib
import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from deepseek_async.errors import APIConnectionError, APITimeoutError
from deepseek_async.policy.clocks import Clocks
from deepseek_async.types.http import Headers, ResponseInfo

if TYPE_CHECKING:
    from aiohttp import ClientResponse

# After [DONE] only the HTTP terminator is missing; how long it may take, in seconds, before the
# connection is given up.
RELEASE_TIMEOUT = 1.0


class Pool(Protocol):
    """Where connections come from and go back to."""

    def ending(self, ending: "Ending") -> None:
        """Take note of a connection that is about to become free."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread, None if none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def told(exc: BaseException) -> str:
    """Return what an exception says; some say nothing."""
    return str(exc) or type(exc).__name__


class Ending:
    """A response whose answer is complete, but not its HTTP body."""

    def __init__(self, response: "ClientResponse", loop: asyncio.AbstractEventLoop) -> None:
        self._response = response
        self.origin = response.url.origin()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._timer = loop.call_later(RELEASE_TIMEOUT, self.give_up)
        response.content.on_eof(self._stop)

    def give_up(self) -> None:
        """Close the connection: the body does not end."""
        self._response.close()
        self._stop()

    def _stop(self) -> None:
        self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)


class HTTPResponse:
    """A response whose body is read block by block.

    It closes its connection when it is closed, when reading fails or is cancelled, and when the
    last reference to it goes, in any thread. Read to its end, it gives the connection back.

    Attributes:
        info: Status and headers.
        taken: How many bytes of the body have been read.
    """

    __slots__ = (
        "__weakref__",
        "_broken",
        "_clocks",
        "_loop",
        "_now",
        "_on_end",
        "_pool",
        "_response",
        "_timer",
        "info",
        "taken",
    )

    def __init__(
        self,
        pool: Pool,
        response: "ClientResponse",
        clocks: Clocks,
        on_end: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._response: ClientResponse | None = response
        self._clocks = clocks
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._broken: APIConnectionError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.taken = 0
        headers = response.headers
        self.info = ResponseInfo(
            response.status,
            Headers(headers.items()),
            headers.get("x-ds-trace-id") or headers.get("x-request-id"),
        )
        if clocks.total_deadline is not None:
            # It runs out whether the body is read or not.
            self._watch(self._loop.time())

    def read_whole(self) -> bytes | None:
        """Return the whole body if all of it has arrived, as small ones do with the headers."""
        response = self._response
        if response is None or self.taken or not response.content.is_eof():
            return None
        body = response.content.read_nowait()
        self._ended()
        return body

    async def read(self) -> bytes:
        """Return the bytes that have arrived, waiting for the first; b"" at the end.

        What arrived before a failure is returned before the failure is raised. Tell what came,
        by one of the three methods below, before anything else is waited for: until then, time
        counts as spent waiting for the socket.

        Raises:
            APIConnectionError: If the connection broke; also from then on.
            APITimeoutError: If a clock ran out; also from then on.
        """
        if (error := self._broken) is not None:
            # Not kept any longer: its traceback refers to this object.
            self._broken = None
            raise error
        response = self._response
        if response is None:
            raise APIConnectionError("the response has been read to its end or closed")
        clocks, content = self._clocks, response.content
        if content.total_bytes == self.taken and not content.is_eof():
            clocks.waiting_since = now = self._now()
            if self._timer is None:
                self._watch(now)
        try:
            block = await content.readany()
        except APITimeoutError as exc:
            # Our own, thrown into the reader by the timer.
            exc.request_id = self.info.request_id
            self.close()
            raise
        except Exception as exc:
            # aiohttp raises errors of many kinds here, some of them not its own.
            rest = _drain(response)
            self.close()
            error = APIConnectionError(
                f"the connection broke: {told(exc)}",
                request_id=self.info.request_id,
            )
            if not rest:
                raise error from exc
            error.__cause__ = exc
            self._broken = error
            return rest
        except BaseException:
            self.close()
            raise
        self.taken += len(block)
        if not block:
            self._ended()
            if response.connection is not None:
                # aiohttp keeps the connection of a 101, which we never asked for.
                response.close()
        return block

    def connection_closed(self) -> None:
        """Take note that the connection is closed, so that nobody waits for more of it."""
        if self._response is None:
            return
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(APIConnectionError("the HTTP framing is invalid"))

    def finish(self) -> None:
        """Take note that the answer is complete, though the HTTP body has not ended yet.

        The connection goes back to the pool by itself with the last byte of the body; to
        close or release it now would cost a new connection for the next request.
        """
        response = self._response
        if response is not None and not response.content.is_eof():
            self._pool.ending(Ending(response, self._loop))
        self._ended()

    def event_came(self) -> None:
        """Take note of an event of a stream."""
        clocks = self._clocks
        clocks.waiting_since = None
        if clocks.begun:
            # All that there is to do, for all events but the first.
            clocks.waited = 0.0
        else:
            clocks.event_came()
            self._look_anew()

    def nothing_came(self) -> None:
        """Take note of bytes that completed no event."""
        self._clocks.stop(self._now())

    def bytes_came(self) -> None:
        """Take note of bytes of a plain answer."""
        self._clocks.waiting_since = None
        if self._clocks.bytes_came():
            self._look_anew()

    def _look_anew(self) -> None:
        """Let the next read set the timer: another clock runs now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._clocks.total_deadline is not None:
                self._watch(self._loop.time())

    def close(self) -> None:
        """Close the connection at once, unless the body has been read to its end."""
        response = self._response
        if response is None:
            return
        self._ended()
        loop = self._loop
        if loop.is_closed():
            _close_without_loop(response)
        elif loop is running_loop():
            response.close()
        else:
            # From another thread, or between two runs of the loop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(response.close)

    def __del__(self) -> None:
        self.close()

    def _ended(self) -> None:
        """Stop the clocks and give the slot back."""
        if self._response is None:
            return
        self._response = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_end()

    def _watch(self, now: float) -> None:
        """Set the timer for the next clock to run out.

        It is set once and looks again when it fires, instead of being set anew for every
        block: a stream that flows costs no timers.
        """
        deadline = self._clocks.deadline(now)
        if deadline is not None:
            # The timer must not keep the response alive.
            reference = cast("weakref.ref[HTTPResponse]", weakref.ref(self))
            self._timer = self._loop.call_at(deadline, _look_at_clocks, reference, deadline)

    def _clock_ran_out(self, deadline: float) -> None:
        self._timer = None
        response = self._response
        if response is None:
            return
        now = max(deadline, self._loop.time())
        error = self._clocks.expired(now)
        if error is None:
            self._watch(now)
        elif self._clocks.waiting_since is not None:
            # Wakes the reader; nothing is lost, since it waits only when there is no byte left.
            response.content.set_exception(error)
        else:
            # The whole call is over, though the reader is not waiting at the moment.
            error.request_id = self.info.request_id
            self._broken = error
            self.close()


def _look_at_clocks(reference: "weakref.ref[HTTPResponse]", deadline: float) -> None:
    response = reference()
    if response is not None:
        response._clock_ran_out(deadline)  # pyright: ignore[reportPrivateUsage]


def _close_without_loop(response: "ClientResponse") -> None:
    """Close the socket of a response whose loop has been closed under it.

    Only for loops that were closed without `shutdown_asyncgens`; neither aiohttp nor asyncio
    closes anything then, and their finalizers would warn.
    """
    connection = response.connection
    response.close()
    if connection is None:
        return
    transport = connection.transport
    # The first call fails half-way, since it can't schedule anything.
    for _ in range(2):
        with contextlib.suppress(RuntimeError):
            connection.close()
    close_socket(transport)


def close_socket(transport: Any) -> None:
    """Close the socket of a transport whose loop has been closed, without a warning."""
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        sock.close()
        transport._sock = None


def _drain(response: "ClientResponse") -> bytes:
    """Return the bytes that arrived before a cut and were not read.

    aiohttp's reader raises and keeps them once the connection has broken, and has no public way
    to them. tests/loopback/test_cuts.py fails if this private one goes away.
    """
    content = cast("Any", response.content)
    return cast("bytes", content._read_nowait(-1)) if content._buffer else b""


# Which response was last read from an open connection, by aiohttp's protocol object.
Readers = dict[Any, "weakref.ref[HTTPResponse] | None"]


def watch(readers: Readers, protocol: Any) -> bool:
    """Make sure that a reader is told when its connection closes.

    When the chunk framing of a body is broken, aiohttp closes the connection without a word to
    the one who reads the body (seen with 3.14.5): it would wait for ever.

    Returns:
        Whether the connection was known, and so has served a request before.
    """
    if protocol in readers:
        return True
    closed = protocol.closed
    if closed is not None:
        readers[protocol] = None
        closed.add_done_callback(functools.partial(_connection_closed, readers, protocol))
    return False


def _connection_closed(readers: Readers, protocol: Any, closed: "asyncio.Future[None]") -> None:
    if not closed.cancelled():
        # Looked at, so that asyncio does not complain that nobody did.
        closed.exception()
    reference = readers.pop(protocol, None)
    response = None if reference is None else reference()
    if response is not None:
        response.connection_closed()
