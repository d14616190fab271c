"""The pytest plugin: a simulator and a client of it as fixtures.

Loading it imports nothing but pytest, which has it already: plugins are loaded before coverage
starts to measure. The fixtures are synchronous and work in tests of any kind: plain ones, and
coroutines run by pytest-asyncio or anyio.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from deepseek_async import AsyncDeepSeek
    from deepseek_async.simulator.thread import SimulatorThread

_MARKER = "deepseek_simulator"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(**options): options of the simulator that the test's fixtures use"
    )


@pytest.fixture
def deepseek_simulator(request: pytest.FixtureRequest) -> Iterator[SimulatorThread]:
    """A DeepSeek simulator for this test, running in a thread of its own.

    Its options come from ``@pytest.mark.deepseek_simulator(tokens_per_second=50)``.
    """
    from deepseek_async.simulator.thread import SimulatorThread

    marker = request.node.get_closest_marker(_MARKER)
    with SimulatorThread(**(marker.kwargs if marker else {})) as simulator:
        yield simulator


@pytest.fixture
def deepseek_client(deepseek_simulator: SimulatorThread) -> Iterator[AsyncDeepSeek]:
    """A client of the test's simulator; closed at the test's end."""
    client = deepseek_simulator.client()
    yield client
    # Not in the test's event loop, which may be closed by now, or not be the only one.
    if deepseek_simulator.is_running:
        deepseek_simulator.run(client.aclose())
    else:
        # The test stopped it, as servers do that go away.
        import asyncio

        asyncio.run(client.aclose())


@pytest.fixture
def deepseek_environment(
    deepseek_simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> SimulatorThread:
    """The test's simulator, and an environment in which clients made by the test use it."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-simulated")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", deepseek_simulator.base_url)
    monkeypatch.setenv("DEEPSEEK_DIALECT", "deepseek")
    return deepseek_simulator
