"""How many tokens a prompt has, without asking the server.

The estimate takes the ratios that DeepSeek publishes, 0.3 of a token for an English character and
0.6 for a Chinese one, and what recorded requests show of the text that the server adds itself.
Exact counts of text need a tokenizer file, and the library that reads it. The usage of an answer
is always right.

Source: https://api-docs.deepseek.com/quick_start/token_usage, read 2026-11-21.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, cast

import msgspec

from deepseek_async.types.params import MessageParam

#: The most that an image is (docs, "Vision"); it may be less, by its size.
IMAGE_TOKENS = 384

# What the server adds, as seen in the recorded requests of 2025 and 2026: marks for the beginning
# and the roles, instructions once there are tools, and a frame around each call and its result.
_BEGINNING = 2
_PER_MESSAGE = 2
_TOOL_INSTRUCTIONS = 200
_PER_CALL = 35


def estimate_tokens(
    prompt: str | Iterable[MessageParam], *, tools: Iterable[Mapping[str, Any]] | None = None
) -> int:
    """Estimate the tokens of a text or a conversation; takes about 1 ms for a million characters.

    English and Chinese prose is met within a third or so; code, other scripts and short prompts
    may be further off.

    Args:
        prompt: A text, or messages as ``create`` takes them. Each image counts as 384 tokens.
        tools: The tools of the request.

    Raises:
        TypeError: If the prompt is neither.
    """
    return _count(prompt, tools, _tenths, 10)


class TokenCounter:
    """Counts tokens with a tokenizer: text exactly, what the server adds by estimate.

    Args:
        tokenizer: A ``tokenizers.Tokenizer``; :meth:`from_file` loads one.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Load a tokenizer file in the format of Hugging Face, ``tokenizer.json``.

        Args:
            path: The file, or the directory that it is in. DeepSeek offers its own on
                https://api-docs.deepseek.com/quick_start/token_usage, as a zip file.

        Raises:
            FileNotFoundError: If it is not there.
            ImportError: If the library ``tokenizers`` is not installed.
            ValueError: If it is not a tokenizer.
        """
        file = Path(path)
        if file.is_dir():
            file /= "tokenizer.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"there is no tokenizer file {str(file)!r}; DeepSeek offers its own on "
                "https://api-docs.deepseek.com/quick_start/token_usage (unpack the zip file)"
            )
        try:
            # By name: the library is not among our dependencies.
            library = importlib.import_module("tokenizers")
        except ImportError as exc:
            raise ImportError(
                "to count tokens exactly takes the library tokenizers: "
                'pip install "deepseek-async[tokens]"'
            ) from exc
        try:
            tokenizer = library.Tokenizer.from_file(str(file))
        except Exception as exc:  # The library raises nothing more exact.
            raise ValueError(f"{str(file)!r} is not a tokenizer.json: {exc}") from exc
        # Some files cut or fill up what is longer or shorter than training texts.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer)

    def count(
        self,
        prompt: str | Iterable[MessageParam],
        *,
        tools: Iterable[Mapping[str, Any]] | None = None,
    ) -> int:
        """Return the tokens of a text or a conversation; see :func:`estimate_tokens`."""
        return _count(prompt, tools, self._count_text, 1)

    def _count_text(self, text: str) -> int:
        # The library refuses half characters (lone surrogates); sent, they are replaced too.
        whole = text if text.isascii() else text.encode("utf-8", "replace").decode()
        return len(self._tokenizer.encode(whole, add_special_tokens=False).ids)


class Tokenizer(Protocol):
    """What :class:`TokenCounter` needs of a ``tokenizers.Tokenizer``."""

    def encode(self, sequence: str, /, *, add_special_tokens: bool) -> Any:
        """Return an object whose ``ids`` are the tokens."""
        ...


def _tenths(text: str) -> int:
    narrow = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return 3 * narrow + 6 * (len(text) - narrow)


def _count(prompt: Any, tools: Any, count: Callable[[str], int], scale: int) -> int:
    """Count a prompt's texts in units of which ``scale`` make a token, and what comes with them."""
    if isinstance(prompt, str):
        texts, fixed = [prompt], 0
    elif isinstance(prompt, bytes | Mapping) or not isinstance(prompt, Iterable):
        kind = type(cast("object", prompt)).__name__
        raise TypeError(f"a prompt is a text or a list of messages, not {kind}")
    else:
        texts, fixed = _conversation(cast("Iterable[Any]", prompt), bool(tools))
    if tools:
        texts += [msgspec.json.encode(tool).decode() for tool in tools]
        fixed += _TOOL_INSTRUCTIONS
    return fixed - sum(map(count, texts)) // -scale


def _conversation(messages: Iterable[Any], has_tools: bool) -> tuple[list[str], int]:
    """Return the texts of messages, and the tokens that there are besides."""
    texts: list[str] = []
    fixed = _BEGINNING
    for i, message in enumerate(messages):
        fixed += _PER_MESSAGE
        content = _field(message, "content")
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list | tuple):
            for part in cast("Iterable[Any]", content):
                text = part if isinstance(part, str) else _field(part, "text")
                if isinstance(text, str):
                    texts.append(text)
                else:
                    fixed += IMAGE_TOKENS
        elif content is not None or isinstance(message, str | bytes):
            raise TypeError(
                f"messages[{i}] must be a mapping such as {{'role': 'user', 'content': ...}} or a "
                f"message struct, with a text or a list of parts as its content"
            )
        # Without tools the server leaves earlier reasoning out.
        reasoning = _field(message, "reasoning_content")
        if has_tools and isinstance(reasoning, str):
            texts.append(reasoning)
        for call in _field(message, "tool_calls") or ():
            fixed += _PER_CALL
            function = _field(call, "function")
            values = (_field(function, "name"), _field(function, "arguments"))
            texts += [value for value in values if isinstance(value, str)]
    return texts, fixed


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name)
    found = getattr(value, name, None)
    return None if found is msgspec.UNSET else found
