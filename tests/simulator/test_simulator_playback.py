"""Writing frames, against a transport that only remembers."""

from __future__ import annotations

import asyncio
from typing import Any

from deepseek_async.simulator import Metrics
from deepseek_async.simulator.frames import Frame, Kind
from deepseek_async.simulator.playback import Playback


class MemoryTransport(asyncio.Transport):
    """Keeps each write; `buffered` is what the client hasn't taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.buffered = 0
        self.ended = ""

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def playback(transport: MemoryTransport, *frames: Frame) -> Playback:
    return Playback(iter(frames), transport, 100.0, is_chunked=True, metrics=Metrics())


async def test_frames_that_are_due_share_a_write() -> None:
    transport = MemoryTransport()
    playing = playback(
        transport,
        Frame(0.0, b"ab", Kind.EVENT),
        Frame(0.0, b"", Kind.EVENT),
        Frame(1.0, b"c", Kind.EVENT),
    )
    assert playing.step(100.0) == 101.0
    assert playing.step(101.0) is None
    assert transport.writes == [b"2\r\nab\r\n", b"1\r\nc\r\n"]
    assert await playing.done


async def test_pieces_are_written_one_a_turn() -> None:
    transport = MemoryTransport()
    playing = playback(transport, Frame(0.0, b"a", Kind.PIECE), Frame(0.0, b"b", Kind.PIECE))
    assert playing.step(100.0) == 100.0
    assert transport.writes == [b"1\r\na\r\n"]
    assert playing.step(100.0) is None


async def test_nothing_is_written_while_the_client_does_not_read() -> None:
    transport = MemoryTransport()
    transport.buffered = 10_000_000
    playing = playback(transport, Frame(0.0, b"a", Kind.EVENT))
    again = playing.step(100.0)
    assert again is not None
    assert 100.0 < again < 101.0
    assert transport.writes == []


async def test_a_reset_waits_until_all_is_sent() -> None:
    transport = MemoryTransport()
    transport.buffered = 10
    playing = playback(transport, Frame(0.0, b"a", Kind.EVENT), Frame(0.0, b"", Kind.RESET))
    again = playing.step(100.0)
    assert (transport.ended, len(transport.writes)) == ("", 1)
    transport.buffered = 0
    assert again is not None
    assert playing.step(again) is None
    assert transport.ended == "aborted"
    assert not await playing.done


async def test_a_closed_connection_ends_the_playback() -> None:
    transport = MemoryTransport()
    transport.close()
    playing = playback(transport, Frame(0.0, b"a", Kind.EVENT))
    assert playing.step(100.0) is None
    assert not await playing.done
