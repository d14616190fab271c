"""`policy.dialect`: addresses, and who is DeepSeek."""

from typing import Any

import pytest

from deepseek_async.errors import PreflightError
from deepseek_async.policy.dialect import (
    CONCURRENCY_CEILINGS,
    DEFAULT_BASE_URL,
    beta_base_url,
    needs_beta,
    normalize_base_url,
    resolve_dialect,
)
from deepseek_async.types import AssistantMessage, UserMessage
from deepseek_async.types.requests import ToolMessage

ACCEPTED = {
    "https://api.deepseek.com": "https://api.deepseek.com",
    "https://api.deepseek.com/": "https://api.deepseek.com",
    "https://api.deepseek.com/v1//": "https://api.deepseek.com/v1",
    "https://api.deepseek.com/beta": "https://api.deepseek.com/beta",
    "https://api.deepseek.com/v3.2_speciale_expires_on_20251215": (
        "https://api.deepseek.com/v3.2_speciale_expires_on_20251215"
    ),
    "  http://localhost:8000/v1\n": "http://localhost:8000/v1",
    "HTTP://127.0.0.1:1": "HTTP://127.0.0.1:1",
    "http://[::1]:8000/v1": "http://[::1]:8000/v1",
    "https://b\u00fccher.example/completions/v1": "https://b\u00fccher.example/completions/v1",
}


@pytest.mark.parametrize(("given", "kept"), ACCEPTED.items(), ids=ACCEPTED)
def test_a_base_url_loses_its_trailing_slashes_and_keeps_its_path(given: str, kept: str) -> None:
    assert normalize_base_url(given) == kept


REFUSED = {
    "empty": ("", "must start with http"),
    "host alone": ("api.deepseek.com", "must start with http"),
    "no scheme": ("//api.deepseek.com", "must start with http"),
    "other scheme": ("ftp://api.deepseek.com", "must start with http"),
    "no host": ("https://", "name a host"),
    "no slashes": ("https:api.deepseek.com", "name a host"),
    "port alone": ("https://:443", "name a host"),
    "port that is no number": ("https://api.deepseek.com:x", "is not a URL"),
    "port out of range": ("https://api.deepseek.com:99999", "is not a URL"),
    "half an IPv6 address": ("https://[::1", "is not a URL"),
    "user and password": ("https://me:pass@api.deepseek.com", "user name or password"),
    "user": ("https://me@api.deepseek.com", "user name or password"),
    "query": ("https://api.deepseek.com/v1?key=1", "query or fragment"),
    "empty query": ("https://api.deepseek.com/v1?", "query or fragment"),
    "fragment": ("https://api.deepseek.com#v1", "query or fragment"),
    "empty fragment": ("https://api.deepseek.com/#", "query or fragment"),
    "whole path": ("https://api.deepseek.com/chat/completions", "must end before"),
    "whole path of FIM": ("https://api.deepseek.com/beta/completions/", "must end before"),
    "space in the host": ("https://api deepseek.com", "white space"),
    "line end in the host": ("https://api.deep\nseek.com", "white space"),
    "NUL in the path": ("https://api.deepseek.com/\x00v1", "white space"),
    "backslash in the host": ("https://evil.org\\.deepseek.com", "backslashes"),
}


@pytest.mark.parametrize(("url", "message"), REFUSED.values(), ids=REFUSED)
def test_a_base_url_that_can_not_be_one_is_refused(url: str, message: str) -> None:
    with pytest.raises(PreflightError, match=message):
        normalize_base_url(url)


def test_the_refusal_of_a_password_does_not_quote_it() -> None:
    with pytest.raises(PreflightError) as excinfo:
        normalize_base_url("https://me:hunter2@api.deepseek.com")
    assert "hunter2" not in str(excinfo.value)


HOSTS = {
    "https://api.deepseek.com": "deepseek",
    "https://api.deepseek.com:8443/v1": "deepseek",
    "https://API.DeepSeek.COM": "deepseek",
    "https://eu.api.deepseek.com": "deepseek",
    "https://api.deepseek.com.evil.org": "generic",
    "https://deepseek.com.evil.org": "generic",
    "https://evil-deepseek.com": "generic",
    "https://evildeepseek.com": "generic",
    "https://evil.org/api.deepseek.com": "generic",
    "https://api.deepseek.org": "generic",
    "http://localhost:8000/v1": "generic",
    "https://openrouter.ai/api/v1": "generic",
}


@pytest.mark.parametrize(("url", "dialect"), HOSTS.items(), ids=HOSTS)
def test_deepseek_is_known_by_its_host_name(url: str, dialect: str) -> None:
    assert resolve_dialect("auto", url) == dialect


@pytest.mark.parametrize("dialect", ["deepseek", "generic"])
@pytest.mark.parametrize("url", [DEFAULT_BASE_URL, "http://localhost:8000"])
def test_a_dialect_that_is_named_wins_over_the_host(url: str, dialect: str) -> None:
    assert resolve_dialect(dialect, url) == dialect


@pytest.mark.parametrize("dialect", ["", "openai", "DeepSeek"])
def test_an_unknown_dialect_is_refused(dialect: str) -> None:
    with pytest.raises(PreflightError, match="dialect must be"):
        resolve_dialect(dialect, DEFAULT_BASE_URL)


BETA = {
    "https://api.deepseek.com": "https://api.deepseek.com/beta",
    "https://api.deepseek.com/v1": "https://api.deepseek.com/beta",
    "https://api.deepseek.com/beta": "https://api.deepseek.com/beta",
    "http://127.0.0.1:8000": "http://127.0.0.1:8000/beta",
    "https://api.deepseek.com/v3.2_speciale": "https://api.deepseek.com/v3.2_speciale",
}


@pytest.mark.parametrize(("url", "beta"), BETA.items(), ids=BETA)
def test_beta_stands_beside_v1(url: str, beta: str) -> None:
    assert beta_base_url(url) == beta


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **function}}


USER = {"role": "user", "content": "Hi"}
PREFIX = {"role": "assistant", "content": "He", "prefix": True}

NEEDS: dict[str, tuple[list[Any], list[Any] | None, bool]] = {
    "plain": ([USER], None, False),
    "no messages": ([], None, False),
    "no tools": ([USER], [], False),
    "prefix": ([USER, PREFIX], None, True),
    "prefix switched off": ([USER, {**PREFIX, "prefix": False}], None, False),
    "prefix of an earlier message": ([PREFIX, USER], None, False),
    "struct with prefix": ([USER, AssistantMessage(content="He", prefix=True)], None, True),
    "struct with prefix off": ([USER, AssistantMessage(content="He", prefix=False)], None, False),
    "struct without prefix": ([AssistantMessage(content="He")], None, False),
    "structs that know no prefix": (
        [UserMessage(content="Hi"), ToolMessage(content="5", tool_call_id="1")],
        None,
        False,
    ),
    "plain tool": ([USER], [tool()], False),
    "strict tool": ([USER], [tool(strict=True)], True),
    "second tool is strict": ([USER], [tool(), tool(strict=True)], True),
    "tool that is not strict": ([USER], [tool(strict=False)], False),
    "tool of an unknown kind": ([USER], [{"type": "web_search"}, "odd"], False),
}


@pytest.mark.parametrize(("messages", "tools", "expected"), NEEDS.values(), ids=NEEDS)
def test_prefix_completion_and_strict_tools_need_beta(
    messages: list[Any], tools: list[Any] | None, expected: bool
) -> None:
    assert needs_beta(messages, tools) is expected


@pytest.mark.parametrize(("model", "limit"), [("deepseek-flash", 2500), ("deepseek-v4-pro", 500)])
def test_the_documented_ceilings_are_known(model: str, limit: int) -> None:
    assert CONCURRENCY_CEILINGS[model] == limit
