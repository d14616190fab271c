"""What can be said of a request to DeepSeek before it is sent.

What the server would certainly refuse is a :class:`PreflightError`, what it would silently ignore
a warning. Numeric limits are the server's, since they change with the models; so are the names
of models: rules that depend on the model apply to those known here, and to no others.
"""

from collections.abc import Mapping

from deepseek_async.errors import PreflightError
from deepseek_async.policy.preflight.messages import check_messages, first_image, mentions_json
from deepseek_async.policy.preflight.parameters import (
    check_chat_parameters,
    check_fim_parameters,
    has_parameters,
    ignored_in_chat,
    ignored_penalties,
    is_thinking,
)
from deepseek_async.policy.preflight.tools import check_tools
from deepseek_async.types.requests import ChatRequest, CompletionRequest, get_field

# Source: https://api-docs.deepseek.com/news/news260424; the coder was merged in 2024-09.
_RETIRED: Mapping[str, tuple[str, str]] = {
    "deepseek-chat": ("on 2026-07-24", "'deepseek-flash' with thinking=False"),
    "deepseek-reasoner": ("on 2026-07-24", "'deepseek-flash', which thinks by default"),
    "deepseek-coder": ("in 2024", "'deepseek-flash'"),
}
_FIM_SUCCESSOR = "'deepseek-v4-pro'"

_BLIND = "deepseek-v4-pro"


def check_chat(request: ChatRequest) -> list[str]:
    """Check a chat request; return what to warn of.

    Args:
        request: As it will be sent: its messages are mappings, reasoning is filled in.

    Raises:
        PreflightError: If the server would certainly refuse it. The message begins with the
            parameter, such as ``messages[3].role``.
    """
    warnings: list[str] = []
    if request.model in _RETIRED:
        when, successor = _RETIRED[request.model]
        warnings.append(f"model {request.model!r} was retired {when}; use {successor}")
    if request.model == _BLIND and (index := first_image(request.messages)) is not None:
        warnings.append(
            f"messages[{index}].content holds an image, which {_BLIND!r} can't see: it answers as "
            "if it did; use 'deepseek-flash'"
        )
    if not has_parameters(request):
        check_messages(request.messages, needs_reasoning=False)
        return warnings
    thinks = is_thinking(request)
    check_messages(request.messages, needs_reasoning=thinks and bool(request.tools))
    check_chat_parameters(request, thinks)
    if get_field(request.response_format, "type") == "json_object" and not mentions_json(
        request.messages
    ):
        raise PreflightError(
            'response_format "json_object" needs the word "json" in a message; say there what the '
            "JSON should look like"
        )
    if isinstance(request.tools, list):
        check_tools(request.tools)
    return warnings + ignored_in_chat(request, thinks)


def check_fim(request: CompletionRequest) -> list[str]:
    """Check a fill-in-the-middle request; return what to warn of.

    Raises:
        PreflightError: If the server would certainly refuse it.
    """
    check_fim_parameters(request)
    warnings: list[str] = []
    if request.model in _RETIRED:
        when, _ = _RETIRED[request.model]
        warnings.append(f"model {request.model!r} was retired {when}; use {_FIM_SUCCESSOR}")
    return warnings + ignored_penalties(request)
