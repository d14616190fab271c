"""Structs of requests and answers, with the field names of the API."""

from deepseek_async.types.account import Balance, BalanceInfo, Model, ModelList
from deepseek_async.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    Function,
    FunctionDelta,
    Logprobs,
    Segment,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    TopLogprob,
)
from deepseek_async.types.fim import Completion, CompletionChoice, CompletionLogprobs
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.types.options import Timeouts
from deepseek_async.types.params import ChatParams, CompletionParams, MessageParam
from deepseek_async.types.requests import (
    AssistantMessage,
    ChatRequest,
    CompletionRequest,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from deepseek_async.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage

__all__ = [
    "AssistantMessage",
    "Balance",
    "BalanceInfo",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatParams",
    "ChatRequest",
    "Choice",
    "ChoiceDelta",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionParams",
    "CompletionRequest",
    "CompletionTokensDetails",
    "Function",
    "FunctionDelta",
    "Headers",
    "Logprobs",
    "MessageParam",
    "Model",
    "ModelList",
    "PromptTokensDetails",
    "ResponseInfo",
    "Segment",
    "SystemMessage",
    "Timeouts",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "ToolMessage",
    "TopLogprob",
    "Usage",
    "UserMessage",
]
