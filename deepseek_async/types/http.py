"""What remains of an HTTP response once its body has been read."""

from collections.abc import Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Response headers: read-only, names in any case, the first value of a repeated name.

    Unlike the headers of HTTP libraries these can be pickled with the exception that
    carries them.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: dict[str, str] = {}
        for name, value in items:
            self._items.setdefault(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({self._items})"


class ResponseInfo:
    """Status line and headers of an HTTP response, without its body.

    Attributes:
        status: HTTP status code.
        headers: Response headers.
    """

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers

    @property
    def status_code(self) -> int:
        """The status, under the name other SDKs use."""
        return self.status

    @property
    def request_id(self) -> str | None:
        """DeepSeek's id of the request, to quote to their support; None from other hosts."""
        return self.headers.get("x-ds-trace-id") or self.headers.get("x-request-id")

    def __repr__(self) -> str:
        return f"ResponseInfo(status={self.status}, request_id={self.request_id!r})"
