"""FIM chunks add up to a completion."""

from typing import Any

import pytest

from deepseek_async.types.fim import Completion, CompletionChoice, CompletionLogprobs
from deepseek_async.types.usage import Usage
from deepseek_async.wire.accumulate_text import FIM, CompletionAccumulator
from deepseek_async.wire.codec import decode


def chunk(text: str = "", finish_reason: str | None = None, **fields: Any) -> Completion:
    choice = CompletionChoice(index=0, text=text, finish_reason=finish_reason)
    return Completion(**{"id": "1", "choices": [choice], **fields})


def added(*chunks: Completion, keep: bool = True) -> CompletionAccumulator:
    accumulator = CompletionAccumulator(keep)
    for one in chunks:
        accumulator.add([one])
    return accumulator


def test_text_is_joined_and_the_head_is_that_of_the_first_chunk() -> None:
    accumulator = added(
        chunk("def ", created=5, model="m", system_fingerprint="fp"),
        chunk("f", id="2", created=6, model="other"),
        chunk("", "stop", usage=Usage(completion_tokens=2)),
    )
    assert accumulator.build() == Completion(
        id="1",
        created=5,
        model="m",
        system_fingerprint="fp",
        choices=[CompletionChoice(index=0, text="def f", finish_reason="stop")],
        usage=Usage(completion_tokens=2),
    )
    assert (accumulator.content, accumulator.reasoning) == ("def f", "")
    assert (accumulator.finish_reason, accumulator.chunks) == ("stop", 3)


def test_nothing_yet() -> None:
    assert CompletionAccumulator().content == ""
    assert CompletionAccumulator().build() == Completion(id="", choices=[])


def test_a_later_null_erases_neither_reason_nor_usage() -> None:
    usage = Usage(completion_tokens=1)
    accumulator = added(chunk("a", "length", usage=usage), chunk(), Completion(id="1", choices=[]))
    assert accumulator.finish_reason == "length"
    assert accumulator.build().choices[0].finish_reason == "length"
    assert accumulator.usage == usage


def test_several_answers_stay_apart() -> None:
    accumulator = added(
        *(
            Completion(id="1", choices=[CompletionChoice(index=index, text=text)])
            for index, text in ((1, "b"), (0, "a"), (1, "B"))
        )
    )
    assert [(c.index, c.text) for c in accumulator.build().choices] == [(0, "a"), (1, "bB")]
    assert accumulator.content == "a"


def test_logprobs_grow() -> None:
    parts = [
        CompletionLogprobs(tokens=["a"], token_logprobs=[-1.0], text_offset=[0]),
        CompletionLogprobs(tokens=["b"], token_logprobs=[None], top_logprobs=[{"b": -0.5}]),
        None,
    ]
    accumulator = CompletionAccumulator()
    for part in parts:
        accumulator.add([Completion(id="1", choices=[CompletionChoice(logprobs=part)])])
    built = accumulator.build().choices[0].logprobs
    assert built == CompletionLogprobs(
        tokens=["a", "b"],
        token_logprobs=[-1.0, None],
        text_offset=[0],
        top_logprobs=[{"b": -0.5}],
    )
    accumulator.add([Completion(id="1", choices=[CompletionChoice(logprobs=parts[0])])])
    assert built.tokens == ["a", "b"], "what was built doesn't grow"
    assert parts[0] is not None
    assert parts[0].tokens == ["a"], "nor do the chunks"


def test_unknown_fields_survive() -> None:
    data = (
        b'{"id":"1","x":1,"choices":[{"index":0,"text":"a","y":[2],'
        b'"logprobs":{"tokens":["a"],"z":3}}]}'
    )
    chunks = [decode(data, Completion), decode(data.replace(b'"z":3', b'"z":4'), Completion)]
    built = added(*chunks).build()
    assert built.model_extra == {"x": 1}
    assert built.choices[0].model_extra == {"y": [2, 2]}
    assert built.choices[0].logprobs is not None
    assert built.choices[0].logprobs.model_extra == {"z": 4}


def test_without_text_kept_the_end_is_known_all_the_same() -> None:
    accumulator = added(chunk("a"), chunk("b", "stop", usage=Usage()), keep=False)
    assert not accumulator.keeps
    assert (accumulator.content, accumulator.finish_reason) == ("", "stop")
    assert accumulator.usage == Usage()
    assert accumulator.build().choices == []


@pytest.mark.parametrize(
    ("given", "carries"),
    [
        (chunk("a"), True),
        (chunk(""), False),
        (chunk("", "stop"), False),
        (Completion(id="", choices=[]), False),
    ],
)
def test_what_counts_as_data(given: Completion, carries: bool) -> None:
    assert FIM.carries_data(given) is carries
