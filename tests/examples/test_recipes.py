"""The recipes of docs/realtime.md, with stand-ins for what their libraries ask of a program."""

import asyncio
import gc
import inspect
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import pytest

from deepseek_async.simulator import Reply
from deepseek_async.simulator.thread import SimulatorThread
from tests.examples.programs import RECIPES
from tests.examples.servers import GUARD, environment

ANSWER = "".join(f"Word {number}. " for number in range(80))
F = TypeVar("F")


@pytest.fixture(autouse=True)
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    with SimulatorThread() as sim:
        sim.script(Reply(ANSWER, reasoning="Hm.", tokens_per_second=800, times="forever"))
        for name, value in environment(sim).items():
            monkeypatch.setenv(name, value)
        yield sim


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a recipe with stand-ins for the modules it imports, and return what it defines."""

    def run(**stand_ins: dict[str, Any]) -> dict[str, Any]:
        for name, contents in stand_ins.items():
            module = ModuleType(name.replace("_", "."))
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, module.__name__, module)
        (program,) = [each.text for each in RECIPES if f" {next(iter(stand_ins))}" in each.text]
        namespace: dict[str, Any] = {"__name__": "recipe"}
        exec(compile(program, "recipe", "exec"), namespace)
        return namespace

    return run


def test_streamlit(run: Callable[..., Any]) -> None:
    shown: list[str] = []

    def write_stream(stream: Any) -> None:
        # An object that only has `__aiter__` is refused, and each call has a loop of its own.
        assert inspect.isasyncgen(stream)
        loop = asyncio.new_event_loop()
        try:
            while True:
                shown.append(str(loop.run_until_complete(anext(stream))))
        except StopAsyncIteration:
            loop.close()

    for _ in range(2):
        run(streamlit={"chat_input": lambda label: "Why?", "write_stream": write_stream})
    assert "".join(shown) == ANSWER * 2


# What waits for something in its `finally` can't be dropped quietly.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_streamlit_runs_the_script_again_in_mid_answer(
    run: Callable[..., Any], sim: SimulatorThread
) -> None:
    def write_stream(stream: AsyncGenerator[str]) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(anext(stream))
        # The script is left where it is: nobody closes the generator.
        loop.close()

    run(streamlit={"chat_input": lambda label: "Why?", "write_stream": write_stream})
    gc.collect()
    deadline = time.monotonic() + GUARD
    while sim.metrics.in_flight and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sim.metrics.in_flight == 0


async def test_gradio(run: Callable[..., Any]) -> None:
    launched: list[Any] = []

    def chat_interface(function: Any) -> Any:
        assert inspect.isasyncgenfunction(function)
        return SimpleNamespace(launch=lambda: launched.append(function))

    recipe = run(gradio={"ChatInterface": chat_interface})
    answers: AsyncGenerator[str] = launched[0]("Why?", [])
    shown = [answer async for answer in answers]
    await recipe["client"].aclose()
    assert shown[-1] == ANSWER
    assert all(len(shorter) < len(longer) for shorter, longer in pairwise(shown))
    assert len(shown) < 80


class FakeMarkdown:
    """A Markdown widget that is written to, and its stream, in one."""

    def __init__(self) -> None:
        self.text = "the last answer"
        self.writes = 0
        self.stopped = False

    async def update(self, text: str) -> None:
        self.text = text

    async def write(self, text: str) -> None:
        self.text += text
        self.writes += 1

    async def stop(self) -> None:
        self.stopped = True

    @staticmethod
    def get_stream(markdown: "FakeMarkdown") -> "FakeMarkdown":
        return markdown


def work(*, exclusive: bool) -> Callable[[F], F]:
    assert exclusive
    return lambda function: function


async def test_textual(run: Callable[..., Any]) -> None:
    markdown = FakeMarkdown()
    recipe = run(
        textual={"work": work},
        textual_app={
            "App": type("App", (), {"query_one": lambda self, kind: markdown}),
            "ComposeResult": object,
        },
        textual_widgets={"Input": SimpleNamespace(Submitted=object), "Markdown": FakeMarkdown},
    )
    await recipe["Ask"]().on_input_submitted(SimpleNamespace(value="Why?"))
    assert markdown.text == ANSWER
    assert markdown.stopped
    assert markdown.writes < 80
