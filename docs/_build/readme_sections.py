"""Shows sections of the README in the pages that link to them on a line of their own."""

import re
from pathlib import Path
from typing import Any

_README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
_LINE = re.compile(r"^\[[^\]]*\]\(\.\./README\.md#([\w-]+)\)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the sections in; called by MkDocs."""
    return _LINE.sub(lambda line: _section(line[1]), markdown)


def _section(slug: str) -> str:
    """Return what is below a heading of the README.

    Raises:
        KeyError: If there is no such heading.
    """
    _, *parts = re.split(r"^## (.*)\n", _README, flags=re.MULTILINE)
    sections = {_slug(title): text for title, text in zip(parts[::2], parts[1::2], strict=True)}
    return _LINK.sub(_link, sections[slug].strip())


def _slug(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")


def _link(link: re.Match[str]) -> str:
    """Let a link lead to the page, if there is one for it; else name the file."""
    text, target, anchor = link[1], link[2], link[3] or ""
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')}{anchor})"
    return f"`{text}`"
