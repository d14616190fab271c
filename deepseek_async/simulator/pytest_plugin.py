"""The pytest plugin: a simulator and a client of it as fixtures.

Loading it imports nothing but pytest, which has it already: plugins are loaded before coverage
starts to measure. The fixtures are synchronous and work in tests of any kind: plain ones, and
coroutines run by pytest-asyncio or anyio.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import pytest

if TYPE_CHECKING:
    from deepseek_async import AsyncDeepSeek
    from deepseek_async.simulator.recording.recorder import Recorder
    from deepseek_async.simulator.recording.replayer import Replayer
    from deepseek_async.simulator.thread import SimulatorThread

_MARKER = "deepseek_simulator"
_REPLAY = "deepseek_replay"
_VARIABLE = "DEEPSEEK_RECORD"
_HOST = "https://api.deepseek.com"

# Folders that this run has recorded into, and so may add to.
_BEGUN = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that record."""
    group = parser.getgroup("deepseek_async")
    group.addoption(
        "--deepseek-record",
        action="store_true",
        help=f"record what tests with @pytest.mark.{_REPLAY} replay, from DEEPSEEK_BASE_URL or "
        f"DeepSeek itself, with DEEPSEEK_API_KEY; so does {_VARIABLE}=1",
    )
    group.addoption(
        "--deepseek-record-force",
        action="store_true",
        help=f"the same, and replace the recordings that there are; so does {_VARIABLE}=force",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(**options): options of the simulator that the test's fixtures use"
    )
    config.addinivalue_line(
        "markers",
        f"{_REPLAY}(folder, *, pace=0, redact_env=()): the test's fixtures answer what was "
        "recorded in the folder, which is beside the test's file",
    )


@pytest.fixture
def deepseek_simulator(request: pytest.FixtureRequest) -> Iterator[SimulatorThread]:
    """A DeepSeek simulator for this test, running in a thread of its own.

    Its options come from ``@pytest.mark.deepseek_simulator(tokens_per_second=50)``. With
    ``@pytest.mark.deepseek_replay("folder")`` it answers what is recorded there; pytest's option
    ``--deepseek-record`` makes it record instead.
    """
    recorded = _recorded(request)
    if recorded is not None:
        from deepseek_async.simulator.recording.thread import RecordingThread

        mode = _record_mode(request.config)
        server = _replayer(recorded) if mode is None else _recorder(request, recorded, mode)
        with RecordingThread(server) as thread:
            yield thread
        return
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
    request: pytest.FixtureRequest,
    deepseek_simulator: SimulatorThread,
    monkeypatch: pytest.MonkeyPatch,
) -> SimulatorThread:
    """The test's simulator, and an environment in which clients made by the test use it."""
    # While recording, the key is for the host.
    if _recorded(request) is None or _record_mode(request.config) is None:
        monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-simulated")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", deepseek_simulator.base_url)
    monkeypatch.setenv("DEEPSEEK_DIALECT", "deepseek")
    return deepseek_simulator


class _Recorded(NamedTuple):
    """What the marker says."""

    folder: Path
    pace: float
    redact_env: tuple[str, ...]

    def secrets(self) -> list[str]:
        """Return what the variables hold; they are needed for recording only."""
        return [os.environ[name] for name in self.redact_env if os.environ.get(name)]


def _recorded(request: pytest.FixtureRequest) -> _Recorded | None:
    marker = request.node.get_closest_marker(_REPLAY)
    if marker is None:
        return None

    def read(
        folder: str | os.PathLike[str], *, pace: float = 0.0, redact_env: Iterable[str] = ()
    ) -> _Recorded:
        return _Recorded(request.path.parent / folder, pace, tuple(redact_env))

    if request.node.get_closest_marker(_MARKER) is not None:
        _fail(f"{_MARKER} and {_REPLAY} exclude each other: recordings have no options")
    try:
        return read(*marker.args, **marker.kwargs)
    except TypeError as exc:
        _fail(f"@pytest.mark.{_REPLAY}(folder, *, pace=0, redact_env=()): {exc}")


def _record_mode(config: pytest.Config) -> str | None:
    """Return None to replay, "new" to record, "force" to replace recordings as well."""
    said = os.environ.get(_VARIABLE, "").strip().lower()
    if config.getoption("--deepseek-record-force") or said == "force":
        return "force"
    if config.getoption("--deepseek-record") or said not in ("", "0"):
        return "new"
    return None


def _replayer(recorded: _Recorded) -> Replayer:
    from deepseek_async.simulator.recording.replayer import Replayer

    try:
        return Replayer(recorded.folder, pace=recorded.pace, redact=recorded.secrets())
    except FileNotFoundError:
        _fail(f"{recorded.folder}: nothing is recorded yet: run this test with --deepseek-record")
    except (OSError, ValueError) as exc:
        _fail(str(exc))


def _recorder(request: pytest.FixtureRequest, recorded: _Recorded, mode: str) -> Recorder:
    from deepseek_async.simulator.recording.folder import has_recordings
    from deepseek_async.simulator.recording.recorder import Recorder

    for name in ("DEEPSEEK_API_KEY", *recorded.redact_env):
        if not os.environ.get(name, "").strip():
            _fail(f"recording asks the real host: set {name}")
    begun = request.config.stash.setdefault(_BEGUN, set())
    folder = recorded.folder
    is_begun = folder in begun
    if mode == "new" and not is_begun and has_recordings(folder):
        _fail(f"{folder}: there are recordings already: replace them by --deepseek-record-force")
    begun.add(folder)
    try:
        return Recorder(
            os.environ.get("DEEPSEEK_BASE_URL", "").strip() or _HOST,
            folder,
            # Other tests, or another set of parameters, may have recorded into it in this run.
            existing="add" if is_begun else "replace",
            redact=recorded.secrets(),
        )
    except ValueError as exc:
        _fail(str(exc))


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)
