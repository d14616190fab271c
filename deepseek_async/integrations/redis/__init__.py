"""Several processes and one Redis: ``pip install "deepseek-async[redis]"``.

:class:`RedisLimiter` divides the limit of an account between web workers and batches, and
:class:`RedisLogStore` lets any web process read and stop the runs of any other. Redis is 6 or
later; nothing has to be set up in it, and all that is written there expires. Redis is trusted: who
can write to it can change what is read. Neither of the two fails a request when it is away.
"""

from deepseek_async.integrations.redis.limiter import RedisLimiter
from deepseek_async.integrations.redis.log_store import RedisLogStore

__all__ = ["RedisLimiter", "RedisLogStore"]
