"""The conversation of a run: ask, run the tools that are called, tell the answers, ask again."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from deepseek_async.errors import (
    ContentFilterFinishReasonError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
    PreflightError,
)
from deepseek_async.event_streams import ChatEventStream
from deepseek_async.events import DoneEvent
from deepseek_async.tools.calls import ToolCalls
from deepseek_async.tools.errors import MaxTurnsError
from deepseek_async.tools.events import ToolRunnerEvent, TurnDoneEvent
from deepseek_async.tools.toolbox import Toolbox
from deepseek_async.types.chat import ChatCompletion, ChatCompletionMessage, ToolCall
from deepseek_async.types.params import ChatParams, MessageParam
from deepseek_async.types.usage import Usage, add_usage

Stream = Callable[..., ChatEventStream]
Create = Callable[..., Awaitable[ChatCompletion]]

# Some hosts say "stop" even if tools are called.
_CALLS_ARE_COMPLETE = ("tool_calls", "stop")


class Limits(NamedTuple):
    """How far a run may go."""

    max_turns: int
    tool_timeout: float | None
    max_parallel: int


class Turns:
    """Asks and answers until the model has no more calls.

    Attributes:
        messages: The conversation, in whole turns.
        completions: The answer of each turn.
    """

    def __init__(
        self,
        stream: Stream | None,
        create: Create,
        toolbox: Toolbox,
        params: ChatParams,
        limits: Limits,
    ) -> None:
        self._stream = stream
        self._create = create
        self._toolbox = toolbox
        self._params: dict[str, Any] = {**params}
        self._limits = limits
        self.messages = _copied(self._params.pop("messages", None))
        self.completions: list[ChatCompletion] = []

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together."""
        total: Usage | None = None
        for completion in self.completions:
            total = add_usage(total, completion.usage)
        return total

    async def events(self) -> AsyncGenerator[ToolRunnerEvent]:
        """Yield what happens, to the end of the run.

        Must be closed: what runs at that time is then ended.
        """
        while True:
            turn = len(self.completions) + 1
            request = self._request(first=turn == 1)
            if self._stream is None:
                completion = await self._create(**request)
            else:
                async with self._stream(**request) as stream:
                    async for event in stream:
                        if not isinstance(event, DoneEvent):
                            yield event
                    completion = stream.completion()
            self.completions.append(completion)
            yield TurnDoneEvent(turn, completion)
            message = self._message_with_calls(completion)
            if message is None:
                break
            async with self._running(turn, message) as calls:
                async for tool_event in calls:
                    yield tool_event
        finish_reason = completion.choices[0].finish_reason if completion.choices else None
        yield DoneEvent(finish_reason, self.usage)

    def _request(self, *, first: bool) -> dict[str, Any]:
        request = {**self._params, "messages": list(self.messages)}
        if self._toolbox.definitions:
            request["tools"] = self._toolbox.definitions
        choice = request.get("tool_choice")
        if not first and (choice == "required" or isinstance(choice, Mapping)):
            # Forced again in each turn, the model could never answer.
            request["tool_choice"] = "auto"
        return request

    def _message_with_calls(self, completion: ChatCompletion) -> ChatCompletionMessage | None:
        """Return the message whose calls are to be run; None if the run has come to its end.

        Raises:
            LengthFinishReasonError: If the answer was cut off.
            ContentFilterFinishReasonError: If it was filtered.
            InterruptedFinishReasonError: If the server gave up, or didn't say how it ended.
            MaxTurnsError: If there is no turn left.
        """
        _check_finish_reason(completion)
        message = completion.choices[0].message if completion.choices else None
        if message is None:
            return None
        if not message.tool_calls:
            self.messages.append(message)
            return None
        if self._toolbox.leaves_to_caller(message.tool_calls):
            return None
        if len(self.completions) >= self._limits.max_turns:
            raise MaxTurnsError(
                f"the model asks for tools in turn {len(self.completions)}, the last of "
                f"max_turns={self._limits.max_turns}; it is in .completion, and "
                "run_tools(messages=error.messages, ...) goes on",
                completion=completion,
                messages=list(self.messages),
            )
        return message

    def _running(self, turn: int, message: ChatCompletionMessage) -> ToolCalls:
        message = _with_unique_ids(message, turn)
        return ToolCalls(
            turn,
            message.tool_calls or (),
            self._toolbox.tools,
            messages=tuple(self.messages),
            timeout=self._limits.tool_timeout,
            max_parallel=self._limits.max_parallel,
            # The calls and their answers, all or none: an unanswered call is a 400.
            on_answered=lambda answers: self.messages.extend([message, *answers]),
        )


def _copied(messages: object) -> list[MessageParam]:
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
        raise PreflightError(f"messages must be a list, got {type(cast('Any', messages)).__name__}")
    return list(cast("Iterable[MessageParam]", messages))


def _check_finish_reason(completion: ChatCompletion) -> None:
    """Refuse an answer that isn't whole."""
    if not completion.choices:
        return
    reason = completion.choices[0].finish_reason
    calls = completion.choices[0].message.tool_calls
    match reason:
        case "length":
            raise LengthFinishReasonError(
                "the answer was cut off: max_tokens, or the model's context, is used up "
                '(finish_reason "length"); none of its tool calls was run',
                completion=completion,
            )
        case "content_filter":
            raise ContentFilterFinishReasonError(
                'the answer was filtered (finish_reason "content_filter"); none of its tool calls '
                "was run",
                completion=completion,
            )
        case "aborted" | "insufficient_system_resource":
            raise InterruptedFinishReasonError(
                f'the server gave up (finish_reason "{reason}"); none of the tool calls was run',
                completion=completion,
            )
        case _ if calls and reason not in _CALLS_ARE_COMPLETE:
            raise InterruptedFinishReasonError(
                f"the answer has tool calls, but its finish_reason is {reason!r}: they may be "
                "incomplete, and were not run",
                completion=completion,
            )
        case _:
            return


def _with_unique_ids(message: ChatCompletionMessage, turn: int) -> ChatCompletionMessage:
    """Return the message with an id of its own for each call, itself if there is nothing to do.

    Some hosts send empty ids, or the same one several times.
    """
    calls = message.tool_calls or []
    given = {call.id for call in calls}
    if len(given) == len(calls) and "" not in given:
        return message
    taken = {""}
    unique: list[ToolCall] = []
    for index, call in enumerate(calls):
        call_id = call.id
        if call_id in taken:
            call_id = f"call_{turn}_{index}"
            while call_id in given:
                call_id += "_"
            given.add(call_id)
        taken.add(call_id)
        unique.append(call.model_copy(update={"id": call_id}))
    return message.model_copy(update={"tool_calls": unique})
