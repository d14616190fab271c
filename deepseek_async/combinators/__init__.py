"""Streams made from streams: fewer deltas, an even pace, or the whole answer as it grows.

They know no answer and no network, only events that come one after the other: whatever is an
async iterator of events or of text can be given to them, and what they return as well.
"""

from deepseek_async.combinators.coalescing import coalesce
from deepseek_async.combinators.smoothing import smooth
from deepseek_async.combinators.snapshotting import snapshots

__all__ = ["coalesce", "smooth", "snapshots"]
