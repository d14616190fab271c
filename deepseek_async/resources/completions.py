"""``client.completions``: fill in the middle (beta)."""

from typing import Literal, Unpack, overload

from deepseek_async.advice import advise
from deepseek_async.caller import Call, Caller
from deepseek_async.checks import PREFLIGHT_CHOICES, check_choice, take_options
from deepseek_async.errors import PreflightError
from deepseek_async.event_streams import CompletionEventStream
from deepseek_async.policy.preflight import check_fim
from deepseek_async.resources.raw import RawResponse, raw_result, raw_stream
from deepseek_async.sse import MAX_EVENT_SIZE
from deepseek_async.streams import CompletionStream
from deepseek_async.types.fim import Completion
from deepseek_async.types.params import CompletionParams, RequestOptions
from deepseek_async.types.requests import CompletionRequest
from deepseek_async.wire.codec import encode_request
from deepseek_async.wire.requests import (
    COMPLETION_PARAMETERS,
    check_parameters,
    completion_request,
    given,
    merge_extra_body,
)


class Completions:
    """FIM completions, whole or streamed: the text between a prompt and a suffix.

    They go to DeepSeek's beta address by themselves.

    Source: https://api-docs.deepseek.com/api/create-completion
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def with_raw_response(self) -> "RawCompletions":
        """The same calls, returning status, headers and body as well."""
        return RawCompletions(self)

    @overload
    async def create(
        self, *, stream: Literal[False] = False, **params: Unpack[CompletionParams]
    ) -> Completion: ...

    @overload
    async def create(
        self,
        *,
        stream: Literal[True],
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[CompletionParams],
    ) -> CompletionStream: ...

    @overload
    async def create(
        self,
        *,
        stream: bool,
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[CompletionParams],
    ) -> Completion | CompletionStream: ...

    async def create(
        self,
        *,
        stream: bool = False,
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[CompletionParams],
    ) -> Completion | CompletionStream:
        """Ask for the text between ``prompt`` and ``suffix``.

        Args:
            stream: Return a :class:`CompletionStream` once the server accepts the request,
                instead of the whole answer once it is there.
            accumulate: Of a stream: keep what comes, for ``stream.completion()``.
            max_event_size: Of a stream: most bytes of one event.
            **params: Parameters of the API and options of the call: :class:`CompletionParams`.

        Raises:
            TypeError: If a keyword argument is missing or doesn't exist.
            PreflightError: If DeepSeek would certainly refuse the request.
            DeepSeekError: If the server could not be asked or refused.
        """
        call = self.prepare("create", params, stream=stream)
        if not stream:
            return (await call.fetch(Completion)).result
        answer = CompletionStream(call, accumulate=accumulate, max_event_size=max_event_size)
        return await answer.open()

    def stream(
        self,
        *,
        accumulate: bool = True,
        max_event_size: int = MAX_EVENT_SIZE,
        **params: Unpack[CompletionParams],
    ) -> CompletionEventStream:
        """Ask for the text between ``prompt`` and ``suffix``, and follow it as it comes.

        Nothing is sent before the returned context manager is entered.

        Args:
            accumulate: Keep what comes, for ``snapshot`` and ``get_final_completion()``.
            max_event_size: Most bytes of one event of the stream.
            **params: Parameters of the API and options of the call: :class:`CompletionParams`.

        Raises:
            TypeError: If a keyword argument is missing or doesn't exist.
            PreflightError: If DeepSeek would certainly refuse the request.
        """
        call = self.prepare("stream", params, stream=True)
        return CompletionEventStream(call, accumulate=accumulate, max_event_size=max_event_size)

    def prepare(self, function: str, params: CompletionParams, *, stream: bool) -> Call:
        """Build the call without sending it.

        Args:
            function: Name of the function that was called, for error messages.
            params: Its keyword arguments.
            stream: Whether the answer shall be streamed.
        """
        fields = given(params)
        check_parameters(fields, function, COMPLETION_PARAMETERS)
        options = take_options(fields, RequestOptions)
        extra = merge_extra_body(fields, options.get("extra_body"), CompletionRequest)
        if not stream and fields.pop("stream", False):
            raise PreflightError("extra_body asks for a stream; pass stream=True instead")
        request = completion_request(fields, stream=stream)
        settings = self._caller.settings
        preflight = check_choice(
            "preflight", options.get("preflight", settings.preflight), PREFLIGHT_CHOICES
        )
        if settings.dialect == "deepseek" and preflight == "on":
            advise(check_fim(request))
        return self._caller.call(
            "POST",
            "/completions",
            body=encode_request(request, extra),
            model=request.model,
            beta=True,
            streamed=stream,
            options=options,
        )


class RawCompletions:
    """The calls of :class:`Completions` with status, headers and body."""

    def __init__(self, completions: Completions) -> None:
        self._completions = completions

    @overload
    async def create(
        self, *, stream: Literal[False] = False, **params: Unpack[CompletionParams]
    ) -> RawResponse[Completion]: ...

    @overload
    async def create(
        self, *, stream: Literal[True], **params: Unpack[CompletionParams]
    ) -> RawResponse[CompletionStream]: ...

    @overload
    async def create(
        self, *, stream: bool, **params: Unpack[CompletionParams]
    ) -> RawResponse[Completion] | RawResponse[CompletionStream]: ...

    async def create(
        self, *, stream: bool = False, **params: Unpack[CompletionParams]
    ) -> RawResponse[Completion] | RawResponse[CompletionStream]:
        """Ask for the text between two; see :meth:`Completions.create`."""
        call = self._completions.prepare("create", params, stream=stream)
        if not stream:
            return await raw_result(call, Completion)
        answer = CompletionStream(call, accumulate=True, max_event_size=MAX_EVENT_SIZE)
        return await raw_stream(call, answer.open)
