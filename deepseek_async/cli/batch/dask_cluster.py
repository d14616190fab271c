"""What a run on Dask needs around it: the cluster, the server, and an end by signal."""

import contextlib
import os
import re
import signal
from collections.abc import Generator
from typing import Any

from deepseek_async import simulator
from deepseek_async.cli.batch.plan import Plan
from deepseek_async.cli.connection import PACE
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.integrations.dask import import_distributed

# Shards that a local process runs at once: while one ends, the other one goes on.
_AT_ONCE = 2

_LOCAL = re.compile(r"local:([1-9]\d{0,2})")

# What names the server, as the client reads it.
_ADDRESSES = ("DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE")

# How long a scheduler may take to answer for the first time, in seconds.
_PATIENCE = 10.0


def is_local(scheduler: str) -> bool:
    """Tell whether ``--dask`` names processes on this machine."""
    return _LOCAL.fullmatch(scheduler) is not None


@contextlib.contextmanager
def open_server(plan: Plan) -> Generator[str | None]:
    """Give the address that the workers send to; None: that of their environment."""
    if not plan.target.simulate:
        # Workers elsewhere may have another environment, and would send it all to DeepSeek.
        yield plan.target.base_url or next(filter(None, map(os.environ.get, _ADDRESSES)), None)
        return
    options: dict[str, Any] = dict(plan.simulator_pace or PACE)
    with simulator.SimulatorThread(**options) as sim:
        yield sim.base_url


@contextlib.contextmanager
def open_client(scheduler: str) -> Generator[Any]:
    """Connect to a cluster, or start one on this machine.

    Raises:
        UsageProblem: If there is none.
    """
    distributed = import_distributed()
    with contextlib.ExitStack() as stack:
        local = _LOCAL.fullmatch(scheduler)
        try:
            if local is not None:
                with _ignored(signal.SIGINT):
                    cluster = distributed.LocalCluster(
                        n_workers=int(local[1]),
                        threads_per_worker=_AT_ONCE,
                        dashboard_address="127.0.0.1:0",
                        # Shards hold no data that could be spilled.
                        memory_limit=0,
                    )
                stack.enter_context(cluster)
                client = distributed.Client(cluster)
            else:
                client = distributed.Client(scheduler, timeout=_PATIENCE)
        except (OSError, TimeoutError, ValueError) as exc:
            raise UsageProblem(
                f"--dask {scheduler}: no cluster answers there ({exc}); name the address of a "
                "scheduler, such as tcp://10.0.0.1:8786, or local:2 for two processes here"
            ) from exc
        yield stack.enter_context(client)


@contextlib.contextmanager
def _ignored(number: signal.Signals) -> Generator[None]:
    """Ignore a signal in this block, and in the processes that are started in it: for good."""
    former = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, former)


@contextlib.contextmanager
def terminable() -> Generator[None]:
    """Take SIGTERM for Ctrl-C in this block."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
