"""Many answers at once, for one multiplexed connection."""

import asyncio
import functools
import sys

from deepseek_async import AsyncDeepSeek, ChatEventStream
from deepseek_async.live import Live, Run

if sys.platform != "win32":
    import resource

#: What each stream asks, followed by its number.
QUESTION = "Write postcard number"
_INSTRUCTIONS = "You write postcards from made-up towns: one paragraph, at most 150 words."

MAX_STREAMS = 200
# With a key each of them costs money.
_MAX_TOKENS = 700
# For how long nobody may look before they are stopped, in seconds.
_GRACE = 10.0
# Times a second that each one is told of: the page paints all that came with its next frame.
_FPS = 20
_FPS_OF_MANY = 10
_MANY = 64
# For all but the streams: files, the page's connections, the event loop.
_OTHER_DESCRIPTORS = 96


def most_streams() -> int:
    """Return how many streams this process has room for."""
    if sys.platform == "win32":
        return MAX_STREAMS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MAX_STREAMS
    # Both ends of each connection may be in this process.
    return max(1, min(MAX_STREAMS, (limit - _OTHER_DESCRIPTORS) // 2))


class Grid:
    """The streams that run together; one set of them at a time.

    Args:
        client: Whom to ask.
        live: Where the runs are held.
    """

    def __init__(self, client: AsyncDeepSeek, live: Live) -> None:
        self._client = client
        self._live = live
        self._runs: list[Run] = []

    @property
    def runs(self) -> list[str]:
        """The ids of the streams that were started last and can still be read."""
        return [run.id for run in self._runs if self._live.get(run.id) is run]

    async def start(self, streams: int, model: str) -> list[str]:
        """Start so many streams, and stop those of before."""
        before, self._runs = self._runs, []
        await _stop(before)
        fps = _FPS if streams <= _MANY else _FPS_OF_MANY
        for number in range(streams):
            source = functools.partial(self._stream, number, model)
            self._runs.append(await self._live.start(source, grace=_GRACE, fps=fps))
        return self.runs

    async def stop(self) -> None:
        """Stop them all."""
        await _stop(self._runs)

    def _stream(self, number: int, model: str) -> ChatEventStream:
        return self._client.chat.completions.stream(
            model=model,
            messages=[
                {"role": "system", "content": _INSTRUCTIONS},
                {"role": "user", "content": f"{QUESTION} {number + 1}."},
            ],
            thinking=False,
            max_tokens=_MAX_TOKENS,
        )


async def _stop(runs: list[Run]) -> None:
    await asyncio.gather(*(run.stop() for run in runs))
