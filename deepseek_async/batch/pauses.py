"""When a job sends nothing though there is something to send: peak hours, an empty account."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deepseek_async.batch.options import JobOptions
from deepseek_async.errors import DeepSeekError, InsufficientBalanceError
from deepseek_async.policy.schedule import OffPeakSchedule

if TYPE_CHECKING:
    from deepseek_async.types.account import Balance

logger = logging.getLogger("deepseek_async")

# Seconds between two looks at the account's balance.
_BALANCE_EVERY = 30.0

# Requests under way when a peak begins may be charged as at peak.
_LEAD = timedelta(minutes=2)


class Pauses:
    """Decides whether one job sends at the moment.

    Args:
        options: What the job was asked to do.
        balance: Asks for the account's balance.
        is_deepseek: Whether the host is DeepSeek's, and has a balance and peak hours.
        clock: Tells the time.
    """

    def __init__(
        self,
        options: JobOptions,
        balance: "Callable[[], Awaitable[Balance]]",
        *,
        is_deepseek: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._options = options
        self._balance = balance
        self._is_deepseek = is_deepseek
        self._schedule: OffPeakSchedule | None = None
        if options.schedule == "off_peak" and is_deepseek:
            self._schedule = OffPeakSchedule(
                is_holiday=options.is_holiday, deadline=options.deadline, lead=_LEAD
            )
        self._is_unpaid = False
        self._peak_until: datetime | None = None

    @property
    def reason(self) -> str | None:
        """Why nothing is sent; None if there is no reason."""
        if self._is_unpaid:
            return "the account's balance is used up; top it up to go on"
        if self._peak_until is not None:
            return f"peak prices until {self._peak_until.astimezone():%a %H:%M %Z}"
        return None

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed, of a job that doesn't wait for off-peak prices."""
        deadline = self._options.deadline
        return (
            deadline is not None and self._options.schedule == "any" and self._clock() >= deadline
        )

    def watch(self, model: str) -> None:
        """Take a model into account."""
        if self._schedule is not None:
            self._schedule.watch(model)
            # Before its first item is sent.
            self.look(remaining=None, rate=0.0)

    def until_paid(self) -> None:
        """Pause until there is a balance again."""
        if not self._is_unpaid:
            logger.warning("the balance is used up; the batch goes on when it is topped up")
        self._is_unpaid = True

    def look(self, *, remaining: int | None, rate: float) -> None:
        """Look at the hours.

        Args:
            remaining: Items that are not finished; None if unknown.
            rate: Items finished in a second.
        """
        if self._schedule is None:
            return
        verdict = self._schedule.decide(self._clock(), remaining=remaining, rate=rate or None)
        self._peak_until = None if verdict.run else verdict.until

    async def watch_balance(self, stop: Callable[[InsufficientBalanceError], None]) -> None:
        """Look at the account's balance for as long as the job runs.

        Args:
            stop: Called when it is used up, unless the job then pauses.
        """
        while True:
            await asyncio.sleep(_BALANCE_EVERY)
            if not self._is_deepseek:
                # Nobody tells: the next requests will.
                self._is_unpaid = False
                continue
            try:
                balance = await self._balance()
            except DeepSeekError as exc:
                # The answers to the requests will say what is wrong.
                logger.debug("the balance could not be asked for: %s", exc)
                self._is_unpaid = False
                continue
            # Without any currency it is no balance: some proxies answer whatever they are asked.
            if balance.is_available or not balance.balance_infos:
                self._is_unpaid = False
            elif self._options.on_402 == "pause":
                self.until_paid()
            else:
                stop(
                    InsufficientBalanceError(
                        "the account's balance is used up; top it up and run the batch again",
                        status_code=402,
                    )
                )
                return
