"""Names of the OpenAI SDK are this library's own classes."""

import deepseek_async
from deepseek_async import compat, errors


def test_the_client_is_the_same_class() -> None:
    assert compat.AsyncOpenAI is deepseek_async.AsyncDeepSeek


def test_exceptions_are_the_same_classes() -> None:
    names = set(compat.__all__) - {"AsyncOpenAI", "OpenAIError"}
    assert all(getattr(compat, name) is getattr(errors, name) for name in names)
    assert compat.OpenAIError is errors.DeepSeekError
