"""The page of the aiohttp example, whose script is also in docs/realtime.md, in a real browser."""

import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from deepseek_async.simulator import Reply
from tests.examples.programs import ROOT
from tests.examples.servers import FOLDER, GUARD, App, Apps, until

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
ANSWER = "".join(f"Word {number}. " for number in range(60))
HOSTILE = '<img src=x onerror="document.title = 1"> <script>document.title = 2</script> '

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def app(apps: Apps) -> App:
    return apps.app("aiohttp")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Any]:
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Any, app: App) -> AsyncIterator[Any]:
    context = await chromium.new_context()
    context.set_default_timeout(GUARD * 1000)
    page = await context.new_page()
    # What the policy of the page forbids, and mistakes in its script.
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(app.url)
    yield page
    await context.close()
    assert errors == []


async def ask(page: Any) -> None:
    await page.fill("#question", "Why?")
    await page.press("#question", "Enter")


async def shown(page: Any, status: str) -> str:
    """Wait for a status, and return the answer that is shown."""
    await page.locator("#status", has_text=re.compile(f"^{status}$")).wait_for()
    return str(await page.locator("#answer").text_content())


def test_the_guide_shows_the_pages_script() -> None:
    guide = (ROOT / "docs" / "realtime.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```js\n(.*?)```", guide, re.DOTALL)
    assert script in (FOLDER / "aiohttp_app.py").read_text(encoding="utf-8")


@needs_chromium
@pytest.mark.asyncio(loop_scope="module")  # of the browser
async def test_the_page_goes_on_after_a_reload(app: App, page: Any) -> None:
    app.sim.script(Reply(ANSWER, reasoning="Hm.", tokens_per_second=100))
    await ask(page)
    assert len(await shown(page, "answering")) < len(ANSWER)
    await page.reload()
    assert await shown(page, "done") == ANSWER
    assert len(app.sim.requests) == 1


@needs_chromium
@pytest.mark.asyncio(loop_scope="module")  # of the browser
async def test_the_page_comes_back_when_it_was_refused(app: App, page: Any) -> None:
    refused: list[str] = []

    async def refuse_once(route: Any) -> None:
        if refused:
            await route.continue_()
        else:
            refused.append(route.request.url)
            await route.fulfill(status=503)

    app.sim.script(Reply(ANSWER, tokens_per_second=200))
    await page.route("**/events*", refuse_once)
    await ask(page)
    assert await shown(page, "done") == ANSWER
    assert refused


@needs_chromium
@pytest.mark.asyncio(loop_scope="module")  # of the browser
async def test_the_page_stops_an_answer(app: App, page: Any) -> None:
    app.sim.script(Reply(ANSWER, tokens_per_second=10))
    await ask(page)
    await shown(page, "answering")
    await page.click("#stop")
    assert ANSWER.startswith(await shown(page, "stopped"))
    await until(lambda: not app.sim.metrics.in_flight)


@needs_chromium
@pytest.mark.asyncio(loop_scope="module")  # of the browser
async def test_the_page_makes_no_html_of_an_answer(app: App, page: Any) -> None:
    app.sim.script(Reply(HOSTILE))
    await ask(page)
    assert await shown(page, "done") == HOSTILE
    assert await page.title() == "Ask"
    assert await page.locator("img").count() == 0
