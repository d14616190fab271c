"""Runs of tools, made spans."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
from opentelemetry import context as contexts
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
    use_span,
)

from deepseek_async.integrations.otel.attributes import (
    PROVIDER,
    Attributes,
    error_type,
    public_message,
)
from deepseek_async.integrations.otel.metrics import Metrics

if TYPE_CHECKING:
    from deepseek_async.observers import Outcome


class RunSpan:
    """The span of one run.

    Args:
        tracer: Makes the spans.
        metrics: Records what the tools take.
        model: The model that is asked.
        capture_content: Tell arguments and results of the tools as well.
    """

    def __init__(
        self, tracer: Tracer, metrics: Metrics, model: str, *, capture_content: bool
    ) -> None:
        self._tracer = tracer
        self._metrics = metrics
        self._capture_content = capture_content
        self._parent = contexts.get_current()
        self._about: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": PROVIDER,
        }
        if model:
            self._about["gen_ai.request.model"] = model
        self._span: Span = INVALID_SPAN

    def began(self) -> None:
        """Start the span."""
        self._span = self._tracer.start_span(
            "invoke_agent", self._parent, SpanKind.INTERNAL, attributes=self._about
        )

    def within(self) -> AbstractContextManager[object]:
        """Return a context in which the run's span is current."""
        return use_span(self._span, record_exception=False, set_status_on_exception=False)

    def tool(self, name: str, description: str, call_id: str, arguments: str) -> "ToolSpan":
        """Return the span of a call of a tool."""
        about: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
        }
        more: Attributes = {}
        if call_id:
            more["gen_ai.tool.call.id"] = call_id
        if self._capture_content:
            more["gen_ai.tool.description"] = description
            more["gen_ai.tool.call.arguments"] = arguments
        parent = set_span_in_context(self._span, self._parent)
        span = self._tracer.start_span(
            f"execute_tool {name}", parent, SpanKind.INTERNAL, attributes={**about, **more}
        )
        return ToolSpan(span, self._metrics, about, capture_content=self._capture_content)

    def ended(self, outcome: "Outcome", error: BaseException | None) -> None:
        """End the span."""
        _end(self._span, outcome, error)


class ToolSpan:
    """The span of one call of a tool: current while it runs.

    Args:
        span: The span, which has been started.
        metrics: Records what it takes.
        about: What it has in common with other calls of the tool.
        capture_content: Tell the result as well.
    """

    def __init__(
        self, span: Span, metrics: Metrics, about: Attributes, *, capture_content: bool
    ) -> None:
        self._span = span
        self._metrics = metrics
        self._about = about
        self._capture_content = capture_content
        self._current = use_span(span, record_exception=False, set_status_on_exception=False)
        self._began = time.perf_counter()

    def __enter__(self) -> Callable[[str], None]:
        self._current.__enter__()
        return self._answered

    def _answered(self, result: str) -> None:
        if self._capture_content:
            self._span.set_attribute("gen_ai.tool.call.result", result)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        outcome: Outcome = "answered"
        if exc is not None:
            outcome = "failed"
        if isinstance(exc, asyncio.CancelledError):
            # The limit of a tool is the only scope in its task.
            in_time = anyio.current_effective_deadline() > anyio.current_time()
            outcome, exc = ("cancelled", exc) if in_time else ("failed", TimeoutError())
        try:
            self._metrics.tool(self._about, time.perf_counter() - self._began, outcome, exc)
        finally:
            self._current.__exit__(None, None, None)
            _end(self._span, outcome, exc)


def _end(span: Span, outcome: "Outcome", error: BaseException | None) -> None:
    span.set_attribute("deepseek.outcome", outcome)
    if outcome == "failed":
        span.set_attribute("error.type", error_type(error))
        span.set_status(Status(StatusCode.ERROR, public_message(error)))
    span.end()
