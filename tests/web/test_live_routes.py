"""Runs over HTTP: read, resumed, stopped, several on one stream, and refused."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deepseek_async.live import Live, LiveStoreError, Run
from deepseek_async.simulator import Simulator
from deepseek_async.web import live_aiohttp, live_asgi
from tests.web.apps import QUESTION
from tests.web.browser import Browser, Response, data_of, fetch, text_of, until
from tests.web.serving import serving, tasks


@pytest.fixture(params=["asgi", "aiohttp"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@asynccontextmanager
async def served(
    kind: str, live: Live, authorize: Any = lambda *_: True, **options: Any
) -> AsyncGenerator[int]:
    make: Any = live_asgi if kind == "asgi" else live_aiohttp
    async with serving(make(live, authorize, **options)) as port:
        yield port


class Words:
    """A source whose end the test decides."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self.go_on = asyncio.Event()
        self.closed = False

    async def __call__(self) -> AsyncGenerator[str]:
        try:
            for word in self._words:
                yield word
            await self.go_on.wait()
            yield "end"
        finally:
            self.closed = True


def source(words: Words) -> Any:
    return lambda: words()


async def reading(live: Live, *words: str, **options: Any) -> tuple[Run, Words]:
    """Start a run that has told its words and waits."""
    told = Words(*words)
    run = await live.start(source(told), on_disconnect="continue", fps=0, **options)
    await until(lambda: run.cursor.endswith(f".{sum(map(len, words))}"))
    return run, told


async def test_a_run_is_read_from_the_cursor_in_the_header_else_in_the_query(kind: str) -> None:
    async with Live() as live, served(kind, live) as port:
        run, words = await reading(live, "Rain ", "is ", "water", id="r")
        words.go_on.set()
        await run.wait()
        epoch = run.cursor.split(".")[0]
        whole = await fetch(port, "/r/events")
        by_query = await fetch(port, f"/r/events?after={epoch}.5")
        header = f"Last-Event-ID: {epoch}.8\r\n"
        by_header = await fetch(port, f"/r/events?after={epoch}.5", headers=header)
        over = await fetch(port, f"/r/events?after={run.cursor}")
        again = await fetch(port, "/r/events?after=dead.5")
        openai = await fetch(port, "/r/events?format=openai")
    assert whole.text == "Rain is waterend"
    assert by_query.text == "is waterend"
    assert by_header.text == "waterend"
    assert over.status == 204
    assert again.objects[0]["reset"]
    assert again.text == whole.text
    assert data_of(openai.body)[-1] == "[DONE]"


async def test_a_run_is_stopped_for_all_its_readers(kind: str) -> None:
    async with Live() as live, served(kind, live) as port:
        run, words = await reading(live, "Rain", id="r")
        readers = [asyncio.create_task(fetch(port, "/r/events")) for _ in range(3)]
        await until(lambda: run.readers == 3)
        assert (await fetch(port, "/r/stop", method="POST")).status == 204
        assert words.closed
        for response in await asyncio.gather(*readers):
            assert response.objects[-1]["done"] == {"status": "stopped", "reason": "stopped"}
        # Once more does no harm.
        assert (await fetch(port, "/r/stop", method="POST")).status == 204


async def test_a_page_that_stops_and_closes_has_stopped(kind: str) -> None:
    async with Live() as live:
        run, words = await reading(live, "Rain", id="r")
        asked = asyncio.Event()
        allow = asyncio.Event()

        async def slowly(*_: Any) -> bool:
            asked.set()
            await allow.wait()
            return True

        async with served(kind, live, slowly) as port:
            async with Browser(port) as browser:
                await browser.ask("/r/stop", method="POST")
                await asked.wait()
                browser.leave(reset=True)
                await asyncio.sleep(0.01)
                allow.set()
            assert await run.wait() == "stopped"
        assert words.closed


@pytest.mark.parametrize("is_async", [False, True])
async def test_authorize_decides_before_anything_is_told(kind: str, is_async: bool) -> None:
    asked: list[tuple[str, str]] = []

    def allow(_: Any, run_id: str, action: str) -> Any:
        asked.append((run_id, action))
        allowed = (run_id, action) == ("mine", "read")
        if not is_async:
            return allowed

        async def later() -> bool:
            return allowed

        return later()

    async with Live() as live, served(kind, live, allow) as port:
        for run_id in ("mine", "theirs"):
            run, words = await reading(live, "Rain", id=run_id)
            words.go_on.set()
            await run.wait()
        assert (await fetch(port, "/mine/events")).status == 200
        assert (await fetch(port, "/mine/stop", method="POST")).status == 403
        # Those that are not there look like those that are not for everybody.
        for run_id in ("theirs", "nobodys"):
            refused = await fetch(port, f"/{run_id}/events")
            assert (refused.status, refused.error) == (403, "this is not allowed")
            assert (await fetch(port, f"/{run_id}/stop", method="POST")).status == 403
        assert (await mux(port, {"mine": None})).status == 200
        assert (await mux(port, {"mine": None, "theirs": None})).status == 403
    assert ("theirs", "stop") in asked


async def mux(port: int, runs: Any) -> Response:
    return await fetch(port, "/mux", method="POST", body=json.dumps({"runs": runs}).encode())


async def test_several_runs_come_on_one_stream(kind: str) -> None:
    async with Live() as live, served(kind, live) as port:
        first, first_words = await reading(live, "Rain", id="a")
        second, second_words = await reading(live, "Snow", " falls", id="b")
        epoch = second.cursor.split(".")[0]
        response = asyncio.create_task(mux(port, {"a": None, "b": f"{epoch}.4", "c": None}))
        await until(lambda: first.readers == second.readers == 1)
        first_words.go_on.set()
        await first.wait()
        second_words.go_on.set()
        told = (await response).objects
        again = await mux(port, {"a": first.cursor, "b": second.cursor})
    assert text_of([each for each in told if each["run"] == "a"]) == "Rainend"
    assert text_of([each for each in told if each["run"] == "b"]) == " fallsend"
    assert [each for each in told if each["run"] == "c"] == [
        {"run": "c", "d": [], "done": {"status": "unknown"}}
    ]
    last = {each["run"]: each["id"] for each in told if "id" in each}
    assert last == {"a": first.cursor, "b": second.cursor}
    assert again.status == 204


async def test_a_request_may_come_in_pieces(kind: str) -> None:
    async with Live() as live, served(kind, live, heartbeat=None) as port:
        run, words = await reading(live, "Rain", id="r")
        words.go_on.set()
        await run.wait()
        async with Browser(port) as browser:
            await browser.ask("/mux", method="POST", headers="Transfer-Encoding: chunked\r\n")
            for piece in (b'{"runs"', b':{"r":', b"null}}", b""):
                await asyncio.sleep(0.01)
                browser._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert (await browser.response()).text == "Rainend"


async def test_one_stream_of_many_runs_lives_while_all_are_silent(kind: str) -> None:
    async with Live() as live, served(kind, live, heartbeat=0.05) as port:
        runs = [(await reading(live, "Rain"))[0] for _ in range(5)]
        async with Browser(port) as browser:
            body = json.dumps({"runs": {run.id: None for run in runs}}).encode()
            await browser.ask("/mux", method="POST", body=body)
            for _ in runs:
                await browser.until(b"Rain")
            for _ in range(3):
                await browser.until(b":\n")


async def test_whoever_leaves_a_stream_of_many_runs_leaves_all(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Live() as live, served(kind, live) as port:
        before = tasks()
        runs = [await live.start(source(Words("Rain")), fps=0) for _ in range(5)]
        async with Browser(port) as browser:
            body = json.dumps({"runs": {run.id: None for run in runs}}).encode()
            await browser.ask("/mux", method="POST", body=body)
            for _ in runs:
                await browser.until(b"Rain")
        for run in runs:
            assert await run.wait() == "stopped"
        await until(lambda: not tasks() - before)
    assert caplog.text == ""


async def test_a_reader_of_many_runs_that_does_not_read_holds_up_nobody(kind: str) -> None:
    async def many() -> AsyncIterator[str]:
        for _ in range(2000):
            yield "x" * 1000
            await asyncio.sleep(0)

    async with Live() as live, served(kind, live) as port:
        runs = [await live.start(many(), fps=0, on_disconnect="continue") for _ in range(3)]
        async with Browser(port) as browser:
            body = json.dumps({"runs": {run.id: None for run in runs}}).encode()
            await browser.ask("/mux", method="POST", body=body)
            await browser.until(b"xxx")
            for run in runs:
                assert await run.wait() == "done"
            data = await browser.response_body()
        for run in runs:
            assert run.cursor.encode() in data


async def test_draining_ends_every_stream_properly(kind: str) -> None:
    async with Live() as live, served(kind, live) as port:
        run, _ = await reading(live, "Rain", id="r")
        one = asyncio.create_task(fetch(port, "/r/events"))
        several = asyncio.create_task(mux(port, {"r": None}))
        await until(lambda: run.readers == 2)
        await live.drain(0.05)
        for response in (await one, await several):
            assert response.status == 200
            assert response.objects[-1]["drain"] == {"retry": 1.0}
        assert b"retry: 1000\n" in (await one).body


HOSTILE: dict[str, tuple[int, str, dict[str, Any]]] = {
    "unknown run": (404, "/nobody/events", {}),
    "unknown path": (404, "/", {}),
    "unknown stop": (404, "/nobody/stop", {"method": "POST"}),
    "unknown format": (400, "/r/events?format=" + "x" * 1000, {}),
    "long cursor": (400, "/r/events?after=" + "x" * 4000, {}),
    "control characters": (400, "/r/events?after=%00%0d%0aid", {}),
    "no JSON": (400, "/mux", {"method": "POST", "body": b"{"}),
    "no object": (400, "/mux", {"method": "POST", "body": b'["r"]'}),
    "no body": (400, "/mux", {"method": "POST"}),
    "no UTF-8": (400, "/mux", {"method": "POST", "body": b'{"runs":{"\xff":null}}'}),
    "no runs": (400, "/mux", {"method": "POST", "body": b'{"runs":{}}'}),
    "a number": (400, "/mux", {"method": "POST", "body": b'{"runs":{"r":7}}'}),
    "deep": (400, "/mux", {"method": "POST", "body": b"[" * 60_000}),
    "long cursor in the body": (
        400,
        "/mux",
        {"method": "POST", "body": json.dumps({"runs": {"r": "x" * 1000}}).encode()},
    ),
    "too many runs": (
        400,
        "/mux",
        {
            "method": "POST",
            "body": json.dumps({"runs": dict.fromkeys(map(str, range(501)))}).encode(),
        },
    ),
    "large body": (413, "/mux", {"method": "POST", "body": b"x" * 200_000}),
    "wrong method": (405, "/r/events", {"method": "POST"}),
    "wrong method too": (405, "/mux", {}),
}


@pytest.mark.parametrize(("status", "path", "request_"), HOSTILE.values(), ids=HOSTILE)
async def test_hostile_requests_get_one_clear_line(
    kind: str, status: int, path: str, request_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with Live() as live, served(kind, live) as port:
        await reading(live, "Rain", id="r")
        response = await fetch(port, path, **request_)
        assert response.status == status
        if kind == "asgi":
            assert "\n" not in response.error
            assert len(response.error) < 400
        assert len(response.body) < 1000
        # The server lives.
        assert (await fetch(port, "/r/stop", method="POST")).status == 204
    assert caplog.text == ""


async def test_a_body_without_a_length_is_bounded(kind: str) -> None:
    async with Live() as live, served(kind, live) as port:
        async with Browser(port) as browser:
            headers = "Transfer-Encoding: chunked\r\n"
            await browser.ask("/mux", method="POST", headers=headers)
            chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
            browser._writer.write(chunk * 3 + b"0\r\n\r\n")
            assert (await browser.response()).status == 413


async def test_whoever_leaves_before_the_body_is_complete_is_forgotten(kind: str) -> None:
    async with Live() as live, served(kind, live) as port:
        before = tasks()
        async with Browser(port) as browser:
            headers = "Content-Length: 100\r\n"
            await browser.ask("/mux", method="POST", headers=headers)
            await asyncio.sleep(0.02)
        await until(lambda: not tasks() - before)


@pytest.mark.parametrize(
    ("query", "header"),
    [(b"", b"x" * (1 << 20)), (b"&".join([b"f=1"] * 100_000), b""), (b"after=\xff", b"")],
)
async def test_what_servers_let_through_is_refused(query: bytes, header: bytes) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    async with Live() as live:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/r/events",
            "query_string": query,
            "headers": [(b"last-event-id", header)],
        }
        await live_asgi(live, lambda *_: True)(scope, receive, send)
    assert sent[0]["status"] == 400
    assert sum(len(message.get("body", b"")) for message in sent) < 200


async def test_a_store_out_of_reach_is_a_503(kind: str) -> None:
    class Broken(Live):
        async def find(self, run_id: str) -> Run | None:
            raise LiveStoreError(f"redis://secret is down, no {run_id}")

    async def unheard() -> None:
        raise LiveStoreError("redis://secret is down")

    async with Live() as live, served(kind, live) as port:
        run, _ = await reading(live, "Rain", id="r")
        run.stop = unheard  # type: ignore[method-assign]  # as a run of another process does
        response = await fetch(port, "/r/stop", method="POST")
        assert response.status == 503
        assert "secret" not in response.error

    async with Broken() as live, served(kind, live) as port:
        for path, method in (("/r/events", "GET"), ("/r/stop", "POST")):
            response = await fetch(port, path, method=method)
            assert response.status == 503
            assert "secret" not in response.error
        assert (await mux(port, {"r": None})).status == 503


def test_authorize_must_be_a_function() -> None:
    for make in (live_asgi, live_aiohttp):
        with pytest.raises(TypeError, match="authorize is a function"):
            make(Live(), None)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ValueError, match="heartbeat"):
            make(Live(), lambda *_: True, heartbeat=0)


class Forbidden:
    """What a framework answers with; as true as any object."""


async def test_an_authorize_that_returns_its_refusal_lets_nobody_in(kind: str) -> None:
    async with Live() as live, served(kind, live, lambda *_: Forbidden()) as port:
        run, words = await reading(live, "Rain", id="r")
        assert (await fetch(port, "/r/events")).status == 500
        words.go_on.set()
        assert await run.wait() == "done"


async def test_an_authorize_that_raises_is_a_500_and_no_secret(kind: str) -> None:
    def broken(*_: Any) -> bool:
        raise ConnectionError("the database is gone")

    async with Live() as live, served(kind, live, broken) as port:
        response = await fetch(port, "/r/events")
        assert response.status == 500
        assert b"database" not in response.body


async def test_readers_of_an_answer_from_upstream_all_get_the_same(kind: str) -> None:
    async with Simulator(tokens_per_second=300) as sim, sim.client() as client:
        async with Live() as live, served(kind, live) as port:
            run = await live.start(lambda: client.chat.completions.stream(**QUESTION), id="r")
            responses = await asyncio.gather(*(fetch(port, "/r/events") for _ in range(10)))
            told = {response.text for response in responses}
            assert told == {run.completion.choices[0].message.content}
            assert len(sim.requests) == 1
