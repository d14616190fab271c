"""`client.limited_by`: the calls and jobs of clients below a limit that they share."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.batch import Leases, Stats
from deepseek_async.errors import ConcurrencyLimitError
from deepseek_async.simulator import Reply, Simulator

# Only a hang gets here.
GUARD = 30.0

ASK: Any = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 8,
}


def calls(client: AsyncDeepSeek, count: int) -> list[Awaitable[Any]]:
    return [client.chat.completions.create(**ASK) for _ in range(count)]


async def test_clients_share_a_limit() -> None:
    leases = Leases(6, ttl=0.5)
    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=0.01) as sim,
        sim.client() as one,
        sim.client() as two,
        one.limited_by(leases),
        two.limited_by(leases),
    ):
        await asyncio.gather(*calls(one, 40), *calls(two, 40), *calls(two.with_options(), 20))
        assert sim.metrics.peak_in_flight <= 6
        assert sim.metrics.statuses == {200: 100}
    assert leases.granted() == {}


async def test_batches_of_the_client_count_as_well() -> None:
    leases = Leases(4, ttl=0.5)
    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=0.01) as sim,
        sim.client() as client,
        client.limited_by(leases),
    ):
        job = client.batch([ASK] * 30)
        report, *_ = await asyncio.gather(job.run(), *calls(client, 30))
        assert report.succeeded == 30
        assert sim.metrics.peak_in_flight <= 4


async def test_a_call_that_waits_asks_for_its_permit_at_once() -> None:
    # Until the next renewal it would be 20 seconds.
    leases = Leases(50, ttl=60)
    async with Simulator() as sim, sim.client() as client, client.limited_by(leases):
        sim.script(Reply("Hi", times="forever", first_token_seconds=1.0))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(GUARD):
            await asyncio.gather(*calls(client, 30))
        assert loop.time() - begun < 20
        assert sim.metrics.peak_in_flight > 10


@pytest.mark.parametrize("fails", [False, True])
async def test_permits_that_ended_while_the_process_slept_are_not_used(fails: bool) -> None:
    class Sleepy:
        ttl = 2.0
        renewals = 0

        async def renew(self, worker: str, want: int, stats: Stats) -> int:
            self.renewals += 1
            if self.renewals == 1:
                return 40
            if self.renewals == 2:
                # The whole process: a debugger, a suspended machine.
                time.sleep(2.1)  # noqa: ASYNC251 - that is what is tested
                slept.set()
                if fails:
                    raise ConnectionError("gone")
                return 40
            await asyncio.Event().wait()
            return 0

        async def drop(self, worker: str) -> None:
            """Nothing is kept."""

    slept = asyncio.Event()
    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=0.01) as sim,
        sim.client() as client,
        client.limited_by(Sleepy()),
    ):
        await slept.wait()
        await asyncio.gather(*calls(client, 10))
        assert sim.metrics.peak_in_flight == 1


async def test_what_was_refused_before_is_not_told() -> None:
    leases = Leases(8, ttl=0.5)
    body = {
        "error": {
            "message": "Your current concurrency is 3, which exceeds your concurrency limit of 2 "
            "based on your remaining balance."
        }
    }
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client(max_retries=0) as client:
        sim.script(Reply(status=429, body=body))
        with pytest.raises(ConcurrencyLimitError):
            await client.chat.completions.create(**ASK)
        async with client.limited_by(leases):
            # The limit of that moment would be that of all processes for half a minute.
            assert await leases.renew("another", 8, Stats()) > 2


async def test_the_limit_ends_with_the_context() -> None:
    class Nothing:
        ttl = 60.0

        async def renew(self, worker: str, want: int, stats: Stats) -> int:
            return 0

        async def drop(self, worker: str) -> None:
            dropped.append(worker)

    dropped: list[str] = []
    async with Simulator() as sim, sim.client() as client:
        async with client.limited_by(Nothing()):
            call = asyncio.ensure_future(calls(client, 1)[0])
            await asyncio.sleep(0.1)
            assert not call.done()
        async with asyncio.timeout(GUARD):
            await call
        assert len(dropped) == 1


async def test_one_limiter_at_a_time() -> None:
    async with Simulator() as sim, sim.client() as client:
        async with client.limited_by(Leases(1)):
            with pytest.raises(RuntimeError, match="another limiter"):
                async with client.limited_by(Leases(1)):
                    raise AssertionError
        async with client.limited_by(Leases(1)):
            await calls(client, 1)[0]


async def test_a_limiter_that_hangs_when_it_is_entered_leaves_no_limit() -> None:
    class Hangs:
        ttl = 600.0

        async def renew(self, worker: str, want: int, stats: Stats) -> int:
            asked.set()
            return await asyncio.Event().wait()

        async def drop(self, worker: str) -> None:
            asked.clear()

    asked = asyncio.Event()
    async with Simulator() as sim, sim.client() as client:

        async def enter() -> None:
            async with client.limited_by(Hangs()):
                raise AssertionError

        entering = asyncio.create_task(enter())
        await asyncio.wait_for(asked.wait(), GUARD)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        # It was told that nobody wants its permits any more.
        assert not asked.is_set()
        async with asyncio.timeout(GUARD):
            await calls(client, 1)[0]


async def test_what_the_server_states_reaches_the_limiter() -> None:
    told: list[Stats] = []

    class Listens(Leases):
        async def renew(self, worker: str, want: int, stats: Stats) -> int:
            told.append(stats)
            return await super().renew(worker, want, stats)

    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=0.05, max_concurrency=3) as sim,
        sim.client(max_retries=50) as client,
        client.limited_by(Listens(20, ttl=0.2)),
    ):
        await asyncio.gather(*calls(client, 30))
        while not any(stats.rejected for stats in told):
            await asyncio.sleep(0.01)
    assert {stats.stated_limit for stats in told if stats.rejected} <= {3, None}
