"""Recorded requests of api.deepseek.com get replies of the recorded form.

Twice: with what the model said scripted, when all but the ids must come back; and with the
simulator's own answers, when the key sets, the kinds of chunks and their order must.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

import pytest

from deepseek_async.simulator import Clock, Options, Reply
from deepseek_async.simulator.core import Core, Plan
from deepseek_async.simulator.eras import EraName
from tests.fixtures import RECORDINGS

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recorded traffic (../shared/fixtures) is not there"
)

HEADERS = {"authorization": "Bearer sk-0000", "content-type": "application/json"}
# From when on replies looked otherwise.
ERA_STARTS: tuple[tuple[str, EraName], ...] = (
    ("2025-01-01", "2025-01"),
    ("2025-03-01", "2025-03"),
    ("2025-08-19", "2025-08"),
    ("2025-12-01", "2025-12"),
    ("2026-04-24", "2026-04"),
    ("2026-09-10", "now"),
)


class Recording(NamedTuple):
    """An exchange of which both sides are kept."""

    name: str
    request: dict[str, Any]
    path: str
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return chunks_of(self.data)

    @property
    def era(self) -> EraName:
        if self.status == 200:
            at = datetime.fromtimestamp(self.chunks[0]["created"], UTC)
            return era_of(at.strftime("%Y-%m-%d"))
        dated = re.search(r"\.(\d{4}-\d\d-\d\d)$", self.name)
        # Undated files are the newest version of their case, of 2026-06 and later.
        return era_of(dated[1] if dated else "2026-06-08")


def era_of(day: str) -> EraName:
    return [era for start, era in ERA_STARTS if start <= day][-1]


def chunks_of(data: bytes) -> list[dict[str, Any]]:
    if data.lstrip().startswith(b"{"):
        return [json.loads(data)]
    lines = data.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def recordings() -> list[Recording]:
    found: list[Recording] = []
    for path in sorted(RECORDINGS.glob("*/*.request.json")):
        name = path.name.removesuffix(".request.json")
        head = path.with_name(f"{name}.headers.json")
        if not head.is_file():
            continue
        response = json.loads(head.read_bytes())
        url = str(response["url"])
        if not re.match(r"https://api\.deepseek\.com.*/chat/completions$", url):
            continue
        bodies = (path.with_name(name + suffix) for suffix in (".sse", ".json", ".txt"))
        data = next(body for body in bodies if body.is_file()).read_bytes()
        headers = {key.lower(): value for key, value in response["headers"].items()}
        request = json.loads(path.read_bytes())
        route = url.removeprefix("https://api.deepseek.com")
        found.append(Recording(name, request, route, response["status"], headers, data))
    return found


RECORDED = recordings()
ANSWERED = [each for each in RECORDED if each.status == 200]
REFUSED = [each for each in RECORDED if each.status != 200]


def named(recording: Recording) -> str:
    return recording.name


def core_of(era: EraName, **options: Any) -> Core:
    return Core(Options(era=era, **options), Clock(lambda: 1_795_000_000.0, lambda: 0.0))


def sent(core: Core, recording: Recording) -> Plan:
    return core.plan("POST", recording.path, HEADERS, json.dumps(recording.request).encode())


def body_of(plan: Plan) -> bytes:
    if plan.body is not None:
        return plan.body
    return b"".join(frame.data for frame in plan.frames)


def shape(value: Any) -> Any:
    """Keys in their order, and the kind of each value; lists by their first item."""
    if isinstance(value, dict):
        return tuple((key, shape(part)) for key, part in value.items())
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if value is None or value == "":
        return value
    return type(value).__name__


def forms(chunks: list[dict[str, Any]]) -> list[Any]:
    """The shapes of chunks, runs of the same one as one."""
    return [form for form, _ in groupby(shape(chunk) for chunk in chunks)]


def said(chunks: list[dict[str, Any]]) -> Reply:
    """What the model said, as a script."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, list[str]] = {}
    finish: str | None = None
    for chunk in chunks:
        choice = chunk["choices"][0]
        delta = choice.get("delta") or choice["message"]
        texts.append(delta.get("content") or "")
        thoughts.append(delta.get("reasoning_content") or "")
        for call in delta.get("tool_calls") or ():
            known = calls.setdefault(call["index"], ["", ""])
            known[0] += call["function"].get("name") or ""
            known[1] += call["function"]["arguments"]
        finish = choice["finish_reason"] or finish
    return Reply(
        "".join(texts),
        reasoning="".join(thoughts),
        tool_calls=[(name, arguments) for name, arguments in calls.values()],
        finish_reason=finish,
    )


def test_there_are_recordings() -> None:
    assert len(ANSWERED) >= 75
    assert {recording.era for recording in ANSWERED} == {
        *("2025-03", "2025-08", "2025-12", "2026-04")
    }


@pytest.mark.parametrize("recording", ANSWERED, ids=named)
def test_what_the_model_said_comes_in_the_recorded_form(recording: Recording) -> None:
    core = core_of(recording.era)
    core.script.append(said(recording.chunks))
    plan = sent(core, recording)
    assert plan.status == 200, plan.body
    assert plan.headers["Content-Type"] == recording.headers["content-type"]
    assert plan.headers.get("Cache-Control") == recording.headers.get("cache-control")
    assert plan.is_chunked == (recording.headers.get("transfer-encoding") == "chunked")
    data = body_of(plan)
    assert said(chunks_of(data)) == said(recording.chunks)
    assert forms(chunks_of(data)) == forms(recording.chunks)
    assert data.endswith(b"\n\ndata: [DONE]\n\n") == recording.data.endswith(
        b"\n\ndata: [DONE]\n\n"
    )


@pytest.mark.parametrize("recording", ANSWERED, ids=named)
def test_ids_and_names_have_the_recorded_form(recording: Recording) -> None:
    core = core_of(recording.era)
    core.script.append(said(recording.chunks))
    ours, theirs = chunks_of(body_of(sent(core, recording)))[0], recording.chunks[0]
    assert digits(ours["id"]) == digits(theirs["id"])
    assert ours["model"] == theirs["model"]
    # Fingerprints told the build; those of an era have one of its builds.
    assert ours["system_fingerprint"][:3] == theirs["system_fingerprint"][:3]


def digits(text: str) -> str:
    return re.sub("[0-9a-f]", "x", text)


# What a model does is its own decision. The simulator calls the first two tools offered in a user's
# turn and says nothing before; these recordings differ from that in one of two ways.
SAID_SOMETHING_BEFORE_THE_CALL = frozenset(
    {
        "can_handle_multiple_tool_calls_in_a_single_response.1",
        "can_handle_multiple_tool_calls_in_a_single_response.1.2025-09-24",
        "can_remove_tools_in_multi-turn_conversations.1.2025-07-19",
        "can_use_parallel_tool_calls.1.2026-05-07",
        "can_use_tools.1.2025-09-10",
        "can_use_tools_with_multi-turn_streaming_conversations.1.2025-08-20",
        "can_use_tools_with_multi-turn_streaming_conversations.1.2025-09-03",
        "can_use_tools_with_multi-turn_streaming_conversations.1.2025-09-10",
        "can_use_tools_with_multi-turn_streaming_conversations.1.2025-09-24",
        "can_use_tools_with_multi-turn_streaming_conversations.1.2026-04-02",
        "can_use_tools_without_parameters_in_multi-turn_streaming_conversations.1",
    }
)
DID_NOT_CALL = frozenset(
    {
        "can_use_tools_without_parameters_in_multi-turn_streaming_conversations.3.2025-05-12",
        "test_deepseek_tool_variations.3",
    }
)


def decision(recording: Recording) -> frozenset[str] | None:
    case = recording.name.removeprefix("chat_function_calling_ds-chat_")
    for decided in (SAID_SOMETHING_BEFORE_THE_CALL, DID_NOT_CALL):
        if case in decided:
            return decided
    return None


@pytest.mark.parametrize("recording", ANSWERED, ids=named)
def test_own_answers_have_the_recorded_form(recording: Recording) -> None:
    plan = sent(core_of(recording.era), recording)
    assert plan.status == 200, plan.body
    chunks = chunks_of(body_of(plan))
    ours, theirs = said(chunks), said(recording.chunks)
    decided = decision(recording)
    if decided is None:
        assert forms(chunks) == forms(recording.chunks)
    else:
        assert (ours.text, bool(ours.tool_calls)) == ("", True)
        is_call = decided is SAID_SOMETHING_BEFORE_THE_CALL
        assert (theirs.text != "", bool(theirs.tool_calls)) == (True, is_call)
        assert list(chunks[0]) == list(recording.chunks[0])


@pytest.mark.parametrize("recording", REFUSED, ids=named)
def test_refused_requests_are_refused_in_the_recorded_form(recording: Recording) -> None:
    keys = None if recording.status != 401 else frozenset({"sk-other"})
    plan = sent(core_of(recording.era, keys=keys), restored(recording))
    assert plan.status == recording.status
    assert plan.headers.get("Content-Type") == recording.headers.get("content-type")
    assert masked(body_of(plan)) == masked(recording.data)
    assert limit_of(body_of(plan)) == limit_of(recording.data)


def restored(recording: Recording) -> Recording:
    """The request with its long text, for which the recorder kept a mark."""
    text = json.dumps(recording.request).replace("<MASSIVE_TEXT>", "x" * 1_000_000)
    return recording._replace(request=json.loads(text))


def limit_of(data: bytes) -> str | None:
    found = re.search(r"maximum context length is (\d+)", data.decode())
    return None if found is None else found[1]


# Of these the collector kept the replies, checked by their hashes, and said what was sent.
DESCRIBED: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "error_400_empty_object": ("POST", "/chat/completions", {}, b"{}"),
    "error_400_invalid_model_id": (
        *("POST", "/chat/completions", {}),
        b'{"model":"deepseek-model-does-not-exist","messages":[{"role":"user","content":"x"}]}',
    ),
    "error_400_malformed_json": ("POST", "/chat/completions", {}, b'{"model":'),
    "error_400_messages_object_not_array": (
        *("POST", "/chat/completions", {}),
        b'{"model":"deepseek-v4-flash","messages":{}}',
    ),
    "error_400_missing_request_body_confirmation": ("POST", "/chat/completions", {}, b""),
    "error_400_temperature_above_max": (
        *("POST", "/chat/completions", {}),
        b'{"model":"deepseek-v4-flash","messages":[{"role":"user","content":"x"}],'
        b'"temperature":2.1}',
    ),
    "error_400_unsupported_developer_role": (
        *("POST", "/chat/completions", {}),
        b'{"model":"deepseek-v4-flash","messages":[{"role":"developer","content":"x"}]}',
    ),
    "error_400_user_id_too_long": (
        *("POST", "/chat/completions", {}),
        b'{"model":"deepseek-v4-flash","messages":[{"role":"user","content":"x"}],"user_id":"%b"}'
        % (b"u" * 513),
    ),
    "error_401_invalid_authorization": (
        *("POST", "/chat/completions", {"authorization": "Bearer sk-bad-0000"}, b"{}"),
    ),
    "error_401_missing_authorization": (
        *("POST", "/chat/completions", {"authorization": ""}, b"{}"),
    ),
    "error_404_wrong_path": ("POST", "/chat/completion", {}, b"{}"),
    "error_405_wrong_method": ("GET", "/chat/completions", {}, b""),
    "error_415_wrong_content_type": (
        *("POST", "/chat/completions", {"content-type": "text/plain"}, b"{}"),
    ),
}


@pytest.mark.parametrize("era", ["2026-04", "now"])
@pytest.mark.parametrize("name", DESCRIBED)
def test_described_requests_are_refused_byte_for_byte(name: str, era: EraName) -> None:
    folder = RECORDINGS / "chatdeepai__deepseek-api-reproducible-tests"
    head = json.loads((folder / f"{name}.headers.json").read_bytes())
    files = (folder / f"{name}{end}" for end in (".json", ".txt"))
    expected = next(file for file in files if file.is_file())
    method, path, headers, data = DESCRIBED[name]
    plan = core_of(era).plan(method, path, {**HEADERS, **headers}, data)
    assert plan.status == head["status"]
    assert plan.headers.get("Content-Type") == head["headers"].get("content-type")
    assert body_of(plan) == expected.read_bytes()


# Replies whose requests nobody kept, and a request that gets the like.
UNASKED: tuple[tuple[str, EraName, dict[str, Any]], ...] = (
    ("prism-php__prism/generate-text-with-a-prompt-1.json", "2025-01", {}),
    ("prism-php__prism/stream-basic-text-1.sse", "2025-03", {"stream": True}),
    (
        "prism-php__prism/stream-with-reasoning-1.sse",
        "2025-03",
        {"model": "deepseek-reasoner", "stream": True},
    ),
    ("vercel__ai/deepseek_deepseek-reasoning.v4.json", "2026-04", {"model": "deepseek-v4-flash"}),
    (
        "vercel__ai/deepseek_issue-19377-logprobs.v2.json",
        "2026-04",
        {"logprobs": True, "top_logprobs": 1},
    ),
    (
        "vercel__ai/deepseek_issue-19377-logprobs.sse",
        "2026-04",
        {
            **{"logprobs": True, "top_logprobs": 1},
            **{"stream": True, "stream_options": {"include_usage": True}},
        },
    ),
    ("vercel__ai/deepseek_vision_tool_result.json", "now", {"model": "deepseek-flash"}),
)


@pytest.mark.parametrize(("file", "era", "fields"), UNASKED, ids=[each[0] for each in UNASKED])
def test_replies_without_requests_have_the_recorded_form(
    file: str, era: EraName, fields: dict[str, Any]
) -> None:
    data = (RECORDINGS / file).read_bytes()
    request = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}], **fields}
    core = core_of(era)
    core.script.append(said(chunks_of(data)))
    plan = sent(core, Recording(file, request, "/chat/completions", 200, {}, data))
    assert forms(chunks_of(body_of(plan))) == forms(chunks_of(data))


@pytest.mark.parametrize("name", ["chat", "chat_stream"])
def test_the_samples_of_2024_have_their_own_form(name: str) -> None:
    folder = RECORDINGS / "docs_samples"
    data = next(
        folder / f"{name}{end}" for end in (".json", ".sse") if (folder / f"{name}{end}").is_file()
    )
    sample = data.read_bytes()
    request = json.loads((folder / f"{name}.request.json").read_bytes())
    core = core_of("2024-06")
    chunks = chunks_of(sample.replace(b"\r\n", b"\n"))
    core.script.append(said(chunks))
    plan = sent(core, Recording(name, request, "/chat/completions", 200, {}, sample))
    body = body_of(plan)
    ours = chunks_of(body.replace(b"\r\n", b"\n"))
    assert forms(ours) == forms(chunks)
    assert body.count(b"\r\n\r\n") == sample.count(b"\r\n\r\n")
    assert body.endswith(b"[DONE]") == sample.endswith(b"[DONE]")


def masked(data: bytes) -> str:
    text = data.decode()
    return re.sub(r"api key: \S+ is", "api key: K is", re.sub(r"\d+", "N", text))
