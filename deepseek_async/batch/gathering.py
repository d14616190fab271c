"""A handful of requests at once: ``client.gather``."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from deepseek_async.batch.engine import Services
from deepseek_async.batch.job import BatchJob
from deepseek_async.batch.options import JobOptions
from deepseek_async.batch.records import BatchRequest


async def gather(
    services: Services, bodies: Sequence[Any], options: JobOptions, *, return_exceptions: bool
) -> list[Any]:
    """Send requests and return the answers in the order of the requests.

    Raises:
        Exception: Of the first item that fails, unless ``return_exceptions`` is set.
    """
    options = msgspec.structs.replace(options, map=_unnamed)
    results: list[Any] = [None] * len(bodies)
    async with BatchJob(services, bodies, options) as job:
        async for item in job:
            if item.error is not None and not return_exceptions:
                raise item.error
            value = item.completion if options.response_model is None else item.parsed
            results[item.index] = value if item.error is None else item.error
    stopped = job.report().error
    if stopped is not None:
        # Those that were not sent any more, since none would have been answered.
        results = [stopped if result is None else result for result in results]
    return results


def _unnamed(body: object) -> object:
    """Take the name from a request: each gets its own answer, whatever the others are called."""
    if isinstance(body, BatchRequest):
        return msgspec.structs.replace(body, custom_id=None)
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, Any]", body)
        return {name: value for name, value in fields.items() if name != "custom_id"}
    return body
