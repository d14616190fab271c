"""The server a command talks to: DeepSeek, another host, or the built-in simulator."""

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

# The simulator's names are looked up when used: they import aiohttp, which --help can do without.
from deepseek_async import AsyncDeepSeek, simulator
from deepseek_async.cli.failures import UsageProblem

if TYPE_CHECKING:
    from deepseek_async.simulator import Simulator

#: The pace of the built-in simulator: about that of the real thing.
PACE: Mapping[str, float] = {"tokens_per_second": 70.0, "first_token_seconds": 0.4}


@dataclass(frozen=True)
class Target:
    """The server that was asked for."""

    base_url: str | None = None
    """None: the environment's, or DeepSeek."""

    simulate: bool = False
    """Use the built-in simulator."""

    def check(self, command: str) -> None:
        """Find what is missing before anything is started.

        Raises:
            UsageProblem: If the options exclude each other or there is no API key.
        """
        if self.simulate and self.base_url:
            raise UsageProblem("--simulate and --base-url exclude each other: choose one")
        if not self.simulate and not has_key():
            raise UsageProblem(
                f"no API key: set DEEPSEEK_API_KEY, or try {command} --simulate on the built-in "
                "simulator"
            )


@dataclass(frozen=True)
class Connection:
    """An open client."""

    client: AsyncDeepSeek

    @property
    def priced(self) -> bool:
        """Whether DeepSeek's prices apply."""
        return self.client.dialect == "deepseek"


def has_key() -> bool:
    """Tell whether the environment has an API key."""
    return bool(os.environ.get("DEEPSEEK_API_KEY", "").strip())


@asynccontextmanager
async def connect(
    target: Target,
    *,
    pace: Mapping[str, float] | None = None,
    prepare: "Callable[[Simulator], None] | None" = None,
    max_concurrency: int | None = None,
) -> AsyncGenerator[Connection]:
    """Open a client of the target, and start the simulator if it is that.

    Args:
        target: The server.
        pace: Options of the simulator; None: those of :data:`PACE`.
        prepare: Called with the simulator before the first request.
        max_concurrency: Most requests at once; None: as many as the server allows.

    Raises:
        PreflightError: If the base URL or the key can't be one.
    """
    options: dict[str, Any] = {}
    if max_concurrency is not None:
        options["max_concurrency"] = max_concurrency
    if not target.simulate:
        async with AsyncDeepSeek(base_url=target.base_url, **options) as client:
            yield Connection(client)
        return
    sim_options: dict[str, Any] = dict(PACE if pace is None else pace)
    async with simulator.Simulator(**sim_options) as sim:
        if prepare is not None:
            prepare(sim)
        # Proxies of the environment don't lead to this process.
        async with sim.client(trust_env=False, **options) as client:
            yield Connection(client)
