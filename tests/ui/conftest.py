"""Chromium, driven by playwright; one for all tests of a process."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from .driving import Page
from .serving import Served

if TYPE_CHECKING:
    from playwright.async_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    driver = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("there is no chromium (apt-get install chromium)")
    async with driver.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browse(chromium: Browser) -> AsyncGenerator[Any]:
    """Opens pages, each in a profile of its own; fails for what no page may do."""
    async with AsyncExitStack() as stack:

        @asynccontextmanager
        async def profile(served: Served, **options: Any) -> AsyncGenerator[Page]:
            context = await chromium.new_context(**options)
            try:
                page = Page(await context.new_page(), served)
                await page.open(served.server.url)
                yield page
                page.check()
            finally:
                await context.close()

        async def browse(served: Served, **options: Any) -> Page:
            return await stack.enter_async_context(profile(served, **options))

        yield browse
