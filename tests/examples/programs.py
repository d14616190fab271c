"""The Python programs of the documentation."""

import re
from pathlib import Path
from typing import NamedTuple

from tests.examples.servers import FOLDER

ROOT = FOLDER.parents[1]
# Its programs are pieces; tests/simulator has them.
PAGES = [
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "simulator.md"),
    ROOT / "README.md",
]


class Program(NamedTuple):
    """A program of a page."""

    page: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page} {self.number}"


def _programs(path: Path) -> list[Program]:
    fenced = re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [Program(path.stem, number, text) for number, text in enumerate(fenced)]


PROGRAMS = [program for path in PAGES for program in _programs(path)]

# tests/test_readme.py runs the README's; it imports its web app, which here is asked.
SCRIPTS = [
    each for each in PROGRAMS if "asyncio.run(main())" in each.text and each.page != "README"
]
WEB_APPS = [each for each in PROGRAMS if "# curl " in each.text]
CLUSTERS = [each for each in PROGRAMS if "map_dask" in each.text and each.page != "README"]
TESTS = [each for each in PROGRAMS if "def test_" in each.text and each.page != "README"]

# tests/examples/test_recipes.py runs these.
RECIPES = [
    each for each in PROGRAMS if each.page == "realtime" and each not in [*SCRIPTS, *WEB_APPS]
]
