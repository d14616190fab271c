"""Warnings that point at the line of the user's program that caused them."""

import inspect
import warnings
from collections.abc import Iterable
from types import FrameType

from deepseek_async.errors import DeepSeekWarning

_PACKAGE = __name__.partition(".")[0]


def advise(texts: Iterable[str]) -> None:
    """Issue a :class:`DeepSeekWarning` for each text."""
    for text in texts:
        warnings.warn(text, DeepSeekWarning, stacklevel=_frames_of_ours() + 1)


def _frames_of_ours() -> int:
    """Return how many frames below the caller's belong to the library."""
    count = -1
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and (frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE):
        count += 1
        frame = frame.f_back
    return count
