"""What remains of an HTTP response once its body has been read."""

from collections.abc import Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Response headers: read-only, names in any case, the first value of a repeated name.

    Unlike the headers of HTTP libraries these can be pickled with the exception that
    carries them.
    """

    __slots__ = ("_items", "_pairs")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        # Put in order when somebody looks: few programs ever do.
        self._pairs = items
        self._items: dict[str, str] | None = None

    def _by_name(self) -> dict[str, str]:
        if self._items is None:
            items: dict[str, str] = {}
            for name, value in self._pairs:
                items.setdefault(name.lower(), value)
            self._items, self._pairs = items, ()
        return self._items

    def __getitem__(self, name: str) -> str:
        return self._by_name()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())

    def __repr__(self) -> str:
        return f"Headers({self._by_name()})"

    def __reduce__(self) -> tuple[type["Headers"], tuple[list[tuple[str, str]]]]:
        return Headers, (list(self._by_name().items()),)


class ResponseInfo:
    """Status line and headers of an HTTP response, without its body.

    Attributes:
        status: HTTP status code.
        headers: Response headers.
    """

    __slots__ = ("_request_id", "headers", "status")

    def __init__(self, status: int, headers: Headers, request_id: str | None = None) -> None:
        self.status = status
        self.headers = headers
        self._request_id = request_id

    @property
    def request_id(self) -> str | None:
        """DeepSeek's id of the request, to quote to their support; None if the host gave none."""
        return (
            self._request_id
            or self.headers.get("x-ds-trace-id")
            or self.headers.get("x-request-id")
        )

    @property
    def status_code(self) -> int:
        """The status, under the name other SDKs use."""
        return self.status

    def __repr__(self) -> str:
        return f"ResponseInfo(status={self.status}, request_id={self.request_id!r})"
