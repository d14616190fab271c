"""Whatever happens, whenever it happens: the right exception, what came, and nothing left over."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deepseek_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncDeepSeek,
    ChatCompletion,
    ConnectTimeoutError,
    IdleTimeoutError,
    ProgressTimeoutError,
    StreamInterruptedError,
    Timeouts,
    TotalTimeoutError,
)
from tests.loopback.peer import (
    ASK,
    FINISH,
    GUARD,
    KEEP_ALIVE,
    ROLE,
    STREAM_HEAD,
    Connection,
    Peer,
    http_chunk,
    text,
)

# What the server has sent when it happens.
STAGES: dict[str, bytes | None] = {
    "before headers": b"",
    "queued": STREAM_HEAD + http_chunk(KEEP_ALIVE),
    "after headers": STREAM_HEAD,
    "mid-event": STREAM_HEAD + http_chunk(ROLE + text("Hel") + text("lo")[:40]),
    "between events": STREAM_HEAD + http_chunk(ROLE + text("Hel")),
    "after finish chunk": STREAM_HEAD + http_chunk(ROLE + text("Hel") + FINISH),
}
HAS_TEXT = {"mid-event", "between events", "after finish chunk"}


class Scene:
    """A stream that has come to a stage, and what came of it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.act = asyncio.Event()
        self.client_gone = asyncio.Event()
        self.chunks = 0
        self.stream: Any = None

    def server(self, stage: bytes, act: Callable[[Connection], None] | None) -> Any:
        async def handle(connection: Connection) -> None:
            await connection.request()
            if stage:
                await connection.write(stage)
            self.reached.set()
            if act is not None:
                await self.act.wait()
                act(connection)
                return
            await connection.until_gone()
            self.client_gone.set()

        return handle

    async def read(self, client: AsyncDeepSeek) -> None:
        async with client.chat.completions.stream(**ASK, chunks=True) as self.stream:
            async for event in self.stream:
                self.chunks += event.type == "chunk"


async def settled(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD):
        while not check():
            await asyncio.sleep(0.001)


async def nothing_left(peer: Peer, before: set[asyncio.Task[Any]]) -> None:
    """Check that the client holds no connection and no task of its own."""
    await peer.until_open(0)
    await settled(lambda: not {t for t in asyncio.all_tasks() - before if not t.done()})


async def run(
    stage: str,
    act: Callable[[Connection], None] | None,
    disturb: Callable[[Scene, asyncio.Task[None]], Awaitable[None]],
    **options: Any,
) -> tuple[BaseException | None, Scene]:
    """Bring a stream to a stage, disturb it there, and return what the reader got."""
    scene = Scene()
    data = STAGES[stage]
    assert data is not None
    before = asyncio.all_tasks()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with asyncio.timeout(GUARD), Peer(scene.server(data, act)) as peer:
            async with peer.client(**options) as client:
                task = asyncio.create_task(scene.read(client))
                await scene.reached.wait()
                if stage in HAS_TEXT:
                    await settled(lambda: scene.chunks >= 2 or task.done())
                await disturb(scene, task)
                await asyncio.wait([task])
                failure = asyncio.CancelledError() if task.cancelled() else task.exception()
                await peer.until_open(0)
            del client
        gc.collect()
        await settled(lambda: not {t for t in asyncio.all_tasks() - before if not t.done()})
    return failure, scene


def content(completion: ChatCompletion | None) -> str | None:
    return None if completion is None else completion.choices[0].message.content


async def nothing(scene: Scene, task: asyncio.Task[None]) -> None:
    pass


async def let_peer_act(scene: Scene, task: asyncio.Task[None]) -> None:
    scene.act.set()


async def cancel(scene: Scene, task: asyncio.Task[None]) -> None:
    # Into the wait for the socket, where it hurts.
    await asyncio.sleep(0.01)
    task.cancel()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_cancelled_reader_closes_the_connection_at_once(stage: str) -> None:
    failure, scene = await run(stage, None, cancel)
    assert isinstance(failure, asyncio.CancelledError)
    await scene.client_gone.wait()
    if stage in HAS_TEXT:
        assert content(scene.stream.completion()) == "Hel"


@pytest.mark.parametrize("end", [Connection.finish, Connection.reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_peer_that_hangs_up_interrupts_the_stream(
    stage: str, end: Callable[[Connection], None]
) -> None:
    failure, _ = await run(stage, end, let_peer_act)
    if stage == "before headers":
        assert type(failure) is APIConnectionError
        return
    assert isinstance(failure, StreamInterruptedError)
    assert content(failure.partial) == ("Hel" if stage in HAS_TEXT else None)


@pytest.mark.parametrize("stage", STAGES)
async def test_a_silent_peer_runs_into_the_idle_timeout(stage: str) -> None:
    failure, scene = await run(stage, None, nothing, timeout=Timeouts(idle=0.2))
    assert isinstance(failure, IdleTimeoutError)
    assert content(failure.partial if stage in HAS_TEXT else None) == (
        "Hel" if stage in HAS_TEXT else None
    )
    await scene.client_gone.wait()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_call_runs_into_the_total_timeout(stage: str) -> None:
    failure, scene = await run(stage, None, nothing, timeout=0.25)
    assert isinstance(failure, TotalTimeoutError)
    if stage in HAS_TEXT:
        assert content(failure.partial) == "Hel"
    await scene.client_gone.wait()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_timeout_of_the_callers_own_closes_the_connection(stage: str) -> None:
    scene = Scene()
    data = STAGES[stage]
    assert data is not None
    async with asyncio.timeout(GUARD), Peer(scene.server(data, None)) as peer:
        async with peer.client() as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await scene.read(client)
            await scene.client_gone.wait()


async def test_keep_alives_do_not_count_as_progress() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD + http_chunk(ROLE + text("Hel")))
        while True:
            await connection.write(http_chunk(KEEP_ALIVE))
            await asyncio.sleep(0.02)

    async with asyncio.timeout(GUARD), Peer(handle) as peer:
        timeouts = Timeouts(idle=10.0, progress=0.2)
        async with peer.client(timeout=timeouts) as client:
            with pytest.raises(ProgressTimeoutError) as caught:
                await client.chat.completions.stream(**ASK).until_done()
            assert content(caught.value.partial) == "Hel"
            await peer.until_open(0)


async def test_connecting_has_a_clock_of_its_own() -> None:
    # A listening socket whose queue is full: connections are neither accepted nor refused.
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = [socket.socket() for _ in range(3)]
    try:
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        await asyncio.sleep(0.05)
        client = AsyncDeepSeek(
            "sk-test",
            base_url=f"http://127.0.0.1:{port}",
            timeout=Timeouts(connect=0.2),
            max_retries=0,
        )
        async with asyncio.timeout(GUARD), client:
            with pytest.raises(ConnectTimeoutError) as caught:
                await client.chat.completions.create(**ASK)
            assert isinstance(caught.value, APITimeoutError)
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    finally:
        for each in [listener, *fillers]:
            each.close()


async def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    client = AsyncDeepSeek("sk-test", base_url=f"http://127.0.0.1:{port}", max_retries=0)
    async with client:
        with pytest.raises(APIConnectionError, match=f"can't connect to 127.0.0.1:{port}"):
            await client.chat.completions.create(**ASK)


async def test_closing_from_another_task_ends_the_reader_with_an_error() -> None:
    async def close(scene: Scene, task: asyncio.Task[None]) -> None:
        await asyncio.sleep(0.01)
        await scene.stream.aclose()

    failure, _ = await run("between events", None, close)
    assert isinstance(failure, StreamInterruptedError)
    assert content(failure.partial) == "Hel"


async def test_closing_the_client_ends_its_streams() -> None:
    scene = Scene()
    data = STAGES["between events"]
    assert data is not None
    async with asyncio.timeout(GUARD), Peer(scene.server(data, None)) as peer:
        client = peer.client()
        task = asyncio.create_task(scene.read(client))
        await settled(lambda: scene.chunks == 2)
        await client.aclose()
        with pytest.raises(StreamInterruptedError):
            await task
        await peer.until_open(0)
        with pytest.raises(RuntimeError, match="closed"):
            await client.chat.completions.create(**ASK)


async def test_a_plain_request_is_cancelled_at_once() -> None:
    scene = Scene()
    async with asyncio.timeout(GUARD), Peer(scene.server(b"", None)) as peer:
        async with peer.client() as client:
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            await scene.reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await scene.client_gone.wait()


async def test_a_cancelled_wait_before_a_retry_ends_the_call() -> None:
    refused = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n"
        )
        refused.set()
        await connection.until_gone()

    async with asyncio.timeout(GUARD), Peer(handle) as peer:
        async with peer.client(max_retries=5) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            await refused.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert peer.accepted == 1
