"""The names of the OpenAI SDK, for moving over with an import change.

    from deepseek_async.compat import AsyncOpenAI, RateLimitError

They are this library's own classes; ``except`` clauses and annotations written for that SDK go
on working. What ``openai.types`` and ``openai.types.chat`` hold is here as well, by the same
names.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
    runtime_checkable,
)

from msgspec import UNSET, UnsetType

import deepseek_async
from deepseek_async import AsyncDeepSeek as AsyncOpenAI
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentFilterFinishReasonError,
    InternalServerError,
    LengthFinishReasonError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from deepseek_async.errors import DeepSeekError as OpenAIError
from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Completion,
    CompletionChoice,
    Model,
    ResponseInfo,
)
from deepseek_async.types import MessageParam as ChatCompletionMessageParam
from deepseek_async.types import TokenLogprob as ChatCompletionTokenLogprob
from deepseek_async.types import ToolCall as ChatCompletionMessageToolCall
from deepseek_async.types import Usage as CompletionUsage

if TYPE_CHECKING:
    from deepseek_async import ParsedChatCompletion

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncOpenAI",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionAssistantMessageParam",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionMessageFunctionToolCall",
    "ChatCompletionMessageParam",
    "ChatCompletionMessageToolCall",
    "ChatCompletionMessageToolCallParam",
    "ChatCompletionSystemMessageParam",
    "ChatCompletionTokenLogprob",
    "ChatCompletionToolMessageParam",
    "ChatCompletionToolParam",
    "ChatCompletionUserMessageParam",
    "Completion",
    "CompletionChoice",
    "CompletionUsage",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "InternalServerError",
    "LengthFinishReasonError",
    "Model",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "OpenAIError",
    "ParsedChatCompletion",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
    "omit",
]

T_co = TypeVar("T_co", covariant=True)

# Any: it stands in for values of every type.
NOT_GIVEN: Any = UNSET
"""As the value of a parameter: the same as leaving it out."""
omit: Any = UNSET
"""The newer name of :data:`NOT_GIVEN`."""
NotGiven: TypeAlias = UnsetType
Omit: TypeAlias = UnsetType

ChatCompletionMessageFunctionToolCall = ChatCompletionMessageToolCall


@runtime_checkable
class AsyncStream(Protocol[T_co]):
    """What ``create(stream=True)`` returns, for annotations and ``isinstance()``."""

    @property
    def response(self) -> ResponseInfo | None:
        """Status and headers of the last attempt."""
        ...

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    async def __anext__(self) -> T_co: ...

    async def close(self) -> None:
        """Close the connection at once, unless the answer is complete."""
        ...


class ChatCompletionSystemMessageParam(TypedDict, total=False):
    """Instructions to the model, as a dict."""

    content: Required[str]
    role: Required[Literal["system"]]
    name: str


class ChatCompletionUserMessageParam(TypedDict, total=False):
    """What the user says, as a dict."""

    content: Required[str | Iterable[Mapping[str, Any]]]
    role: Required[Literal["user"]]
    name: str


class ChatCompletionMessageToolCallParam(TypedDict):
    """A tool call to send back, as a dict."""

    id: str
    function: Mapping[str, Any]
    type: Literal["function"]


class ChatCompletionAssistantMessageParam(TypedDict, total=False):
    """What the model said, as a dict."""

    role: Required[Literal["assistant"]]
    content: str | None
    reasoning_content: str | None
    tool_calls: Iterable[ChatCompletionMessageToolCallParam]
    name: str
    prefix: bool


class ChatCompletionToolMessageParam(TypedDict):
    """What a tool answered, as a dict."""

    content: str
    role: Literal["tool"]
    tool_call_id: str


class ChatCompletionToolParam(TypedDict):
    """A function that the model may call, as a dict."""

    function: Mapping[str, Any]
    type: Literal["function"]


_ASYNC_ONLY = "this library is asynchronous only; use AsyncOpenAI, with asyncio.run() around it"
_HOST = "use AsyncOpenAI with the base_url of your deployment"
_NO_HTTP_CLIENT = "leave http_client out; AsyncOpenAI takes proxy=... and ssl=..."
_NO_ROLE = "DeepSeek has no such role; use that of "

# Names that are looked for here and can't be, and what to use instead.
_INSTEAD = {
    "OpenAI": _ASYNC_ONLY,
    "Client": _ASYNC_ONLY,
    "AsyncClient": "use AsyncOpenAI, which it is another name of",
    "Stream": "this library is asynchronous only; use AsyncStream",
    "AzureOpenAI": _HOST,
    "AsyncAzureOpenAI": _HOST,
    "Timeout": "use deepseek_async.Timeouts, or a number of seconds for the whole call",
    "DefaultHttpxClient": _NO_HTTP_CLIENT,
    "DefaultAsyncHttpxClient": _NO_HTTP_CLIENT,
    "DefaultAioHttpClient": _NO_HTTP_CLIENT,
    "BaseModel": "answers are msgspec structs, with model_dump() and model_copy()",
    "ChatCompletionDeveloperMessageParam": f"{_NO_ROLE}ChatCompletionSystemMessageParam",
    "ChatCompletionFunctionMessageParam": f"{_NO_ROLE}ChatCompletionToolMessageParam",
}


def __getattr__(name: str) -> Any:
    if name == "ParsedChatCompletion":
        # The only one that takes a while to import.
        return deepseek_async.ParsedChatCompletion
    # Not an AttributeError, of which `from ... import ...` would show only the name.
    if name in _INSTEAD:
        raise ImportError(f"{__name__} has no {name!r}: {_INSTEAD[name]}", name=__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
