"""What the items of a job may cost, and what they did."""

from datetime import UTC, datetime
from decimal import Decimal

from deepseek_async.batch.queue import Work
from deepseek_async.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    ConnectTimeoutError,
    ContentFilterFinishReasonError,
    EmptyResponseError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
    StreamError,
)
from deepseek_async.policy.budget import Ledger
from deepseek_async.policy.request_size import RequestSize, request_size
from deepseek_async.pricing import PriceTable
from deepseek_async.types.batch import Budget
from deepseek_async.types.usage import Usage

# The server was at work when it happened.
_AT_WORK = (StreamError, APITimeoutError)

# Of typed answers: the server has answered, and more than once.
_ANSWERED = (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    EmptyResponseError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
)

_NO_SIZE = RequestSize(0, None)


class Money:
    """The ledger of one job.

    Args:
        budget: The most it may spend, if there is a limit.
        is_deepseek: Whether DeepSeek's prices hold.
        requests: Most requests that one attempt at an item takes.
    """

    def __init__(self, budget: Budget | None, *, is_deepseek: bool, requests: int) -> None:
        self._budget = budget
        self._requests = requests
        self._ledger = Ledger(budget, prices=None if is_deepseek else PriceTable({}))

    @property
    def spent(self) -> Decimal | None:
        """US dollars so far; None if the price of an answer isn't known."""
        return None if self._ledger.unpriced else self._ledger.spent_usd

    @property
    def exhausted(self) -> bool:
        """Whether waiting brings no money back for the next request."""
        return self._ledger.exhausted

    def check(self, model: str) -> None:
        """Refuse a model that the budget can't be kept with.

        Raises:
            PreflightError: If the limit is in dollars and the model has no known price.
        """
        self._ledger.check(model, datetime.now(UTC))

    def reserve(self, work: Work) -> bool:
        """Set aside what an item may cost, once; False if there isn't enough."""
        if work.reservation is None:
            size = _NO_SIZE
            if self._budget is not None:
                size = request_size(
                    work.entry.body,
                    worst=self._budget.strict,
                    requests=self._requests if self._budget.strict else 1,
                )
            work.reservation = self._ledger.reserve(
                work.model,
                prompt_tokens=size.prompt_tokens,
                max_output=size.max_output,
                at=datetime.now(UTC),
            )
        return work.reservation is not None

    def settle(self, work: Work, usage: Usage | None, model: str, at: datetime) -> Decimal | None:
        """Replace what was set aside by what the answer cost, and return that."""
        # Hosts that tell no tokens charge them all the same.
        return self._settle(work, usage, model, at, may_be_billed=usage is None)

    def lost(self, work: Work, error: Exception | None) -> None:
        """Take note that a request brought no answer.

        Args:
            work: What was sent.
            error: Why there is no answer; None if it was cancelled.
        """
        usage = None
        if isinstance(error, InterruptedFinishReasonError) and error.completion is not None:
            usage = error.completion.usage
        was_answered = self._requests > 1 and isinstance(error, _ANSWERED)
        may_be_billed = error is None or was_answered or isinstance(error, _AT_WORK)
        if isinstance(error, ConnectTimeoutError):
            may_be_billed = False
        elif isinstance(error, APIConnectionError) and error.request_id is not None:
            # The answer had begun when the connection broke.
            may_be_billed = True
        self._settle(work, usage, work.model, datetime.now(UTC), may_be_billed=may_be_billed)

    def _settle(
        self, work: Work, usage: Usage | None, model: str, at: datetime, *, may_be_billed: bool
    ) -> Decimal | None:
        reservation, work.reservation = work.reservation, None
        assert reservation is not None
        cost = self._ledger.settle(
            reservation, usage, model=model, at=at, may_be_billed=may_be_billed
        )
        return None if usage is None else cost
