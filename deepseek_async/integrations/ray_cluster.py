"""A Ray cluster as the drive sees it, with its actor and its workers."""

import asyncio
import contextlib
import functools
import importlib
import pickle
import threading
import warnings
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch import ShardReport, ShardSettings
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchError
from deepseek_async.integrations.boards import (
    TTL,
    Asked,
    Board,
    BoardLimiter,
    Failure,
    Heard,
    run_task,
)

# How long the actor may take to start or to answer, in seconds: Ray's own start is slow.
_PATIENCE = 60.0


def import_ray(name: str = "ray") -> Any:
    """Return a module of Ray.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        raise ImportError(
            f'to run on Ray takes the library {name}: pip install "deepseek-async[ray]" ({exc})',
            name=name,
        ) from exc


class RayCluster:
    """A cluster as the drive sees it."""

    def __init__(
        self,
        ray: Any,
        out_dir: Path,
        settings: ShardSettings,
        max_concurrency: int,
        *,
        retries: int,
        num_cpus: float,
    ) -> None:
        self._ray = ray
        self._out_dir = str(out_dir)
        self._settings = settings
        self._max_concurrency = max_concurrency
        self._num_cpus = num_cpus
        self._task = ray.remote(num_cpus=num_cpus, max_retries=retries)(run_on_worker)
        self._actor: Any = None
        # What is under way -> its shard.
        self._refs: dict[Any, int] = {}

    def capacity(self) -> int:
        """Return how many shards can run at once, by now."""
        return int(self._ray.cluster_resources().get("CPU", 1) / self._num_cpus)

    def submit(self, source: Requests, shard_id: int) -> None:
        """Have a shard run."""
        if self._actor is None:
            self._actor = self._open()
        task = (source, self._out_dir, shard_id, self._settings, self._actor)
        try:
            ref = self._task.remote(*task)
        except (TypeError, ValueError, AttributeError, pickle.PicklingError) as exc:
            raise BatchError(
                f"shard {shard_id} can't be sent to a worker ({type(exc).__name__}): its source, "
                "and the functions in the settings, must be such as can be pickled"
            ) from exc
        self._refs[ref] = shard_id

    def finished(self, seconds: float) -> list[tuple[int, ShardReport | Failure]]:
        """Wait for shards to end, not longer than so many seconds."""
        ended, _ = self._ray.wait(list(self._refs), timeout=seconds)
        return [(self._refs.pop(ref), self._result(ref)) for ref in ended]

    def heard(self) -> Heard:
        """Return what the workers do."""
        if self._actor is None:
            return Heard()
        try:
            return msgspec.convert(self._get(self._actor.heard.remote()), Heard)
        except self._ray.exceptions.RayError:
            # It is being started again, and the shards go on for as long as their permits last.
            return Heard()

    def stop(self) -> None:
        """End the run, and wait some seconds for its shards."""
        refs, self._refs = list(self._refs), {}
        if self._actor is None:
            return
        try:
            if refs:
                self._end(refs)
        finally:
            # If the wait was interrupted, those who still run hear of the end from this.
            self._ray.kill(self._actor)

    def _end(self, refs: list[Any]) -> None:
        # An actor that is gone is the end as well.
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._get(self._actor.stop.remote())
        with contextlib.suppress(self._ray.exceptions.RayError):
            _, left = self._ray.wait(refs, num_returns=len(refs), timeout=2 * TTL)
            for ref in left:
                # Only these: where a task ends in the moment it is cancelled, Ray 2.60 aborts this
                # process.
                self._ray.cancel(ref, force=True)

    def _open(self) -> Any:
        """Start the actor, where this process is: it lives as long."""
        scheduling = importlib.import_module("ray.util.scheduling_strategies")
        node = self._ray.get_runtime_context().get_node_id()
        actor = self._ray.remote(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy=scheduling.NodeAffinitySchedulingStrategy(node, soft=True),
        )(BoardActor).remote(self._max_concurrency)
        try:
            # Shards would begin without permits: it takes seconds to start.
            self._get(actor.heard.remote())
        except self._ray.exceptions.RayError as exc:
            raise BatchError(
                f"Ray can't start the actor that divides the limit: {_reason(exc)}"
            ) from exc
        return actor

    def _result(self, ref: Any) -> ShardReport | Failure:
        try:
            result: ShardReport | Failure = self._ray.get(ref)
        except self._ray.exceptions.RayError as exc:
            # Ray has had its own tries.
            return Failure(_reason(exc), is_final=True)
        return result

    def _get(self, ref: Any) -> Any:
        return self._ray.get(ref, timeout=_PATIENCE)


def _reason(exc: Exception) -> str:
    """Return what Ray says in the first of its many lines."""
    return f"{type(exc).__name__}: {str(exc).strip().partition(chr(10))[0]}"


class BoardActor:
    """A board in a process of its own; Ray starts another one if that is lost."""

    def __init__(self, total: int) -> None:
        context = import_ray().get_runtime_context()
        with warnings.catch_warnings():
            # It says to take another one, which doesn't tell this.
            warnings.simplefilter("ignore")
            restarted = bool(context.was_current_actor_reconstructed)
        self._board = Board(total, restarted=restarted)

    def renew(self, **values: Any) -> Asked:
        """See :class:`Board`."""
        return self._board.renew(**values)

    def drop(self, worker: str) -> Asked:
        """See :class:`Board`."""
        return self._board.drop(worker)

    def stop(self) -> None:
        """See :class:`Board`."""
        self._board.stop()

    def heard(self) -> dict[str, int]:
        """See :class:`Board`."""
        return self._board.heard()


# On the workers.


def run_on_worker(
    source: Requests, out_dir: str, shard_id: int, settings: ShardSettings, actor: Any
) -> ShardReport | Failure:
    """Run a shard until its end or that of the run, which is also that of its actor."""
    died = import_ray("ray.exceptions").ActorDiedError

    async def ask(action: str, **values: Any) -> Asked:
        try:
            answer: Asked = await getattr(actor, action).remote(**values)
        except died:
            # For good, unlike one that is being started again: nobody waits for the shard any more.
            return {"permits": 0, "over": True}
        return answer

    task = run_task(source, out_dir, shard_id, settings, BoardLimiter(ask))
    shard = asyncio.run_coroutine_threadsafe(task, _worker_loop())
    try:
        return shard.result()
    finally:
        # If Ray interrupts the wait; an ended one is not changed.
        shard.cancel()


@functools.cache
def _worker_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this worker: one for all its shards, which share a client."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="deepseek-shards", daemon=True).start()
    return loop
