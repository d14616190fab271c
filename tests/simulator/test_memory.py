"""What a stream keeps while it runs."""

import tracemalloc

import pytest

from deepseek_async.simulator import Reply, Simulator

_PROMPT = 1 << 20


def encoded() -> int:
    """Return the bytes of request bodies that are still there."""
    snapshot = tracemalloc.take_snapshot()
    found = snapshot.filter_traces([tracemalloc.Filter(True, "*/wire/codec.py")])
    return sum(trace.size for trace in found.traces)


@pytest.mark.parametrize("resume", [0, 1])
async def test_a_stream_that_has_begun_does_not_keep_its_prompt(resume: int) -> None:
    prompt = "why? " * (_PROMPT // 5)
    async with Simulator(tokens_per_second=50) as sim, sim.client() as client:
        sim.script(Reply("word " * 100))
        tracemalloc.start()
        try:
            stream = await client.chat.completions.create(
                model="deepseek-flash",
                messages=[{"role": "user", "content": prompt}],
                stream=True,
                resume=resume,
            )
            async with stream:
                assert encoded() > _PROMPT // 2
                async for chunk in stream:
                    if chunk.choices[0].delta.content:
                        break
                # Only a stream that goes on after a cut may have to send it again.
                assert (encoded() > _PROMPT // 2) == bool(resume)
        finally:
            tracemalloc.stop()
