"""`tokens`: the estimate, and exact counts with a tokenizer file."""

import importlib.util
import json
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.tokens import IMAGE_TOKENS, TokenCounter, estimate_tokens
from deepseek_async.types import (
    AssistantMessage,
    ChatCompletionMessage,
    Function,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tests.fixtures import RECORDINGS, needs_recordings

needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None,
    reason="the library tokenizers (extra tokens) is not installed",
)

TEXTS = {
    "nothing": ("", 0),
    "one letter": ("a", 1),
    "English": ("a" * 1000, 300),
    "rounded up": ("a" * 11, 4),
    "Chinese": ("中" * 1000, 600),
    "both": ("a" * 100 + "中文" * 50, 90),
    "Chinese outside the basic plane": ("𠀀" * 10, 6),
    "Chinese punctuation": ("。" * 10, 6),
    "half a character": ("\ud800" * 10, 6),
}


@pytest.mark.parametrize(("text", "tokens"), TEXTS.values(), ids=TEXTS)
def test_text_is_estimated_by_the_published_ratios(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


LETTERS = "a" * 100  # 30 tokens
TOOLS = [{"type": "function", "function": {"name": "f"}}]
CALL = {"id": "c", "type": "function", "function": {"name": "a" * 10, "arguments": "b" * 20}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}

# 2 tokens for the conversation, 2 for each message.
CONVERSATIONS: dict[str, tuple[list[Any], int]] = {
    "none": ([], 2),
    "a mapping": ([{"role": "user", "content": LETTERS}], 34),
    "a struct": ([UserMessage(content=LETTERS)], 34),
    "several": (
        [SystemMessage(content=LETTERS), {"role": "user", "content": LETTERS}],
        66,
    ),
    "an answer": ([ChatCompletionMessage(content=LETTERS)], 34),
    "no content": ([AssistantMessage(content=None)], 4),
    "no field content": ([{"role": "assistant"}], 4),
    "parts": (
        [{"role": "user", "content": [{"type": "text", "text": LETTERS}, PICTURE]}],
        34 + 384,
    ),
    "parts in a tuple": ([{"role": "user", "content": (PICTURE, PICTURE)}], 4 + 2 * 384),
    "parts that are texts": ([{"role": "user", "content": ["aaaaaaaaaa"]}], 7),
    "a file": ([{"role": "user", "content": [{"type": "file", "file_id": "x" * 99}]}], 388),
    "a call": ([{"role": "assistant", "content": None, "tool_calls": [CALL]}], 4 + 35 + 9),
    "a call as a struct": (
        [
            ChatCompletionMessage(
                tool_calls=[ToolCall(function=Function(name="a" * 10, arguments="b" * 20))]
            )
        ],
        4 + 35 + 9,
    ),
    "its result": ([ToolMessage(content=LETTERS, tool_call_id="c")], 34),
    "reasoning that is left out": (
        [AssistantMessage(content=LETTERS, reasoning_content=LETTERS)],
        34,
    ),
}


@pytest.mark.parametrize(("messages", "tokens"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_conversations_are_texts_and_what_comes_with_them(messages: list[Any], tokens: int) -> None:
    assert estimate_tokens(messages) == tokens
    assert estimate_tokens(iter(messages)) == tokens


def test_parts_of_tokens_add_up_before_they_are_rounded() -> None:
    assert estimate_tokens([{"role": "user", "content": "a"}] * 10) == 2 + 20 + 3


def test_tools_are_part_of_the_prompt() -> None:
    # {"type":"function","function":{"name":"f"}} has 43 characters.
    assert estimate_tokens("", tools=TOOLS) == 200 + 13
    assert estimate_tokens("", tools=[]) == estimate_tokens("", tools=None) == 0


def test_reasoning_counts_beside_tools() -> None:
    thought = {"role": "assistant", "content": "", "reasoning_content": LETTERS}
    silent = {"role": "assistant", "content": ""}
    both = [estimate_tokens([message], tools=TOOLS) for message in (thought, silent)]
    assert both[0] - both[1] == 30


def test_the_sample_of_the_docs_is_met_roughly() -> None:
    messages = [
        {"role": "system", "content": "You are a helpful assistant"},
        {"role": "user", "content": "Hi"},
    ]
    assert abs(estimate_tokens(messages) - 16) <= 1


def recorded_prompts() -> Iterator[tuple[dict[str, Any], int]]:
    """Yield request bodies that a V4 answered, and the prompt tokens of their answers."""
    for path in sorted(RECORDINGS.glob("*/*.request.json")):
        body = json.loads(path.read_bytes())
        answers = [path.with_name(path.name[: -len(".request.json")] + end) for end in ENDS]
        text = "".join(answer.read_text("utf-8") for answer in answers if answer.is_file())
        counts = re.findall(r'"prompt_tokens": ?(\d+)', text)
        if counts and '"model":"deepseek-v4' in text and "messages" in body:
            yield body, int(counts[-1])


ENDS = (".json", ".sse")


@needs_recordings
@pytest.mark.parametrize("has_tools", [False, True])
def test_recorded_prompts_are_met_in_the_middle(has_tools: bool) -> None:
    ratios = [
        estimate_tokens(body["messages"], tools=body.get("tools")) / tokens
        for body, tokens in recorded_prompts()
        if bool(body.get("tools")) is has_tools
    ]
    assert len(ratios) >= 10
    assert 0.8 < statistics.median(ratios) < 1.2


NO_PROMPTS: dict[str, tuple[Any, str]] = {
    "bytes": (b"text", "not bytes"),
    "one message": ({"role": "user", "content": "x"}, "not dict"),
    "None": (None, "not NoneType"),
    "texts": (["x"], r"messages\[0\] must be a mapping"),
    "content of another type": ([{}, {"content": 5}], r"messages\[1\] must be a mapping"),
}


@pytest.mark.parametrize(("prompt", "message"), NO_PROMPTS.values(), ids=NO_PROMPTS)
def test_what_is_no_prompt_is_refused(prompt: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        estimate_tokens(prompt)


VOCABULARY = {"[UNK]": 0, "hello": 1, "world": 2, "f": 3, "[BOS]": 4}


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A", special_tokens=[("[BOS]", 4)]
    )
    # As in files from training: neither may change a count.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@needs_tokenizers
class TestCounter:
    def test_text_is_counted_exactly(self, tokenizer_file: Path) -> None:
        counter = TokenCounter.from_file(tokenizer_file)
        counts = [counter.count(text) for text in ("", "hello", "hello world, " * 50)]
        assert counts == [0, 1, 150]

    def test_half_characters_are_counted_too(self, tokenizer_file: Path) -> None:
        assert TokenCounter.from_file(str(tokenizer_file)).count("hello \ud800") == 2

    def test_a_directory_may_be_given(self, tokenizer_file: Path) -> None:
        assert TokenCounter.from_file(tokenizer_file.parent).count("hello world") == 2

    def test_conversations_are_counted_as_they_are_estimated(self, tokenizer_file: Path) -> None:
        counter = TokenCounter.from_file(tokenizer_file)
        part = {"type": "text", "text": "hello world"}
        messages: list[Any] = [
            UserMessage(content=[part, PICTURE]),
            {"role": "tool", "content": "hello"},
        ]
        assert counter.count(messages) == 2 + 2 * 2 + 3 + IMAGE_TOKENS
        tool = counter.count(json.dumps(TOOLS[0], separators=(",", ":")))
        assert counter.count(messages, tools=TOOLS) == counter.count(messages) + 200 + tool

    def test_a_file_that_is_no_tokenizer_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "config.json"
        file.write_text('{"vocab_size": 1}')
        with pytest.raises(ValueError, match=r"config\.json' is not a tokenizer\.json: "):
            TokenCounter.from_file(file)


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no tokenizer file .*missing\.json.*unpack"):
        TokenCounter.from_file(tmp_path / "missing.json")
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        TokenCounter.from_file(tmp_path)


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    # None makes the import fail, as if the library were not there.
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "deepseek-async\[tokens\]"'):
        TokenCounter.from_file(tmp_path)
