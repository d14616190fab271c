"""``client.chat.completions``."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from deepseek_async.advice import advise
from deepseek_async.caller import Call, Caller
from deepseek_async.checks import PREFLIGHT_CHOICES, REPLAY_CHOICES, check_choice, take_options
from deepseek_async.errors import PreflightError
from deepseek_async.event_streams import ChatEventStream
from deepseek_async.observing import run_observer_of
from deepseek_async.policy.continuation import Continuation
from deepseek_async.policy.dialect import needs_beta
from deepseek_async.policy.preflight import check_chat
from deepseek_async.resources.raw import RawResponse, raw_result, raw_stream
from deepseek_async.sse import MAX_EVENT_SIZE
from deepseek_async.streams import ChatStream
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.params import (
    ChatOptions,
    ChatParams,
    CommonChatParams,
    ToolRunParams,
)
from deepseek_async.types.requests import ChatRequest
from deepseek_async.wire.codec import encode_request
from deepseek_async.wire.requests import (
    PARSE_PARAMETERS,
    TOOL_RUN_PARAMETERS,
    ReasoningReplay,
    chat_request,
    check_parameters,
    continued,
    given,
    merge_extra_body,
)

if TYPE_CHECKING:
    from deepseek_async.structured import ParsedChatCompletion
    from deepseek_async.tools import ToolParam, ToolRunner

T = TypeVar("T")

_PATH = "/chat/completions"

# Each costs a request, and a loop that goes on for ever costs all there is.
_MOST_SEGMENTS = 1000


class ChatCompletions:
    """Chat completions, whole or streamed.

    Source: https://api-docs.deepseek.com/api/create-chat-completion
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def with_raw_response(self) -> "RawChatCompletions":
        """The same calls, returning status, headers and body as well."""
        return RawChatCompletions(self)

    @overload
    async def create(
        self, *, stream: Literal[False] = False, **params: Unpack[ChatParams]
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self,
        *,
        stream: Literal[True],
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[ChatParams],
    ) -> ChatStream: ...

    @overload
    async def create(
        self,
        *,
        stream: bool,
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[ChatParams],
    ) -> ChatCompletion | ChatStream: ...

    async def create(
        self,
        *,
        stream: bool = False,
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[ChatParams],
    ) -> ChatCompletion | ChatStream:
        """Ask for an answer.

        Args:
            stream: Return a :class:`ChatStream` of chunks once the server accepts the request,
                instead of the whole answer once it is there.
            accumulate: Of a stream: keep what comes, for ``stream.completion()``.
            max_event_size: Of a stream: most bytes of one event.
            **params: Parameters of the API and options of the call: :class:`ChatParams`.

        Raises:
            TypeError: If a keyword argument doesn't exist.
            PreflightError: If the request can't be sent as it is.
            APIStatusError: If the server refuses.
            APIConnectionError: If it can't be reached, or a clock runs out.
        """
        if not stream and not self._continues(params):
            call, _ = self.prepare("create", params, stream=False)
            return (await call.fetch(ChatCompletion)).result
        call, continuation = self.prepare("create", params, stream=True)
        answer = ChatStream(
            call,
            continuation=continuation,
            accumulate=accumulate or not stream,
            max_event_size=max_event_size,
        )
        await answer.open()
        if not stream:
            await answer.until_done()
            return answer.completion()
        return answer

    def stream(
        self,
        *,
        chunks: bool = False,
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[ChatParams],
    ) -> ChatEventStream:
        """Ask for an answer and follow it as typed events.

        Nothing is sent before the returned context manager is entered.

        Args:
            chunks: Yield each chunk as an event, too.
            accumulate: Keep what comes, for ``snapshot`` and ``get_final_completion()``.
            max_event_size: Most bytes of one event of the stream.
            **params: Parameters of the API and options of the call: :class:`ChatParams`.

        Raises:
            TypeError: If a keyword argument doesn't exist.
            PreflightError: If the request can't be sent as it is.
        """
        call, continuation = self.prepare("stream", params, stream=True)
        return ChatEventStream(
            call,
            continuation=continuation,
            chunks=chunks,
            accumulate=accumulate,
            max_event_size=max_event_size,
        )

    async def parse(
        self,
        *,
        response_format: type[T],
        strategy: Literal["json", "tool"] = "json",
        parse_retries: int = 2,
        **params: Unpack[CommonChatParams],
    ) -> "ParsedChatCompletion[T]":
        """Ask for an answer that is a value of a type.

        Args:
            response_format: The type: msgspec Struct, dataclass, TypedDict, attrs class or
                pydantic model.
            strategy: ``"json"``: JSON mode, with the schema in the system message. ``"tool"``: the
                server holds the model to the schema (strict mode), which works with thinking off
                only and not for all types.
            parse_retries: How often to ask again after an answer that is empty, invalid, or was
                interrupted by the server; the model is told what was wrong.
            **params: Of each request: :class:`CommonChatParams`.

        Returns:
            The completion; the value is its ``parsed``, as well as that of its message.

        Raises:
            TypeError: If a keyword argument doesn't exist, or the type can't be described.
            PreflightError: If the request can't be meant, or the type not be asked for so.
            LengthFinishReasonError: If ``max_tokens`` or the context was too small.
            ContentFilterFinishReasonError: If the answer was filtered.
            InterruptedFinishReasonError: If the server interrupted the last answer, too.
            EmptyResponseError: If the last answer was empty, too.
            APIResponseValidationError: If the last answer was invalid, too.
            DeepSeekError: If the server could not be asked or refused.
        """
        # Here, since most programs don't need it.
        from deepseek_async.structured import parse

        check_parameters(params, "parse", PARSE_PARAMETERS)
        return await parse(
            self.create,
            response_format,
            strategy=strategy,
            parse_retries=parse_retries,
            params=params,
        )

    def run_tools(
        self,
        *,
        tools: "Iterable[ToolParam]",
        stream: bool = True,
        max_turns: int = 10,
        tool_timeout: float | None = None,
        max_parallel: int = 8,
        **params: Unpack[ToolRunParams],
    ) -> "ToolRunner":
        """Let the model call Python functions until it has an answer.

        Nothing is sent before the returned :class:`ToolRunner` is iterated or waited for:
        ``completion = await client.chat.completions.run_tools(...).until_done()``.

        Args:
            tools: Functions made tools by :func:`deepseek_async.tool`, typed functions as they
                are, or definitions in the API's own form.
            stream: Whether the answers are streamed; if not, there are no events of their parts.
            max_turns: Most requests of the run.
            tool_timeout: Seconds for each call of a tool; None for no limit.
            max_parallel: Most tools that run at once.
            **params: Of each request: :class:`ToolRunParams`.

        Raises:
            TypeError: If a keyword argument doesn't exist, or a function can't be a tool.
            PreflightError: If the tools or limits can't be meant.
        """
        # Here, since most programs use no tools: anyio takes a while to import.
        from deepseek_async.tools import ToolRunner

        check_parameters(params, "run_tools", TOOL_RUN_PARAMETERS)
        each = cast("ChatParams", dict(params))
        settings = self._caller.settings
        if each.setdefault("reasoning_replay", settings.reasoning_replay) == "keep":
            # An answer that came without reasoning must not be refused in the next turn. Of no
            # effect where there is some, or none is required.
            each["reasoning_replay"] = "backfill" if settings.dialect == "deepseek" else "keep"
        options: dict[str, Any] = {
            "stream": self.stream,
            "create": self.create,
            "tools": tools,
            "params": each,
            "streamed": stream,
            "max_turns": max_turns,
            "tool_timeout": tool_timeout,
            "max_parallel": max_parallel,
        }
        if (observer := self._caller.observing.observer) is not None:
            told = run_observer_of(observer, str(params.get("model", "")))
            if told is not None:
                from deepseek_async.resources.observed_runs import ObservedToolRunner

                return ObservedToolRunner(told, **options)
        return ToolRunner(**options)

    def prepare(
        self, function: str, params: ChatParams, *, stream: bool
    ) -> tuple[Call, Continuation | None]:
        """Build the call without sending it, and what continues its answer, if that is wanted.

        Args:
            function: Name of the function that was called, for error messages.
            params: Its keyword arguments.
            stream: Whether the answer shall be streamed.
        """
        fields = given(params)
        check_parameters(fields, function)
        options = cast("ChatOptions", take_options(fields, ChatOptions))
        extra = merge_extra_body(fields, options.get("extra_body"), ChatRequest)
        if not stream and fields.pop("stream", False):
            raise PreflightError("extra_body asks for a stream; pass stream=True instead")
        settings = self._caller.settings
        replay: ReasoningReplay = check_choice(
            "reasoning_replay",
            options.get("reasoning_replay", settings.reasoning_replay),
            REPLAY_CHOICES,
        )
        preflight: Literal["on", "off"] = check_choice(
            "preflight", options.get("preflight", settings.preflight), PREFLIGHT_CHOICES
        )
        request = chat_request(
            fields, stream=stream, dialect=settings.dialect, reasoning_replay=replay
        )
        if settings.dialect == "deepseek" and preflight == "on":
            advise(check_chat(request))
        body = encode_request(request, extra)
        call = self._caller.call(
            "POST",
            _PATH,
            body=body,
            model=request.model,
            beta=needs_beta(request.messages, cast("list[Any]", request.tools or [])),
            streamed=stream,
            options=options,
        )
        return call, self._continuation(body, extra, options, preflight)

    def _continues(self, params: ChatParams) -> bool:
        """Tell whether an answer may take several requests."""
        asked = params.get("auto_continue") or params.get("resume")
        return bool(asked) and self._caller.settings.dialect == "deepseek"

    def _continuation(
        self,
        body: bytes,
        extra: dict[str, Any],
        options: ChatOptions,
        preflight: Literal["on", "off"],
    ) -> Continuation | None:
        if not options:
            return None
        on_length = _times("auto_continue", options)
        on_failure = _times("resume", options)
        if not on_length and not on_failure:
            return None
        if self._caller.settings.dialect != "deepseek":
            if preflight == "on":
                advise(
                    [
                        "auto_continue and resume have no effect: nothing is known of this host "
                        'continuing a prefix message; with dialect="deepseek" it is taken to do '
                        "so as DeepSeek does"
                    ]
                )
            return None
        if extra.get("n") not in (None, 1):
            raise PreflightError(
                f"auto_continue and resume go on with one answer; n={extra['n']!r} asks for several"
            )
        url = self._caller.url(_PATH, beta=True)
        further = functools.partial(continued, body)
        return Continuation(further, url, on_length=on_length, on_failure=on_failure)


def _times(name: Literal["auto_continue", "resume"], options: ChatOptions) -> int:
    value = cast("object", options.get(name, 0))
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_SEGMENTS:
        raise PreflightError(
            f"{name} must be a whole number from 0 to {_MOST_SEGMENTS}, got {value!r}"
        )
    return value


class Chat:
    """``client.chat``."""

    def __init__(self, caller: Caller) -> None:
        self.completions = ChatCompletions(caller)


class RawChatCompletions:
    """The calls of :class:`ChatCompletions` with status, headers and body."""

    def __init__(self, completions: ChatCompletions) -> None:
        self._completions = completions

    @overload
    async def create(
        self, *, stream: Literal[False] = False, **params: Unpack[ChatParams]
    ) -> RawResponse[ChatCompletion]: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[ChatParams]
    ) -> RawResponse[ChatStream]: ...

    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[ChatParams]
    ) -> RawResponse[ChatCompletion] | RawResponse[ChatStream]: ...

    async def create(
        self, *, stream: bool = False, **params: Unpack[ChatParams]
    ) -> RawResponse[ChatCompletion] | RawResponse[ChatStream]:
        """Ask for an answer; see :meth:`ChatCompletions.create`."""
        call, continuation = self._completions.prepare("create", params, stream=stream)
        if not stream:
            if continuation is not None:
                raise PreflightError(
                    "a raw response is that of one request; auto_continue and resume may take more"
                )
            return await raw_result(call, ChatCompletion)
        answer = ChatStream(
            call, continuation=continuation, accumulate=True, max_event_size=MAX_EVENT_SIZE
        )
        return await raw_stream(call, answer.open)
