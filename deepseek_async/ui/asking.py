"""A question becomes a run; what came of it, the conversation's next messages."""

import asyncio
import contextlib
from typing import Any

from deepseek_async import AsyncDeepSeek, ChatEventStream, MessageParam, ToolRunner
from deepseek_async.live import Live, Run
from deepseek_async.ui.conversations import Conversation, Conversations, Question, Turn
from deepseek_async.ui.timing import Timed
from deepseek_async.ui.tools import TOOLS
from deepseek_async.web.formats import native

# For how long nobody may read before the answer is stopped: a reload takes less.
_GRACE = 10.0
_MAX_TURNS = 8
_TOOL_TIMEOUT = 20.0


class Busy(Exception):
    """The conversation takes no question at the moment; the message says why."""


class Asker:
    """Asks on behalf of the page.

    Args:
        client: Whom to ask.
        live: Where the runs are held.
        conversations: What they belong to.
    """

    def __init__(self, client: AsyncDeepSeek, live: Live, conversations: Conversations) -> None:
        self._client = client
        self._live = live
        self._conversations = conversations
        self._keeping: set[asyncio.Task[None]] = set()

    async def ask(self, conversation: Conversation, question: Question) -> Turn:
        """Ask the next question of a conversation.

        Raises:
            Busy: If the answer to the one before is still being written, or it is too long.
            LiveError: If no run can be started.
        """
        await self._let_end(conversation)
        if conversation.is_full:
            raise Busy("this conversation is long enough; begin a new one")
        return await self._start(conversation, question, list(conversation.messages))

    async def retry(self, conversation: Conversation) -> Turn:
        """Ask the last question again, as if it had not been answered.

        Raises:
            Busy: If the answer is still being written, or nothing was asked.
            LiveError: If no run can be started.
        """
        await self._let_end(conversation)
        if not conversation.turns:
            raise Busy("nothing was asked yet")
        last = conversation.turns[-1]
        turn = await self._start(conversation, last.question, last.before)
        # Only now: an answer that nothing takes the place of is not given up.
        conversation.turns.remove(last)
        return turn

    async def aclose(self) -> None:
        """Wait until what has ended is kept; the runs have been stopped before."""
        if self._keeping:
            await asyncio.wait(self._keeping)

    async def _let_end(self, conversation: Conversation) -> None:
        if conversation.running:
            raise Busy("the answer is still being written; stop it first")
        if conversation.turns and conversation.turns[-1].keeping is not None:
            # Only just ended.
            await asyncio.wait([conversation.turns[-1].keeping])
            if conversation.running:
                raise Busy("another question was asked at the same moment")

    async def _start(
        self, conversation: Conversation, question: Question, before: list[MessageParam]
    ) -> Turn:
        asked: list[MessageParam] = [*before, {"role": "user", "content": question.text}]

        def source() -> Timed:
            sent = [*_instructions(question), *asked]
            stream = _stream(self._client, question, sent)
            turn.source = Timed(stream, asked, len(sent))
            return turn.source

        # Nothing is awaited in between: the source is first needed when the run begins.
        run = await self._live.start(
            source,
            on_disconnect=question.on_leave,
            grace=_GRACE,
            raw=True,
        )
        turn = Turn(question, run, before)
        conversation.turns.append(turn)
        self._conversations.touch(conversation)
        turn.keeping = asyncio.create_task(self._keep(conversation, turn, asked))
        self._keeping.add(turn.keeping)
        turn.keeping.add_done_callback(self._keeping.discard)
        return turn

    async def _keep(
        self, conversation: Conversation, turn: Turn, asked: list[MessageParam]
    ) -> None:
        """Keep the answer when it has ended, and let the conversation go on behind it."""
        await turn.run.wait()
        turn.told = await _whole(turn.run)
        turn.size = turn.run.size
        conversation.messages = asked
        if turn.source is not None:
            # Of an answer that never began there is none.
            with contextlib.suppress(RuntimeError):
                conversation.messages = turn.source.messages()
        self._conversations.trim()


def _instructions(question: Question) -> list[MessageParam]:
    return [{"role": "system", "content": question.system}] if question.system else []


def _stream(
    client: AsyncDeepSeek, question: Question, messages: list[MessageParam]
) -> ChatEventStream | ToolRunner:
    params: dict[str, Any] = {
        "model": question.model,
        "messages": messages,
        "thinking": question.effort != "off",
    }
    if question.effort != "off":
        params["reasoning_effort"] = question.effort
    completions = client.chat.completions
    if question.tools:
        return completions.run_tools(
            tools=TOOLS, max_turns=_MAX_TURNS, tool_timeout=_TOOL_TIMEOUT, **params
        )
    return completions.stream(**params).with_raw()


async def _whole(run: Run) -> dict[str, Any] | None:
    """Return all that a run that has ended told, as one message of our own format."""
    async for batch in run.read():
        return native.message(run, batch, show_errors=True)
    return None
