"""DeepSeek behind aioresponses: what to answer, and what was sent."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
from aioresponses import aioresponses
from multidict import CIMultiDict
from yarl import URL

KEY = "sk-0123456789abcdef"
BASE = "https://api.deepseek.com"
HELLO = [{"role": "user", "content": "Hello"}]
TRACE = {"x-ds-trace-id": "trace-1"}

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1795262400,
    "model": "deepseek-flash",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


class Sent(NamedTuple):
    """A request as aiohttp was asked to send it."""

    url: URL
    headers: CIMultiDict[str]
    data: bytes | None
    options: dict[str, Any]

    @property
    def json(self) -> Any:
        assert self.data is not None
        return json.loads(self.data)


class FakeAPI:
    """Answers in the order in which the answers were given; anything else is refused."""

    def __init__(
        self, mock: aioresponses, response_class: type[aiohttp.ClientResponse], base_url: str = BASE
    ) -> None:
        self._mock = mock
        self._response_class = response_class
        self._base_url = base_url
        self.sent: list[Sent] = []

    def post(self, path: str = "/chat/completions", **answer: Any) -> None:
        """Answer the next POST to a path; with a completion, unless told otherwise."""
        self._add("POST", path, {"payload": COMPLETION} | answer if no_body(answer) else answer)

    def get(self, path: str, **answer: Any) -> None:
        """Answer the next GET of a path."""
        self._add("GET", path, answer)

    def _add(self, method: str, path: str, answer: dict[str, Any]) -> None:
        during: Callable[[], Awaitable[None]] | None = answer.pop("during", None)

        async def callback(url: URL, **options: Any) -> None:
            self.sent.append(
                Sent(url, CIMultiDict(options["headers"]), options.get("data"), options)
            )
            if during is not None:
                await during()

        url = path if "://" in path else self._base_url + path
        answer.setdefault("headers", TRACE)
        self._mock.add(
            url, method=method, callback=callback, response_class=self._response_class, **answer
        )


def no_body(answer: dict[str, Any]) -> bool:
    return not answer.keys() & {"payload", "body", "exception", "status"}
