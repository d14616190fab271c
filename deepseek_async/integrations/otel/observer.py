"""What is told of a client's calls, made spans and metrics."""

from typing import TYPE_CHECKING

from opentelemetry import context as contexts
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_tracer,
    set_span_in_context,
)

from deepseek_async import __version__
from deepseek_async.integrations.otel.attributes import (
    about_call,
    about_end,
    about_request,
    error_type,
    public_message,
)
from deepseek_async.integrations.otel.content import input_content, output_content
from deepseek_async.integrations.otel.metrics import Metrics
from deepseek_async.integrations.otel.runs import RunSpan

if TYPE_CHECKING:
    from deepseek_async.observers import CallAbout, CallEnd


class OtelObserver:
    """Makes spans and metrics of calls and runs.

    Args:
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        capture_content: Tell what is asked and answered as well.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        *,
        capture_content: bool,
    ) -> None:
        self._tracer = get_tracer("deepseek_async", __version__, tracer_provider)
        self._metrics = Metrics(meter_provider)
        self._capture_content = capture_content

    def call(self, about: "CallAbout") -> "CallSpan":
        """Return what is told of a call."""
        return CallSpan(self._tracer, self._metrics, about, capture_content=self._capture_content)

    def run(self, model: str) -> RunSpan:
        """Return what is told of a run of tools."""
        return RunSpan(self._tracer, self._metrics, model, capture_content=self._capture_content)


class CallSpan:
    """The span of one call, and its metrics.

    Args:
        tracer: Makes the span.
        metrics: Records the call.
        about: What is known of the call.
        capture_content: Tell what is asked and answered as well.

    Attributes:
        wants_answer: Whether the answer is to be told.
    """

    def __init__(
        self, tracer: Tracer, metrics: Metrics, about: "CallAbout", *, capture_content: bool
    ) -> None:
        self.wants_answer = capture_content
        self._tracer = tracer
        self._metrics = metrics
        self._streamed = about.streamed
        self._about = about_call(about)
        self._name = f"{about.operation} {about.model}".rstrip()
        # A stream is often read by another task than the one that asked for it.
        self._parent = contexts.get_current()
        self._span: Span = INVALID_SPAN

    def began(self, body: bytes) -> None:
        """Start the span."""
        self._span = self._tracer.start_span(
            self._name, self._parent, SpanKind.CLIENT, attributes=self._about
        )
        if self._span.is_recording():
            self._span.set_attributes(about_request(body, streamed=self._streamed))
            if self.wants_answer:
                self._span.set_attributes(input_content(body))

    def retrying(self, error: Exception, attempts: int, delay: float) -> None:
        """Tell of a failed attempt in an event."""
        self._span.add_event(
            "deepseek.retry",
            {
                "error.type": error_type(error),
                "deepseek.attempts": attempts,
                "deepseek.retry.delay": delay,
            },
        )

    def ended(self, end: "CallEnd") -> None:
        """End the span, and record the call."""
        try:
            self._tell(end)
        finally:
            self._span.end()

    def _tell(self, end: "CallEnd") -> None:
        span = self._span
        if span.is_recording():
            span.set_attributes(about_end(end))
            if self.wants_answer:
                span.set_attributes(output_content(end.answer))
            if end.outcome == "failed":
                span.set_attribute("error.type", error_type(end.error))
                span.set_status(Status(StatusCode.ERROR, public_message(end.error)))
        # Metrics first: while the span is current, an exemplar can refer to it.
        token = contexts.attach(set_span_in_context(span, self._parent))
        try:
            self._metrics.call(self._about, end)
        finally:
            contexts.detach(token)
