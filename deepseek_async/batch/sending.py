"""One item of a batch, sent once."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from deepseek_async.checks import ApiKey, check_api_key
from deepseek_async.errors import BatchError, InterruptedFinishReasonError, PreflightError
from deepseek_async.sse import MAX_EVENT_SIZE
from deepseek_async.streams import ChatStream, CompletionStream
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion
from deepseek_async.types.params import ChatParams, CompletionParams
from deepseek_async.types.requests import get_field

if TYPE_CHECKING:
    from deepseek_async.resources.chat import ChatCompletions
    from deepseek_async.resources.completions import Completions

#: Where the requests of a batch file can go, and whether that is fill-in-the-middle.
ENDPOINTS: Mapping[str, bool] = {
    f"{base}{path}": is_fim
    for base in ("", "/v1", "/beta")
    for path, is_fim in (("/chat/completions", False), ("/completions", True))
}

#: How often an answer that is no value of ``response_model`` is asked for again.
PARSE_RETRIES = 2

# An answer that ended so is not one; it is asked for again.
_INTERRUPTED = frozenset({"aborted", "insufficient_system_resource"})

# The job has its own retries.
_NOT_OF_ITEMS = frozenset({"max_retries"})


class Answer(NamedTuple):
    """What a request brought."""

    completion: ChatCompletion | Completion

    body: bytes
    """JSON of the answer: as it came, unless it came in parts."""

    parsed: Any = None


def telling(ask: ApiKey) -> ApiKey:
    """Return a key, or a function asked for it, whose failure is none of a single item."""
    if isinstance(ask, str):
        return ask

    async def ask_or_stop() -> str:
        try:
            answer = ask()
            return check_api_key(await answer if inspect.isawaitable(answer) else answer)
        except Exception as exc:
            raise BatchError(f"no API key: the function asked for it failed: {exc!r}") from exc

    return ask_or_stop


class Sender:
    """Sends the items of one job.

    Args:
        chat: Where chat requests are made, without retries and without waiting for a place.
        fim: The same for fill-in-the-middle.
        response_model: The type that chat answers are parsed into, if any.
    """

    def __init__(
        self, chat: "ChatCompletions", fim: "Completions", response_model: type[Any] | None
    ) -> None:
        self._chat = chat
        self._fim = fim
        self._response_model = response_model

    async def send(
        self,
        body: Mapping[str, Any],
        *,
        is_fim: bool,
        sample: bool,
        on_first: Callable[[], None],
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            body: What to send; ``stream: true`` in it has the answer come in parts.
            is_fim: Whether it is fill-in-the-middle.
            sample: Have the answer come in parts, to see how long it is queued.
            on_first: Called when the first part comes.

        Raises:
            DeepSeekError: If there is no answer.
            TypeError: If the body can't be meant.
        """
        streamed = bool(body.get("stream")) or sample
        if is_fim:
            answer = await self._send_fim(body, streamed=streamed, on_first=on_first)
        elif self._response_model is not None:
            answer = await self._parse(body)
        else:
            answer = await self._send_chat(body, streamed=streamed, on_first=on_first)
        for choice in answer.completion.choices:
            if choice.finish_reason in _INTERRUPTED:
                partial = answer.completion
                raise InterruptedFinishReasonError(
                    f"the server ended the answer with {choice.finish_reason}",
                    completion=partial if isinstance(partial, ChatCompletion) else None,
                )
        return answer

    async def _send_chat(
        self, body: Mapping[str, Any], *, streamed: bool, on_first: Callable[[], None]
    ) -> Answer:
        params = arguments(body, ChatParams.__annotations__)
        # An answer that takes several requests is put together by the stream.
        streamed = streamed or bool(params.get("auto_continue") or params.get("resume"))
        call, continuation = self._chat.prepare("batch", params, stream=streamed)
        if not streamed:
            fetched = await call.fetch(ChatCompletion)
            return Answer(fetched.result, fetched.body)
        stream = ChatStream(
            call, continuation=continuation, accumulate=True, max_event_size=MAX_EVENT_SIZE
        )
        async with stream:
            return await _follow(stream, on_first)

    async def _send_fim(
        self, body: Mapping[str, Any], *, streamed: bool, on_first: Callable[[], None]
    ) -> Answer:
        params = arguments(body, CompletionParams.__annotations__)
        call = self._fim.prepare("batch", params, stream=streamed)
        if not streamed:
            fetched = await call.fetch(Completion)
            return Answer(fetched.result, fetched.body)
        stream = CompletionStream(call, accumulate=True, max_event_size=MAX_EVENT_SIZE)
        async with stream:
            return await _follow(stream, on_first)

    async def _parse(self, body: Mapping[str, Any]) -> Answer:
        params = arguments(body, ChatParams.__annotations__)
        asked = params.pop("response_format", None)
        if asked is not None and get_field(asked, "type") != "json_object":
            raise PreflightError(
                "response_format and response_model exclude each other: the second asks for JSON "
                "of its own"
            )
        model = self._response_model
        assert model is not None
        completion = await self._chat.parse(
            response_format=model, parse_retries=PARSE_RETRIES, **params
        )
        return Answer(completion, completion.to_json().encode(), completion.parsed)


async def _follow(stream: ChatStream | CompletionStream, on_first: Callable[[], None]) -> Answer:
    await stream.open()
    is_first = True
    async for _ in stream:
        if is_first:
            is_first = False
            on_first()
    completion = stream.completion()
    return Answer(completion, completion.to_json().encode())


def arguments(body: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """Return a request's JSON as the keyword arguments of a call.

    Args:
        body: The JSON object; fields that the library doesn't know are sent as they are.
        known: The parameters that the call takes.

    Raises:
        PreflightError: If ``extra_body`` is no mapping.
    """
    params: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in body.items():
        if name in known:
            params[name] = value
        elif name != "stream":
            extra[name] = value
    for name in _NOT_OF_ITEMS & params.keys():
        del params[name]
    if not body.get("stream"):
        # Of no meaning without a stream; files written for others have it all the same.
        params.pop("stream_options", None)
    if extra:
        given: object = params.get("extra_body") or {}
        if not isinstance(given, Mapping):
            raise PreflightError(f"extra_body must be a mapping, got {type(given).__name__}")
        params["extra_body"] = {**cast("Mapping[str, Any]", given), **extra}
    return params
