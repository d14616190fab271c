"""The request samples of the API pages, those of years ago included, run without a warning."""

import json
import re
import warnings
from pathlib import Path
from typing import Any, get_args

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.compat import AsyncOpenAI
from deepseek_async.simulator import Reply, Simulator
from deepseek_async.simulator.eras import EraName
from tests.fixtures import RECORDINGS

# All that those samples set, and in the way they set it.
CHAT: dict[str, Any] = {
    "messages": [
        {"content": "You are a helpful assistant", "role": "system"},
        {"content": "Hi", "role": "user"},
    ],
    "model": "deepseek-chat",
    "frequency_penalty": 0,
    "max_tokens": 2048,
    "presence_penalty": 0,
    "response_format": {"type": "text"},
    "stop": None,
    "stream": False,
    "stream_options": None,
    "temperature": 1,
    "top_p": 1,
    "tools": None,
    "tool_choice": "none",
    "logprobs": False,
    "top_logprobs": None,
}
FIM: dict[str, Any] = {
    "model": "deepseek-chat",
    "prompt": "Once upon a time, ",
    "echo": False,
    "frequency_penalty": 0,
    "logprobs": 0,
    "max_tokens": 1024,
    "presence_penalty": 0,
    "stop": None,
    "stream": False,
    "stream_options": None,
    "suffix": None,
    "temperature": 1,
    "top_p": 1,
}
PREFIX: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Please write quick sort code"},
        {"role": "assistant", "content": "```python\n", "prefix": True},
    ],
    "model": "deepseek-chat",
    "stop": ["```"],
}
TODAY: dict[str, Any] = {
    "messages": CHAT["messages"],
    "model": "deepseek-v4-pro",
    "thinking": {"type": "enabled"},
    "reasoning_effort": "high",
    "max_tokens": 4096,
    "response_format": {"type": "text"},
    "stop": None,
    "stream": False,
    "stream_options": None,
    "temperature": 1,
    "top_p": 1,
    "tools": None,
    "tool_choice": "none",
    "logprobs": False,
    "top_logprobs": None,
}


def samples() -> dict[str, dict[str, Any]]:
    found = {
        "chat": CHAT,
        "streamed chat": {**CHAT, "stream": True},
        "chat today": TODAY,
        "streamed chat today": {**TODAY, "stream": True, "stream_options": {"include_usage": True}},
        "reasoner": {**CHAT, "model": "deepseek-reasoner"},
        "prefix": PREFIX,
        "fim": FIM,
        "streamed fim": {**FIM, "stream": True},
    }
    for path in sorted(Path(RECORDINGS, "docs_samples").glob("*.request.json")):
        found[path.name] = json.loads(path.read_bytes())
    return found


SAMPLES = samples()


# Any: the keyword arguments decide what it returns, and nobody has typed those here.
async def ask(client: AsyncDeepSeek, sample: dict[str, Any]) -> Any:
    """Send a sample as keyword arguments; return the text of the answer."""
    if "prompt" in sample:
        answer = await client.completions.create(**sample)
        if sample.get("stream"):
            return "".join([chunk.choices[0].text async for chunk in answer])
        return answer.choices[0].text
    answer = await client.chat.completions.create(**sample)
    if sample.get("stream"):
        return "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
    return answer.choices[0].message.content


RETIRED = re.compile(r"model 'deepseek-(chat|reasoner)' was retired")


def is_old(sample: dict[str, Any]) -> bool:
    return sample["model"] in ("deepseek-chat", "deepseek-reasoner")


CASES: dict[str, tuple[dict[str, Any], EraName]] = {
    f"{name}, {era}": (sample, era)
    for name, sample in SAMPLES.items()
    for era in get_args(EraName)
    if era == "now" or (era == "2024-06" and is_old(sample))
}


@pytest.mark.parametrize("address", ["", "/beta", "/v1"])
@pytest.mark.parametrize(("sample", "era"), CASES.values(), ids=CASES)
async def test_a_request_sample_runs(sample: dict[str, Any], era: EraName, address: str) -> None:
    async with Simulator(era=era) as sim:
        sim.script(Reply("Hello!"))
        base_url = sim.base_url + address
        async with AsyncOpenAI(base_url=base_url, api_key="sk-1", dialect="deepseek") as client:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert await ask(client, sample) == "Hello!"
        assert [str(each.message) for each in caught if not RETIRED.match(str(each.message))] == []
        assert len(caught) == is_old(sample)
        (request,) = sim.requests
        # A missing `stream` is false.
        assert request.body == {
            name: value for name, value in sample.items() if (name, value) != ("stream", False)
        }
        needs_beta = "prompt" in sample or sample == PREFIX
        assert request.path.startswith("/beta/" if needs_beta else address + "/")
