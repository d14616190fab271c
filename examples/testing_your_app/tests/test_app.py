"""The app against the simulator of the pytest plugin; nothing of it is mocked."""

from collections.abc import Iterator

import pytest
from app import app
from fastapi.testclient import TestClient

from deepseek_async.simulator import Fault, Reply, SimulatorThread


@pytest.fixture
def web(deepseek_environment: SimulatorThread) -> Iterator[TestClient]:
    """The running app, whose DeepSeek is the simulator."""
    with TestClient(app) as client:
        yield client


def test_a_question_is_answered(web: TestClient, deepseek_simulator: SimulatorThread) -> None:
    deepseek_simulator.script(Reply("It is Berlin.", match="capital of Germany"))
    response = web.get("/answer", params={"question": "What is the capital of Germany?"})
    assert response.json() == {"answer": "It is Berlin."}
    sent = deepseek_simulator.requests[0].body
    assert sent is not None
    assert sent["messages"][0]["content"] == "Answer in one sentence."


def test_a_short_outage_is_not_noticed(
    web: TestClient, deepseek_simulator: SimulatorThread
) -> None:
    deepseek_simulator.script(Reply("Fine."))
    deepseek_simulator.faults(Fault("bad_gateway"))
    assert web.get("/answer", params={"question": "How are you?"}).json() == {"answer": "Fine."}


def test_a_long_storm_is_told(web: TestClient, deepseek_simulator: SimulatorThread) -> None:
    deepseek_simulator.faults(Fault("rate_limit", times="forever", retry_after=0))
    response = web.get("/answer", params={"question": "How are you?"})
    assert response.status_code == 503
    assert len(deepseek_simulator.requests) == 3


def test_text_is_streamed(web: TestClient, deepseek_simulator: SimulatorThread) -> None:
    deepseek_simulator.script(Reply("One, two, three.", reasoning="They want me to count."))
    assert web.get("/stream", params={"question": "Count!"}).text == "One, two, three."


def test_an_answer_that_breaks_off_says_so(
    web: TestClient, deepseek_simulator: SimulatorThread
) -> None:
    # The first chunk, one of reasoning, and two of text.
    fault = Fault("cut", after_events=4)
    deepseek_simulator.script(Reply("One, two, three.", reasoning="Hm", fault=fault))
    response = web.get("/stream", params={"question": "Count!"})
    assert response.text == "One, [the answer broke off]"
