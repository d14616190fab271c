"""Going on with a text that was begun: prefixes of answers, and gaps to be filled."""

from __future__ import annotations

import re

_FENCE = "```"
_PYTHON = '''def solve(items):
    """Return the items in order."""
    return sorted(items)


print(solve([3, 1, 2]))
'''
_CODE = {
    "python": _PYTHON,
    "py": _PYTHON,
    "javascript": "const solve = (items) => [...items].sort();\n\nconsole.log(solve([3, 1, 2]));\n",
    "typescript": "const solve = (items: number[]): number[] => [...items].sort();\n",
    "json": '{"items": [1, 2, 3]}\n',
    "sql": "SELECT name FROM items ORDER BY name;\n",
    "bash": "sort items.txt\n",
    "sh": "sort items.txt\n",
    "html": "<ul><li>1</li><li>2</li><li>3</li></ul>\n",
}
_IS_CODE = re.compile(
    r"^\s*(def|class|import|from|function|const|let|var|for|if|while|fn|func)\b|[{;]\s*$", re.M
)


def continuation(beginning: str, sentence: str) -> str:
    """What comes after the beginning of an answer, without repeating it.

    Args:
        beginning: An open code fence is filled and closed; other text goes on.
        sentence: What to go on with.
    """
    if beginning.count(_FENCE) % 2:
        language, line_end, written = beginning.rpartition(_FENCE)[2].partition("\n")
        code = _CODE.get(language.strip().lower(), _PYTHON)
        if written.strip():
            code = filling(beginning, "", sentence) + "\n"
        return f"{'' if line_end else chr(10)}{code}{_FENCE}\n"
    return _joint(beginning) + (sentence if _begins_sentence(beginning) else _lower(sentence))


def filling(before: str, after: str, sentence: str) -> str:
    """What stands between two texts: code between code, words between words.

    Args:
        before: The text up to the gap.
        after: The text from the gap on; may be empty.
        sentence: What to write between words.
    """
    if _IS_CODE.search(before):
        return _code_between(before, after)
    text = _joint(before) + (sentence if _begins_sentence(before) else _lower(sentence))
    return f"{text} " if after[:1].isalnum() else text


def _code_between(before: str, after: str) -> str:
    line = before.rstrip("\n").rpartition("\n")[2]
    indent = line[: len(line) - len(line.lstrip())]
    end = "" if after.startswith("\n") else "\n"
    if line.rstrip().endswith(":"):
        inner = f"{indent}    "
        lines = [f"{inner}result = 42"]
        if line.lstrip().startswith("def ") and "return" not in after:
            lines.append(f"{inner}return result")
    elif line.rstrip().endswith("{"):
        lines = [f"{indent}  const result = 42;"]
        if "}" not in after:
            lines += [f"{indent}  return result;", f"{indent}}}"]
    elif before.endswith("\n"):
        lines = [f"{indent}result = 42"]
    else:
        return _joint(before) + "42"
    opening = "" if before.endswith("\n") else "\n"
    return opening + "\n".join(lines) + end


def _joint(before: str) -> str:
    return "" if not before or before[-1].isspace() or before[-1] in "([{\"'" else " "


def _begins_sentence(before: str) -> bool:
    return not before.strip() or before.endswith("\n") or before.rstrip()[-1] in ".!?:"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
