"""`SimulatorThread`: a simulator for code without an event loop of its own."""

from __future__ import annotations

import threading
import urllib.request

import pytest

from deepseek_async.simulator import SimulatorThread


def asked(thread: SimulatorThread) -> int:
    request = urllib.request.Request(
        f"{thread.base_url}/models", headers={"Authorization": "Bearer sk-x"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as response:
        return int(response.status)


def test_it_can_be_used_again_after_it_was_stopped() -> None:
    thread = SimulatorThread(seed=1)
    for _ in range(2):
        with thread:
            assert asked(thread) == 200
            assert thread.metrics.requests == len(thread.requests)
    thread.stop()
    assert thread.requests != []
    thread.reset()
    assert thread.requests == []


def test_it_is_started_before_it_is_used() -> None:
    thread = SimulatorThread()
    with pytest.raises(RuntimeError, match="isn't running"):
        _ = thread.base_url
    with pytest.raises(RuntimeError, match="isn't running"):
        thread.run(nothing())
    with thread, pytest.raises(RuntimeError, match="already"):
        thread.start()


def test_a_taken_port_is_told_and_leaves_no_thread() -> None:
    with SimulatorThread() as first:
        before = threading.active_count()
        with pytest.raises(OSError, match="in use"):
            SimulatorThread(port=int(first.base_url.rpartition(":")[2])).start()
        assert threading.active_count() == before


def test_it_does_not_wait_for_itself() -> None:
    with SimulatorThread() as thread:

        async def ask_itself() -> None:
            thread.run(nothing())

        with pytest.raises(RuntimeError, match="can't wait for itself"):
            thread.run(ask_itself())


async def nothing() -> None:
    pass
