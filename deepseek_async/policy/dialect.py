"""What a host is known to be, and which of its addresses a request goes to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from deepseek_async.errors import PreflightError
from deepseek_async.types.requests import get_field

Dialect = Literal["deepseek", "generic"]

DEFAULT_BASE_URL = "https://api.deepseek.com"

#: Requests that DeepSeek lets an account have under way at once, by model.
#: Source: https://api-docs.deepseek.com/quick_start/rate_limit, read 2026-11-21.
CONCURRENCY_CEILINGS: Mapping[str, int] = {
    "deepseek-flash": 2500,
    "deepseek-v4-flash": 2500,
    "deepseek-v4-flash-vision-exp": 2500,
    "deepseek-chat": 2500,
    "deepseek-reasoner": 2500,
    "deepseek-v4-pro": 500,
}

# Parsers disagree about these: some drop them, some end the host there.
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")


def normalize_base_url(base_url: str) -> str:
    """Check a base URL and return it without trailing slashes; its path is kept.

    Raises:
        PreflightError: If it can't be one; the message says why.
    """
    url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise PreflightError(f"base_url is not a URL: {exc}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise PreflightError(
            f"base_url must start with http:// or https:// and name a host, got {base_url!r}"
        )
    if parts.username is not None or parts.password is not None:
        # Not quoted: it holds a secret.
        raise PreflightError("base_url must not hold a user name or password; pass api_key instead")
    if "?" in url or "#" in url:
        raise PreflightError(
            f"base_url must not have a query or fragment (pass extra_query), got {base_url!r}"
        )
    if _NOT_IN_URLS.search(url):
        raise PreflightError(
            f"base_url must not hold white space, control characters or backslashes, "
            f"got {base_url!r}"
        )
    if parts.path.endswith("/completions"):
        raise PreflightError(
            f"base_url must end before /chat/completions, which the client adds, got {base_url!r}"
        )
    return url


def resolve_dialect(dialect: str, base_url: str) -> Dialect:
    """Return the dialect to use; ``"auto"`` knows DeepSeek by its host name.

    Raises:
        PreflightError: If it is none of ``"auto"``, ``"deepseek"``, ``"generic"``.
    """
    if dialect == "auto":
        host = (urlsplit(base_url).hostname or "").rstrip(".")
        return "deepseek" if f".{host}".endswith(".deepseek.com") else "generic"
    if dialect == "deepseek":
        return "deepseek"
    if dialect == "generic":
        return "generic"
    raise PreflightError(
        f'dialect must be "auto", "deepseek" or "generic", got {dialect!r} '
        "(argument or DEEPSEEK_DIALECT)"
    )


def beta_base_url(base_url: str) -> str:
    """Return the base URL of DeepSeek's beta features.

    ``/beta`` stands beside ``/v1``. Any other path is one of DeepSeek's temporary endpoints, and
    nothing is known of a beta below those: the request goes there unchanged.
    """
    parts = urlsplit(base_url)
    if parts.path in ("", "/v1"):
        return f"{parts.scheme}://{parts.netloc}/beta"
    return base_url


def needs_beta(messages: Sequence[Any], tools: Iterable[Any] | None) -> bool:
    """Tell whether a chat request uses a feature that only ``/beta`` has.

    These are prefix completion (``prefix`` on the last message) and strict tools.
    """
    if messages and get_field(messages[-1], "prefix") is True:
        return True
    if not tools:
        return False
    return any(get_field(get_field(tool, "function"), "strict") is True for tool in tools)
