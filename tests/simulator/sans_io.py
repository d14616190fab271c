"""A core without sockets, on a clock that only tests move."""

from __future__ import annotations

import json
from typing import Any

from deepseek_async.simulator import Clock, Options
from deepseek_async.simulator.core import Core, Plan

HEADERS = {"authorization": "Bearer sk-test", "content-type": "application/json"}
# A Saturday night in Beijing: off-peak.
SATURDAY = 1_795_190_400.0


class Asked:
    """A core, and ways to ask it."""

    def __init__(self, *, at: float = SATURDAY, **options: Any) -> None:
        self.clock = Clock(wall=lambda: at, monotonic=lambda: 1000.0)
        self.core = Core(Options(**options), self.clock)

    def plan(
        self, body: dict[str, Any] | bytes, path: str = "/chat/completions", key: str = "sk-test"
    ) -> Plan:
        """A plan that nobody finishes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**HEADERS, "authorization": f"Bearer {key}"}
        return self.core.plan("POST", path, headers, data)

    def get(self, path: str, key: str = "sk-test") -> Any:
        """The JSON of a GET."""
        plan = self.core.plan("GET", path, {"authorization": f"Bearer {key}"}, b"")
        return json.loads(plan.body or b"")

    def json(self, body: dict[str, Any], path: str = "/chat/completions", **options: Any) -> Any:
        """The reply to a request that is answered at once."""
        plan = self.plan(body, path, **options)
        self.core.finish(plan)
        assert plan.status == 200, plan.body
        return json.loads(bytes_of(plan))

    def text(self, body: dict[str, Any], path: str = "/chat/completions") -> str:
        """What the reply says."""
        choice = self.json(body, path)["choices"][0]
        return str(choice["text"] if "text" in choice else choice["message"]["content"])

    def chunks(self, body: dict[str, Any], path: str = "/chat/completions") -> list[Any]:
        """The chunks of a stream."""
        plan = self.plan({**body, "stream": True}, path)
        self.core.finish(plan)
        assert plan.status == 200, plan.body
        lines = bytes_of(plan).decode().split("\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def bytes_of(plan: Plan) -> bytes:
    """The whole body of a reply."""
    if plan.body is not None:
        return plan.body
    return b"".join(frame.data for frame in plan.frames)


def error_of(plan: Plan) -> str:
    """The message of an error."""
    data = bytes_of(plan)
    return str(json.loads(data)["error"]["message"]) if data.startswith(b"{") else data.decode()
