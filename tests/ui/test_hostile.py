"""What a model writes is text, whatever it looks like."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable

import pytest

from deepseek_async.simulator import Reply, When

from .driving import Page
from .serving import serving

Browse = Callable[..., Awaitable[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

# One of each; every one in a paragraph, a list, a quote, a table, a heading and a link's text.
ATTACKS = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    '<svg onload="alert(3)"><a xlink:href="javascript:alert(3)">x</a></svg>',
    "<iframe src='https://evil.example/'></iframe>",
    "[click](javascript:alert(4))",
    "[click](data:text/html,<script>alert(5)</script>)",
    "[click](https://evil.example/?q=1)",
    "![picture](https://evil.example/pixel.png)",
    "<https://evil.example/auto>",
    '"><b onmouseover="alert(6)">',
    "' onfocus='alert(7)' autofocus='",
    "\u202egnp.exe\u202c and \u2066isolated\u2069",
    "\x1b[31mred\x1b[0m \x07 \x00",
    "{{constructor.constructor('alert(8)')()}} ${alert(9)}",
    "[a]: javascript:alert(10)",
)
FORMS = ("{}", "- {}", "> {}", "| a | b |\n|---|---|\n| {} | c |", "## {}", "**{}**", "1. - > {}")
HOSTILE = "\n\n".join(form.format(attack) for attack in ATTACKS for form in FORMS)
FENCED = f"```html\n{HOSTILE}\n"


async def assert_inert(page: Page) -> None:
    """Nothing of the log is more than text in elements that only show it."""
    tags = set(await page.js("[...document.querySelectorAll('#log *')].map((e) => e.localName)"))
    assert tags <= {
        *("article", "div", "section", "header", "footer", "details", "summary", "figure"),
        *("figcaption", "pre", "code", "p", "span", "small", "strong", "em", "del", "blockquote"),
        *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "hr", "i", "button"),
        *("h3", "h4", "h5", "h6", "svg", "use"),
    }
    attributes = set(
        await page.js(
            "[...document.querySelectorAll('#log *')].flatMap((e) => e.getAttributeNames())"
        )
    )
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "srcdoc", "action", "style", "xlink:href", "autofocus"}
    # Our own icons.
    links = await page.js(
        "[...document.querySelectorAll('#log [href]')].map((e) => e.getAttribute('href'))"
    )
    assert all(link.startswith("#i-") for link in links)
    shown = await page.js("document.querySelector('#log').textContent")
    assert not set(shown) & set("\u202e\u202c\u2066\u2069\x1b\x07\x00")
    assert "<img src=x onerror=alert(1)>" in shown
    assert "\u27e8U+202E\u27e9gnp.exe" in shown
    assert "\u241b[31mred" in shown


async def test_hostile_text_is_inert(browse: Browse) -> None:
    async with serving(tokens_per_second=4000) as served:
        served.sim.script(Reply(HOSTILE, reasoning=HOSTILE), Reply(FENCED))
        page = await browse(served)
        await page.ask(HOSTILE[:3000])
        await page.ended()
        assert await page.answer() == HOSTILE
        await assert_inert(page)
        await page.shot("hostile")
        await page.ask("And as code?")
        await page.ended()
        await assert_inert(page)
        # As it is put together again, too.
        await page.tab.reload()
        await page.until("globalThis.ui?.chat.turns.length === 2")
        await assert_inert(page)
        assert await page.answer() == FENCED


async def test_hostile_tools_are_inert(browse: Browse) -> None:
    async with serving(tokens_per_second=4000) as served:
        calls = [("get_weather", {"city": HOSTILE[:2000], "<b>key</b>": ATTACKS[0]})]
        served.sim.script(
            Reply(reasoning=HOSTILE, tool_calls=calls, match=When(turn=1)),
            Reply(HOSTILE, match=When(turn=2)),
        )
        page = await browse(served)
        await page.tab.click("label:has(#tools)")
        await page.tab.click("#toggle-wire")
        await page.ask("Hello")
        await page.ended()
        await assert_inert(page)
        assert await page.js("document.querySelectorAll('.call').length") == 1
        tags = await page.js(
            "[...new Set([...document.querySelectorAll('#events *')].map((e) => e.localName))]"
        )
        assert set(tags) <= {"li", "pre", "b", "span"}


async def test_markdown_is_made_of_the_same_blocks_however_it_comes(browse: Browse) -> None:
    text = (
        "# Title\n\nA *b* **c** `d` ~~e~~ \\*f\\* snake_case_name 2 * 3 * 4\n\n"
        "1. one\n   - nested\n   - more\n2. two\n\n   paragraph\n3. three\n\n"
        "| a | b |\n|:-:|--:|\n| 1 | `2` |\n\n> quote\n> more\n\n---\n\n"
        "```python\ndef f():\n\n    return 1\n```\nafter\n\n[text](https://example.org/a_b) end"
    )
    async with serving() as served:
        page = await browse(served)
        await page.js(
            """async () => {
              const { GrowingMarkdown } = await import("/static/markdown.js");
              globalThis.html = (pieces) => {
                const element = document.createElement("div");
                const view = new GrowingMarkdown(element);
                let text = "";
                for (const piece of pieces) view.show(text += piece, true);
                view.show(text, false);
                return element.innerHTML;
              };
            }"""
        )
        whole, one_by_one, by_lines = await page.tab.evaluate(
            "(text) => [html([text]), html([...text]), html(text.split(/(?<=\\n)/))]", text
        )
        assert one_by_one == whole
        assert by_lines == whole
        for part in (
            '<h3 dir="auto" class="level-1">Title</h3>',
            "A <em>b</em> <strong>c</strong> <code>d</code> <del>e</del> *f* snake_case_name 2 * 3",
            "one<ul>",
            '<th class="to-center" dir="auto">a</th>',
            "<blockquote",
            "<hr>",
            "<code>def f():\n\n    return 1</code>",
            '<span class="link">text <span class="address">https://example.org/a_b</span></span>',
        ):
            assert part in whole


async def test_text_without_end_takes_no_time(browse: Browse) -> None:
    async with serving() as served:
        page = await browse(served)
        slowest = await page.js(
            """async () => {
              const { GrowingMarkdown } = await import("/static/markdown.js");
              const attacks = [
                "*a ", "`", "**", "_x", "[", "[a](", "> ", "- ", "1. ", "|-", "# ", "~~~", "\\\\",
                " ", "#",
              ];
              let slowest = [0, ""];
              for (const attack of attacks) {
                const element = document.createElement("div");
                const view = new GrowingMarkdown(element);
                const text = attack.repeat(200000 / attack.length) + "x";
                for (let length = 4000; length <= text.length; length += 4000) {
                  const since = performance.now();
                  view.show(text.slice(0, length), true);
                  const taken = performance.now() - since;
                  if (taken > slowest[0]) slowest = [taken, attack];
                }
              }
              return slowest;
            }"""
        )
        sys.stdout.write(f"slowest step: {slowest[0]:.0f} ms with {slowest[1]!r}\n")
        # Quadratic ones take minutes; the margin is for machines with other work.
        assert slowest[0] < 2000


async def test_no_character_is_cut_in_two(browse: Browse) -> None:
    async with serving() as served:
        page = await browse(served)
        lengths = await page.js(
            """async () => {
              const { GrowingText } = await import("/static/dom.js");
              const element = document.createElement("p");
              const view = new GrowingText(element);
              const text = "x" + String.fromCodePoint(0x1f680).repeat(6000);
              for (let end = 1; end <= text.length; end += 3001) view.show(text.slice(0, end | 1));
              view.show(text);
              if (element.textContent !== text) throw new Error("another text");
              return [...element.childNodes].map(({ data }) => [data.length, data.isWellFormed()]);
            }"""
        )
        assert len(lengths) > 3
        assert all(length <= 4100 and whole for length, whole in lengths)


async def test_json_is_read_while_it_is_written(browse: Browse) -> None:
    document = r'{"a": [1, -2.5e3, true, null], "b\n": {"c": "d\u00e9\"", "e": []}, "f": "漢"}'
    async with serving() as served:
        page = await browse(served)
        values = await page.tab.evaluate(
            """async (text) => {
              const { partialJson } = await import("/static/partial.js");
              return [...text].map((_, i) => JSON.stringify(partialJson(text.slice(0, i + 1))));
            }""",
            document,
        )
        assert json.loads(values[-1]) == json.loads(document)
        assert '{"a":[1,-2.5' in "".join(filter(None, values))
        # There is something to show nearly all the time.
        assert sum(value is None for value in values) < 12
