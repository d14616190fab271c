"""How many requests at once: found by trying, from what becomes of those that are sent.

The server counts the requests that it works on and refuses more with a 429, at once and free of
charge. So the limit is raised until that happens. Where they are queued instead, answers come late.
"""

from deepseek_async.policy.adaptive.limit import AdaptiveLimit
from deepseek_async.policy.adaptive.outcome import Outcome

__all__ = ["AdaptiveLimit", "Outcome"]
