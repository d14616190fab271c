"""What an application answers when a plain call has failed."""

import json

import pytest

from deepseek_async import AsyncDeepSeek, PreflightError
from deepseek_async.live import LiveClosedError, LiveFullError
from deepseek_async.simulator import Fault, Simulator
from deepseek_async.simulator.faults import FaultKind
from deepseek_async.web import ClientGone, public_error
from tests.web.apps import QUESTION

SECRETS = ("sk-", "balance", "key", "127.0.0.1")


@pytest.mark.parametrize(
    ("fault", "status"),
    [("rate_limit", 503), ("overloaded", 503), ("bad_gateway", 503), ("reset", 502)],
)
async def test_failures_of_the_upstream_have_a_status_and_a_public_text(
    fault: FaultKind, status: int
) -> None:
    async with Simulator() as sim, sim.client(max_retries=0) as client:
        sim.faults(Fault(fault))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
            await client.chat.completions.create(**QUESTION)
    answer = public_error(caught.value)
    assert answer.status == status
    assert ("Retry-After" in answer.headers) == (status == 503)
    text = json.loads(answer.body)["error"]["message"]
    assert not any(secret in text for secret in SECRETS)


async def test_a_wrong_key_is_not_the_readers_business() -> None:
    async with (
        Simulator() as sim,
        AsyncDeepSeek(api_key="sk-bad-key", base_url=sim.base_url) as client,
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
            await client.chat.completions.create(**QUESTION)
    status, headers, body = public_error(caught.value)
    assert status == 502
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(body)
    assert b"key" not in body
    assert (
        str(caught.value)
        in json.loads(public_error(caught.value, show_errors=True).body)["error"]["message"]
    )


def test_mistakes_of_the_asker_and_of_the_application() -> None:
    assert public_error(PreflightError("no messages")).status == 400
    assert public_error(ZeroDivisionError()).status == 500


def test_a_process_that_can_take_no_more() -> None:
    for exc in (LiveFullError("10,000 runs"), LiveClosedError("ending")):
        status, headers, _ = public_error(exc)
        assert (status, "Retry-After" in headers) == (503, True)


def test_a_client_that_left_is_no_failure_of_the_server() -> None:
    assert public_error(ClientGone("gone")).status == 499
