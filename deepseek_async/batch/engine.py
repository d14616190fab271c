"""The engine: as many requests as there are places, each answered once.

As many workers run as there are places. Each takes the next item when it has finished one, and a
look ten times a second starts more where the limit has risen.
"""

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from deepseek_async.batch.delivery import Delivery
from deepseek_async.batch.money import Money
from deepseek_async.batch.options import JobOptions
from deepseek_async.batch.pauses import Pauses
from deepseek_async.batch.queue import ModelQueue, Work
from deepseek_async.batch.recording import Recorder
from deepseek_async.batch.report import BatchItem, Outcome, Tally, moment_of
from deepseek_async.batch.sending import PARSE_RETRIES, Answer, Sender
from deepseek_async.batch.twins import Twins
from deepseek_async.errors import ConcurrencyLimitError, DeepSeekError, EmptyResponseError
from deepseek_async.lanes import Lane
from deepseek_async.policy.adaptive import Outcome as Ended
from deepseek_async.policy.attempts import (
    MAX_ATTEMPTS,
    MAX_PROBES,
    MAX_REFUSED,
    RetryTokens,
    delay_after,
    fate_of,
    is_overload,
)

if TYPE_CHECKING:
    from deepseek_async.resources.chat import ChatCompletions
    from deepseek_async.resources.completions import Completions
    from deepseek_async.types.account import Balance

logger = logging.getLogger("deepseek_async")

# Items in flight may be this far ahead of the one that an ordered consumer waits for.
_MOST_AHEAD = 10_000


# What an item can be at fault for: its own oddities end in any of these.
_OF_ONE_ITEM = (
    ArithmeticError,
    AttributeError,
    DeepSeekError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Services(NamedTuple):
    """What a job needs of its client."""

    chat: "ChatCompletions"
    """Makes chat requests without retries and without waiting for a place."""

    fim: "Completions"
    """The same for fill-in-the-middle."""

    balance: "Callable[[], Awaitable[Balance]]"

    lane: Callable[..., Lane]
    """Opens the lane of a job to a model."""

    learned: Callable[[str], int]
    """How many requests earlier jobs found a model takes; 0 for unknown."""

    is_deepseek: bool
    """Whether the host is taken for DeepSeek's."""


class Engine:
    """Sends what is added, until nothing more comes or the job has to stop.

    Args:
        services: What it needs of the client.
        options: What the job is asked to do.
        tally: The counts.
        delivery: Where finished items go.
        recorder: Writes them before.

    Attributes:
        outcome: How the job ended, or that it runs.
        error: What stopped it, if something did.
        is_hungry: Whether there was room for an item, but none to send.
        has_room: Set while more of the input may be read.
        input_ended: Whether all of the input has been added.
        stated_limit: How many the server said there may be when it last refused one (429).
    """

    def __init__(
        self,
        services: Services,
        options: JobOptions,
        tally: Tally,
        delivery: Delivery[BatchItem],
        recorder: Recorder,
    ) -> None:
        self._services = services
        self._options = options
        self._tally = tally
        self._delivery = delivery
        self._recorder = recorder
        self._most = None if options.max_concurrency == "auto" else options.max_concurrency
        # A typed answer is needed whole.
        self._samples = services.is_deepseek and options.response_model is None
        self._sender = Sender(services.chat, services.fim, options.response_model)
        self._twins = Twins() if options.dedupe else None
        self._retry_tokens = RetryTokens()
        self._queues: dict[str, ModelQueue] = {}
        self._running: dict[asyncio.Task[None], Work | None] = {}
        self._sending = 0
        self._answers = 0
        self._wakes = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self.money = Money(
            options.budget,
            is_deepseek=services.is_deepseek,
            requests=1 if options.response_model is None else 1 + PARSE_RETRIES,
        )
        self.pauses = Pauses(options, services.balance, is_deepseek=services.is_deepseek)
        self.outcome: Outcome = "running"
        self.error: Exception | None = None
        self.is_hungry = True
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.input_ended = False
        self.stated_limit: int | None = None

    @property
    def queues(self) -> list[ModelQueue]:
        """The queues of all models."""
        return list(self._queues.values())

    @property
    def limit(self) -> int:
        """How many requests may be under way at the moment."""
        limit = sum(int(queue.lane.control.limit) for queue in self._queues.values())
        return limit if self._most is None else min(limit, self._most)

    def limit_to(self, most: int) -> None:
        """Have no more than ``most`` requests under way, from now on."""
        asked = self._options.max_concurrency
        self._most = most if asked == "auto" else min(most, asked)
        for queue in self._queues.values():
            queue.lane.most = self._most
        self.pump()

    # What is to be sent.

    def add(self, work: Work) -> None:
        """Take an item.

        Raises:
            PreflightError: If the budget can't be kept with its model.
        """
        if self._twins is not None and self._is_answered_by_another(work):
            return
        queue = self._queue_of(work.model)
        queue.add(work, time.monotonic())
        if self.is_hungry and not self._wakes:
            # Not at once: what is read together can be kept together for the cache.
            self._wakes = True
            self._loop.call_soon(self._woken)

    def look_for_room(self) -> None:
        """Take note whether more of the input may be read, after each item of it."""
        if self._is_window_full():
            self.has_room.clear()

    def end_input(self) -> None:
        """Take note that no more items come."""
        self.input_ended = True
        for queue in self._queues.values():
            queue.close()
        self.pump()

    def _is_answered_by_another(self, work: Work) -> bool:
        """Tell whether an item gets the answer of an earlier one with the same request."""
        assert self._twins is not None
        found = self._twins.find(work)
        if found is None:
            return False
        if isinstance(found, Answer):
            self._recorder.shared(work.entry, found)
        return True

    def _queue_of(self, model: str) -> ModelQueue:
        queue = self._queues.get(model)
        if queue is None:
            options = self._options
            self.money.check(model)
            self.pauses.watch(model)
            lane = self._services.lane(
                model,
                self._wake,
                is_gone=self._loop.is_closed,
                weight=options.weight,
                most=self._most,
                at_once=options.at_once,
            )
            for_cache = options.cache == "auto" and not options.ordered
            queue = self._queues[model] = ModelQueue(lane, for_cache=for_cache)
        return queue

    # Sending.

    def _wake(self) -> None:
        """Look for room again: a place is free. Called from any thread."""
        if not self._wakes:
            self._wakes = True
            # The loop may be closed by now.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        self._wakes = False
        self.pump()

    def pump(self) -> None:
        """Send as much as there is room for."""
        try:
            self._pump()
        except Exception as exc:
            # A budget that can't be kept, or a mistake of ours.
            self.broke(exc)

    def _pump(self) -> None:
        while (work := self._take()) is not None:
            task = asyncio.create_task(self._work(work))
            self._running[task] = work
            task.add_done_callback(self._worker_ended)
        if not self.has_room.is_set() and not self._is_window_full():
            self.has_room.set()
        self._end_if_done()

    def _is_window_full(self) -> bool:
        if self.outcome != "running":
            return False
        return (
            self._recorder.is_full
            or self._delivery.has_backlog
            or (self._twins is not None and self._twins.is_full)
            or any(queue.is_full for queue in self._queues.values())
        )

    def _take(self) -> Work | None:
        """Return the next item to send, with a place and its money; None if there is none."""
        self.is_hungry = False
        for queue in self._queues.values():
            # Nobody else has to wait for a job that has nothing to send.
            queue.lane.waiting = False
        if self.outcome != "running" or self.pauses.reason is not None:
            return None
        if self._delivery.is_full or self._recorder.is_full:
            return None
        if self._most is not None and self._sending >= self._most:
            return None
        now = time.monotonic()
        for queue in self._queues.values():
            work = queue.peek(now)
            if work is None:
                self.is_hungry = True
                continue
            if self._options.ordered and not self._may_go_ahead(work):
                continue
            if not self.money.reserve(work):
                if self.money.exhausted:
                    self.stop("stopped_by_budget")
                return None
            sent_at = queue.lane.take()
            if sent_at is None:
                continue
            queue.pop()
            self._sending += 1
            work.sent_at = sent_at
            work.sampled = self._samples and queue.lane.sampled(sent_at)
            return work
        self.is_hungry = self.is_hungry or not self._queues
        return None

    def _may_go_ahead(self, work: Work) -> bool:
        return work.entry.index - self._delivery.ahead_of < _MOST_AHEAD

    async def _work(self, work: Work) -> None:
        """Send items one after the other, as long as there are some."""
        task = asyncio.current_task()
        assert task is not None
        following: Work | None = work
        while following is not None:
            self._running[task] = following
            try:
                await self._send(following, task)
                following = self._take()
            except Exception as exc:
                # A mistake of ours: not to be lost with the task.
                self.broke(exc)
                following = None
            # There may be room for more, or more than this one to be told that there is none.
            self.pump()

    def _worker_ended(self, task: "asyncio.Task[None]") -> None:
        if self._closed:
            return
        work = self._running.pop(task)
        if work is not None:
            # It was cancelled before it began.
            self._landed(task)
            self._give_back(work)

    async def _send(self, work: Work, task: "asyncio.Task[None]") -> None:
        self._tally.requests += 1
        self._tally.retries += work.is_retry
        work.attempts += 1
        queue = self._queues[work.model]
        try:
            answer = await self._sender.send(
                work.entry.body,
                is_fim=work.is_fim,
                sample=work.sampled,
                on_first=functools.partial(queue.lane.began, work.sent_at),
            )
        except asyncio.CancelledError:
            self._landed(task)
            self._give_back(work)
            raise
        except _OF_ONE_ITEM as exc:
            self._landed(task)
            self._failed(queue, work, exc)
        except Exception:
            # A mistake of ours, or of the program: not of this item, which the next run sends.
            self._landed(task)
            self._give_back(work)
            raise
        else:
            self._landed(task)
            self._answered(queue, work, answer)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        """Take note that the item of a task is under way no more."""
        self._running[task] = None
        self._sending -= 1

    def _give_back(self, work: Work) -> None:
        """Take note that an item was cancelled: the next run sends it again."""
        self._queues[work.model].lane.end(Ended("neutral", work.sent_at))
        self.money.lost(work, None)

    # Answers and failures.

    def _answered(self, queue: ModelQueue, work: Work, answer: Answer) -> None:
        queue.lane.end(Ended("ok", work.sent_at))
        self._retry_tokens.succeeded()
        self._answers += 1
        completion = answer.completion
        usage = completion.usage
        at = moment_of(completion)
        prompt, hit = (usage.prompt_tokens, usage.cached_tokens) if usage is not None else (0, 0)
        queue.done(work, time.monotonic(), ok=True, prompt_tokens=prompt, hit_tokens=hit)
        cost = self.money.settle(work, usage, completion.model or work.model, at)
        self._tally.answered(work.model, usage, cost, at)
        if self._twins is not None:
            self._twins.answered(work, answer)
        self._recorder.answered(work, answer, cost)

    def _failed(self, queue: ModelQueue, work: Work, error: Exception) -> None:
        fate = fate_of(error)
        control = queue.lane.control
        was_open = control.breaker_open
        queue.lane.end(_ended(work, error))
        self.money.lost(work, error)
        if fate == "again" and was_open and self._is_innocent(work):
            # The server is known to be in trouble: an item sent to see whether it still is does
            # not pay for it.
            self._send_again(queue, work, error, refused=False)
        elif fate == "again" and work.failures + 1 < MAX_ATTEMPTS:
            work.failures += 1
            self._send_again(queue, work, error, refused=False)
        elif fate == "refused" and self._has_time(work):
            self._tally.rejected += 1
            self.stated_limit = error.limit if isinstance(error, ConcurrencyLimitError) else None
            self._send_again(queue, work, error, refused=True)
        elif fate == "unpaid" and self._options.on_402 == "pause":
            self.pauses.until_paid()
            queue.send_again(work, time.monotonic())
        elif fate in ("stop", "unpaid"):
            self._give_up(queue, work, error, "refused" if fate == "stop" else "unpaid")
        else:
            self._lose(queue, work, error)

    def _is_innocent(self, work: Work) -> bool:
        """Tell whether the server is at fault rather than an item that it can't answer."""
        if not work.probes:
            work.answers = self._answers
        work.probes += 1
        is_proven = work.probes > MAX_PROBES and self._answers > work.answers
        return self._has_time(work) and not is_proven

    def _has_time(self, work: Work) -> bool:
        now = time.monotonic()
        if work.refused_since is None:
            work.refused_since = now
        return now - work.refused_since < MAX_REFUSED

    def _send_again(
        self, queue: ModelQueue, work: Work, error: Exception, *, refused: bool
    ) -> None:
        delay = delay_after(
            error,
            # Probes as well, so that one that always fails makes way for others.
            work.failures + work.probes,
            refused=refused,
            has_token=refused or self._retry_tokens.spend(),
            now=time.time(),
            random=random.random,
        )
        logger.debug("%s failed: %s; sent again in %.2f s", work.entry.where, error, delay)
        work.is_retry = not refused
        queue.send_again(work, time.monotonic() + delay)

    def _give_up(self, queue: ModelQueue, work: Work, error: Exception, outcome: Outcome) -> None:
        """Stop the job because of an item, which the next run sends again."""
        queue.done(work, time.monotonic(), ok=False)
        self._recorder.unsettled(work.entry, error, work.attempts)
        self.stop(outcome, error)

    def _lose(self, queue: ModelQueue, work: Work, error: Exception) -> None:
        queue.done(work, time.monotonic(), ok=False)
        if self._twins is not None:
            self._twins.failed(work)
        for entry in (work.entry, *(work.twins or ())):
            self._recorder.failed(entry, error, work.attempts)

    # The end.

    def stop(self, outcome: Outcome, error: Exception | None = None) -> None:
        """Send nothing more."""
        if self.outcome != "running":
            return
        self.outcome = outcome
        self.error = error
        if error is not None:
            logger.error("the batch stops: %s", error)
        # The reader waits for room that will not come.
        self.has_room.set()

    def broke(self, error: Exception) -> None:
        """Take note that the job can't go on: input, results or a hook failed."""
        self.stop("broken", error)
        for task, work in self._running.items():
            if work is not None:
                task.cancel()
        self._delivery.end(error)

    def _end_if_done(self) -> None:
        """End the iteration once nothing more can come."""
        if self._sending or self._recorder.unwritten:
            return
        if self.outcome == "running":
            if not self.input_ended or any(queue.waiting for queue in self._queues.values()):
                return
            self.outcome = "completed"
        self._delivery.end()

    async def aclose(self) -> None:
        """Cancel what is under way, and leave the places to others."""
        self._closed = True
        self.stop("stopped")
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for work in self._running.values():
            # Of tasks that were cancelled before they began.
            if work is not None:
                self._give_back(work)
        self._running.clear()
        self._sending = 0
        for queue in self._queues.values():
            queue.lane.close()


def _ended(work: Work, error: Exception) -> Ended:
    """Return what a failure says about how many requests there may be."""
    if fate_of(error) == "refused":
        limits = (error.limit, error.current) if isinstance(error, ConcurrencyLimitError) else ()
        stated, current = limits or (None, None)
        return Ended("rejected", work.sent_at, stated_limit=stated, stated_current=current)
    if isinstance(error, EmptyResponseError):
        # The server closes what it has not begun within ten minutes.
        return Ended("failed", work.sent_at, closed_in_queue=True)
    if is_overload(error):
        return Ended("failed", work.sent_at)
    return Ended("neutral", work.sent_at)
