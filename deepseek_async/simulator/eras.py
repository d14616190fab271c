"""How DeepSeek's replies looked at different times.

Recordings are often older than the server; a client that must read them can be tested against the
form of their time. What changed is listed field by field in `Era`.

Source: recorded replies of January 2025 to September 2026, the sample on the API page of 2024,
https://api-docs.deepseek.com/news and https://api-docs.deepseek.com/quick_start/pricing, read
2026-11-21.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

EraName = Literal["2024-06", "2025-01", "2025-03", "2025-08", "2025-12", "2026-04", "now"]

Passback = Literal["reject", "turn", "all", "ignore"]
"""What is asked of ``reasoning_content`` in earlier assistant messages.

``reject``: sending it back is an error (R1); ``turn``: messages with tool calls since the last
user message must have it (V3.2); ``all``: every assistant message must have it if the request has
tools and thinks (V4); ``ignore``: nothing is asked.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """The habits of one time."""

    name: EraName
    models: Mapping[str, str]
    """Names that requests may use, and the name in the reply."""
    listed: tuple[str, ...]
    """What ``GET /models`` tells."""
    unknown_model: str
    """The error text; ``{model}`` is the name that was asked for."""
    context_tokens: int
    max_output: Mapping[str, int]
    """Highest ``max_tokens`` by model; ``*`` is for all others."""
    is_sample_form: bool = False
    """Events as the API page of 2024 shows them: spaces in the JSON, CRLF, roles repeated, no line
    end after ``[DONE]``."""
    hex_ids: bool = False
    """Ids of 32 hex digits, not UUIDs."""
    fingerprint: str
    """Of replies; ``{}`` is ten hex digits, none of them: 32 hex digits."""
    call_id: Literal["uuid", "letters", "digits"] = "digits"
    """``call_0_<uuid>``, ``call_00_`` and 24 characters, the same ending in four digits."""
    cache_details: bool = True
    """``prompt_tokens_details`` is in the usage."""
    cache_counts: bool = True
    """``prompt_cache_hit_tokens`` and ``prompt_cache_miss_tokens`` are in the usage."""
    cache_block: int = 128
    """Tokens that cache hits are multiples of."""
    text_errors: bool = False
    """Bodies that can't be decoded are a 422 of plain text, not a 400 with JSON."""
    octet_errors: bool = True
    """Errors found after decoding come as ``application/octet-stream``."""
    checks_penalties: bool = False
    """Penalties have a range; since V4 they are ignored."""
    r1_order: bool = False
    """``deepseek-reasoner`` wants user and assistant to take turns."""
    passback: Passback = "all"
    sees: frozenset[str] = frozenset()
    """Roles whose messages may have images."""

    def max_tokens(self, model: str) -> int:
        """The highest ``max_tokens`` for a model."""
        return self.max_output.get(model, self.max_output["*"])


_LEGACY = MappingProxyType(
    {"deepseek-chat": "deepseek-chat", "deepseek-reasoner": "deepseek-reasoner"}
)
_V4 = MappingProxyType(
    {
        "deepseek-v4-flash": "deepseek-v4-flash",
        "deepseek-v4-pro": "deepseek-v4-pro",
        "deepseek-chat": "deepseek-v4-flash",
        "deepseek-reasoner": "deepseek-v4-flash",
    }
)
_FLASH = MappingProxyType(
    {
        "deepseek-flash": "deepseek-flash",
        "deepseek-v4-pro": "deepseek-v4-pro",
        "deepseek-v4-flash": "deepseek-flash",
        "deepseek-v4-flash-vision-exp": "deepseek-flash",
        "deepseek-chat": "deepseek-flash",
        "deepseek-reasoner": "deepseek-flash",
    }
)
# The text of 2026-07, before there was a deepseek-flash; no newer one is known.
_UNKNOWN_V4 = (
    "The supported API model names are deepseek-v4-pro or deepseek-v4-flash, "
    "but you passed {model}."
)

_JANUARY_2025 = Era(
    name="2025-01",
    models=_LEGACY,
    listed=tuple(_LEGACY),
    unknown_model="Model Not Exist",
    context_tokens=65_536,
    max_output=MappingProxyType({"*": 8192}),
    fingerprint="fp_{}",
    call_id="uuid",
    cache_details=False,
    cache_block=64,
    text_errors=True,
    octet_errors=False,
    checks_penalties=True,
    r1_order=True,
    passback="reject",
)
_MARCH_2025 = replace(
    _JANUARY_2025, name="2025-03", fingerprint="fp_{}_prod0225", cache_details=True
)
_AUGUST_2025 = replace(
    _MARCH_2025,
    name="2025-08",
    context_tokens=131_072,
    max_output=MappingProxyType({"deepseek-reasoner": 65_536, "*": 8192}),
    fingerprint="fp_{}_prod0820_fp8_kvcache",
    call_id="letters",
    r1_order=False,
)
_DECEMBER_2025 = replace(_AUGUST_2025, name="2025-12", passback="turn")
_APRIL_2026 = Era(
    name="2026-04",
    models=_V4,
    listed=("deepseek-v4-flash", "deepseek-v4-pro"),
    unknown_model=_UNKNOWN_V4,
    context_tokens=1_048_565,
    max_output=MappingProxyType({"*": 393_216}),
    fingerprint="fp_{}_prod0820_fp8_kvcache_20260402",
)
_NOW = replace(
    _APRIL_2026,
    name="now",
    models=_FLASH,
    listed=("deepseek-flash", "deepseek-v4-pro"),
    fingerprint="",
    sees=frozenset({"user", "tool"}),
)
_SAMPLE = replace(
    _JANUARY_2025,
    name="2024-06",
    is_sample_form=True,
    hex_ids=True,
    cache_counts=False,
    max_output=MappingProxyType({"*": 4096}),
)

ERAS: Mapping[EraName, Era] = MappingProxyType(
    {
        era.name: era
        for era in (
            _SAMPLE,
            _JANUARY_2025,
            _MARCH_2025,
            _AUGUST_2025,
            _DECEMBER_2025,
            _APRIL_2026,
            _NOW,
        )
    }
)
"""By name, oldest first. A name is the month from which on replies looked like that."""


def find_era(name: str) -> Era:
    """Return the era of a name.

    Raises:
        ValueError: There is none; the message lists them.
    """
    for era in ERAS.values():
        if era.name == name:
            return era
    raise ValueError(f"no era {name!r}; there are {', '.join(ERAS)}")
