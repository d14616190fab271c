"""One limit over processes, divided in a real Redis."""

import asyncio
import logging
import pickle
import random
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from benchmarks.distributed import redis_limit
from deepseek_async.batch import LeaseLimiter, LeaseTable, ShardSettings, Stats, run_shard
from deepseek_async.errors import PreflightError
from deepseek_async.integrations.redis import RedisLimiter
from deepseek_async.integrations.redis import limiter as limiter_module
from deepseek_async.simulator import Simulator
from tests.live.sources import until
from tests.redis_server import RedisServer, require_redis

# Only a hang gets here.
GUARD = 30.0

KEY = "deepseek-async:limit:{default}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    require_redis()
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def limiter(server: RedisServer) -> AsyncGenerator[RedisLimiter]:
    async with RedisLimiter(server.url, 100) as made:
        await has_run_for_long(made)
        yield made


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let permits of short lives not be lost to a machine that is busy."""
    monkeypatch.setattr(limiter_module, "_PATIENCE", 100)


async def has_run_for_long(limiter: RedisLimiter) -> None:
    """Make it known that Redis has not just been started."""
    await limiter._server.client().hset(limiter._key, "settled", 0)


def test_it_is_a_limiter(server: RedisServer) -> None:
    limiter: LeaseLimiter = RedisLimiter(server.url, 5, ttl=2.0)
    assert limiter.ttl == 2.0


async def test_it_divides_as_the_table_does(server: RedisServer) -> None:
    rng = random.Random(4)
    now = 0.0
    async with RedisLimiter(server.url, 100, ttl=600) as limiter:
        await has_run_for_long(limiter)
        table = LeaseTable(100, ttl=600)
        held: dict[str, int] = {}
        for _ in range(400):
            # What can't be divided goes to the first ones: here by name, there by age.
            worker = rng.choice("abcde"[: len(held) + 1])
            if worker == "e" and rng.random() < 0.3:
                await limiter.drop(worker)
                table.drop(worker)
                held.pop(worker, None)
                continue
            stats = Stats(
                permits=held.get(worker, 0),
                in_flight=rng.randint(0, held.get(worker, 0)),
                stated_limit=rng.choice([None] * 50 + [30, 60]),
            )
            want = rng.choice([1, 5, 20, 60, 500])
            permits = await limiter.renew(worker, want, stats)
            assert permits == table.renew(worker, want, stats, now)
            held[worker] = permits
        assert await limiter.granted() == table.granted(now)


@pytest.mark.usefixtures("patient")
async def test_silence_frees_a_share(server: RedisServer) -> None:
    async with RedisLimiter(server.url, 10, ttl=1.5) as limiter:
        await has_run_for_long(limiter)
        assert await limiter.renew("a", 10, Stats()) == 10
        assert await limiter.renew("b", 10, Stats()) == 0
        await asyncio.sleep(1.6)
        assert await limiter.renew("b", 10, Stats()) == 10
        assert await limiter.granted() == {"b": 10}


@pytest.mark.usefixtures("patient")
async def test_where_there_is_less_than_one_for_each_they_take_turns(server: RedisServer) -> None:
    async with RedisLimiter(server.url, 2, ttl=0.3) as limiter:
        await has_run_for_long(limiter)
        permits = dict.fromkeys("abcde", 0)
        served: set[str] = set()
        async with asyncio.timeout(GUARD):
            while len(served) < 5:
                for worker, had in permits.items():
                    permits[worker] = await limiter.renew(worker, 4, Stats(permits=had))
                    if permits[worker]:
                        served.add(worker)
                    # Those of whom was not heard for so long on a busy machine are no more.
                    assert sum((await limiter.granted()).values()) <= 2
                await asyncio.sleep(0.01)


async def test_limits_with_other_names_are_others(server: RedisServer) -> None:
    async with RedisLimiter(server.url, 10) as one, RedisLimiter(server.url, 10, name="2") as two:
        await has_run_for_long(one)
        await has_run_for_long(two)
        assert await one.renew("a", 10, Stats()) == 10
        assert await two.renew("a", 10, Stats()) == 10
        assert await one._server.client().pttl(KEY) > 0


async def test_while_redis_is_away_everybody_keeps_what_they_had(
    server: RedisServer, limiter: RedisLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert await limiter.renew("a", 60, Stats()) == 60
    assert await limiter.renew("b", 60, Stats()) == 40
    server.stop()
    assert await limiter.renew("a", 60, Stats(permits=60)) == 60
    assert await limiter.renew("b", 10, Stats(permits=40)) == 10
    assert await limiter.renew("b", 60, Stats(permits=10)) == 40
    # Of three there would be a third; it knows of two, and of itself nothing.
    assert await limiter.renew("c", 60, Stats()) == 50
    with pytest.raises(limiter._server.errors):
        await limiter.drop("c")
    server.start()
    # Others may have permits that are not known any more: nobody gets more than they have.
    assert await limiter.renew("b", 60, Stats(permits=40)) == 40
    assert await limiter.renew("d", 60, Stats()) == 0
    assert await limiter.renew("a", 60, Stats(permits=60)) == 59
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "share of its own" in warnings[0].message
    assert sum("Redis is back" in record.message for record in caplog.records) == 1


@pytest.mark.usefixtures("patient")
async def test_when_redis_is_away_for_long_all_have_an_equal_part(server: RedisServer) -> None:
    async with RedisLimiter(server.url, 100, ttl=0.05) as limiter:
        await has_run_for_long(limiter)
        assert await limiter.renew("a", 90, Stats()) == 90
        assert await limiter.renew("b", 90, Stats()) == 10
        server.stop()
        assert await limiter.renew("a", 90, Stats(permits=90)) == 90
        await asyncio.sleep(0.5)
        assert await limiter.renew("a", 90, Stats(permits=90)) == 50
        assert await limiter.renew("b", 90, Stats(permits=10)) == 50


async def test_a_table_that_was_lost_hands_out_nothing_twice(
    server: RedisServer, limiter: RedisLimiter
) -> None:
    assert await limiter.renew("a", 60, Stats()) == 60
    assert await limiter.renew("b", 60, Stats()) == 40
    await limiter._server.client().flushall()
    # Alone, as far as is known, and yet.
    assert await limiter.renew("b", 60, Stats(permits=40, in_flight=40)) == 40
    assert await limiter.renew("c", 60, Stats()) == 0
    assert await limiter.renew("a", 60, Stats(permits=60, in_flight=60)) == 59
    assert sum((await limiter.granted()).values()) <= 100
    # All have been heard by now.
    await has_run_for_long(limiter)
    assert await limiter.renew("c", 60, Stats()) == 0
    assert await limiter.renew("a", 60, Stats(permits=59, in_flight=59)) == 34
    assert await limiter.renew("b", 60, Stats(permits=40, in_flight=40)) == 33
    assert sum((await limiter.granted()).values()) <= 100


async def test_a_process_that_has_never_reached_redis_takes_its_part(tmp_path: Path) -> None:
    require_redis()
    server = RedisServer(tmp_path)
    async with RedisLimiter(server.url, 100, processes=5) as limiter:
        assert await limiter.renew("a", 60, Stats()) == 20
        assert await limiter.renew("a", 10, Stats()) == 10
    async with RedisLimiter(server.url, 2, processes=5) as limiter:
        assert await limiter.renew("a", 60, Stats()) == 1


async def test_a_redis_that_hangs_is_not_waited_for(
    server: RedisServer, limiter: RedisLimiter, caplog: pytest.LogCaptureFixture
) -> None:
    assert await limiter.renew("a", 60, Stats()) == 60
    assert server._process is not None
    server._process.send_signal(signal.SIGSTOP)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await limiter.renew("a", 60, Stats(permits=60)) == 60
    # Whoever renews waits so long.
    assert loop.time() - begun < limiter.ttl / 3
    server._process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(GUARD):
        while not any("Redis is back" in record.message for record in caplog.records):
            caplog.set_level(logging.INFO)
            assert await limiter.renew("a", 60, Stats(permits=60)) == 60


async def test_calls_that_are_never_answered_do_not_pile_up(server: RedisServer) -> None:
    from redis.asyncio import Redis

    assert server._process is not None
    async with Redis.from_url(server.url, socket_timeout=None) as client:
        async with RedisLimiter(client, 10, ttl=0.3) as limiter:
            await limiter.renew("a", 1, Stats())
            server._process.send_signal(signal.SIGSTOP)
            for _ in range(3):
                assert await limiter.renew("a", 1, Stats()) == 1
            assert limiter._server._calls
            await until(lambda: not limiter._server._calls)
            server._process.send_signal(signal.SIGCONT)


async def test_closing_cancels_nobody_who_asks(server: RedisServer) -> None:
    assert server._process is not None
    async with RedisLimiter(server.url, 10, ttl=60) as limiter:
        await limiter.renew("a", 1, Stats())
        server._process.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(limiter.granted())
        await until(lambda: limiter._server._calls)
        await limiter.aclose()
        with pytest.raises(ConnectionError):
            await asking
        server._process.send_signal(signal.SIGCONT)


async def test_shards_and_calls_share_a_limit(server: RedisServer, tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
    async with (
        Simulator(first_token_seconds=0.02) as sim,
        RedisLimiter(server.url, 6) as limiter,
        sim.client() as client,
    ):
        await has_run_for_long(limiter)
        settings = ShardSettings(
            api_key="sk-simulated",
            base_url=sim.base_url,
            dialect="deepseek",
            model="deepseek-flash",
            trust_env=False,
        )
        async with asyncio.timeout(GUARD), client.limited_by(limiter):
            shard = run_shard(
                [{"body": body}] * 60, tmp_path, 0, settings=settings, limiter=limiter
            )
            job = client.batch([{"model": "deepseek-flash", **body}] * 40)
            calls = [
                client.chat.completions.create(model="deepseek-flash", **body)  # type: ignore[call-overload]  # a dict
                for _ in range(40)
            ]
            report, batch, *_ = await asyncio.gather(shard, job.run(), *calls)
        assert (report.succeeded, batch.succeeded) == (60, 40)
        assert sim.metrics.peak_in_flight <= 6
        assert await limiter.granted() == {}


def test_it_can_be_sent_to_workers_and_shows_no_password(server: RedisServer) -> None:
    limiter = RedisLimiter("redis://:sesame@127.0.0.1:1/0", 7, name="team", ttl=2.0, prefix="p:")
    copy = pickle.loads(pickle.dumps(limiter))
    assert copy._arguments == limiter._arguments
    assert copy._server.url == limiter._server.url
    assert repr(copy) == "<RedisLimiter 'team': 7 requests>"


async def test_a_client_of_ones_own_is_used_and_left_open(server: RedisServer) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(server.url) as client:
        async with RedisLimiter(client, 5) as limiter:
            await has_run_for_long(limiter)
            assert await limiter.renew("a", 9, Stats()) == 5
            with pytest.raises(TypeError, match="give it a URL"):
                pickle.dumps(limiter)
        assert await client.ping()


def test_what_can_not_be_meant(server: RedisServer) -> None:
    with pytest.raises(PreflightError, match="total=0"):
        RedisLimiter(server.url, 0)
    with pytest.raises(PreflightError, match="ttl"):
        RedisLimiter(server.url, 1, ttl=0)
    with pytest.raises(ValueError, match="scheme"):
        RedisLimiter("localhost", 1)
    with pytest.raises(ValueError, match="got <class 'int'>"):
        RedisLimiter(3, 1)
    with pytest.raises(ValueError, match="options"):
        RedisLimiter("redis://127.0.0.1:1/0?sockettimeout=3", 1)
    from redis import Redis

    with Redis.from_url(server.url) as blocking, pytest.raises(ValueError, match=r"redis\.client"):
        RedisLimiter(blocking, 1)


@pytest.mark.parametrize(
    "url", ["redis://:ses/ame@h:6379", "redis://ann:ses#ame@h", "redis://:a@[ses"]
)
def test_a_url_that_is_none_tells_no_password(url: str) -> None:
    pytest.importorskip("redis", reason="redis-py is not installed")
    with pytest.raises(ValueError, match="percent-encoded") as caught:
        RedisLimiter(url, 1)
    assert "ses" not in str(caught.value)
    assert caught.value.__context__ is None


def test_without_redis_py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ImportError, match=r"deepseek-async\[redis\]"):
        RedisLimiter("redis://127.0.0.1:1/0", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="the processes need POSIX")
def test_four_processes_and_one_is_killed(tmp_path: Path) -> None:
    """Acceptance 2, small."""
    require_redis()
    killed = redis_limit.killed(tmp_path, seconds=1.0)
    assert max(killed.peak, killed.peak_after) <= redis_limit.LIMIT * 1.02
    assert killed.used > 0.5
    assert killed.back_after < 20
    assert killed.failed == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the processes need POSIX")
def test_four_processes_and_redis_is_away(tmp_path: Path) -> None:
    """Acceptance 2, small."""
    require_redis()
    away = redis_limit.away(tmp_path, seconds=1.0, within=3.0)
    assert max(away.peak, away.peak_after) <= redis_limit.LIMIT * 1.02
    assert min(away.used, away.used_after) > 0.5
    assert away.failed == 0
