"""The metrics of calls and tools."""

from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Histogram, MeterProvider, get_meter

from deepseek_async import __version__
from deepseek_async.integrations.otel.attributes import Attributes, error_type

if TYPE_CHECKING:
    from deepseek_async.observers import CallEnd, Outcome

# Where the conventions want the borders of buckets. A duration of theirs ends at 82 seconds;
# thinking, and waiting in DeepSeek's queue for up to ten minutes, take longer.
_SECONDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    163.84, 327.68, 655.36,
)  # fmt: skip
_TOKENS = tuple(4**power for power in range(14))


class Metrics:
    """The histograms of one meter.

    Args:
        provider: Where the meter comes from; None for the global one.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        self._meter: Any = get_meter("deepseek_async", __version__, meter_provider=provider)
        self._duration = self._histogram(
            "gen_ai.client.operation.duration", "s", "How long calls took.", _SECONDS
        )
        self._tokens = self._histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of prompts and answers.", _TOKENS
        )
        self._first_chunk = self._histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "From sending a request to the first chunk of the answer.",
            _SECONDS,
        )
        self._per_chunk = self._histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            "s",
            "Mean time between two chunks of a stream, once for each stream.",
            _SECONDS,
        )
        self._queue = self._histogram(
            "deepseek.client.queue_time", "s", "In the server's queue.", _SECONDS
        )
        self._gate = self._histogram(
            "deepseek.client.gate_time", "s", "Waiting for a place in this process.", _SECONDS
        )
        self._attempts = self._meter.create_counter(
            "deepseek.client.attempts", "{attempt}", "Requests sent, retries included."
        )
        self._cached = self._meter.create_counter(
            "deepseek.client.cached_tokens", "{token}", "Prompt tokens from the server's cache."
        )
        self._tool = self._histogram(
            "gen_ai.execute_tool.duration", "s", "How long tools ran.", _SECONDS
        )

    def _histogram(
        self, name: str, unit: str, description: str, borders: tuple[float, ...]
    ) -> Histogram:
        histogram: Histogram = self._meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=borders
        )
        return histogram

    def call(self, about: Attributes, end: "CallEnd") -> None:
        """Record a call.

        Args:
            about: What it has in common with many others.
            end: How it ended.
        """
        answered, usage = end.answered, end.answered.usage
        labels = dict(about)
        if answered.model:
            labels["gen_ai.response.model"] = answered.model
        self._duration.record(end.seconds, _ending(labels, end.outcome, end.error))
        if end.attempts:
            self._attempts.add(end.attempts, labels)
        if end.gate_seconds:
            self._gate.record(end.gate_seconds, labels)
        if end.queue_seconds is not None:
            self._queue.record(end.queue_seconds, labels)
        if end.first_chunk_seconds is not None:
            self._first_chunk.record(end.first_chunk_seconds, labels)
        if end.chunk_seconds is not None:
            self._per_chunk.record(end.chunk_seconds, labels)
        if usage is not None:
            self._tokens.record(usage.prompt_tokens, {**labels, "gen_ai.token.type": "input"})
            self._tokens.record(usage.completion_tokens, {**labels, "gen_ai.token.type": "output"})
            if usage.cached_tokens:
                self._cached.add(usage.cached_tokens, labels)

    def tool(
        self, about: Attributes, seconds: float, outcome: "Outcome", error: BaseException | None
    ) -> None:
        """Record a call of a tool."""
        self._tool.record(seconds, _ending(about, outcome, error))


def _ending(labels: Attributes, outcome: "Outcome", error: BaseException | None) -> Attributes:
    """Return labels with how it ended, unless all went well."""
    if outcome == "answered":
        return labels
    if outcome == "failed":
        return {**labels, "error.type": error_type(error)}
    # No errors, but their times say nothing about the server.
    return {**labels, "deepseek.outcome": outcome}
