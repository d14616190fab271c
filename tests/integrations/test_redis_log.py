"""Runs of several web processes, kept in a real Redis.

What all stores have to do is in tests/live/test_store.py; here is what only this one does.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from benchmarks.distributed import redis_log
from deepseek_async.integrations.redis import RedisLogStore, log_store
from deepseek_async.live import (
    Live,
    LiveFullError,
    LogForgottenError,
    LogReplacedError,
    LogStore,
)
from tests.live.sources import Page, pieces, text_of, until
from tests.redis_server import RedisServer, require_redis

# Only a hang gets here.
GUARD = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    require_redis()
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def store(server: RedisServer) -> AsyncGenerator[RedisLogStore]:
    async with RedisLogStore(server.url) as made:
        yield made


async def records(store: LogStore, run: str, count: int) -> list[tuple[str, bytes]]:
    """Read the first records of a log that is not closed."""
    reading = store.read(run, None)
    async with asyncio.timeout(GUARD):
        found = [await anext(reading) for _ in range(count)]
    await reading.aclose()  # type: ignore[attr-defined]  # an async generator
    return found


async def test_it_is_a_store(server: RedisServer) -> None:
    store: LogStore = RedisLogStore(server.url)
    assert callable(store.append)


async def test_ids_and_data_may_be_anything(store: RedisLogStore) -> None:
    ids = ["{", "}", "a}b", "a\nb", "a%0Ab", "é", "\udcff", "x" * 1000, "*"]
    data = bytes(range(256)) * 10
    for run in ids:
        await store.append(run, "e.0", data + run.encode(errors="surrogatepass"))
    for run in ids:
        told = await records(store, run, 1)
        assert told == [("e.0", data + run.encode(errors="surrogatepass"))]


async def test_what_comes_twice_or_late_is_kept_once(store: RedisLogStore) -> None:
    for cursor in ("e.0", "e.3", "e.3", "e.9", "e.3", "e.9"):
        await store.append("r", cursor, cursor.encode())
    await store.close("r")
    assert [record async for record in store.read("r", None)] == [
        (cursor, cursor.encode()) for cursor in ("e.0", "e.3", "e.9")
    ]


async def test_signs_of_life_do_not_pile_up(store: RedisLogStore) -> None:
    for number in range(50):
        await store.append("r", "e.0" if number < 20 else "e.7", b"%d" % number)
    client = store._server.client()
    assert await client.xlen(store._keys_of("r")[1]) == 4
    told = [("e.0", b"0"), ("e.0", b"19"), ("e.7", b"20"), ("e.7", b"49")]
    assert await records(store, "r", 4) == told
    size = int(await client.hget(store._keys_of("r")[0], "bytes"))
    assert size == sum(len(data) + 64 for _, data in told)


async def test_a_log_has_so_many_bytes_at_most(server: RedisServer) -> None:
    async with RedisLogStore(server.url, max_bytes=1000) as store:
        await store.append("r", "e.0", b"x" * 500)
        with pytest.raises(LiveFullError, match="1,000"):
            await store.append("r", "e.5", b"x" * 500)
        await store.append("r", "e.5", b"x" * 300)
        assert len(await records(store, "r", 2)) == 2


async def test_all_that_is_written_expires(server: RedisServer) -> None:
    async with RedisLogStore(server.url, ttl=1.5) as store:
        await store.append("r", "e.0", b"")
        await store.stop("r")
        client = store._server.client()
        assert len(await client.keys("*")) == 3
        await asyncio.sleep(1.7)
        assert await client.keys("*") == []
        assert [record async for record in store.read("r", None)] == []
        with pytest.raises(LogForgottenError):
            await store.append("r", "e.1", b"")


async def test_another_writer_takes_a_log_over(store: RedisLogStore) -> None:
    await store.append("r", "old.0", b"1")
    await store.append("r", "old.9", b"2")
    reading = store.read("r", "old.9")
    waiting = asyncio.create_task(anext(reading, None))
    await until(lambda: store._news_of_loop()._asked)
    await store.append("r", "new.0", b"3")
    assert await asyncio.wait_for(waiting, GUARD) is None
    with pytest.raises(LogReplacedError):
        await store.append("r", "old.12", b"4")
    assert await records(store, "r", 1) == [("new.0", b"3")]


async def test_a_writer_that_was_replaced_closes_nothing(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RedisLogStore(server.url) as one, RedisLogStore(server.url) as two:
        await one.append("r", "old.0", b"")
        await two.append("r", "new.0", b"")
        await one.close("r")
        await two.append("r", "new.5", b"")
        with pytest.raises(LogReplacedError):
            await two.append("r", "old.5", b"")
        await two.close("r")
        with pytest.raises(LogReplacedError):
            await two.append("r", "new.9", b"")
        assert not one._epochs
        # Of as many as there may be, the oldest are forgotten.
        monkeypatch.setattr(log_store, "_MOST_EPOCHS", 3)
        for run in "abcdef":
            await one.append(run, "e.0", b"")
        assert [*one._epochs] == ["d", "e", "f"]
        # One that has written nothing may close.
        await two.append("s", "e.0", b"")
        await one.close("s")
        assert [cursor async for cursor, _ in one.read("s", None)] == ["e.0"]


async def test_a_log_that_is_told_anew_is_read_on(store: RedisLogStore) -> None:
    for number in range(9):
        await store.append("r", "e.7" if number else "e.0", b"%d" % number)
    reading = store.read("r", None)
    async with asyncio.timeout(GUARD):
        assert [(await anext(reading))[1] for _ in range(3)] == [b"0", b"1", b"8"]
        waiting = asyncio.ensure_future(anext(reading))
        await store._server.client().flushall()
        # The run is silent: it has nothing to tell but what it had told.
        await store.append("r", "e.0", b"0")
        await store.append("r", "e.7", b"anew")
        assert await waiting == ("e.7", b"anew")
    await reading.aclose()


async def test_a_log_of_which_a_part_was_dropped_is_told_anew(server: RedisServer) -> None:
    gate = asyncio.Event()
    async with (
        RedisLogStore(server.url) as store,
        Live(store=store, sign_every=0.2) as here,
        Live(store=store) as there,
    ):
        run = await here.start(pieces("abc", "def", gate=gate), id="r", fps=0, grace=60, owner="a")
        client = store._server.client()
        async with asyncio.timeout(GUARD):
            while await client.hget(store._keys_of("r")[0], "position") != b"6":
                await asyncio.sleep(0.01)
        # As a Redis does that has no memory left.
        await client.delete(store._keys_of("r")[1])
        with pytest.raises(LogForgottenError):
            await store.append("r", run.cursor, b"")
        gate.set()
        await run.wait()
        await here.aclose()
        other = await there.find("r")
        assert other is not None
        assert other.owner == "a"
        page = Page()
        await page.read(other)
        assert text_of(page.events) == "abcdef"


async def test_who_comes_to_a_channel_later_looks_once_more(store: RedisLogStore) -> None:
    news = store._news_of_loop()
    with news.of(b"c") as first:
        async with asyncio.timeout(GUARD):
            await first.wait()
        # What came between its look and this was told to the first one only.
        with news.of(b"c") as second:
            assert second.is_set()
    # Nor will it be asked for anew what is listened to still.
    with news.of(b"c") as third:
        assert third.is_set()


async def test_a_connection_that_was_given_up_is_not_opened_again(
    server: RedisServer, store: RedisLogStore
) -> None:
    news, client = store._news_of_loop(), store._server.client()
    asking, gate = asyncio.Event(), asyncio.Event()
    with news.of(b"a") as heard:
        async with asyncio.timeout(GUARD):
            await heard.wait()
        pubsub = news._pubsub
        subscribe = pubsub.subscribe

        async def slowly(*channels: bytes) -> None:
            asking.set()
            await gate.wait()
            await subscribe(*channels)

        pubsub.subscribe = slowly
        with news.of(b"b"):
            async with asyncio.timeout(GUARD):
                await asking.wait()
            server.stop()
            await until(lambda: news._pubsub is not pubsub)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(GUARD):
                while not all(count for _, count in await client.pubsub_numsub("a", "b")):
                    await asyncio.sleep(0.01)
            gate.set()
            for _ in range(20):
                await client.ping()
            assert await client.pubsub_numsub("a", "b") == [(b"a", 1), (b"b", 1)]
            assert len(await client.client_list(_type="pubsub")) == 1


async def test_a_server_that_is_read_only_is_left(store: RedisLogStore) -> None:
    client = store._server.client()
    await store.append("r", "e.0", b"")
    before = await client.client_id()
    await client.replicaof("127.0.0.1", 1)
    with pytest.raises(store._server._library.ReadOnlyError):
        await store.append("r", "e.1", b"")
    # By name: another one may be behind it by now.
    assert await client.client_id() != before
    await client.replicaof("no", "one")
    await store.append("r", "e.1", b"")


async def test_many_readers_listen_on_one_connection(store: RedisLogStore) -> None:
    client = store._server.client()
    for run in range(50):
        await store.append(f"{run}", "e.0", b"")

    async def all_of(run: int) -> int:
        return len([record async for record in store.read(f"{run}", None)])

    readers = [asyncio.create_task(all_of(run)) for run in range(50) for _ in range(2)]
    watches = [asyncio.create_task(store.watch_stop(f"{run}")) for run in range(50)]
    await until(lambda: len(store._news_of_loop()._asked) == 100)
    listening = await client.client_list(_type="pubsub")
    assert len(listening) == 1
    assert len(await client.client_list()) <= 16
    for run in range(50):
        await store.append(f"{run}", "e.1", b"")
        await store.close(f"{run}")
        await store.stop(f"{run}")
    async with asyncio.timeout(GUARD):
        assert await asyncio.gather(*readers) == [2] * 100
        await asyncio.gather(*watches)
    assert not store._news_of_loop()._events
    await until(lambda: not store._news_of_loop()._asked)


async def test_closing_leaves_no_task(server: RedisServer) -> None:
    async with RedisLogStore(server.url) as store:
        watching = asyncio.create_task(store.watch_stop("r"))
        await until(lambda: store._news_of_loop()._asked)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_readers_and_watches_survive_a_redis_that_is_killed(server: RedisServer) -> None:
    gate, half = asyncio.Event(), asyncio.Event()
    async with (
        RedisLogStore(server.url) as one,
        RedisLogStore(server.url) as two,
        Live(store=one, sign_every=0.5) as here,
        Live(store=two, sign_every=0.5) as there,
    ):

        async def told() -> AsyncGenerator[str]:
            yield "abc"
            half.set()
            await gate.wait()
            yield "def"
            await asyncio.Event().wait()

        run = await here.start(told(), id="r", fps=0, grace=60)
        other = await there.find("r")
        assert other is not None
        page = Page()
        reader = asyncio.create_task(page.read(other))
        await until(lambda: page.position == 3)
        server.stop()
        gate.set()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.start)
        await until(lambda: page.position == 6)
        assert text_of(page.events) == "abcdef"
        assert page.resets == 0
        # The watch of the first process has come back as well.
        async with asyncio.timeout(GUARD):
            await other.stop()
            await reader
        assert run.status == other.status == "stopped"


async def test_a_reader_that_is_cancelled_leaves_nothing(store: RedisLogStore) -> None:
    async with Live(store=store) as here:
        run = await here.start(pieces("a", gate=asyncio.Event()), id="r", grace=60)
        for turns in range(30):
            reading = store.read("r", run.cursor)
            waiting = asyncio.create_task(anext(reading, None))
            for _ in range(turns):
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await reading.aclose()
        channel = store._keys_of("r")[1]
        assert channel not in store._news_of_loop()._events


async def test_a_client_that_decodes_is_refused(server: RedisServer) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(server.url, decode_responses=True) as client:
        with pytest.raises(ValueError, match="decode_responses"):
            RedisLogStore(client)
    with pytest.raises(ValueError, match="decode_responses"):
        RedisLogStore(f"{server.url}?decode_responses=True")
    with pytest.raises(ValueError, match="max_connections"):
        RedisLogStore(server.url, max_connections=1)


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ImportError, match=r"deepseek-async\[redis\]"):
        RedisLogStore("redis://127.0.0.1:1/0")


@pytest.mark.skipif(sys.platform == "win32", reason="the processes need POSIX")
async def test_two_web_processes(tmp_path: Path) -> None:
    """Acceptance 3, small."""
    require_redis()
    async with redis_log.service(tmp_path) as serving:
        cut = await redis_log.cut(serving, cuts=100, readers=10, seconds=2.0)
        assert cut.broken == 0
        away = await redis_log.cut(serving, cuts=20, readers=5, seconds=2.0, away=0.3)
        assert away.broken == 0
        assert await redis_log.stopped(serving) < redis_log.GUARD
        assert await redis_log.writer_killed(serving) < redis_log.GUARD
