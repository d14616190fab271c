"""The options of a client: where they come from, what they refuse, what copies share."""

import asyncio
import gc
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
import pytest

from deepseek_async import (
    AsyncDeepSeek,
    BadRequestError,
    PreflightError,
    Timeouts,
    TotalTimeoutError,
)

from .fake_api import COMPLETION, HELLO, KEY, FakeAPI


async def ask(client: AsyncDeepSeek, **options: Any) -> Any:
    return await client.chat.completions.create(model="deepseek-flash", messages=HELLO, **options)


def test_a_missing_key_is_refused() -> None:
    with pytest.raises(PreflightError, match=r"no API key: pass api_key=.* DEEPSEEK_API_KEY"):
        AsyncDeepSeek()


async def test_the_key_may_come_from_the_environment(
    api: FakeAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-env")
    api.post()
    async with AsyncDeepSeek() as client:
        await ask(client)
    assert api.sent[0].headers["Authorization"] == "Bearer sk-env"


async def test_a_key_that_is_given_wins_over_the_environment(
    api: FakeAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-env")
    api.post()
    async with AsyncDeepSeek(KEY) as client:
        await ask(client)
    assert api.sent[0].headers["Authorization"] == f"Bearer {KEY}"


BAD_KEYS: Mapping[str, Any] = {
    "line end": "sk-secret\n",
    "carriage return": "sk-secret\r\nX: y",
    "NUL": "sk-secret\x00",
    "DEL": "sk-secret\x7f",
    "tab": "sk-\tsecret",
    "accent": "sk-secr\xe9t-secret",
    "empty": "",
    "bytes": b"sk-secret",
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_that_can_not_be_sent_is_refused_without_quoting_it(key: Any) -> None:
    with pytest.raises(PreflightError, match="API key") as excinfo:
        AsyncDeepSeek(key)
    assert "secret" not in str(excinfo.value) + repr(excinfo.value)


@pytest.mark.parametrize("key", [KEY, lambda: KEY], ids=["string", "function"])
def test_the_repr_of_a_client_does_not_hold_its_key(key: Any) -> None:
    client = AsyncDeepSeek(key)
    assert repr(client) == (
        "AsyncDeepSeek(base_url='https://api.deepseek.com', dialect='deepseek')"
    )


URLS: Mapping[str, tuple[str | None, dict[str, str], str]] = {
    "nothing": (None, {}, "https://api.deepseek.com"),
    "DEEPSEEK_BASE_URL": (None, {"BASE_URL": "http://a/v1/"}, "http://a/v1"),
    "DEEPSEEK_API_BASE": (None, {"API_BASE": "http://b"}, "http://b"),
    "both": (None, {"BASE_URL": "http://a", "API_BASE": "http://b"}, "http://a"),
    "an empty variable": (None, {"BASE_URL": "", "API_BASE": "http://b"}, "http://b"),
    "argument": ("http://c/", {"BASE_URL": "http://a"}, "http://c"),
}


@pytest.mark.parametrize(("given", "environment", "url"), URLS.values(), ids=URLS)
def test_the_base_url_comes_from(
    monkeypatch: pytest.MonkeyPatch, given: str | None, environment: dict[str, str], url: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"DEEPSEEK_{name}", value)
    assert AsyncDeepSeek(KEY, base_url=given).base_url == url


DIALECTS: Mapping[str, tuple[dict[str, Any], str | None, str]] = {
    "the host": ({}, None, "deepseek"),
    "another host": ({"base_url": "http://vllm"}, None, "generic"),
    "the environment": ({"base_url": "http://vllm"}, "deepseek", "deepseek"),
    "an empty variable": ({"base_url": "http://vllm"}, "", "generic"),
    "the argument": ({"dialect": "generic"}, "deepseek", "generic"),
}


@pytest.mark.parametrize(("options", "variable", "dialect"), DIALECTS.values(), ids=DIALECTS)
def test_the_dialect_comes_from(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], variable: str | None, dialect: str
) -> None:
    if variable is not None:
        monkeypatch.setenv("DEEPSEEK_DIALECT", variable)
    assert AsyncDeepSeek(KEY, **options).dialect == dialect


def test_an_unknown_dialect_in_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPSEEK_DIALECT", "openai")
    with pytest.raises(PreflightError, match="DEEPSEEK_DIALECT"):
        AsyncDeepSeek(KEY)


OFF = Timeouts(connect=None, idle=None, first_event=None, progress=None, total=None)
TIMEOUTS: Mapping[str, tuple[dict[str, Any], Timeouts]] = {
    "default": ({}, Timeouts()),
    "a number": ({"timeout": 5}, Timeouts(total=5)),
    "None": ({"timeout": None}, OFF),
    "timeouts": ({"timeout": Timeouts(idle=1)}, Timeouts(idle=1)),
}


@pytest.mark.parametrize(("options", "timeouts"), TIMEOUTS.values(), ids=TIMEOUTS)
def test_a_timeout_may_be(options: dict[str, Any], timeouts: Timeouts) -> None:
    assert AsyncDeepSeek(KEY, **options).timeout == timeouts
    assert AsyncDeepSeek(KEY).with_options(**options).timeout == timeouts


@pytest.mark.parametrize(("options", "timeouts"), TIMEOUTS.values(), ids=TIMEOUTS)
async def test_the_connect_timeout_of_a_call_is_passed_on(
    api: FakeAPI, client: AsyncDeepSeek, options: dict[str, Any], timeouts: Timeouts
) -> None:
    api.post()
    await ask(client, **options)
    assert api.sent[0].options["timeout"] == aiohttp.ClientTimeout(
        total=None, connect=timeouts.connect, sock_read=None
    )


REFUSED: Mapping[str, dict[str, Any]] = {
    "max_retries": {"max_retries": -1},
    "max_concurrency of zero": {"max_concurrency": 0},
    "max_concurrency of a word": {"max_concurrency": "many"},
    "max_concurrency of True": {"max_concurrency": True},
    "max_concurrency of a fraction": {"max_concurrency": 1.5},
    "base_url": {"base_url": "api.deepseek.com"},
    "dialect": {"dialect": "openai"},
    "default_headers": {"default_headers": {"X": "a\nb"}},
    "timeout": {"timeout": 0},
    "api_key": {"api_key": "sk\n"},
}


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_an_option_that_can_not_be_meant_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        AsyncDeepSeek(**{"api_key": KEY, **options})


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_a_copy_refuses_the_same(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        AsyncDeepSeek(KEY).with_options(**options)


@pytest.mark.parametrize("name", ["session", "proxy", "ssl", "trust_env"])
def test_a_copy_can_not_have_other_connections(name: str) -> None:
    options: Any = {name: None}
    with pytest.raises(TypeError, match=f"'{name}': it belongs to the shared connections"):
        AsyncDeepSeek(KEY).with_options(**options)


def test_a_copy_can_not_have_what_does_not_exist() -> None:
    options: Any = {"retries": 5}
    with pytest.raises(TypeError, match="'retries': it doesn't exist"):
        AsyncDeepSeek(KEY).with_options(**options)


def test_a_copy_differs_in_what_was_asked_for_only() -> None:
    client = AsyncDeepSeek(KEY, base_url="http://vllm/v1", max_retries=7, timeout=9)
    copy = client.with_options(max_retries=1)
    assert (copy.max_retries, client.max_retries) == (1, 7)
    assert (copy.base_url, copy.dialect, copy.timeout) == (
        client.base_url,
        client.dialect,
        client.timeout,
    )


def test_a_copy_with_another_address_knows_its_dialect_anew() -> None:
    client = AsyncDeepSeek(KEY)
    assert client.with_options(base_url="http://vllm").dialect == "generic"
    assert client.with_options(base_url="http://vllm", dialect="deepseek").dialect == "deepseek"
    assert client.with_options(dialect="generic").dialect == "generic"


async def test_a_copy_may_have_another_key_and_headers(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post()
    await ask(client.with_options(api_key="sk-other", default_headers={"X-Team": "a"}))
    assert api.sent[0].headers["Authorization"] == "Bearer sk-other"
    assert api.sent[0].headers["X-Team"] == "a"


async def test_closing_a_copy_does_nothing(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(repeat=True)
    copy = client.with_options(max_retries=0)
    await copy.aclose()
    await copy.close()
    await ask(client)
    await ask(copy)
    assert len(api.sent) == 2


async def test_a_copy_lives_as_long_as_the_connections(api: FakeAPI) -> None:
    api.post()
    async with AsyncDeepSeek(KEY) as client:
        copy = client.with_options(max_retries=0)
        await ask(copy)
    with pytest.raises(RuntimeError, match="closed"):
        await ask(copy)


async def test_a_copy_outlives_the_client_it_was_made_of(api: FakeAPI) -> None:
    api.post()
    client = AsyncDeepSeek(KEY)
    copy = client.with_options(max_retries=0)
    owner = client
    del client
    gc.collect()
    await ask(copy)
    await owner.aclose()


async def most_at_once(api: FakeAPI, *clients: AsyncDeepSeek) -> int:
    """Return how many calls of several clients are under way at once."""
    now = most = 0

    async def during() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(10):
            await asyncio.sleep(0)
        now -= 1

    api.post(during=during, repeat=True)
    await asyncio.gather(*(ask(client) for client in clients for _ in range(5)))
    return most


async def test_a_copy_shares_the_limit(api: FakeAPI) -> None:
    async with AsyncDeepSeek(KEY, max_concurrency=2) as client:
        assert await most_at_once(api, client, client.with_options(max_retries=0)) == 2


async def test_a_copy_may_have_a_limit_of_its_own(api: FakeAPI) -> None:
    async with AsyncDeepSeek(KEY, max_concurrency=2) as client:
        assert await most_at_once(api, client, client.with_options(max_concurrency=1)) == 3


async def test_a_session_of_the_caller_is_used_and_not_closed(api: FakeAPI) -> None:
    api.post()
    async with aiohttp.ClientSession(headers={"X-Session": "mine"}) as session:
        async with AsyncDeepSeek(KEY, session=session) as client:
            await ask(client)
        assert not session.closed
    assert api.sent[0].headers["X-Session"] == "mine"
    assert api.sent[0].options["raise_for_status"] is False


async def test_a_closed_client_refuses_calls(client: AsyncDeepSeek) -> None:
    await client.aclose()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await ask(client)


async def test_a_closed_client_can_be_entered_again(api: FakeAPI) -> None:
    api.post(repeat=True)
    client = AsyncDeepSeek(KEY)
    for _ in range(2):
        async with client:
            assert (await ask(client)).id == COMPLETION["id"]


async def test_a_client_may_be_closed_twice_and_unused() -> None:
    client = AsyncDeepSeek(KEY)
    await client.aclose()
    await client.close()


def test_a_client_works_in_one_event_loop_after_another(api: FakeAPI) -> None:
    api.post(repeat=True)
    client = AsyncDeepSeek(KEY)

    async def main() -> None:
        await ask(client)

    asyncio.run(main())
    asyncio.run(main())
    asyncio.run(client.aclose())
    assert len(api.sent) == 2


PROXIES: Mapping[str, tuple[dict[str, Any], dict[str, str], str | None]] = {
    "none": ({}, {}, None),
    "argument": ({"proxy": "http://proxy:1"}, {}, "http://proxy:1"),
    "environment": ({}, {"https_proxy": "http://env:2"}, "http://env:2"),
    "both": ({"proxy": "http://proxy:1"}, {"https_proxy": "http://env:2"}, "http://proxy:1"),
    "environment switched off": ({"trust_env": False}, {"https_proxy": "http://env:2"}, None),
    "another scheme": ({}, {"http_proxy": "http://env:2"}, None),
    "exception": ({}, {"https_proxy": "http://env:2", "no_proxy": ".deepseek.com"}, None),
}


@pytest.mark.parametrize(("options", "environment", "proxy"), PROXIES.values(), ids=PROXIES)
async def test_the_proxy_comes_from(
    api: FakeAPI,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    proxy: str | None,
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    api.post()
    async with AsyncDeepSeek(KEY, **options) as client:
        await ask(client)
    assert api.sent[0].options["proxy"] == proxy


async def test_query_parameters_that_cannot_be_sent_are_refused() -> None:
    async with AsyncDeepSeek("sk-test") as client:
        with pytest.raises(PreflightError):
            await client.models.list(extra_query={"a": object()})  # type: ignore[dict-item]


async def test_a_key_that_never_comes_runs_into_the_total_timeout() -> None:
    async def never() -> str:
        await asyncio.Event().wait()
        return "sk-test"

    async with AsyncDeepSeek(never, timeout=0.1, max_concurrency=1) as client:
        with pytest.raises(TotalTimeoutError):
            await client.models.list()


async def test_another_address_keeps_the_dialect_that_was_asked_for() -> None:
    async with AsyncDeepSeek("sk-test", dialect="deepseek") as client:
        assert client.with_options(base_url="http://127.0.0.1:1").dialect == "deepseek"
    async with AsyncDeepSeek("sk-test") as client:
        assert client.with_options(base_url="http://127.0.0.1:1").dialect == "generic"


@pytest.mark.parametrize(
    "options",
    [
        {"extra_headers": {"X": 5}},
        {"extra_headers": {"": "x"}},
        {"extra_headers": {"X Y": "x"}},
        {"extra_headers": {"Content-Length": "3"}},
        {"extra_headers": [("a", "b")]},
        {"extra_query": "a=b"},
        {"extra_query": {"a": ["x", "y"]}},
        {"timeout": "5"},
        {"timeout": 0},
        {"timeout": True},
        {"max_retries": True},
        {"extra_body": {"stream": True}},
    ],
    ids=str,
)
async def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    async with AsyncDeepSeek("sk-test") as client:
        with pytest.raises(PreflightError):
            await client.chat.completions.create(model="m", messages=HELLO, **options)


def test_a_blank_key_is_refused() -> None:
    with pytest.raises(PreflightError):
        AsyncDeepSeek("  ")


async def test_what_debuggers_show_of_local_variables_hides_the_key(api: FakeAPI) -> None:
    api.post(status=400)
    async with AsyncDeepSeek(KEY, max_retries=0) as client:
        with pytest.raises(BadRequestError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO)
        assert KEY not in repr(client._settings)
        assert KEY not in repr(client._settings.__rich_repr__())
    traceback: TracebackType | None = caught.tb
    shown = []
    while traceback is not None:
        if "deepseek_async" in traceback.tb_frame.f_code.co_filename:
            shown.append(repr(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    inside = [each for each in shown if "authorization" in each]
    assert inside
    assert not any(KEY in each for each in inside)
