"""What can go wrong in and around tools."""

from deepseek_async.errors import DeepSeekError
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.params import MessageParam


class ToolError(DeepSeekError):
    """Raise it in a tool to tell the model what went wrong, in these words.

    The message becomes the tool's answer as it is, for the model to try something else. Any
    other exception reaches the model as ``Error: <type>: <message>``, or ``Error: <type>`` if it
    has no message.
    """


class MaxTurnsError(DeepSeekError):
    """The model asked for tools once more after the last of ``max_turns`` turns.

    The calls of that turn were not run. Go on with ``run_tools(messages=error.messages, ...)``.

    Attributes:
        completion: The last answer, the one that asks for tools.
        messages: The conversation before that answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        completion: ChatCompletion | None = None,
        messages: list[MessageParam] | None = None,
    ) -> None:
        super().__init__(message)
        self.completion = completion
        self.messages: list[MessageParam] = [] if messages is None else messages
