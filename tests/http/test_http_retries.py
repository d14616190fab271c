"""What is sent again, how often, and with which key."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from deepseek_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AsyncDeepSeek,
    EmptyResponseError,
    InternalServerError,
    PreflightError,
    RateLimitError,
    TotalTimeoutError,
)

from .fake_api import COMPLETION, HELLO, KEY, FakeAPI

TEXT = json.dumps(COMPLETION)


async def ask(client: AsyncDeepSeek, **options: Any) -> Any:
    return await client.chat.completions.create(model="deepseek-flash", messages=HELLO, **options)


RETRIED: Mapping[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (408, 409, 429, 500, 502, 503, 504, 524)},
    "white space": {"body": "\n\n"},
    "cut JSON": {"body": TEXT[:-20]},
    "cut JSON after keep-alives": {"body": "\n\n" + TEXT[:1]},
    "error object of a server": {"payload": {"error": {"message": "busy", "code": 503}}},
    "error object of no kind": {"payload": {"error": {"message": "busy"}}},
    "broken connection": {"exception": aiohttp.ClientConnectionError("cut")},
    "disconnect": {"exception": aiohttp.ServerDisconnectedError()},
    "operating system": {"exception": OSError(104, "Connection reset by peer")},
    "connect timeout": {"exception": aiohttp.ConnectionTimeoutError("late")},
}


@pytest.mark.parametrize("answer", RETRIED.values(), ids=RETRIED)
async def test_what_may_pass_is_sent_again(
    api: FakeAPI, client: AsyncDeepSeek, answer: dict[str, Any]
) -> None:
    api.post(**answer)
    api.post(**answer)
    api.post()
    completion = await ask(client)
    assert completion.choices[0].message.content == "Hi there"
    assert completion.attempts == len(api.sent) == 3


@pytest.mark.parametrize("answer", RETRIED.values(), ids=RETRIED)
async def test_what_does_not_pass_fails_after_all_retries(
    api: FakeAPI, client: AsyncDeepSeek, answer: dict[str, Any]
) -> None:
    api.post(**answer, repeat=True)
    with pytest.raises(APIError) as excinfo:
        await ask(client)
    assert excinfo.value.attempts == len(api.sent) == 3
    assert "3 attempts" in str(excinfo.value)


NEVER: Mapping[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (301, 400, 401, 402, 403, 404, 405, 413)},
    **{str(status): {"status": status} for status in (415, 422)},
    "HTML in a 200": {"body": "<html>"},
    "error object of the request": {"payload": {"error": {"message": "no", "code": 400}}},
}


@pytest.mark.parametrize("answer", NEVER.values(), ids=NEVER)
async def test_what_stays_is_not_sent_again(
    api: FakeAPI, client: AsyncDeepSeek, answer: dict[str, Any]
) -> None:
    api.post(**answer, repeat=True)
    with pytest.raises(APIError) as excinfo:
        await ask(client)
    assert excinfo.value.attempts == len(api.sent) == 1


async def test_white_space_is_an_empty_response_after_all_retries(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(body=" \n", repeat=True)
    with pytest.raises(EmptyResponseError):
        await ask(client)


async def test_cut_json_is_told_as_such_after_all_retries(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(body=TEXT[:30], repeat=True)
    with pytest.raises(APIResponseValidationError, match="not JSON") as excinfo:
        await ask(client)
    assert excinfo.value.retryable


async def test_blank_lines_before_an_answer_do_not_matter(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(body="\n\n\n" + TEXT)
    assert (await ask(client)).attempts == 1


async def test_a_failure_of_another_kind_counts_in_the_same_retries(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(status=500)
    api.post(body="")
    api.post(status=503)
    api.post()
    with pytest.raises(InternalServerError) as excinfo:
        await ask(client)
    assert excinfo.value.attempts == 3


@pytest.mark.parametrize("retries", [0, 1, 4])
async def test_a_call_may_have_its_own_number_of_retries(
    api: FakeAPI, client: AsyncDeepSeek, retries: int
) -> None:
    api.post(status=500, repeat=True)
    with pytest.raises(InternalServerError):
        await ask(client, max_retries=retries)
    assert len(api.sent) == retries + 1


@pytest.mark.parametrize("retries", [-1, 1.5, "2", None])
async def test_a_number_of_retries_that_is_none_is_refused(
    api: FakeAPI, client: AsyncDeepSeek, retries: Any
) -> None:
    with pytest.raises(PreflightError, match="max_retries"):
        await ask(client, max_retries=retries)
    assert api.sent == []


async def test_a_retry_sends_the_same_bytes(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(status=500)
    api.post()
    await ask(client)
    assert api.sent[0].data == api.sent[1].data


async def test_retry_after_is_waited_for(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(status=429, headers={"Retry-After": "0.05"})
    api.post()
    begun = asyncio.get_running_loop().time()
    await ask(client)
    # Without the header the wait would be 0.
    assert asyncio.get_running_loop().time() - begun >= 0.05


async def test_a_wait_beyond_the_whole_call_ends_it_at_once(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(status=429, headers={"Retry-After": "100"})
    async with asyncio.timeout(5):
        with pytest.raises(TotalTimeoutError, match="total timeout of 60 s") as excinfo:
            await ask(client, timeout=60)
    assert isinstance(excinfo.value.__cause__, RateLimitError)
    assert excinfo.value.attempts == 1


async def test_the_whole_call_ends_while_the_server_is_silent(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(during=asyncio.Event().wait)
    with pytest.raises(TotalTimeoutError) as excinfo:
        await ask(client, timeout=0.05)
    assert (excinfo.value.attempts, len(api.sent)) == (1, 1)


async def test_cancelling_a_call_ends_it(api: FakeAPI, client: AsyncDeepSeek) -> None:
    sent = asyncio.Event()

    async def hang() -> None:
        sent.set()
        await asyncio.Event().wait()

    api.post(during=hang)
    task = asyncio.create_task(ask(client))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(api.sent) == 1


async def test_other_calls_are_retried_as_well(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.get("/models", status=500)
    api.get("/models", payload={"object": "list", "data": []})
    assert (await client.models.list()).attempts == 2


class Keys:
    """Hands out a new key for each request."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return f"sk-{self.asked}"

    async def later(self) -> str:
        return self()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_function_is_asked_for_the_key_of_each_attempt(
    api: FakeAPI, asynchronous: bool
) -> None:
    api.post(status=500)
    api.post()
    api.post()
    keys = Keys()
    async with AsyncDeepSeek(keys.later if asynchronous else keys) as client:
        assert keys.asked == 0
        await ask(client)
        await ask(client)
    assert [sent.headers["Authorization"] for sent in api.sent] == [
        "Bearer sk-1",
        "Bearer sk-2",
        "Bearer sk-3",
    ]


@pytest.mark.parametrize("key", ["", None, 5, "sk-1\n", "sk-\x00", "sk-\xe9"], ids=repr)
async def test_a_function_that_returns_no_key_is_refused(api: FakeAPI, key: Any) -> None:
    async with AsyncDeepSeek(lambda: key) as client:
        with pytest.raises(PreflightError, match="API key") as excinfo:
            await ask(client)
    assert api.sent == []
    assert "sk-" not in str(excinfo.value)


async def test_the_failure_of_the_function_is_the_callers_own(api: FakeAPI) -> None:
    def fail() -> str:
        raise LookupError("the vault is closed")

    async with AsyncDeepSeek(fail, max_concurrency=1) as client:
        for _ in range(2):
            with pytest.raises(LookupError, match="vault"):
                await ask(client)
    assert api.sent == []


async def test_a_failed_attempt_gives_its_place_back(api: FakeAPI) -> None:
    api.post(status=500)
    api.post(body=" ")
    api.post(exception=aiohttp.ClientConnectionError("cut"))
    api.post()
    api.post()
    async with AsyncDeepSeek(KEY, max_concurrency=1, max_retries=3) as client, asyncio.timeout(5):
        assert (await ask(client)).attempts == 4
        assert (await ask(client)).attempts == 1


class Crowd:
    """Counts how many requests are under way at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def __call__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(10):
            await asyncio.sleep(0)
        self.now -= 1


@pytest.mark.parametrize("limit", [1, 3])
async def test_no_more_calls_are_under_way_than_allowed(api: FakeAPI, limit: int) -> None:
    crowd = Crowd()
    api.post(during=crowd, repeat=True)
    async with AsyncDeepSeek(KEY, max_concurrency=limit) as client:
        await asyncio.gather(*(ask(client) for _ in range(10)))
    assert crowd.most == limit


async def test_calls_wait_for_nothing_below_the_ceiling(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    crowd = Crowd()
    api.post(during=crowd, repeat=True)
    await asyncio.gather(*(ask(client) for _ in range(10)))
    assert crowd.most == 10


async def test_calls_keep_to_the_limit_that_a_refusal_named(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    message = "Your current concurrency is 9, which exceeds your concurrency limit of 2 based on"
    crowd = Crowd()
    api.post(status=429, payload={"error": {"message": message}})
    api.post(during=crowd, repeat=True)
    await ask(client)
    await asyncio.gather(*(ask(client) for _ in range(10)))
    assert crowd.most == 2


async def test_waiting_for_a_place_counts_in_the_whole_call(api: FakeAPI) -> None:
    leave = asyncio.Event()

    async def hold() -> None:
        await leave.wait()

    api.post(during=hold)
    async with AsyncDeepSeek(KEY, max_concurrency=1) as client:
        first = asyncio.create_task(ask(client))
        while not api.sent:
            await asyncio.sleep(0)
        with pytest.raises(TotalTimeoutError, match="or a free slot") as excinfo:
            await ask(client, timeout=0.05)
        assert excinfo.value.attempts == 0
        leave.set()
        await first


async def test_the_cause_of_a_failed_connection_is_kept(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    cause = aiohttp.ClientConnectionError("cut")
    api.post(exception=cause)
    with pytest.raises(APIConnectionError) as excinfo:
        await ask(client, max_retries=0)
    assert excinfo.value.__cause__ is cause


async def test_an_unexpected_status_below_400_is_no_answer(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(status=304)
    with pytest.raises(APIStatusError):
        await ask(client)
