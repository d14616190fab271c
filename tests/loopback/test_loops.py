"""One client in several event loops, threads and processes."""

import asyncio
import subprocess
import sys
import textwrap
import threading

import pytest

from tests.loopback.peer import ASK, DONE, FINISH, GUARD, ROLE, Peer, serving

PRELUDE = """
import asyncio, gc, os, sys, threading, time
from tests.loopback.peer import *

class Server(threading.Thread):
    '''A peer with a loop of its own.'''

    def __init__(self, handler):
        super().__init__()
        self.peer, self.ready = Peer(handler), threading.Event()
        self.start()
        self.ready.wait()

    def run(self):
        async def serve():
            self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
            async with self.peer:
                self.ready.set()
                await self.stop.wait()
        asyncio.run(serve())

    def close(self):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.join()

async def ask(client):
    assert await client.chat.completions.stream(**ASK).get_final_text() == "hello"
    completion = await client.chat.completions.with_raw_response.create(**ASK, stream=True)
    assert [chunk async for chunk in completion.parse()]

server = Server(answering(ROLE, text("hello"), FINISH, DONE))
client = server.peer.client()
"""

PROGRAMS = {
    "asyncio.run twice": """
        asyncio.run(ask(client))
        asyncio.run(ask(client))
    """,
    "a block in each of two runs": """
        async def main():
            async with client:
                await ask(client)
        asyncio.run(main())
        asyncio.run(main())
    """,
    "four threads": """
        failures = []
        def work():
            try:
                asyncio.run(asyncio.wait_for(many(), 20))
            except BaseException as exc:
                failures.append(exc)
        async def many():
            await asyncio.gather(*(ask(client) for _ in range(20)))
        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads: each.start()
        for each in threads: each.join()
        assert not failures, failures
    """,
    "four threads at a gate": """
        client = server.peer.client(max_concurrency=3)
        async def many():
            await asyncio.gather(*(ask(client) for _ in range(20)))
        threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
        for each in threads: each.start()
        for each in threads: each.join()
    """,
    "closed from another loop": """
        opened, close = threading.Event(), threading.Event()
        async def main():
            await ask(client)
            opened.set()
            while not close.is_set():
                await asyncio.sleep(0.01)
        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        opened.wait()
        asyncio.run(client.aclose())
        close.set()
        thread.join()
    """,
    "forked between runs": """
        asyncio.run(ask(client))
        child = os.fork()
        if not child:
            asyncio.run(ask(client))
            gc.collect()
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        asyncio.run(ask(client))
    """,
    "forked while a connection is open elsewhere": """
        opened, go_on = threading.Event(), threading.Event()
        async def main():
            await ask(client)
            opened.set()
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            await ask(client)
        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        opened.wait()
        child = os.fork()
        if not child:
            asyncio.run(ask(client))
            gc.collect()
            sys.stdout.flush(); sys.stderr.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        thread.join()
    """,
    "forked into a child that ends like any program": """
        opened, go_on = threading.Event(), threading.Event()
        async def main():
            await ask(client)
            opened.set()
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            await ask(client)
        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        opened.wait()
        child = os.fork()
        if not child:
            asyncio.run(ask(client))
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        thread.join()
    """,
}


# Python 3.12 warns of any fork with threads about, and these programs have their server in one.
STRICT = ["-X", "dev", "-W", "error::ResourceWarning", "-W", "ignore:This process"]


def without_slowness(stderr: str) -> str:
    """Remove what asyncio's debug mode says of steps that took 0.1 s: this machine is busy."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("Executing <"))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_client_survives(program: str) -> None:
    source = PRELUDE + textwrap.dedent(program) + "\nserver.close()\nprint('fine')\n"
    done = subprocess.run(
        [sys.executable, *STRICT, "-c", source],
        capture_output=True,
        text=True,
        timeout=3 * GUARD,
        check=False,
    )
    assert without_slowness(done.stderr) == ""
    assert done.returncode == 0
    assert done.stdout == "fine\n"


def test_a_program_that_forgets_its_client_hears_of_it_once() -> None:
    source = PRELUDE + textwrap.dedent("""
        del client
        async def main():
            client = server.peer.client()
            await ask(client)
        asyncio.run(main())
        server.close()
    """)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", source],
        capture_output=True,
        text=True,
        timeout=3 * GUARD,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.count("Warning") == 1, done.stderr
    assert "an AsyncDeepSeek client was not closed" in done.stderr
    assert "Unclosed" not in done.stderr


def test_aiohttp_is_imported_beside_the_loop() -> None:
    source = """
    import asyncio, sys, threading
    from deepseek_async import AsyncDeepSeek

    class Watch:
        def find_spec(self, name, path=None, target=None):
            if name == "aiohttp":
                print("loop" if threading.current_thread() is threading.main_thread() else "beside")

    sys.meta_path.insert(0, Watch())

    async def main():
        async with AsyncDeepSeek("sk-test"):
            assert "aiohttp" in sys.modules

    asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=True,
    )
    assert done.stdout == "beside\n"


async def test_the_gate_holds_over_loops_and_until_the_end_of_an_answer() -> None:
    active = peak = 0
    release = threading.Event()

    async def handle(connection: object) -> None:
        nonlocal active, peak
        from tests.loopback.peer import STREAM_HEAD, TERMINATOR, Connection, http_chunk

        assert isinstance(connection, Connection)
        while True:
            await connection.request()
            active += 1
            peak = max(peak, active)
            await connection.write(STREAM_HEAD + http_chunk(ROLE))
            while not release.is_set():
                await asyncio.sleep(0.001)
            active -= 1
            await connection.write(http_chunk(FINISH + DONE) + TERMINATOR)

    async with asyncio.timeout(GUARD), serving(handle, max_concurrency=3) as (peer, client):

        async def many() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(client.chat.completions.stream(**ASK).until_done())

        def work() -> None:
            asyncio.run(many())

        here = asyncio.create_task(many())
        there = asyncio.create_task(asyncio.to_thread(work))
        while active < 3:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert active == 3
        release.set()
        await here
        await there
        assert peak <= 3
        assert peer.accepted <= 6


async def test_waiting_for_the_gate_counts_in_total_only() -> None:
    from deepseek_async import Timeouts, TotalTimeoutError
    from tests.loopback.test_leaks import endless

    timeouts = Timeouts(connect=5, idle=5, progress=5, first_event=5, total=0.2)
    async with asyncio.timeout(GUARD), Peer(endless) as peer:
        async with peer.client(max_concurrency=1) as client:
            async with await client.chat.completions.create(**ASK, stream=True):
                with pytest.raises(TotalTimeoutError, match="free slot") as caught:
                    await client.chat.completions.create(**ASK, timeout=timeouts)
                assert caught.value.attempts == 0
            assert peer.accepted == 1
