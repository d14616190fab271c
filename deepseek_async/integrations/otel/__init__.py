"""Spans and metrics by OpenTelemetry: ``pip install "deepseek-async[otel]"``.

```python
from deepseek_async.integrations.otel import instrument

client = AsyncDeepSeek()
instrument(client)
```

The names are those of the semantic conventions for generative AI as they were last released
(opentelemetry-semantic-conventions 0.66b2), and ``deepseek.*`` where they have none. The SDK and
its exporters are the program's own; without them nothing is exported.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/, read 2026-11-21.
"""

import importlib
from typing import TYPE_CHECKING, Any

from deepseek_async import AsyncDeepSeek

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from deepseek_async.observers import Observer

__all__ = ["instrument", "instrument_all", "uninstrument", "uninstrument_all"]


def instrument(
    client: AsyncDeepSeek,
    tracer_provider: "TracerProvider | None" = None,
    meter_provider: "MeterProvider | None" = None,
    *,
    capture_content: bool = False,
) -> None:
    """Make spans and metrics of the calls of a client, and of all its copies, from now on.

    Each call is a span: ``chat MODEL``, or ``text_completion MODEL`` for fill-in-the-middle. It
    is a child of the span that was current where the call was made, and ends with the answer: a
    stream's when the last chunk has come, when it fails, is cancelled, closed or dropped. Retries
    are events of it. A ``run_tools`` run is a span ``invoke_agent``, with a span for each of its
    requests and an ``execute_tool NAME`` for each tool that runs; what a tool does belongs to
    that. ``parse()`` makes a span for each request it takes, and a batch one for each time it
    sends an item.

    Nothing of what is asked and answered is told, but for what an error message of the server
    quotes. The key is never told.

    Args:
        client: The client.
        tracer_provider: Where spans go; the global one by default.
        meter_provider: Where metrics go; the global one by default.
        capture_content: Tell prompts, answers, and the arguments and results of tools as well.

    Raises:
        ImportError: If opentelemetry-api is not installed.
        RuntimeError: If something else observes the client already.
    """
    _check_free(client.observer)
    client.observer = _observer(tracer_provider, meter_provider, capture_content)


def uninstrument(client: AsyncDeepSeek) -> None:
    """Make nothing of the calls of a client from now on; those under way are told to their end."""
    if _is_ours(client.observer):
        client.observer = None


def instrument_all(
    tracer_provider: "TracerProvider | None" = None,
    meter_provider: "MeterProvider | None" = None,
    *,
    capture_content: bool = False,
) -> None:
    """Do what :func:`instrument` does for every client that is made from now on.

    Args:
        tracer_provider: Where spans go; the global one by default.
        meter_provider: Where metrics go; the global one by default.
        capture_content: Tell prompts, answers, and the arguments and results of tools as well.

    Raises:
        ImportError: If opentelemetry-api is not installed.
        RuntimeError: If something else observes new clients already.
    """
    _check_free(AsyncDeepSeek.default_observer)
    AsyncDeepSeek.default_observer = _observer(tracer_provider, meter_provider, capture_content)


def uninstrument_all() -> None:
    """Instrument new clients no longer; those that are keep it until :func:`uninstrument`."""
    if _is_ours(AsyncDeepSeek.default_observer):
        AsyncDeepSeek.default_observer = None


def _observer(tracer_provider: Any, meter_provider: Any, capture_content: bool) -> "Observer":
    try:
        # A part of it: other packages share the name of the whole.
        importlib.import_module("opentelemetry.metrics")
    except ImportError as exc:
        raise ImportError(
            "to make spans and metrics takes the library opentelemetry-api: "
            f'pip install "deepseek-async[otel]" ({exc})',
            name=exc.name,
        ) from exc
    from deepseek_async.integrations.otel.observer import OtelObserver

    return OtelObserver(tracer_provider, meter_provider, capture_content=capture_content)


def _is_ours(observer: "Observer | None") -> bool:
    # Without importing it: where it was never imported, nothing is instrumented.
    return type(observer).__module__ == f"{__name__}.observer"


def _check_free(observer: "Observer | None") -> None:
    if observer is not None and not _is_ours(observer):
        raise RuntimeError(
            f"{type(observer).__name__} observes the client already, and there can be one only: "
            "set observer to None first"
        )
