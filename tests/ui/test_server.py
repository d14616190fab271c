"""What is behind the page: who may use it, conversations, the grid, the end."""

import asyncio
import contextlib
import json
import socket
from typing import Any

import aiohttp
import pytest

from deepseek_async import ToolError
from deepseek_async.simulator import Fault, Reply, Simulator
from deepseek_async.ui import PACE, UIServer, prepare
from deepseek_async.ui.server import PORT
from deepseek_async.ui.tools import calculate, get_weather

from .serving import Served, Visitor, serving, until, visiting


async def test_the_page_is_served_with_a_strict_policy() -> None:
    async with serving() as served, visiting(served) as visitor:
        for path in ("/", "/static/main.js", "/api/hello"):
            async with visitor.session.get(visitor.base + path) as response:
                assert response.status == 200
                policy = response.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_streams_carry_the_policy_too() -> None:
    async with serving() as served, visiting(served) as visitor:
        told = await visitor.ask("Hello")
        url = f"{visitor.base}/runs/{told['turn']['run']}/events"
        async with visitor.session.get(url) as response:
            assert response.content_type == "text/event-stream"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/hello", "/runs/x/events"])
async def test_nothing_is_told_without_the_token(path: str) -> None:
    async with serving() as served, aiohttp.ClientSession() as session:
        async with session.get(served.base + path) as response:
            assert response.status == 401
            assert "terminal" in await response.text()
        async with session.get(f"{served.base}{path}?token=guess") as response:
            assert response.status == 401


async def test_the_cookie_is_for_our_page_alone() -> None:
    async with serving() as served, aiohttp.ClientSession() as session:
        async with session.get(served.server.url, allow_redirects=False) as response:
            assert response.status == 303
            # Out of the address, before the page is there that could tell of it.
            assert response.headers["Location"] == "/"
            cookie = response.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie


async def test_an_address_for_once_is_worth_nothing_afterwards() -> None:
    async with serving() as served:
        void, once = served.server.url_for_once(), served.server.url_for_once()
        assert served.server.url.partition("token=")[2] not in once
        cookies = aiohttp.CookieJar(unsafe=True)
        async with (
            aiohttp.ClientSession() as other,
            aiohttp.ClientSession(cookie_jar=cookies) as browser,
        ):
            for url in (void, once.replace("/?", "/api/hello?")):
                async with other.get(url, allow_redirects=False) as response:
                    assert response.status == 401
            async with browser.get(once) as response:
                assert response.status == 200
                assert str(response.url) == f"{served.base}/"
            async with other.get(once, allow_redirects=False) as response:
                assert response.status == 401
            # A browser that opens its old tabs again.
            async with browser.get(once) as response:
                assert response.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""]
)
async def test_names_that_others_own_are_refused(host: str) -> None:
    async with serving() as served, visiting(served) as visitor:
        status, _ = await visitor.get("/api/hello", Host=host)
        assert status == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "192.168.1.7:8765"])
async def test_names_that_are_no_one_elses_are_fine(host: str) -> None:
    async with serving() as served, visiting(served) as visitor:
        status, _ = await visitor.get("/api/hello", Host=host)
        assert status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        # Another server on this machine: the same site, and yet another page.
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/ask", "/api/grid", "/api/grid/stop", "/runs/x/stop"])
async def test_other_pages_can_change_nothing(path: str, headers: dict[str, str]) -> None:
    async with serving() as served, visiting(served) as visitor:
        body = {"text": "Hello", "model": "deepseek-flash"}
        status, _ = await visitor.post(path, body, **headers)
        assert status == 403
        assert served.sim.metrics.requests == 0


async def test_a_request_without_an_origin_changes_nothing() -> None:
    async with serving() as served, visiting(served) as visitor:
        async with visitor.session.post(visitor.base + "/api/grid/stop") as response:
            assert response.status == 403


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"text": " ", "model": "m"}, "1 to 100,000 characters"),
        ({"text": "x" * 100_001, "model": "m"}, "1 to 100,000 characters"),
        ({"text": "Hello"}, "required field `model`"),
        ({"text": "Hello", "model": "m", "tool": True}, "unknown field `tool`"),
        ({"text": "Hello", "model": "m", "effort": "most"}, "effort"),
        ([], "Expected `object`"),
    ],
)
async def test_what_makes_no_sense_is_refused(body: object, problem: str) -> None:
    async with serving() as served, visiting(served) as visitor:
        status, told = await visitor.post("/api/ask", body)
        assert status == 400
        assert problem in told


async def test_large_bodies_are_refused() -> None:
    async with serving() as served, visiting(served) as visitor:
        status, _ = await visitor.post("/api/ask", {"text": "x" * 600_000, "model": "m"})
        assert status == 413


@pytest.mark.parametrize("path", ["/static/server.py", "/static/..%2fserver.py", "/static/", "/x"])
async def test_only_files_of_the_page_are_served(path: str) -> None:
    async with serving() as served, visiting(served) as visitor:
        status, _ = await visitor.get(path)
        assert status == 404


def sent_messages(served: Served) -> list[dict[str, Any]]:
    """The messages of the last request."""
    body = served.sim.requests[-1].body
    assert body is not None
    messages: list[dict[str, Any]] = body["messages"]
    return messages


async def ended(served: Served, told: dict[str, Any]) -> None:
    await served.run(told["turn"]["run"]).wait()


async def read(visitor: Visitor, conversation: str) -> dict[str, Any]:
    status, told = await visitor.get(f"/api/conversations/{conversation}")
    assert status == 200
    assert isinstance(told, dict)
    return told


def text_of(turn: dict[str, Any]) -> str:
    return "".join(piece[1] for piece in turn["told"]["d"] if piece[0] == "text")


async def test_a_conversation_goes_on() -> None:
    async with serving() as served, visiting(served) as visitor:
        served.sim.script(Reply("Anna."), Reply("You are Anna."))
        first = await visitor.ask("What is my name?", system="Be brief.")
        await ended(served, first)
        again = await visitor.ask("And now?", conversation=first["id"], system="Be brief.")
        await ended(served, again)
        sent = [(each["role"], each["content"]) for each in sent_messages(served)]
        assert sent == [
            ("system", "Be brief."),
            ("user", "What is my name?"),
            ("assistant", "Anna."),
            ("user", "And now?"),
        ]
        told = await read(visitor, first["id"])
        assert [text_of(turn) for turn in told["turns"]] == ["Anna.", "You are Anna."]
        assert told["title"] == "What is my name?"
        assert not told["running"]


async def test_tools_are_run_and_stay_in_the_conversation() -> None:
    async with serving() as served, visiting(served) as visitor:
        prepare(served.sim)
        first = await visitor.ask("The weather in Reykjavík and Lisbon?", tools=True)
        await ended(served, first)
        turn = (await read(visitor, first["id"]))["turns"][0]
        done = [piece[1] for piece in turn["told"]["d"] if piece[0] == "tool.done"]
        assert [each["name"] for each in done] == ["get_weather", "get_weather", "calculate"]
        assert json.loads(done[0]["content"])["temperature"] == -3
        assert done[2]["content"] == "8.0"
        assert "**8 °C**" in text_of(turn)
        # Of all three requests.
        assert turn["told"]["cost"] > 0
        assert turn["told"]["usage"]["prompt_tokens"] > 300
        await ended(served, await visitor.ask("Thanks.", conversation=first["id"]))
        roles = [each["role"] for each in sent_messages(served)]
        expected = ["user", "assistant", "tool", "tool", "assistant", "tool", "assistant", "user"]
        assert roles == expected


async def test_one_answer_at_a_time() -> None:
    async with serving(tokens_per_second=5) as served, visiting(served) as visitor:
        first = await visitor.ask("Hello")
        body = {"text": "And?", "model": "deepseek-flash", "conversation": first["id"]}
        status, told = await visitor.post("/api/ask", body)
        assert (status, told) == (409, "The answer is still being written; stop it first.")
        status, _ = await visitor.post(f"/api/conversations/{first['id']}/retry")
        assert status == 409
        status, _ = await visitor.post(f"/runs/{first['turn']['run']}/stop")
        assert status == 204
        status, _ = await visitor.post("/api/ask", body)
        assert status == 200


async def test_a_retry_replaces_the_answer() -> None:
    async with serving() as served, visiting(served) as visitor:
        served.sim.script(Reply("One", fault=Fault("cut", after_events=2)), Reply("Two"))
        first = await visitor.ask("Hello")
        await ended(served, first)
        turn = (await read(visitor, first["id"]))["turns"][0]
        assert turn["told"]["done"]["status"] == "failed"
        assert turn["told"]["done"]["kind"] == "broken"
        status, again = await visitor.post(f"/api/conversations/{first['id']}/retry")
        assert status == 200
        await ended(served, again)
        turns = (await read(visitor, first["id"]))["turns"]
        assert [text_of(turn) for turn in turns] == ["Two"]
        assert [each["role"] for each in sent_messages(served)] == ["user"]


async def test_a_retry_that_can_not_begin_leaves_the_answer() -> None:
    async with serving() as served, visiting(served) as visitor:
        served.sim.script(Reply("One"))
        first = await visitor.ask("Hello")
        await ended(served, first)
        await served.server.live.drain(0)
        status, _ = await visitor.post(f"/api/conversations/{first['id']}/retry")
        assert status == 503
        turns = (await read(visitor, first["id"]))["turns"]
        assert [text_of(turn) for turn in turns] == ["One"]


async def test_what_failed_before_it_began_can_be_asked_again() -> None:
    async with serving() as served, visiting(served) as visitor:
        served.sim.script(Reply.error("insufficient_balance"), Reply("Fine"))
        first = await visitor.ask("Hello")
        await ended(served, first)
        turn = (await read(visitor, first["id"]))["turns"][0]
        assert turn["told"]["done"]["kind"] == "refused"
        _, again = await visitor.post(f"/api/conversations/{first['id']}/retry")
        await ended(served, again)
        assert text_of((await read(visitor, first["id"]))["turns"][0]) == "Fine"


async def test_a_forgotten_conversation_is_stopped() -> None:
    async with serving(tokens_per_second=5) as served, visiting(served) as visitor:
        told = await visitor.ask("Hello", on_leave="continue")
        run = served.run(told["turn"]["run"])
        path = f"/api/conversations/{told['id']}"
        status, _ = await visitor.post(path, method="DELETE")
        assert (status, run.status) == (200, "stopped")
        assert (await visitor.get(path))[0] == 404
        assert (await visitor.get("/api/conversations"))[1] == []
        status, _ = await visitor.post(
            "/api/ask", {"text": "And?", "model": "m", "conversation": told["id"]}
        )
        assert status == 404


async def test_only_so_many_conversations_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepseek_async.ui.conversations._MAX_CONVERSATIONS", 3)
    async with serving() as served, visiting(served) as visitor:
        for number in range(5):
            await ended(served, await visitor.ask(f"Question {number}"))
        listed = (await visitor.get("/api/conversations"))[1]
        assert [each["title"] for each in listed] == ["Question 4", "Question 3", "Question 2"]


async def test_large_conversations_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepseek_async.ui.conversations._MAX_BYTES", 3000)
    async with serving() as served, visiting(served) as visitor:
        served.sim.script(Reply("x" * 2000, times="forever"))
        for number in range(3):
            await ended(served, await visitor.ask(f"Question {number}"))
        async with asyncio.timeout(5):
            while len((await visitor.get("/api/conversations"))[1]) > 1:
                await asyncio.sleep(0.01)


async def test_a_conversation_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepseek_async.ui.conversations._MAX_TURNS", 1)
    async with serving() as served, visiting(served) as visitor:
        told = await visitor.ask("Hello")
        await ended(served, told)
        body = {"text": "And?", "model": "m", "conversation": told["id"]}
        assert (await visitor.post("/api/ask", body))[0] == 409


async def test_the_grid_runs_at_once_and_is_stopped_at_once() -> None:
    async with serving(tokens_per_second=5) as served, visiting(served) as visitor:
        body = {"streams": 8, "model": "deepseek-flash"}
        _, told = await visitor.post("/api/grid", body)
        assert len(told["runs"]) == 8
        assert (await visitor.get("/api/grid"))[1] == told
        await until(lambda: served.sim.metrics.in_flight == 8)
        _, others = await visitor.post("/api/grid", body)
        assert {served.run(run).status for run in told["runs"]} == {"stopped"}
        await visitor.post("/api/grid/stop")
        assert {served.run(run).status for run in others["runs"]} == {"stopped"}
        await until(lambda: served.sim.metrics.in_flight == 0)


@pytest.mark.parametrize("streams", [0, -1, 201])
async def test_the_grid_has_a_size(streams: int) -> None:
    async with serving() as served, visiting(served) as visitor:
        status, told = await visitor.post("/api/grid", {"streams": streams, "model": "m"})
        assert status == 400
        assert "streams" in told


async def test_the_vitals_are_told() -> None:
    async with serving(tokens_per_second=5) as served, visiting(served) as visitor:
        told = await visitor.ask("Hello")
        _, vitals = await visitor.get(f"/api/vitals?run={told['turn']['run']}")
        assert vitals["readers"] == 0
        assert vitals["lag"] >= 0
        assert vitals["cpu"] >= 0
        assert (await visitor.get("/api/vitals"))[1]["readers"] is None


async def test_models_are_listed_and_known_without_the_server() -> None:
    async with serving() as served, visiting(served) as visitor:
        assert (await visitor.get("/api/models"))[1] == ["deepseek-flash", "deepseek-v4-pro"]
    async with Simulator() as sim, sim.client(api_key="sk-bad-key", trust_env=False) as client:
        async with UIServer(client, port=0, model="mine") as server:
            async with visiting(Served(sim, server)) as visitor:
                models = (await visitor.get("/api/models"))[1]
                assert models == ["mine", "deepseek-flash", "deepseek-v4-pro"]


async def test_readers_are_told_when_the_server_ends() -> None:
    async with serving(tokens_per_second=5) as served, visiting(served) as visitor:
        told = await visitor.ask("Hello", on_leave="continue")
        url = f"{visitor.base}/runs/{told['turn']['run']}/events"
        async with visitor.session.get(url) as response:
            await response.content.readuntil(b"\n\n")
            stopping = asyncio.ensure_future(served.server.stop())
            rest = await response.content.read()
            await stopping
        assert b'"drain"' in rest
        await until(lambda: served.sim.metrics.in_flight == 0)


async def test_the_usual_port_is_left_to_others() -> None:
    async with Simulator() as sim, sim.client() as client:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # If something else on this machine has it, that will do as well.
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", PORT))
                taken.listen()
            async with UIServer(client) as server:
                assert f":{PORT}/" not in server.url


async def test_a_port_that_was_asked_for_must_be_free() -> None:
    async with Simulator() as sim, sim.client() as client:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server = UIServer(client, port=port)
            with pytest.raises(OSError, match=f"port {port} on 127.0.0.1 is in use: choose"):
                await server.start()
        with pytest.raises(RuntimeError, match="isn't served"):
            assert server.url
        with pytest.raises(RuntimeError, match="isn't served"):
            server.url_for_once()
        await server.stop()


async def test_the_script_has_an_answer_to_everything() -> None:
    fast: dict[str, Any] = {**PACE, "tokens_per_second": None, "first_token_seconds": 0.0}
    async with serving(**fast) as served, visiting(served) as visitor:
        prepare(served.sim)
        for question in ("Why is the sky dark?", "A token bucket", "Hi", "Hello", "缓存"):
            told = await visitor.ask(question)
            await ended(served, told)
            turn = (await read(visitor, told["id"]))["turns"][0]
            assert turn["told"]["done"] == {"status": "done", "finish_reason": "stop"}
            assert len(text_of(turn)) > 100


@pytest.mark.parametrize(
    ("expression", "value"), [("(-3 + 19) / 2", 8.0), ("7 // 2 % 2", 1.0), ("+2 * 3 - 1", 5.0)]
)
async def test_arithmetic(expression: str, value: float) -> None:
    assert await calculate(expression) == value


@pytest.mark.parametrize("expression", ["2 ** 999", "__import__('os')", "1 / 0", "1 +", "1" * 201])
async def test_nothing_else_is_worked_out(expression: str) -> None:
    with pytest.raises(ToolError):
        await calculate(expression)


async def test_weather_is_made_up_but_stays_the_same() -> None:
    assert await get_weather("Oslo") == await get_weather("oslo ") | {"city": "Oslo"}
    assert (await get_weather("Lisbon", "fahrenheit"))["temperature"] == 66
