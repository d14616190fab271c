"""``client.chat.completions``."""

from typing import Any, Generic, Literal, TypeVar, Unpack, cast, overload

from deepseek_async.caller import Call, Caller, take_options
from deepseek_async.errors import PreflightError
from deepseek_async.event_streams import ChatEventStream
from deepseek_async.policy.dialect import needs_beta
from deepseek_async.sse import MAX_EVENT_SIZE
from deepseek_async.streams import ChatStream
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.types.params import ChatParams
from deepseek_async.wire.codec import encode_request
from deepseek_async.wire.requests import chat_request, check_parameters

T = TypeVar("T")


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
        if not stream:
            return await self.prepare("create", params, stream=False).fetch(ChatCompletion)
        call = self.prepare("create", params, stream=True)
        return await ChatStream(call, accumulate=accumulate, max_event_size=max_event_size).open()

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
        call = self.prepare("stream", params, stream=True)
        return ChatEventStream(
            call, chunks=chunks, accumulate=accumulate, max_event_size=max_event_size
        )

    def prepare(self, function: str, params: ChatParams, *, stream: bool) -> Call:
        """Build the call without sending it.

        Args:
            function: Name of the function that was called, for error messages.
            params: Its keyword arguments.
            stream: Whether the answer shall be streamed.
        """
        check_parameters(params, function)
        fields: dict[str, Any] = {**params}
        options = take_options(fields)
        if not stream and (options.get("extra_body") or {}).get("stream"):
            raise PreflightError("extra_body asks for a stream; pass stream=True instead")
        request = chat_request(fields, stream=stream, dialect=self._caller.settings.dialect)
        return self._caller.call(
            "POST",
            "/chat/completions",
            body=encode_request(request, options.get("extra_body")),
            model=request.model,
            beta=needs_beta(request.messages, cast("list[Any]", request.tools or [])),
            streamed=stream,
            options=options,
        )


class Chat:
    """``client.chat``."""

    def __init__(self, caller: Caller) -> None:
        self.completions = ChatCompletions(caller)


class RawResponse(Generic[T]):
    """An answer with what HTTP said about it.

    Attributes:
        body: The bytes as they came; None of a stream.
    """

    def __init__(self, info: ResponseInfo, body: bytes | None, parsed: T) -> None:
        self._info = info
        self.body = body
        self._parsed = parsed

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self._info.status

    @property
    def headers(self) -> Headers:
        """Response headers."""
        return self._info.headers

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        return self._info.request_id

    def parse(self) -> T:
        """Return the answer itself, or the stream."""
        return self._parsed


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
        call = self._completions.prepare("create", params, stream=stream)
        if stream:
            chat_stream = ChatStream(call, accumulate=True, max_event_size=MAX_EVENT_SIZE)
            await chat_stream.open()
            assert call.info is not None
            return RawResponse(call.info, None, chat_stream)
        body, completion = await call.fetch_raw(ChatCompletion)
        assert call.info is not None
        return RawResponse(call.info, body, completion)
