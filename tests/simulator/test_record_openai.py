"""A session of ``openai``, recorded and replayed: the same bytes, and no secret in the files."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from deepseek_async.simulator import Fault, Recorder, Replayer, Reply, Simulator

openai = pytest.importorskip("openai", reason="openai isn't installed")

KEY = "sk-live+3f9c0a/aKq7Zx=="
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
MODEL = "deepseek-flash"


def ask(text: str, **options: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **options}


async def session(url: str) -> list[tuple[str, int, bytes]]:
    """Use all there is, and return the bodies as they came over the wire."""
    bodies: list[tuple[str, int, bytes]] = []

    async def keep(response: Any) -> None:
        bodies.append((response.request.url.path, response.status_code, await response.aread()))

    http_client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [keep]}, trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=url, api_key=KEY, organization="org-0123456789", http_client=http_client
    ) as api:
        completions = api.chat.completions
        await completions.create(**ask("Plain"))
        await completions.create(**ask(f"My key is {KEY}"))
        usage = {"include_usage": True}
        async for _ in await completions.create(
            **ask("Streamed", stream=True, stream_options=usage)
        ):
            pass
        async with completions.stream(**ask("Call a tool", tools=TOOLS)) as events:
            message = (await events.get_final_completion()).choices[0].message
        request = ask("Call a tool", tools=TOOLS)
        call = message.tool_calls[0]
        request["messages"] += [
            message.to_dict(),
            {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"},
        ]
        await completions.create(**request)
        with contextlib.suppress(openai.APIStatusError):
            await completions.create(**{**ask("Wrong"), "model": "none"})
        # Tried again by openai itself.
        await completions.create(**ask("Busy"))
        await api.models.list()
        await api.get("/user/balance", cast_to=dict[str, Any])
    return bodies


def forms(secret: str) -> list[bytes]:
    raw = secret.encode()
    found = [
        raw,
        json.dumps(secret).encode()[1:-1],
        json.dumps(secret).replace("/", "\\/").encode(),
    ]
    found += [quote(secret, safe="").encode(), quote(secret).encode()]
    found += [raw.hex().encode(), raw.hex().upper().encode()]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            end = (offset + len(raw)) * 8 // 6
            found.append(encode(bytes(offset) + raw)[-(-offset * 8 // 6) : end])
    return found


async def test_a_session_is_replayed_byte_for_byte(tmp_path: Path) -> None:
    encoded = base64.b64encode(f"user:{KEY}".encode()).decode()
    leaks = f"{KEY} {quote(KEY, safe='')} {KEY.encode().hex()} {encoded}"
    async with Simulator() as sim:
        sim.script(
            Reply("Hello!", reasoning="They greet."),
            Reply(f"You said {leaks}"),
            Reply("Grüße, 世界 🔑", tokens_per_second=200),
            Reply("I look it up.", tool_calls=[("weather", {"city": "Ulm"})]),
            Reply("It is 21 degrees."),
            Reply.error("overloaded"),
        )
        sim.faults(*[None] * 6, Fault("rate_limit", retry_after=0))
        async with Recorder(sim.base_url, tmp_path) as recorder:
            live = await session(recorder.base_url)
    assert [status for _, status, _ in live].count(429) == 1
    assert KEY.encode() in live[1][2]
    async with Replayer(tmp_path) as replayer:
        replayed = await session(replayer.base_url)
    leaking = 1
    assert b"[redacted]" in replayed[leaking][2]
    del live[leaking], replayed[leaking]
    assert replayed == live
    assert len(live) == 10
    check_files(tmp_path, len(live) + 1)


def check_files(folder: Path, count: int) -> None:
    files = sorted(folder.iterdir())
    assert len(files) == count
    for file in files:
        data = file.read_bytes()
        for form in (*forms(KEY), *forms("org-0123456789")):
            assert form not in data
            assert form not in data.replace(b"\\", b"")
        json.loads(data)
