"""How large a request may become, judged by its body alone.

The expected size of a prompt is that of :func:`deepseek_async.tokens.estimate_tokens`. The largest
one takes each byte for a token: the tokenizer works on bytes, so that no token is shorter.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from deepseek_async.tokens import IMAGE_TOKENS, estimate_tokens
from deepseek_async.types.requests import get_field

#: The longest output that DeepSeek's models can be asked for, in tokens, reasoning included.
#: Source: https://api-docs.deepseek.com/quick_start/pricing, read 2026-11-21.
OUTPUT_CEILINGS: Mapping[str, int] = dict.fromkeys(
    (
        "deepseek-flash",
        "deepseek-v4-pro",
        "deepseek-v4-flash",
        "deepseek-v4-flash-vision-exp",
        "deepseek-chat",
        "deepseek-reasoner",
    ),
    384 * 1024,
)

#: The longest fill-in-the-middle output of these models.
FIM_OUTPUT_CEILING = 4 * 1024

# What the server may add of its own: marks around messages (shorter than the JSON around them),
# the instructions for tools (200 tokens in recordings) and for a high effort.
_ADDED = 1000

# `str` for what isn't JSON: such a body is refused elsewhere, and has to have a size until then.
_encode = msgspec.json.Encoder(enc_hook=str).encode


class RequestSize(NamedTuple):
    """What a request may take.

    Attributes:
        prompt_tokens: Tokens of its prompt.
        max_output: The most tokens of its output; None if nothing is known.
    """

    prompt_tokens: int
    max_output: int | None


def request_size(body: Mapping[str, Any], *, worst: bool = False, requests: int = 1) -> RequestSize:
    """Return how large a request will be.

    Args:
        body: Its body, whatever is in it: what can't be sent has a size too.
        worst: Return the largest prompt that it can be, some four times what is expected of
            English text, instead of the expected one.
        requests: How many requests an answer may take, each with the answers of those before it
            in its prompt: an invalid one is asked for again. Those of ``auto_continue`` and
            ``resume`` in the body are added.
    """
    prompt = _largest_prompt(body) if worst else _expected_prompt(body)
    output = _max_output(body)
    if output is None:
        return RequestSize(prompt, None)
    for name in ("auto_continue", "resume"):
        times = body.get(name)
        if isinstance(times, int) and times > 0:
            requests += times
    if worst:
        prompt = requests * prompt + output * (requests * (requests - 1) // 2)
    return RequestSize(prompt, requests * output)


def _expected_prompt(body: Mapping[str, Any]) -> int:
    messages, tools = body.get("messages"), body.get("tools")
    try:
        if messages is not None:
            return estimate_tokens(messages, tools=tools)
        return sum(
            estimate_tokens(text)
            for text in (body.get("prompt"), body.get("suffix"))
            if isinstance(text, str)
        )
    except (TypeError, AttributeError):
        return _largest_prompt(body)


def _largest_prompt(body: Mapping[str, Any]) -> int:
    try:
        size = len(_encode(body)) + _ADDED
    except UnicodeEncodeError:
        # Half characters (lone surrogates), which are sent as whole ones.
        size = 4 * len(repr(body)) + _ADDED
    for url in _images(body.get("messages")):
        # An image counts by its area, not by its bytes, which stand in the body in base64.
        size += IMAGE_TOKENS - len(url)
    return size


def _images(messages: object) -> Iterator[str]:
    """Yield the addresses of the images in messages."""
    for message in cast("list[Any]", messages) if isinstance(messages, list) else ():
        content = cast("Any", message).get("content") if isinstance(message, Mapping) else None
        for part in cast("list[Any]", content) if isinstance(content, list) else ():
            image = cast("Any", part).get("image_url") if isinstance(part, Mapping) else None
            url = cast("Any", image).get("url") if isinstance(image, Mapping) else image
            if isinstance(url, str):
                yield url


def _max_output(body: Mapping[str, Any]) -> int | None:
    # What is in `extra_body` is sent instead of what is beside it.
    names = ("max_tokens", "max_completion_tokens")
    given = [get_field(part, name) for part in (body, body.get("extra_body")) for name in names]
    limits = [limit for limit in given if isinstance(limit, int) and limit > 0]
    if limits:
        # Some hosts know one of the two names only.
        most = max(limits)
    else:
        model = body.get("model")
        known = OUTPUT_CEILINGS.get(model) if isinstance(model, str) else None
        if known is None:
            return None
        most = FIM_OUTPUT_CEILING if "messages" not in body and "prompt" in body else known
    answers = body.get("n")
    return most * answers if isinstance(answers, int) and answers > 1 else most
