"""``simulate``: the simulator as a server of its own."""

import asyncio
import errno
import shlex
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async import simulator
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.screen import Screen


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
    try:
        await sim.start()
    except OSError as exc:
        raise OSError(_reason(exc, host, port)) from exc
    try:
        _introduce(screen, sim.base_url)
        await asyncio.get_running_loop().create_future()
    finally:
        await sim.stop()


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
