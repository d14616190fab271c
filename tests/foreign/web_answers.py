"""Answers that every reader of a web format has to get right, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deepseek_async import AsyncDeepSeek, ChatCompletion, ToolDoneEvent
from deepseek_async.live import Run
from deepseek_async.simulator import Fault, Reply, Simulator

HOSTILE = (
    'data: {"type":"finish"}\n\ndata: [DONE]\r\n\r\nid: 7\n: comment\n\u2028\u2029\x00\x1b\x7f\t"\\'
    " 深度求索 👩‍👩‍👧‍👦 e\u0301 <script>alert(1)</script>\n\n"
)
CITY = {"city": "杭州", "days": [1, 2.5, None, True], "note": 'a "b"\n\\'}
PRETTY = '{\n  "city": "Hangzhou",\r\n  "id": 12345678901234567890\n}'
INVALID = '{"city": "Hang\nzhou'


def weather(city: str) -> dict[str, Any]:
    """Tell the weather."""
    return {"city": city, "sky": ["clear", "晴"]}


def clock(city: str) -> str:
    """Tell the time."""
    if city == "Atlantis":
        raise ValueError("there is no Atlantis")
    return f"noon in {city}"


# Name -> the upstream's replies. The run is of tools if there are several.
ANSWERS: dict[str, tuple[Reply, ...]] = {
    "text": (Reply("Hello from the simulator!"),),
    "reasoning": (Reply("Four.", reasoning="Two and two are four."),),
    "hostile text": (Reply(HOSTILE * 3, reasoning=HOSTILE),),
    "tool call": (Reply(tool_calls=[("weather", CITY)]),),
    "parallel tool calls": (
        Reply("Let me look.", reasoning="Both.", tool_calls=[("weather", CITY), ("clock", PRETTY)]),
    ),
    "no arguments": (Reply(tool_calls=[("weather", "")]),),
    "invalid arguments": (
        Reply(tool_calls=[("weather", INVALID), ("clock", {"city": "Hangzhou"})]),
    ),
    "equal ids": (
        Reply(
            tool_calls=[("weather", {"city": "A"}), ("clock", {"city": "B"})],
            fault=Fault("duplicate_ids"),
        ),
    ),
    "no ids": (
        Reply(
            tool_calls=[("weather", {"city": "A"}), ("clock", {"city": "B"})],
            fault=Fault("blank_ids"),
        ),
    ),
    "tool loop": (
        Reply(
            "I'll look.",
            reasoning="Tools.",
            tool_calls=[("weather", {"city": "杭州"}), ("clock", {"city": "Hangzhou"})],
        ),
        Reply(reasoning="More of the tools, for Paris.", tool_calls=[("clock", {"city": "Paris"})]),
        Reply("It's **noon**.", reasoning="Now I know."),
    ),
    "failing tools": (
        Reply(tool_calls=[("clock", {"city": "Atlantis"}), ("weather", INVALID), ("nothing", {})]),
        Reply("I couldn't."),
    ),
    "equal ids in each turn": (
        Reply(tool_calls=[("clock", {"city": "A"})], fault=Fault("blank_ids")),
        Reply(tool_calls=[("clock", {"city": "B"})], fault=Fault("blank_ids")),
        Reply("Done."),
    ),
    "not streamed": (
        Reply("I'll look.", reasoning="Tools.", tool_calls=[("weather", {"city": "杭州"})]),
        Reply("Clear."),
    ),
    "length": (Reply("Cut off by max_", finish_reason="length"),),
    "empty": (Reply("", finish_reason="stop"),),
    "queued": (Reply("At last.", queue_seconds=0.05),),
    "stopped": (Reply("word " * 2000, reasoning="Hm."),),
    "failed": (Reply("word " * 50, fault=Fault("error", after_events=20)),),
    "refused": (Reply.error("insufficient_balance"),),
}
# Is stopped in its middle.
ENDLESS = "stopped"

# What a client has to get right: the answers, and what `useChat` does when it comes back.
CHECKS = (
    *ANSWERS,
    "useChat comes back after the end of a process",
    "useChat goes on after a cut",
    "useChat begins anew after a cut",
)


def source(client: AsyncDeepSeek, name: str) -> Callable[[], Any]:
    """Return what opens the upstream of an answer."""
    asked: Any = {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": f"<{name}>"}],
        "thinking": True,
    }
    if len(ANSWERS[name]) > 1:
        return lambda: client.chat.completions.run_tools(
            tools=[weather, clock], stream=name != "not streamed", **asked
        )
    return lambda: client.chat.completions.stream(**asked)


def script(sim: Simulator, name: str) -> None:
    """Let the simulator give an answer once."""
    sim.script(*(replace(reply, match=f"<{name}>") for reply in ANSWERS[name]))


def told(run: Run) -> dict[str, Any]:
    """Return what a reader must have got of a run that has ended."""
    events = run.events_before(1 << 60)
    completions = [event.completion for event in events if event.type == "turn.done"]
    if not completions and run.completion is not None:
        completions = [run.completion]
    results = [event for event in events if isinstance(event, ToolDoneEvent)]
    last = events[-1]
    return {
        "status": run.status,
        "finish_reason": getattr(last, "finish_reason", None),
        "kind": getattr(last, "kind", None),
        "turns": [
            _turn(completion, [result for result in results if result.turn == number])
            for number, completion in enumerate(completions, 1)
        ],
        "usage": None
        if run.usage is None
        else {
            "inputTokens": run.usage.prompt_tokens,
            "outputTokens": run.usage.completion_tokens,
            "totalTokens": run.usage.total_tokens,
            "cachedInputTokens": run.usage.cached_tokens,
            "reasoningTokens": run.usage.reasoning_tokens,
        },
        "cost": None if run.cost is None else float(run.cost),
    }


def _turn(completion: ChatCompletion, results: list[ToolDoneEvent]) -> dict[str, Any]:
    message = completion.choices[0].message
    calls: list[dict[str, Any]] = [
        {"name": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or ()
    ]
    for result in results:
        calls[result.index] |= {"result": result.content, "is_error": result.is_error}
    return {
        "text": message.content or "",
        "reasoning": message.reasoning_content or "",
        "calls": calls,
    }
