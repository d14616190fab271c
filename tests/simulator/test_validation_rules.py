"""What DeepSeek refuses, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepseek_async.simulator.eras import EraName, find_era
from deepseek_async.simulator.positions import end_of, start_of
from deepseek_async.simulator.refusals import JSON, OCTETS, TEXT

from .loopback import chat
from .sans_io import Asked, bytes_of, error_of

USER = {"role": "user", "content": "Weather?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OTHER_CALL = {**CALL, "id": "c2"}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "31"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. (insufficient tool messages following tool_calls message)"
)
NO_CALLS = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
PASS_BACK = "The `reasoning_content` in the thinking mode must be passed back to the API."
NAME_PATTERN = (
    "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
)


def tool(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def messages(*given: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return chat(messages=[USER, *given], **fields)


def called(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls), **fields}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (chat(top_p=0), "Invalid top_p value, the valid range of top_p is (0, 1.0]"),
        (chat(top_p=1.1), "Invalid top_p value, the valid range of top_p is (0, 1.0]"),
        (
            chat(max_tokens=393_217),
            "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]",
        ),
        (
            chat(temperature=-0.1),
            "Invalid temperature value, the valid range of temperature is [0, 2]",
        ),
        (
            chat(stop=["a"] * 17),
            "Invalid 'stop': array too long. Expected an array with maximum length 16, but got an "
            "array with length 17 instead.",
        ),
        (
            chat(stream_options={"include_usage": True}),
            "stream_options should be set along with stream = true",
        ),
        (chat(top_logprobs=2), "Invalid top_logprobs and logprobs value"),
        (
            chat(logprobs=True, top_logprobs=21),
            "Invalid top_logprobs value, the valid range of top_logprobs is [0, 20]",
        ),
        (chat(user_id="a b"), f"Invalid 'user_id': {NAME_PATTERN}"),
        (chat(user_id=""), f"Invalid 'user_id': {NAME_PATTERN}"),
        (
            chat(tools=[]),
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
        ),
        (
            chat(tools=[tool(f"f{n}") for n in range(129)]),
            "Invalid 'tools': array too long. Expected an array with maximum length 128, but got "
            "an array with length 129 instead.",
        ),
        (
            chat(tools=[tool(), tool("a.b")]),
            f"Invalid 'tools[1].function.name': {NAME_PATTERN}",
        ),
        (
            chat(tools=[tool("f" * 65)]),
            "Invalid 'tools[0].function.name': string too long. Expected a string with maximum "
            "length 64, but got a string with length 65 instead",
        ),
        (
            chat(tools=[tool(parameters={})]),
            "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', "
            "got 'type: null'.",
        ),
        (chat(messages=[]), "Empty input messages"),
        (
            messages({"role": "assistant", "content": None}, USER),
            "Invalid assistant message: content or tool_calls must be set",
        ),
        (messages(called(CALL)), UNANSWERED),
        (messages(called(CALL, OTHER_CALL), RESULT), UNANSWERED),
        (messages(called(CALL), USER, RESULT), UNANSWERED),
        (messages(called(CALL, OTHER_CALL), RESULT, USER), UNANSWERED),
        (messages(RESULT), NO_CALLS),
        (messages(called(CALL), RESULT, RESULT), NO_CALLS),
        (messages(called(CALL), {**RESULT, "tool_call_id": "c9"}), NO_CALLS),
        (
            chat(response_format={"type": "json_object"}),
            "Prompt must contain the word 'json' in some form to use 'response_format' of type "
            "'json_object'.",
        ),
        (
            messages({"role": "assistant", "content": "It", "prefix": True}),
            "prefix is only available when using beta api "
            '(set base_url="https://api.deepseek.com/beta")',
        ),
        (
            messages(called(CALL), RESULT, thinking=None, tools=[tool()]),
            PASS_BACK,
        ),
        (
            messages({"role": "assistant", "content": "Hm"}, USER, thinking=None, tools=[tool()]),
            PASS_BACK,
        ),
        (
            chat(thinking=None, tools=[tool()], tool_choice={"type": "function"}),
            "Thinking mode does not support this tool_choice",
        ),
        (
            chat(messages=[{"role": "user", "content": [IMAGE] * 601}]),
            "Too many images: at most 600 are allowed in a request",
        ),
    ],
)
def test_values_that_make_no_sense_are_a_400(body: dict[str, Any], text: str) -> None:
    plan = Asked().plan(body)
    assert (plan.status, plan.headers["Content-Type"]) == (400, OCTETS)
    assert error_of(plan) == text
    error = json.loads(bytes_of(plan))["error"]
    assert (error["type"], error["param"], error["code"]) == (
        *("invalid_request_error", None),
        "invalid_request_error",
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            messages({"role": "assistant", "content": [{"type": "text", "text": "x"}]}),
            "messages[1]: invalid type: sequence, expected a string",
        ),
        (
            chat(messages=[{"role": "system", "content": [IMAGE]}, USER]),
            "messages[0]: unknown variant `image_url`, expected `text`",
        ),
        (
            chat(messages=[{"role": "user", "content": [{"type": "input_audio"}]}]),
            "messages[0]: unknown variant `input_audio`, expected one of `text`, `image_url`, "
            "`file`",
        ),
        (chat(messages=[{"role": "user"}]), "messages[0]: missing field `content`"),
        (
            messages(called(CALL), {"role": "tool", "content": "31"}),
            "messages[2]: missing field `tool_call_id`",
        ),
        (
            messages(called({"id": "c1", "type": "function", "name": "f"})),
            "messages[1].tool_calls[0]: missing field `function`",
        ),
        (chat(tools=[{"function": {"name": "f"}}]), "tools[0]: missing field `type`"),
        (chat(tools=[{"type": "function"}]), "tools[0]: missing field `function`"),
        (
            chat(thinking={"type": "adaptive"}),
            "thinking.type: unknown variant `adaptive`, expected one of `enabled`, `disabled`",
        ),
        (chat(stream="yes"), "stream: invalid type: string, expected a boolean"),
        (chat(temperature="hot"), "temperature: invalid type: string, expected a floating point"),
    ],
)
def test_bodies_of_another_shape_are_a_400_too(body: dict[str, Any], text: str) -> None:
    plan = Asked().plan(body)
    assert (plan.status, plan.headers["Content-Type"]) == (400, JSON)
    start = "Failed to deserialize the JSON body into the target type: "
    assert error_of(plan).startswith(f"{start}{text} at line 1 column ")


@pytest.mark.parametrize(
    "body",
    [
        chat(stop=["a"] * 16, top_p=1.0, temperature=2),
        chat(stop="a", top_p=0.01, temperature=0),
        chat(max_tokens=393_216),
        chat(stream_options={"include_usage": True}, stream=True),
        chat(stream_options=None, tools=None, tool_choice="none", user_id="a-_9"),
        chat(frequency_penalty=9, presence_penalty=-9),
        chat(tools=[tool(f"f{n}") for n in range(128)]),
        chat(tools=[tool("f" * 64, parameters={"type": "object"})]),
        chat(tools=[{"type": "deepseek_web_search"}, tool()]),
        chat(seed=1, n=1, user="x", logit_bias={}, parallel_tool_calls=True),
        chat("some JSON", response_format={"type": "json_object"}),
        chat(response_format={"type": "text"}),
        chat(messages=[USER, USER, {"role": "assistant", "content": "x"}]),
        chat(messages=[{"role": "latest_reminder", "content": "x"}, USER]),
        messages({"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT),
        messages({"role": "assistant", "tool_calls": [{**CALL, "index": 0}]}, RESULT),
        messages(called(CALL, CALL), RESULT, RESULT),
        messages(called(CALL, OTHER_CALL), {**RESULT, "tool_call_id": "c2"}, RESULT, USER),
        messages(called(CALL), {**RESULT, "content": [{"type": "text", "text": "31"}, IMAGE]}),
        messages({"role": "assistant", "content": "x"}, USER, thinking=None),
        messages(called(CALL), RESULT, thinking=None),
        messages(called(CALL, reasoning_content=""), RESULT, thinking=None, tools=[tool()]),
        chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}]),
        chat(messages=[{"role": "user", "content": [IMAGE]}], model="deepseek-v4-pro"),
        chat(thinking={"type": "disabled"}, reasoning_effort="high"),
        chat(thinking=None, reasoning_effort="xhigh"),
        chat(thinking=None, tools=[tool()], tool_choice="auto"),
        chat(tools=[tool()], tool_choice="required"),
    ],
)
def test_what_deepseek_takes_is_taken(body: dict[str, Any]) -> None:
    plan = Asked().plan(body)
    assert plan.status == 200, plan.body


def test_a_prefix_is_the_last_message_of_beta() -> None:
    prefix = {"role": "assistant", "content": "It", "prefix": True}
    path = "/beta/chat/completions"
    assert Asked().plan(messages(prefix), path).status == 200
    for body in (messages(prefix, USER), chat(messages=[{**USER, "prefix": True}])):
        plan = Asked().plan(body, path)
        assert plan.status == 400
        assert "prefix is only available on the last message" in error_of(plan)


def test_a_prefix_may_leave_the_reasoning_to_the_model() -> None:
    prefix = {"role": "assistant", "content": "It", "prefix": True}
    for last in (prefix, {**prefix, "reasoning_content": "Hm"}):
        body = messages(last, thinking=None, tools=[tool()])
        assert Asked().plan(body, "/beta/chat/completions").status == 200


FITTING = {
    "type": "object",
    "properties": {"a": {"type": "string", "minLength": 2}},
    "required": ["a"],
}


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (FITTING, None),
        ({**FITTING, "required": []}, "Missing 'a'"),
        ({**FITTING, "properties": {"a": {"type": "date"}}}, "type 'date' is not supported"),
        (
            {
                **FITTING,
                "properties": {"a": {"type": "array", "items": {**FITTING, "required": []}}},
            },
            "Missing 'a'",
        ),
        (
            {**FITTING, "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "any"}]}}},
            "'any' is not supported",
        ),
        ({**FITTING, "$def": {"n": {**FITTING, "required": []}}}, "Missing 'a'"),
    ],
)
def test_strict_schemas_are_checked_on_beta(
    parameters: dict[str, Any], problem: str | None
) -> None:
    body = chat(tools=[tool(strict=True, parameters=parameters)])
    assert Asked().plan(body).status == 200
    plan = Asked().plan(body, "/beta/chat/completions")
    assert (plan.status == 200) == (problem is None)
    assert problem is None or problem in error_of(plan)


def test_all_functions_are_strict_or_none() -> None:
    body = chat(tools=[tool(strict=True, parameters=FITTING), tool("g", parameters=FITTING)])
    plan = Asked().plan(body, "/beta/chat/completions")
    assert "all functions must set 'strict'" in error_of(plan)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"max_tokens": 4097}, "the valid range of max_tokens is [1, 4096]"),
        ({"logprobs": 21}, "the valid range of logprobs is [0, 20]"),
        ({"prompt": ["a"]}, "prompt: invalid type: sequence, expected a string"),
        ({"logprobs": True}, "logprobs: invalid type: boolean, expected a integer"),
        ({"model": "gpt"}, "but you passed gpt."),
    ],
)
def test_gaps_have_rules_too(fields: dict[str, Any], text: str) -> None:
    body = {"model": "deepseek-flash", "prompt": "def f():", **fields}
    plan = Asked().plan(body, "/beta/completions")
    assert plan.status == 400
    assert text in error_of(plan)


def test_the_answer_counts_for_the_context() -> None:
    plan = Asked().plan(chat("x" * 3_000_000, max_tokens=200_000))
    assert "requested 1100002 tokens (900002 in the messages, 200000 in the" in error_of(plan)
    # Images are 384 tokens each.
    body = chat(messages=[{"role": "user", "content": [IMAGE] * 600}])
    assert Asked().json(body)["usage"]["prompt_tokens"] > 600 * 384


R1 = {"model": "deepseek-reasoner", "messages": [USER]}
ANSWER = {"role": "assistant", "content": "31"}
THOUGHT = {**ANSWER, "reasoning_content": "Hm"}


@pytest.mark.parametrize(
    ("era", "body", "status", "text"),
    [
        ("2025-03", {**R1, "messages": [USER, THOUGHT, USER]}, 400, "reasoning_content is not"),
        ("2025-08", {**R1, "messages": [USER, THOUGHT, USER]}, 400, "reasoning_content is not"),
        (
            *("2025-03", {**R1, "messages": [USER, USER]}, 400),
            "deepseek-reasoner does not support successive user or assistant messages (messages[0] "
            "and messages[1] in your input). You should interleave the user/assistant messages in "
            "the message sequence.",
        ),
        ("2025-03", {**R1, "messages": [USER, ANSWER]}, 400, "The last message of deepseek-reason"),
        ("2025-03", {**R1, "logprobs": True}, 400, "does not support logprobs"),
        ("2025-03", {**R1, "model": "deepseek-flash"}, 400, "Model Not Exist"),
        ("2025-03", {**R1, "max_tokens": 8193}, 400, "[1, 8192]"),
        ("2025-08", {**R1, "max_tokens": 65_537}, 400, "[1, 65536]"),
        ("2025-08", {**R1, "frequency_penalty": 3}, 400, "frequency_penalty is [-2, 2]"),
        ("2025-03", {**R1, "response_format": {"type": "json_schema"}}, 422, "This response_for"),
        ("2025-08", {**R1, "response_format": {"type": "json_schema"}}, 400, "This response_for"),
        ("2025-03", {**R1, "max_tokens": "x"}, 422, "max_tokens: invalid type: string"),
        ("2025-03", {**R1, "messages": [{**USER, "content": [IMAGE]}]}, 422, "did not match any"),
        ("2026-04", {**R1, "messages": [{**USER, "content": [IMAGE]}]}, 400, "`image_url`, expect"),
        (
            *("2025-12", {**R1, "messages": [USER, called(CALL), RESULT]}, 400),
            "Missing `reasoning_content` field in the assistant message at message index 1. For "
            "more information, please refer to "
            "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls",
        ),
        ("2025-12", {**R1, "messages": [USER, called(CALL), RESULT, USER]}, 200, None),
        ("2025-08", {**R1, "messages": [USER, USER, ANSWER]}, 200, None),
        ("2025-03", {"model": "deepseek-chat", "messages": [USER, USER]}, 200, None),
        ("2025-12", {**R1, "messages": [USER, THOUGHT, USER]}, 200, None),
    ],
)
def test_each_era_has_its_rules(
    era: EraName, body: dict[str, Any], status: int, text: str | None
) -> None:
    plan = Asked(era=era, cache_interval=None).plan(body)
    assert plan.status == status, plan.body
    if text is not None:
        assert text in error_of(plan)
        is_text = bytes_of(plan).startswith(b"Failed")
        assert plan.headers["Content-Type"] == (TEXT if is_text else JSON)


@pytest.mark.parametrize("passback", ["reject", "turn", "all", "ignore"])
def test_the_rule_for_reasoning_can_be_chosen(passback: str) -> None:
    without = messages(called(CALL), RESULT, thinking=None, tools=[tool()])
    sent_back = messages(called(CALL, reasoning_content="x"), RESULT, thinking=None, tools=[tool()])
    asked = Asked(reasoning_passback=passback)
    statuses = (asked.plan(without).status, asked.plan(sent_back).status)
    assert (
        statuses
        == {
            "reject": (200, 400),
            "turn": (400, 200),
            "all": (400, 200),
            "ignore": (200, 200),
        }[passback]
    )


def test_an_unknown_era_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="2025-01, 2025-03"):
        find_era("1999")


def test_a_lone_surrogate_is_refused() -> None:
    plan = Asked().plan(
        b'{"model":"deepseek-flash","messages":[{"role":"user","content":"\\ud83d"}]}'
    )
    assert plan.status == 400
    assert "unexpected end of hex escape" in error_of(plan)


@pytest.mark.parametrize(
    ("path", "start", "end"),
    [
        ("", "line 1 column 0", "line 3 column 17"),
        ("a[1].b", "line 2 column 15", "line 2 column 22"),
        ("a[0]", "line 2 column 6", "line 2 column 7"),
        ("c", "line 3 column 5", "line 3 column 16"),
        ("c.d", "line 3 column 11", "line 3 column 15"),
        ("a[9]", "line 3 column 17", "line 3 column 17"),
        ("a.x", "line 3 column 17", "line 3 column 17"),
        ("c[0]", "line 3 column 17", "line 3 column 17"),
        ("z", "line 3 column 17", "line 3 column 17"),
    ],
)
def test_positions_count_lines_and_bytes(path: str, start: str, end: str) -> None:
    data = '{\n"a": [1, {"b": "é€"}],\n"c": {"d": true}}'.encode()
    assert (start_of(data, path), end_of(data, path)) == (start, end)
