"""``simulate``: the simulator as a server of its own, and what records for it and replays."""

import asyncio
import errno
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from deepseek_async import simulator
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.screen import Screen

if TYPE_CHECKING:
    from deepseek_async.simulator import Simulator

_OF_RECORDINGS = ("pace", "redact_env", "force")
# Of an API key; what is shorter stands in for one.
_KEY_LENGTH = 8


async def serve(
    screen: Screen, host: str, port: int, options: dict[str, Any], script: Path | None = None
) -> None:
    """Run the simulator until cancelled.

    Args:
        screen: Where to say how to use it.
        host: Address to listen on.
        port: 0: any free one.
        options: Further options of the simulator; None leaves one to the script, or its default.
        script: What it shall answer and do wrong.

    Raises:
        OSError: If it can't listen there; the message says why. Or the script can't be read.
        UsageProblem: If the script makes no sense; the message says where.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        loaded = None if script is None else simulator.load_script(script)
        said = {} if loaded is None else loaded.options
        sim = simulator.Simulator(host=host, port=port, **{**said, **given})
    except simulator.ScriptFileError as exc:
        raise UsageProblem(str(exc)) from exc
    except ValueError as exc:
        raise UsageProblem(f"{script}: options: {exc}") from exc
    if loaded is not None:
        sim.script(*loaded.replies)
        sim.faults(*loaded.faults)
    await _run(sim, host, port, lambda: _introduce(screen, sim.base_url))


@dataclass(frozen=True)
class Recorded:
    """The options of ``simulate`` that are about recordings."""

    record: str | None = None
    """Base URL of the host to record from."""
    out: Path | None = None
    replay: Path | None = None
    pace: float | None = None
    redact_env: Sequence[str] = ()
    force: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether to record or replay."""
        return self.record is not None or self.replay is not None

    def check(self, script: Path | None, options: Mapping[str, object]) -> None:
        """Find what makes no sense together.

        Args:
            script: As for a simulator.
            options: As for a simulator.

        Raises:
            UsageProblem: If there is any.
        """
        given = [name for name, value in {"script": script, **options}.items() if value is not None]
        others = [_option(name) for name in given]
        if self.record is not None and self.replay is not None:
            raise UsageProblem("--record and --replay exclude each other: choose one")
        if (self.record is None) != (self.out is None):
            raise UsageProblem("--record URL and --out FOLDER are given together")
        if self.record is not None:
            mode, useless = "--record", [*others, *self._given("pace")]
        elif self.replay is not None:
            mode, useless = "--replay", [*others, *self._given("force")]
        else:
            mode, useless = "neither --record nor --replay", self._given(*_OF_RECORDINGS)
        if useless:
            raise UsageProblem(f"{' and '.join(useless)} can't be given with {mode}")

    def _given(self, *names: str) -> list[str]:
        # A pace of 0 is one.
        values = {name: getattr(self, name) for name in names}
        return [
            _option(name)
            for name, value in values.items()
            if value is not None and value is not False and value != ()
        ]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


async def record_or_replay(screen: Screen, host: str, port: int, recorded: Recorded) -> None:
    """Record what a host answers, or answer what was recorded, until cancelled.

    Args:
        screen: Where to say how to use it, and what goes wrong.
        host: Address to listen on.
        port: 0: any free one.
        recorded: What, and where.

    Raises:
        OSError: If it can't listen there, recordings can't be read, or not all could be stored;
            the message says why.
        UsageProblem: If the host can't be one, there are recordings already, or none to replay,
            or damaged ones; the message says where.
    """
    start = _record if recorded.replay is None else _replay
    await start(screen, host, port, recorded)


async def _record(screen: Screen, host: str, port: int, recorded: Recorded) -> None:
    base_url, folder = recorded.record or "", recorded.out or Path()
    try:
        recorder = simulator.Recorder(
            base_url,
            folder,
            host=host,
            port=port,
            existing="replace" if recorded.force else "refuse",
            redact=[*_secrets(recorded.redact_env), *_own_key()],
            on_problem=lambda problem: screen.notes.print(f"error: {problem}", soft_wrap=True),
        )
    except ValueError as exc:
        raise UsageProblem(str(exc)) from exc

    def introduce() -> None:
        screen.line(f"Recording {base_url} into {folder}, until Ctrl-C. Use it instead:", "bold")
        screen.line()
        screen.line(f'client = AsyncDeepSeek(base_url="{recorder.base_url}", dialect="deepseek")')
        screen.line()

    try:
        await _run(recorder, host, port, introduce)
    except FileExistsError as exc:
        raise UsageProblem(
            f"{folder}: {exc.strerror}: choose another folder, or replace them with --force"
        ) from exc


async def _replay(screen: Screen, host: str, port: int, recorded: Recorded) -> None:
    folder = recorded.replay or Path()
    try:
        replayer = simulator.Replayer(
            folder,
            host=host,
            port=port,
            pace=1.0 if recorded.pace is None else recorded.pace,
            redact=_secrets(recorded.redact_env),
        )
    except ValueError as exc:
        raise UsageProblem(str(exc)) from exc

    def introduce() -> None:
        screen.line(f"Replaying {folder} on {replayer.base_url}, until Ctrl-C.", "bold")
        screen.line()
        options = f'api_key="sk-any", base_url="{replayer.base_url}", dialect="deepseek"'
        screen.line(f"client = AsyncDeepSeek({options})")
        screen.line()

    await _run(replayer, host, port, introduce)


def _secrets(names: Sequence[str]) -> list[str]:
    """Return what variables of the environment hold."""
    found = [(name, os.environ.get(name, "").strip()) for name in names]
    for name, value in found:
        if not value:
            raise UsageProblem(f"--redact-env {name}: there is nothing in this variable")
    return [value for _, value in found]


def _own_key() -> list[str]:
    # Whatever key clients send: this one is where recordings are looked at, too.
    key = os.environ.get("DEEPSEEK_API_KEY", "").strip()
    return [key] if len(key) >= _KEY_LENGTH else []


async def _run(server: "Simulator", host: str, port: int, introduce: Callable[[], None]) -> None:
    try:
        await server.start()
    except OSError as exc:
        # Of recordings, and not of the port.
        if exc.filename is not None:
            raise
        raise OSError(_reason(exc, host, port)) from exc
    try:
        introduce()
        await asyncio.get_running_loop().create_future()
    finally:
        await server.stop()


def _reason(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: choose another one with --port, or 0 for any"
    return f"can't listen on {host} port {port}: {exc.strerror or exc}"


def _introduce(screen: Screen, base_url: str) -> None:
    body = {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }
    curl = [
        "curl -N",
        f"{base_url}/chat/completions",
        "-H 'Authorization: Bearer sk-any'",
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(msgspec.json.encode(body).decode())}",
    ]
    screen.line(f"DeepSeek simulator on {base_url}, until Ctrl-C. Try it:", "bold")
    screen.line()
    screen.line(" ".join(curl))
    screen.line()
    # Told what it is, the client adds /beta, checks requests and knows prices, as with DeepSeek.
    options = f'api_key="sk-any", base_url="{base_url}", dialect="deepseek"'
    screen.line(f"client = AsyncDeepSeek({options})")
    screen.line()
