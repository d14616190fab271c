"""The prompt cache, roughly: blocks of earlier prompts, per user.

A prompt hits as many leading blocks as an earlier prompt of the same user had. Real hits of the
V4 models are multiples of 128 tokens as well; their storage units aren't modelled yet.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from deepseek_async.simulator.tokens import estimate

BLOCK_TOKENS = 128
# 128 tokens of English at 0.3 token a character.
_BLOCK_BYTES = 427
# 8 bytes of digest each: about 100 bytes of dict, hence 100 MB at most.
_MAX_BLOCKS = 1_000_000


class PromptCache:
    """Remembers prompts; the oldest blocks go first."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def hit_tokens(self, user: str, prompt: str) -> int:
        """Count the tokens of `prompt` that are cached for `user`, and remember it."""
        data = prompt.encode("utf-8", "surrogatepass")
        digest = blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        hits = 0
        unbroken = True
        for start in range(0, len(data) - _BLOCK_BYTES + 1, _BLOCK_BYTES):
            block = digest + data[start : start + _BLOCK_BYTES]
            digest = blake2b(block, digest_size=8).digest()
            if digest in self._blocks:
                self._blocks.move_to_end(digest)
                hits += unbroken
            else:
                unbroken = False
                self._blocks[digest] = None
        while len(self._blocks) > _MAX_BLOCKS:
            self._blocks.popitem(last=False)
        return min(hits, estimate(prompt) // BLOCK_TOKENS) * BLOCK_TOKENS
