"""The page in Chromium: nothing is lost, whatever happens to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deepseek_async.live import Run
from deepseek_async.simulator import Fault, Reply
from deepseek_async.ui import PACE, prepare

from .driving import Page
from .serving import serving, until

Browse = Callable[..., Awaitable[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

REASONING = "Let me think about it, step by step, *without* hurry. 让我想一想。 "
# All that is hard to count: two UTF-16 units, combining marks, wide characters, line ends.
TEXT = "".join(
    f"Line {number}: **bold** `code` 漢字 é e\u0301 \U0001f680 {'x' * (number % 7)}\n\n"
    for number in range(60)
)


def text_of(run: Run) -> str:
    """The answer, as the server has it."""
    text = run.completion.choices[0].message.content
    assert isinstance(text, str)
    return text


async def assert_whole(page: Page) -> None:
    """The tab has what the server has, and nothing was lost or came twice."""
    await page.ended()
    run = page.served.run(await page.run_id())
    assert run.status == "done"
    assert await page.answer() == text_of(run) == TEXT
    assert await page.js("ui.chat.current.answer.reasoning") == REASONING
    assert await page.faults() == [0, 0]
    assert "Line 59: bold code 漢字" in await page.seen()


async def test_an_answer_is_shown(browse: Browse) -> None:
    async with serving(tokens_per_second=600) as served:
        served.sim.script(Reply(TEXT, reasoning=REASONING))
        page = await browse(served)
        await page.ask("Hello")
        await assert_whole(page)
        figures = await page.js("document.querySelector('.turn:last-child .line').textContent")
        assert "tokens/s" in figures
        assert "first after" in figures
        assert "$0.00" in figures
        assert await page.js("document.querySelectorAll('.prose p').length") == 60
        assert await page.js("document.querySelectorAll('.prose strong').length") == 60


async def test_a_reload_in_the_middle(browse: Browse) -> None:
    async with serving(tokens_per_second=600) as served:
        served.sim.script(Reply(TEXT, reasoning=REASONING))
        page = await browse(served)
        await page.ask("Hello")
        await page.came(500)
        await page.tab.reload()
        await page.until("globalThis.ui?.chat.current")
        await assert_whole(page)
        # And again, when it is over.
        await page.tab.reload()
        await page.until("globalThis.ui?.chat.current")
        await assert_whole(page)
        assert served.asked == 1


async def test_a_cut_network(browse: Browse) -> None:
    async with serving(tokens_per_second=600) as served:
        served.sim.script(Reply(TEXT, reasoning=REASONING))
        page = await browse(served)
        await page.ask("Hello")
        await page.came(300)
        await page.tab.click("#cut")
        await page.until("document.querySelector('#n-state').textContent === 'reconnecting'")
        await page.shot("chat-reconnecting")
        await assert_whole(page)
        assert await page.js("document.querySelector('#n-resumed').textContent") == "1"


async def test_many_cuts(browse: Browse) -> None:
    async with serving(tokens_per_second=300) as served:
        served.sim.script(Reply(TEXT, reasoning=REASONING))
        page = await browse(served)
        await page.ask("Hello")
        for characters in range(100, 1700, 160):
            await page.came(characters)
            await page.js("ui.chat.connection.cut(30)")
        await assert_whole(page)
        assert await page.js("ui.chat.connection.resumed") >= 5


async def test_a_frozen_tab_catches_up(browse: Browse) -> None:
    async with serving(tokens_per_second=600) as served:
        served.sim.script(Reply(TEXT, reasoning=REASONING))
        page = await browse(served)
        await page.ask("Hello")
        await page.came(300)
        await page.js("ui.chat.connection.freeze(1000)")
        assert "frozen" in await page.js("document.querySelector('#n-state').textContent")
        await assert_whole(page)
        assert await page.js("ui.chat.connection.resumed") == 0


async def test_a_second_tab_joins(browse: Browse) -> None:
    async with serving(tokens_per_second=100) as served:
        served.sim.script(Reply(TEXT, reasoning=REASONING))
        page = await browse(served)
        await page.ask("Hello")
        await page.came(300)
        other = await page.second_tab()
        await other.came(300)
        run = served.run(await page.run_id())
        assert await other.run_id() == run.id
        assert run.readers == 2
        await page.until("document.querySelector('#n-readers').textContent === '2'")
        await assert_whole(page)
        await assert_whole(other)
        # What one asks, the other shows.
        served.sim.script(Reply("Indeed."))
        await other.ask("Really?")
        await page.until("ui.chat.turns.length === 2")
        await page.ended()
        assert await page.answer() == "Indeed."
        other.check()


async def test_stop(browse: Browse) -> None:
    async with serving(tokens_per_second=30) as served:
        served.sim.script(Reply(TEXT))
        page = await browse(served)
        await page.ask("Hello")
        await page.came(20)
        await page.tab.click("#stop")
        await page.until("document.querySelector('.notice').innerText === 'Stopped.'")
        assert served.run(await page.run_id()).status == "stopped"
        await until(lambda: served.sim.metrics.in_flight == 0)
        assert served.sim.metrics.disconnects == 1
        assert await page.tab.is_visible("#send")
        await page.shot("chat-stopped")


async def test_a_failure_can_be_asked_again(browse: Browse) -> None:
    async with serving(tokens_per_second=600) as served:
        served.sim.script(Reply(TEXT, fault=Fault("cut", after_events=30)), Reply("Fine now."))
        page = await browse(served)
        await page.ask("Hello")
        await page.ended()
        notice = await page.js("document.querySelector('.notice').innerText")
        assert notice.startswith("The answer broke off.")
        assert TEXT.startswith(await page.answer())
        await page.shot("chat-failed")
        await page.tab.click(".notice button")
        await page.until("ui.chat.current.answer.text === 'Fine now.'")
        assert await page.js("ui.chat.turns.length") == 1


async def test_tools_and_the_wire(browse: Browse) -> None:
    async with serving(**dict[str, Any](PACE)) as served:
        prepare(served.sim)
        page = await browse(served, color_scheme="dark")
        await page.shot("empty-dark")
        await page.tab.click("#toggle-wire")
        await page.tab.click("#starters li:nth-child(3) button")
        # While they are written, the arguments are shown raw and as far as they can be read.
        await page.until("document.querySelector('.call[data-state=writing] .call-table td')")
        await page.until("document.querySelectorAll('.call[data-state=running]').length === 2")
        await page.shot("tools-running")
        await page.ended()
        calls = await page.js(
            "[...document.querySelectorAll('.call')].map((call) => [call.dataset.state,"
            " call.querySelector('.call-name').textContent,"
            " call.querySelector('.call-result').textContent])"
        )
        assert [call[:2] for call in calls] == [
            ["done", "get_weather"],
            ["done", "get_weather"],
            ["done", "calculate"],
        ]
        assert calls[2][2] == "8.0"
        assert await page.js("document.querySelector('.prose td').textContent") == "Reykjavík"
        await page.until("document.querySelectorAll('#events li').length === 20")
        await page.shot("wire-native")
        await page.tab.click("#toggle-wire")
        await page.shot("tools-done")


@pytest.mark.parametrize(
    ("wire_format", "expected"),
    [
        ("native", '"from":0'),
        ("openai", '"object":"chat.completion.chunk"'),
        ("ai-sdk", '"type":"text-delta"'),
        ("ag-ui", '"type":"TEXT_MESSAGE_CONTENT"'),
    ],
)
async def test_the_wire_in_each_format(browse: Browse, wire_format: str, expected: str) -> None:
    async with serving(tokens_per_second=100) as served:
        served.sim.script(Reply("One two three four five six seven."))
        page = await browse(served)
        await page.tab.click("#toggle-wire")
        await page.tab.click(f"label[for=format-{wire_format}]")
        await page.ask("Hello")
        await page.ended()
        shown = "document.querySelector('#events').textContent.replaceAll(': ', ':')"
        await page.until(f"{shown}.includes({expected!r})")
        await page.tab.click("#wire-pause")
        await page.shot(f"wire-{wire_format}")


async def test_the_queue_is_shown(browse: Browse) -> None:
    async with serving(keep_alive_seconds=0.2) as served:
        served.sim.script(Reply("At last.", queue_seconds=1.5))
        page = await browse(served)
        await page.ask("Hello")
        queue = "document.querySelector('.queue:not([hidden])')?.textContent"
        await page.until(f'{queue} === "Waiting 1 s in DeepSeek\'s queue"')
        await page.shot("chat-queued")
        await page.ended()
        assert await page.js(f"{queue} === undefined")


async def test_readers_are_told_when_the_server_ends(browse: Browse) -> None:
    async with serving(tokens_per_second=20) as served:
        served.sim.script(Reply(TEXT))
        page = await browse(served)
        await page.ask("Hello")
        await page.came(20)
        await served.server.stop()
        await page.until("document.querySelector('#banner').innerText.includes('shutting down')")
        await page.until("document.querySelector('#banner').innerText.includes('not answer')")
        await page.shot("server-gone")


async def test_a_first_visit_begins_by_itself(browse: Browse) -> None:
    async with serving(greet=True, **dict[str, Any](PACE)) as served:
        prepare(served.sim)
        page = await browse(served)
        await page.until("ui.chat.current?.answer.reasoning")
        await page.until("document.querySelector('.reasoning-text')?.textContent")
        await page.shot("thinking")
        other = await page.second_tab()
        await other.until("ui.chat.current")
        assert await other.run_id() == await page.run_id()
        assert served.asked == 1


async def test_the_grid(browse: Browse, record_property: Callable[[str, object], None]) -> None:
    async with serving(tokens_per_second=50) as served:
        for number in range(48):
            # Long enough for a browser that is late to be seen while it runs.
            text = f"Stream {number}. " + f"Some words of number {number}. " * 100
            served.sim.script(Reply(text, match=f"number {number + 1}.", times="forever"))
        page = await browse(served)
        await page.tab.click("#tab-grid")
        await page.tab.click("#grid-start")
        await page.until("ui.grid.cards.size === 48")
        await page.until("document.querySelector('#g-rate').textContent.length > 1")
        paints: list[int] = []
        while await page.js("ui.grid.running"):
            await asyncio.sleep(0.5)
            paints.append(await page.js("ui.paintsPerSecond()"))
            if len(paints) == 4:
                await page.shot("grid-48")
        await page.until("!ui.grid.running")
        cards = await page.js(
            "[...ui.grid.cards.values()]"
            ".map(({run, answer}) => [run, answer.text, answer.lost, answer.doubled])"
        )
        for run_id, text, lost, doubled in cards:
            run = served.run(run_id)
            assert (run.status, lost, doubled) == ("done", 0, 0)
            assert text == text_of(run)
        assert len({text for _, text, _, _ in cards}) == 48
        long_tasks = await page.js("[ui.figures.longTasks, ui.figures.longest]")
        sys.stdout.write(f"grid of 48: paints/s {paints}, long tasks {long_tasks}\n")
        record_property("paints_per_second", paints)
        record_property("long_tasks", long_tasks)
        # The goal is 55 and no long task, on a machine with nothing else to do.
        assert max(paints) >= 20


async def test_the_grid_goes_on_after_a_cut_and_a_reload(browse: Browse) -> None:
    async with serving(tokens_per_second=20) as served:
        page = await browse(served)
        await page.tab.click("#tab-grid")
        await page.tab.click("label[for=size-8]")
        await page.tab.click("#grid-start")
        await page.until("[...ui.grid.cards.values()].every(({answer}) => answer.text.length > 10)")
        await page.js("ui.grid.connection.cut(100)")
        await page.until("ui.grid.connection.resumed === 1 && ui.grid.state === 'live'")
        await page.tab.reload()
        await page.until("globalThis.ui?.grid.cards.size === 8 && !ui.grid.running")
        for run_id, text in await page.js(
            "[...ui.grid.cards.values()].map(({run, answer}) => [run, answer.text])"
        ):
            assert text == text_of(served.run(run_id))


async def test_by_keyboard_alone(browse: Browse) -> None:
    async with serving(tokens_per_second=30) as served:
        served.sim.script(Reply(TEXT), Reply("Second."))
        page = await browse(served)
        keyboard = page.tab.keyboard
        # The question has the focus already.
        await keyboard.type("First line")
        await keyboard.press("Shift+Enter")
        await keyboard.type("second line")
        await keyboard.press("Enter")
        await page.until("ui.chat.turns.length === 1")
        asked = await page.js("document.querySelector('.question').textContent")
        assert asked == "First line\nsecond line"
        await page.came(20)
        await keyboard.press("Escape")
        await page.until("document.querySelector('.notice').innerText === 'Stopped.'")
        await page.js("document.activeElement.blur()")
        await keyboard.press("?")
        assert await page.tab.is_visible("#help")
        await page.shot("help")
        await keyboard.press("Escape")
        assert not await page.tab.is_visible("#help")
        await keyboard.press("g")
        await page.until("!document.querySelector('#view-grid').hidden")
        await keyboard.press("c")
        await page.until("!document.querySelector('#view-chat').hidden")
        await keyboard.press("r")
        await page.until("ui.chat.current.answer.text === 'Second.'")
        await keyboard.press("w")
        assert await page.tab.is_visible("#wire")
        await keyboard.press("n")
        await page.until("ui.chat.turns.length === 0")
        assert await page.js("document.activeElement.id") == "question"
        # All that can be pressed can be reached, and is seen to be.
        for _ in range(8):
            await keyboard.press("Tab")
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            inside = "document.activeElement.matches('input')"
            assert await page.js(f"{inside} || {outline} !== 'none'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone(browse: Browse, scheme: str) -> None:
    async with serving(**dict[str, Any](PACE, tokens_per_second=400.0)) as served:
        prepare(served.sim)
        phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
        page = await browse(served, color_scheme=scheme, device_scale_factor=2, **phone)
        widths = "[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"
        assert await page.js(widths) == [360] * 3
        await page.shot(f"phone-{scheme}-empty")
        await page.ask("Write a token bucket in Python.")
        await page.ended()
        assert await page.js(widths) == [360] * 3
        assert await page.js("ui.chat.follower.box.scrollWidth <= 360")
        await page.shot(f"phone-{scheme}-chat")
        await page.tab.tap("#open-rail")
        assert await page.tab.is_visible("#m-rate")
        await page.shot(f"phone-{scheme}-meters")
        await page.tab.touchscreen.tap(10, 400)
        assert not await page.tab.is_visible("#m-rate")
        await page.tab.tap("#tab-grid")
        await page.tab.tap("#grid-start")
        await page.until("ui.grid.cards.size > 0")
        assert await page.js(widths) == [360] * 3
        await page.shot(f"phone-{scheme}-grid")


async def test_the_view_follows_unless_somebody_reads(browse: Browse) -> None:
    async with serving(tokens_per_second=300) as served:
        served.sim.script(Reply(TEXT))
        page = await browse(served, viewport={"width": 1200, "height": 500})
        await page.ask("Hello")
        await page.came(900)
        end = (
            "(({scrollHeight, clientHeight, scrollTop}) => scrollHeight - clientHeight - scrollTop)"
        )
        distance = f"{end}(document.querySelector('#scroll'))"
        await page.until(f"{distance} < 60")
        await page.tab.mouse.move(600, 200)
        await page.tab.mouse.wheel(0, -400)
        await page.until(f"{distance} > 200")
        await page.ended()
        assert await page.js(f"{distance} > 200")
        await page.tab.click("#jump")
        await page.until(f"{distance} < 5")


async def test_the_theme_is_that_of_the_system(browse: Browse) -> None:
    async with serving() as served:
        page = await browse(served, color_scheme="dark")
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = await page.js(ground)
        await page.tab.emulate_media(color_scheme="light")
        light = await page.js(ground)
        assert light != dark
        await page.tab.click("#toggle-theme")
        assert await page.js(ground) == dark


async def test_the_theme_can_be_chosen(browse: Browse) -> None:
    async with serving() as served:
        page = await browse(served, color_scheme="light")
        ground = "getComputedStyle(document.body).backgroundColor"
        light = await page.js(ground)
        await page.shot("empty-light")
        await page.tab.click("#toggle-theme")
        dark = await page.js(ground)
        assert dark != light
        await page.tab.reload()
        assert await page.js(ground) == dark
