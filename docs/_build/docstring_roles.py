"""Makes Markdown of what docstrings say in reStructuredText: references and code blocks."""

import re
from typing import Any

from griffe import AliasResolutionError, Extension, NameResolutionError, Object

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([^`]+)`")
_CODE = re.compile(r"::$", re.MULTILINE)


class DocstringRoles(Extension):
    """Links to what is on a page of the site, and names what is not."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object; called by Griffe."""
        if obj.docstring is not None:
            text = _ROLE.sub(lambda role: _reference(obj, role[1]), obj.docstring.value)
            obj.docstring.value = _CODE.sub(_colon, text)


def _reference(obj: Object, name: str) -> str:
    path = name
    if not name.startswith("deepseek_async"):
        first, dot, rest = name.partition(".")
        try:
            path = obj.resolve(first) + dot + rest
        except (AliasResolutionError, NameResolutionError):
            path = name
    shown = name.removeprefix("deepseek_async.")
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'


def _colon(code: re.Match[str]) -> str:
    """Return a colon, unless the mark stands alone."""
    before = code.string[: code.start()]
    return "" if not before or before[-1] == "\n" else ":"
