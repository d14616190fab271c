"""The limits that DeepSeek documents, for those who divide one between shards."""

from deepseek_async.policy.dialect import CONCURRENCY_CEILINGS


def documented_limit(model: str | None) -> int | None:
    """Return how many requests to a model an account may have under way at once.

    Args:
        model: Its name.

    Returns:
        The number; None if there is none for this model, or for no model at all.
    """
    return None if model is None else CONCURRENCY_CEILINGS.get(model)
