"""What the process and its environment allow: proxies and file descriptors."""

import warnings
from collections.abc import Mapping
from typing import Any, cast

from deepseek_async.errors import DeepSeekWarning

# File descriptors left to the rest of the process.
_RESERVED_DESCRIPTORS = 64


def proxies_by_scheme(proxy: str | None, trust_env: bool) -> Mapping[str, str]:
    """Return the proxy by URL scheme.

    The environment is read once: aiohttp's own ``trust_env`` reads it, and netrc, for each
    request, which takes several times as long as the rest of the request.
    """
    if proxy is not None:
        return {"http": proxy, "https": proxy}
    if not trust_env:
        return {}
    # Imported here: it brings a whole HTTP client along.
    import urllib.request

    return urllib.request.getproxies_environment()


def bypasses_proxy(host: str, proxies: Mapping[str, str]) -> bool:
    """Tell whether the environment excepts a host from its proxies."""
    import urllib.request

    # Undocumented but old; it knows the rules of no_proxy.
    return bool(cast("Any", urllib.request).proxy_bypass_environment(host, dict(proxies)))


def descriptor_limit(asked: int | str) -> int:
    """Return how many connections the process can have open; warn if ``asked`` is above it."""
    try:
        import resource
    except ImportError:  # pragma: no cover
        # Windows has no such limit for sockets.
        return 1 << 30
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 1 << 30
    usable = max(1, limit - _RESERVED_DESCRIPTORS)
    if isinstance(asked, int) and asked > usable:
        warnings.warn(
            f"max_concurrency={asked} needs more file descriptors than this process may open "
            f"({limit}); it is lowered to {usable}. Raise the limit with `ulimit -n`",
            DeepSeekWarning,
            stacklevel=4,
        )
    return usable
