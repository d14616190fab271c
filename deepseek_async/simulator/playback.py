"""Writing frames to a transport: HTTP chunks, backpressure, and the rude ways to end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator

from deepseek_async.simulator.frames import Frame, Kind
from deepseek_async.simulator.metrics import Metrics
from deepseek_async.simulator.wheel import TICK

# As names of the module: looking members up costs more than all else that is done for an event.
_EVENT, _DONE, _FINISH = Kind.EVENT, Kind.DONE, Kind.FINISH
_CUT, _RESET, _PIECE = Kind.CUT, Kind.RESET, Kind.PIECE
# A client that doesn't read costs no more than this, plus one write.
_MAX_BUFFERED = 256 * 1024
# One stream writes no more than this before the others get their turn.
_MAX_WRITE = 64 * 1024


def reset(transport: asyncio.Transport) -> None:
    """End the connection with RST; what wasn't sent yet is lost."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Alarm:
    """A moment to wait for on the wheel."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def step(self, now: float) -> None:
        """Wake whoever waits."""
        del now
        if not self.done.done():
            self.done.set_result(None)


class Playback:
    """Plays the frames of one answer.

    Args:
        frames: The body.
        transport: Where the head was already written to.
        started: When the request came, monotonic seconds of the clock.
        is_chunked: The body has HTTP chunks, one a frame.
        metrics: Counts what is written.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        transport: asyncio.Transport,
        started: float,
        *,
        is_chunked: bool,
        metrics: Metrics,
    ) -> None:
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether the body is whole, so that the connection may go on."""
        self._frames = frames
        self._frame = next(frames, None)
        self._transport = transport
        self._started = started
        self._is_chunked = is_chunked
        self._metrics = metrics

    def hasten(self, seconds: float) -> None:
        """Bring the frame that is next forward; later ones aren't made yet, and know already."""
        if self._frame is not None:
            self._frame = self._frame._replace(at=self._frame.at - seconds)

    def stop(self) -> None:
        """Write no more."""
        self._frame = None
        self._frames = iter(())
        self._finish(is_whole=False)

    def step(self, now: float) -> float | None:
        """Write what is due; see `Turning.step`."""
        if self.done.done():
            return None
        if self._transport.is_closing():
            self.stop()
            return None
        if self._transport.get_write_buffer_size() > _MAX_BUFFERED:
            return now + TICK
        again = self._write_due(now)
        frame = self._frame
        if frame is None:
            self._finish(is_whole=True)
            return None
        at = self._started + frame.at
        if at <= now and (frame.kind is _CUT or frame.kind is _RESET):
            return self._break_off(now)
        return now if again else at

    def _write_due(self, now: float) -> bool:
        """Write frames until one isn't due; whether to go on in the next turn of the loop."""
        out: list[bytes] = []
        size = events = 0
        again = False
        started = self._started
        frame = self._frame
        while frame is not None:
            at, data, kind = frame
            if started + at > now or kind is _CUT or kind is _RESET:
                break
            if data:
                out.append(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
                size += len(data)
                events += kind is _EVENT or kind is _FINISH or kind is _DONE
            frame = next(self._frames, None)
            if kind is _PIECE or size > _MAX_WRITE:
                again = frame is not None and started + frame.at <= now
                break
        self._frame = frame
        if out:
            metrics = self._metrics
            metrics.events_sent += events
            metrics.bytes_sent += size
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        return again

    def _break_off(self, now: float) -> float | None:
        assert self._frame is not None
        kind = self._frame.kind
        # A reset drops what is still buffered, and the bytes before it were promised.
        if kind is Kind.RESET and self._transport.get_write_buffer_size():
            return now + TICK
        # First, so that the connection's loss isn't taken for the client's disconnect.
        self._finish(is_whole=False)
        if kind is Kind.RESET:
            reset(self._transport)
        else:
            self._transport.close()
        return None

    def _finish(self, *, is_whole: bool) -> None:
        if not self.done.done():
            self.done.set_result(is_whole)
