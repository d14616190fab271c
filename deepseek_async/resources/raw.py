"""Answers with what HTTP said about them: ``with_raw_response``."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from deepseek_async.caller import Call
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.types.model import Result

T = TypeVar("T")
R = TypeVar("R", bound=Result)


class RawResponse(Generic[T]):
    """An answer with what HTTP said about it.

    Attributes:
        body: The bytes as they came; None of a stream.
    """

    def __init__(self, info: ResponseInfo, body: bytes | None, parsed: T) -> None:
        self._info = info
        self.body = body
        self._parsed = parsed

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self._info.status

    @property
    def status_code(self) -> int:
        """The status, under the name other SDKs use."""
        return self._info.status

    @property
    def headers(self) -> Headers:
        """Response headers."""
        return self._info.headers

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        return self._info.request_id

    def parse(self) -> T:
        """Return the answer itself, or the stream."""
        return self._parsed


async def raw_result(call: Call, cls: type[R]) -> RawResponse[R]:
    """Make a call and return its answer."""
    fetched = await call.fetch(cls)
    return _raw(call, fetched.body, fetched.result)


async def raw_stream(call: Call, open_stream: Callable[[], Awaitable[T]]) -> RawResponse[T]:
    """Open a stream and return it."""
    return _raw(call, None, await open_stream())


def _raw(call: Call, body: bytes | None, parsed: T) -> RawResponse[T]:
    info = call.info
    assert info is not None
    return RawResponse(info, body, parsed)
