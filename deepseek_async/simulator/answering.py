"""Answering a request that nothing is wrong with: what it says, costs, and how long it takes."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from deepseek_async.simulator import fim, refusals, rendering
from deepseek_async.simulator.accounts import Accounts
from deepseek_async.simulator.cache import PromptCache
from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.content import Answer, chat_answer, fim_answer
from deepseek_async.simulator.eras import Era
from deepseek_async.simulator.frames import (
    KEEP_ALIVE_COMMENT,
    KEEP_ALIVE_LINE,
    Frame,
    Kind,
    Timing,
    keep_alives,
    plain,
)
from deepseek_async.simulator.options import Options
from deepseek_async.simulator.pace import Pacer
from deepseek_async.simulator.queueing import Slots, Turn
from deepseek_async.simulator.refusals import RefusedError
from deepseek_async.simulator.requests import ChatBody, FimBody, spoken
from deepseek_async.simulator.sample_form import sample_body, sample_frames
from deepseek_async.simulator.scripted import Reply
from deepseek_async.simulator.tokens import estimate


class Prompt(NamedTuple):
    """What the model reads of a request."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, ready to be sent."""

    frames: Iterator[Frame] | None
    """None: `body` is to be sent at once."""
    body: bytes = b""
    turn: Turn | None = None
    """See `Lease`."""
    closes: bool = False
    """See `Plan`."""


class Answerer:
    """Makes answers; keeps the prompt cache, the slots, and draws the ids.

    Args:
        options: Of the simulator.
        era: Whose habits answers have.
        clock: Tells when requests come.
        rng: Draws the ids.
        accounts: Are charged.
    """

    def __init__(
        self, options: Options, era: Era, clock: Clock, rng: random.Random, accounts: Accounts
    ) -> None:
        self._options = options
        self._era = era
        self._clock = clock
        self._rng = rng
        self._accounts = accounts
        self._pacer = Pacer(options.seed)
        self._fingerprint = rendering.fingerprint(rng, era)
        self._slots = None if options.capacity is None else Slots(options.capacity)
        self._cache = PromptCache(
            interval=options.cache_interval,
            block=era.cache_block,
            eviction=options.cache_eviction_seconds,
        )

    def read(self, request: ChatBody | FimBody) -> Prompt:
        """Read the prompt of a request.

        Raises:
            RefusedError: It is too long.
        """
        text = _prompt(request)
        tokens = estimate(text)
        if isinstance(request, ChatBody):
            tokens += request.image_tokens()
        wanted = request.max_tokens or 0
        if self._era.context_tokens - tokens < wanted:
            raise RefusedError(refusals.context_length(self._era, tokens, wanted))
        return Prompt(text, tokens)

    def answer(
        self, request: ChatBody | FimBody, prompt: Prompt, reply: Reply | None, account: str
    ) -> Answered:
        """Answer a request, as scripted where `reply` says something."""
        now = self._clock.monotonic()
        timing = self.timing(reply)
        if self._slots is not None:
            wait = self._slots.next_free(now) - now
            if wait > self._options.queue_timeout_seconds:
                return self._given_up(request)
        left = self._era.context_tokens - prompt.tokens
        seed = self._options.seed
        if isinstance(request, ChatBody):
            answer = chat_answer(request, reply, seed)
        else:
            answer = fim_answer(request, reply, seed)
        cut = rendering.cut(answer, min(left, request.max_tokens or left), request.stop)
        turn = None
        if self._slots is not None:
            turn = self._slots.take(now, _end(timing, len(cut.pieces)))
            turn.on_earlier.append(timing.hasten)
            timing.queue += turn.begins - now
        until = now + _end(timing, len(cut.pieces))
        delay = self._options.cache_delay_seconds
        user = f"{account}/{request.user_id or ''}"
        hit = self._cache.hit_tokens(
            user, prompt.text, now=now, visible_at=now + timing.first + delay
        )
        self._cache.remember_output(user, _read_back(request, prompt.text, cut), until + delay)
        counts = rendering.usage(
            prompt.tokens,
            hit,
            cut.pieces,
            is_thinking=isinstance(request, ChatBody) and request.is_thinking,
            era=self._era,
            replaced=dict(reply.usage or {}) if reply is not None else None,
        )
        self._accounts.charge(account, self._era.models[request.model], counts, self._clock.now())
        return self._rendered(request, answer, cut, counts, timing, turn)

    def timing(self, reply: Reply | None) -> Timing:
        """When the parts of an answer come, if nobody has to wait for others."""
        options = self._options
        scripted = reply or Reply()
        first_token = scripted.first_token_seconds
        pace = scripted.tokens_per_second
        return self._pacer.timing(
            queue=scripted.queue_seconds,
            first_token=options.first_token_seconds if first_token is None else first_token,
            tokens_per_second=options.tokens_per_second if pace is None else pace,
            keep_alive=options.keep_alive_seconds,
        )

    def release(self, turn: Turn) -> None:
        """Free the slot of an answer that has ended."""
        if self._slots is not None:
            self._slots.leave(turn, self._clock.monotonic())

    def _given_up(self, request: ChatBody | FimBody) -> Answered:
        # The body ends as if it were whole: clients report bodies of nothing but line feeds.
        options = self._options
        timing = Timing(options.queue_timeout_seconds, keep_alive=options.keep_alive_seconds)
        data = KEEP_ALIVE_COMMENT if request.stream else KEEP_ALIVE_LINE
        end = Frame(timing.queue, b"", Kind.KEEP_ALIVE)
        frames = itertools.chain(keep_alives(timing, timing.queue, data), (end,))
        return Answered(frames, closes=True)

    def _rendered(
        self,
        request: ChatBody | FimBody,
        answer: Answer,
        cut: rendering.Cut,
        counts: dict[str, Any],
        timing: Timing,
        turn: Turn | None,
    ) -> Answered:
        model = self._era.models[request.model]
        envelope = rendering.Envelope.draw(
            self._rng, int(self._clock.now()), model, self._fingerprint, self._era
        )
        likelihoods = _likelihoods(request, self._options.seed)
        is_sample = self._era.is_sample_form
        if not request.stream:
            if isinstance(request, ChatBody):
                body = rendering.chat_completion(
                    envelope,
                    cut,
                    counts,
                    is_thinking=request.is_thinking,
                    likelihoods=likelihoods,
                )
            else:
                body = fim.fim_completion(
                    envelope, cut, counts, echo=answer.echo, likelihoods=likelihoods
                )
            body = sample_body(body) if is_sample else body
            at = timing.at(len(cut.pieces))
            frames = plain(body, at, timing) if at > 0 else None
            return Answered(frames, body, turn)
        # Here and not while streaming: scripted counts may be anything, and mustn't stop the wheel.
        encoded = msgspec.json.encode(counts)
        include_usage = bool(request.stream_options and request.stream_options.include_usage)
        if isinstance(request, ChatBody):
            frames = rendering.chat_stream(
                envelope,
                cut,
                encoded,
                timing,
                is_thinking=request.is_thinking,
                include_usage=include_usage,
                likelihoods=likelihoods,
            )
        else:
            frames = fim.fim_stream(
                envelope,
                cut,
                encoded,
                timing,
                include_usage=include_usage,
                echo=answer.echo,
                likelihoods=likelihoods,
            )
        return Answered(sample_frames(frames) if is_sample else frames, turn=turn)


def _prompt(request: ChatBody | FimBody) -> str:
    if isinstance(request, ChatBody):
        return request.prompt()
    return request.prompt + (request.suffix or "")


def _read_back(request: ChatBody | FimBody, prompt: str, cut: rendering.Cut) -> str:
    """The prompt of a next turn, up to the end of this answer."""
    text = rendering.joined(cut.pieces, "text")
    if isinstance(request, FimBody):
        return prompt + text
    reasoning = rendering.joined(cut.pieces, "reasoning")
    calls = [
        (piece.text, rendering.arguments_of(cut.pieces, piece.call))
        for piece in cut.pieces
        if piece.part == "call"
    ]
    opening = "" if request.prefix() is not None else "<assistant>"
    return prompt + opening + spoken(reasoning, text, calls)


def _likelihoods(request: ChatBody | FimBody, seed: int) -> rendering.Likelihoods | None:
    if isinstance(request, ChatBody):
        return rendering.Likelihoods(request.top_logprobs or 0, seed) if request.logprobs else None
    return None if request.logprobs is None else rendering.Likelihoods(request.logprobs, seed)


def _end(timing: Timing, tokens: int) -> float:
    """Seconds until the last token; leaves drawn times as they were."""
    if timing.gaps is None:
        return timing.at(tokens)
    timing.gaps, copy = itertools.tee(timing.gaps)
    return timing.first + math.fsum(itertools.islice(copy, tokens))
