"""What a person does with the page, and sees."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .serving import GUARD_SECONDS, Served

if TYPE_CHECKING:
    from playwright.async_api import Page as Tab

#: Where screenshots go; without it none are made.
SCREENSHOTS = "DEEPSEEK_SCREENSHOTS"
# What fails on purpose: connections that are cut, and requests to a server that ends.
_EXPECTED = ("ERR_ABORTED", "ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY", "ERR_NETWORK")


class Page:
    """A tab with the page.

    Attributes:
        tab: Playwright's.
        problems: What no page may do: errors, dialogs, requests to elsewhere.
    """

    def __init__(self, tab: Tab, served: Served) -> None:
        self.tab = tab
        self.served = served
        # The server may be gone when the page is still there.
        self.base = served.base
        self.problems: list[str] = []
        tab.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        tab.on("console", self._heard)
        tab.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        tab.on("request", self._requested)

    async def open(self, url: str) -> None:
        await self.tab.goto(url)
        await self.until("Boolean(globalThis.ui) && document.querySelector('#server').textContent")

    async def second_tab(self) -> Page:
        """Another tab of the same browser, opened at the bare address."""
        page = Page(await self.tab.context.new_page(), self.served)
        await page.open(self.base)
        return page

    async def js(self, expression: str) -> Any:
        return await self.tab.evaluate(expression)

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true, and return what it is then.

        Playwright's own waiting evaluates strings in the page, which its policy forbids.
        """
        async with asyncio.timeout(GUARD_SECONDS):
            while not (value := await self.js(expression)):
                await asyncio.sleep(0.02)
        return value

    async def ask(self, text: str) -> None:
        turns = await self.js("ui.chat.turns.length")
        await self.tab.fill("#question", text)
        await self.tab.press("#question", "Enter")
        await self.until(f"ui.chat.turns.length === {turns + 1}")

    async def came(self, characters: int) -> None:
        """Wait until so much of the answer is there."""
        await self.until(f"ui.chat.current.answer.text.length >= {characters}")

    async def ended(self) -> None:
        await self.until("ui.chat.turns.length && !ui.chat.running")
        # What came last is painted with the next frame.
        await self.until("!document.querySelector('.turn[data-running=true]')")

    async def run_id(self) -> str:
        return str(await self.js("ui.chat.current.run"))

    async def answer(self) -> str:
        """The answer's text, as the page has it."""
        return str(await self.js("ui.chat.current.answer.text"))

    async def seen(self) -> str:
        """The answer, as it is shown."""
        text = "document.querySelector('.turn:last-child .answer-body').innerText"
        return str(await self.js(text))

    async def faults(self) -> list[int]:
        """How many places were lost, and how many came twice."""
        faults = await self.js("[ui.chat.current.answer.lost, ui.chat.current.answer.doubled]")
        assert isinstance(faults, list)
        return faults

    async def shot(self, name: str) -> None:
        """Keep what is seen, if somebody wants to look at it."""
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            # Makes the folder, too.
            await self.tab.screenshot(path=Path(folder, f"{name}.png"))

    def check(self) -> None:
        """Fail for what no page may do."""
        assert self.problems == []

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(e in message.text for e in _EXPECTED):
            self.problems.append(f"{message.type}: {message.text}")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:image/svg+xml")):
            self.problems.append(f"request to {request.url}")
