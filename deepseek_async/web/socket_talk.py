"""What is said over a WebSocket, whatever the server: events one way, wishes the other."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, NamedTuple

import msgspec

from deepseek_async.live import DrainEvent, FailedEvent, LiveError, LiveEvent, Run
from deepseek_async.web.cursors import checked
from deepseek_async.web.formats.native import object_with_cursor
from deepseek_async.web.leaving import end
from deepseek_async.web.refusal import Refusal

#: Most bytes of a message from the client.
MAX_MESSAGE = 4096
_HEARTBEAT = '{"hb":1}'


class Close(NamedTuple):
    """Why and how a socket is closed."""

    code: int
    reason: str = ""


_DONE = Close(1000)


class _Wish(msgspec.Struct):
    stop: bool | int = False
    after: str | None = None


class Talk:
    """One client: a task that sends to it, and what it says.

    Args:
        run: What it is told.
        write: Sends a text; waits while the client does not read.
        heartbeat: Seconds of silence between signs of life; None: none.
        show_errors: Whether it may see the texts of exceptions.
        allow_stop: Whether it may stop the run.
    """

    def __init__(
        self,
        run: Run,
        write: Callable[[str], Awaitable[None]],
        *,
        heartbeat: float | None,
        show_errors: bool,
        allow_stop: bool,
    ) -> None:
        self._run = run
        self._write = write
        self._heartbeat = heartbeat
        self._show_errors = show_errors
        self._allow_stop = allow_stop
        self._loop = asyncio.get_running_loop()
        self._sending: asyncio.Task[Close] | None = None
        # That one, and those before it that have not ended yet.
        self._sendings: set[asyncio.Task[Close]] = set()
        self._over: asyncio.Future[Close | None] = self._loop.create_future()
        # What is being written must reach its end: a server that waits for the client to read does
        # so for all writers of a connection together, and one that is cut short has written all
        # the same. So who asks again and again, and reads nothing, gets one answer, not one each.
        self._is_writing = False
        # Where to go on, once it can be: when that is written, or the task that does it has begun.
        self._wished: str | None = None
        self._is_due = False
        self._is_moved = False

    def begin(self, after: str | None) -> None:
        """Tell all that comes after a cursor, instead of what is being told."""
        self._wished = after
        if self._is_writing or self._is_due:
            self._is_moved = True
            return
        self._replace()

    def _replace(self) -> None:
        self._is_moved = False
        self._is_due = True
        before = self._sending
        self._sending = self._loop.create_task(self._send())
        self._sendings.add(self._sending)
        self._sending.add_done_callback(self._sent)
        if before is not None:
            # After the new one was made, which so begins to read before this one ends: a run that
            # nobody reads is closed.
            before.cancel()

    async def hear(self, text: str | bytes) -> None:
        """Do what the client wishes: ``{"stop": 1}``, or ``{"after": cursor}``."""
        try:
            if len(text) > MAX_MESSAGE:
                raise Refusal(400, "invalid", f"a message has at most {MAX_MESSAGE:,} bytes")
            wish = msgspec.json.decode(text, type=_Wish)
            after = checked(wish.after or "")
        except (msgspec.DecodeError, UnicodeError):
            self.close(Close(1008, 'expected {"stop": 1} or {"after": cursor}'))
        except Refusal as refusal:
            self.close(Close(1008, str(refusal)))
        else:
            if after is not None:
                self.begin(after)
            if wish.stop:
                await self._stop()

    def close(self, how: Close) -> None:
        """End the talk."""
        if not self._over.done():
            self._over.set_result(how)

    async def hold(self, hearing: Coroutine[Any, Any, None], after: str | None) -> Close | None:
        """Tell all that comes after a cursor, and listen meanwhile.

        Args:
            hearing: Hands on what the client says, until it has left.
            after: Where to begin.

        Returns:
            How to close the socket; None: the client has left.
        """
        listening = self._loop.create_task(hearing)
        listening.add_done_callback(self._heard)
        self.begin(after)
        try:
            return await self._over
        finally:
            await end(listening, *self._sendings)

    async def _stop(self) -> None:
        if not self._allow_stop:
            self.close(Close(1008, "this run may not be stopped from here"))
            return
        try:
            await self._run.stop()
        except LiveError:
            # Only one of another process, whose store is out of reach.
            self.close(Close(1011, "the run could not be stopped"))

    async def _send(self) -> Close:
        self._is_due = self._is_moved = False
        run, after = self._run, self._wished
        last: LiveEvent | None = None
        async with aclosing(run.read(after, self._heartbeat)) as batches:
            async for batch in batches:
                if batch.events:
                    data = object_with_cursor(run, batch, show_errors=self._show_errors)
                    await self._tell(data.decode())
                    last = batch.events[-1]
                else:
                    await self._tell(_HEARTBEAT)
        if isinstance(last, DrainEvent):
            return Close(1001, "the server is ending")
        if isinstance(last, FailedEvent):
            return Close(1011, last.kind)
        return _DONE

    async def _tell(self, text: str) -> None:
        self._is_writing = True
        try:
            await self._write(text)
        finally:
            self._is_writing = False
        if self._is_moved:
            self._replace()
            # Here this task, whose place another one has taken, is cancelled.
            await asyncio.sleep(0)

    def _sent(self, task: "asyncio.Task[Close]") -> None:
        self._sendings.discard(task)
        if task is self._sending:
            self._settle(task)

    def _heard(self, task: "asyncio.Task[None]") -> None:
        self._settle(task)

    def _settle(self, task: "asyncio.Task[Close] | asyncio.Task[None]") -> None:
        """End the talk as a task has ended."""
        exc = None if task.cancelled() else task.exception()
        if self._over.done():
            # What still goes wrong then is for the closed connection.
            return
        if task.cancelled():
            self._over.cancel()
        elif exc is not None:
            self._over.set_exception(exc)
        else:
            self._over.set_result(task.result())
