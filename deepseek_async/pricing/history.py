"""DeepSeek's own prices since there have been prices of cached prompts.

Sources: https://api-docs.deepseek.com/quick_start/pricing and its predecessors in
github thevibeworks/deepseek-docs, read 2026-11-21; the pages under /news of the days on which
prices changed. A date without an hour means that the hour isn't known: 00:00 UTC is taken. Dollar
prices come from the English pages, prices in yuan from the Chinese ones or, where those are gone,
from reports of their time.

Not in here: tools, OCR and speech, which aren't charged by the token; ids of single hosts and
previews, such as ``deepseek-v4.1-flash-expires-on-0910``.
"""

from datetime import UTC, datetime, time
from decimal import Decimal

from deepseek_async.pricing.hours import Hours
from deepseek_async.pricing.table import Price, PriceTable, Rates

_TWICE = Decimal(2)

# From 2025-02-26 to 2025-09-05 nights were cheap, 16:30 to 00:30 UTC (00:30 to 08:30 in Beijing);
# the list price held from 00:30 to 16:30, every day of the week.
_DAYTIME = Hours(((time(0, 30), time(16, 30)),), UTC)

# 01:00 to 04:00 and 06:00 to 10:00 UTC. Every day to begin with (page of 2026-08-17); since V4.1
# "Monday through Friday, excluding Chinese public holidays" (page of 2026-09-19). Which days those
# are is not in here: see `PriceTable.with_holidays`. Unverified: by e-mails that users quote
# (github jeffstric/ZJT#685), weekends were off-peak from 2026-08-22T16:00 on.
_PEAK_WINDOWS = ((time(9), time(12)), (time(14), time(18)))
_DAILY = Hours(_PEAK_WINDOWS)
_WORKING = Hours(_PEAK_WINDOWS, working_days=True)


def _price(
    since: str,
    hit: str,
    miss: str,
    output: str,
    hours: Hours | None = None,
    peak: Decimal | Rates | None = None,
    until: str | None = None,
) -> Price:
    return Price(
        _utc(since),
        Decimal(hit),
        Decimal(miss),
        Decimal(output),
        hours,
        peak,
        None if until is None else _utc(until),
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# fmt: off
#          from (UTC)          hit         miss     output   peak
_V41_FLASH_USD = (
    _price("2026-09-10T04:00", "0.003",    "0.15",  "0.60",  _WORKING, _TWICE),
)
_V41_FLASH_CNY = (
    _price("2026-09-10T04:00", "0.02",     "1",     "4",     _WORKING, _TWICE),
)
_V4_FLASH_USD = (
    _price("2026-04-24",       "0.028",    "0.14",  "0.28"),
    _price("2026-04-26T12:15", "0.0028",   "0.14",  "0.28"),
    _price("2026-08-16T16:00", "0.007",    "0.22",  "0.66",  _DAILY, _TWICE),
    *_V41_FLASH_USD,
)
_V4_FLASH_CNY = (
    _price("2026-04-24",       "0.2",      "1",     "2"),
    _price("2026-04-26T12:15", "0.02",     "1",     "2"),
    _price("2026-08-16T16:00", "0.05",     "1.5",   "4.5",   _DAILY, _TWICE),
    *_V41_FLASH_CNY,
)
_VISION_USD = (
    _price("2026-08-21",       "0.007",    "0.22",  "0.66",  _DAILY, _TWICE),
    *_V41_FLASH_USD,
)
_VISION_CNY = (
    _price("2026-08-21",       "0.05",     "1.5",   "4.5",   _DAILY, _TWICE),
    *_V41_FLASH_CNY,
)
# A discount of 75 %, first limited and then for good. It is first seen on 2026-04-25; whether it
# began on the day before, with the model, is not known.
_V4_PRO_USD = (
    _price("2026-04-24",       "0.145",    "1.74",  "3.48"),
    _price("2026-04-25",       "0.03625",  "0.435", "0.87"),
    _price("2026-04-26T12:15", "0.003625", "0.435", "0.87"),
    _price("2026-08-16T16:00", "0.022",    "0.66",  "1.98",  _DAILY, _TWICE),
    _price("2026-09-10T04:00", "0.022",    "0.66",  "1.98",  _WORKING, _TWICE),
)
_V4_PRO_CNY = (
    _price("2026-04-24",       "1",        "12",    "24"),
    _price("2026-04-25",       "0.25",     "3",     "6"),
    _price("2026-04-26T12:15", "0.025",    "3",     "6"),
    _price("2026-08-16T16:00", "0.15",     "4.5",   "13.5",  _DAILY, _TWICE),
    _price("2026-09-10T04:00", "0.15",     "4.5",   "13.5",  _WORKING, _TWICE),
)
# One price for both names. The dollars of V3.1, and the yuan of V3.1 and V3.2, are from memory.
_V3_USD = (
    _price("2025-09-05T16:00", "0.07",     "0.56",  "1.68"),
    _price("2025-09-29",       "0.028",    "0.28",  "0.42"),
)
_V3_CNY = (
    _price("2025-09-05T16:00", "0.5",      "4",     "12"),
    _price("2025-09-29",       "0.2",      "2",     "3"),
)
# V2 and V2.5, then V3 at their price until 2025-02-08, then the list price; since V4 answered as
# flash without thinking, past the day (2026-07-24) on which the name was to end. That the cheap
# nights began on 2025-02-26 is from memory.
_CHAT_USD = (
    _price("2024-08-02",       "0.014",    "0.14",  "0.28"),
    _price("2025-02-08T16:00", "0.07",     "0.27",  "1.10"),
    _price("2025-02-26",       "0.035",    "0.135", "0.55",  _DAYTIME, _TWICE),
    *_V3_USD,
    *_V4_FLASH_USD,
)
_CHAT_CNY = (
    _price("2024-08-02",       "0.1",      "1",     "2"),
    _price("2025-02-08T16:00", "0.5",      "2",     "8"),
    _price("2025-02-26",       "0.25",     "1",     "4",     _DAYTIME, _TWICE),
    *_V3_CNY,
    *_V4_FLASH_CNY,
)
# R1; since V4 flash while it thinks.
_R1_USD = Rates(Decimal("0.14"), Decimal("0.55"), Decimal("2.19"))
_R1_CNY = Rates(Decimal(1), Decimal(4), Decimal(16))
_REASONER_USD = (
    _price("2025-01-20",       "0.14",     "0.55",  "2.19"),
    _price("2025-02-26",       "0.035",    "0.135", "0.55",  _DAYTIME, _R1_USD),
    *_V3_USD,
    *_V4_FLASH_USD,
)
_REASONER_CNY = (
    _price("2025-01-20",       "1",        "4",     "16"),
    _price("2025-02-26",       "0.25",     "1",     "4",     _DAYTIME, _R1_CNY),
    *_V3_CNY,
    *_V4_FLASH_CNY,
)
# Merged into V2.5 on 2024-09-05 and an alias of it for a while; no source prices it after V2.5.
_CODER_USD = (
    _price("2024-08-02",       "0.014",    "0.14",  "0.28",  until="2024-12-26"),
)
_CODER_CNY = (
    _price("2024-08-02",       "0.1",      "1",     "2",     until="2024-12-26"),
)
# fmt: on

#: DeepSeek's own prices.
PRICES = PriceTable(
    {
        "USD": {
            "deepseek-flash": _V41_FLASH_USD,
            "deepseek-v4-pro": _V4_PRO_USD,
            "deepseek-v4-flash": _V4_FLASH_USD,
            "deepseek-v4-flash-vision-exp": _VISION_USD,
            "deepseek-chat": _CHAT_USD,
            "deepseek-reasoner": _REASONER_USD,
            "deepseek-coder": _CODER_USD,
        },
        "CNY": {
            "deepseek-flash": _V41_FLASH_CNY,
            "deepseek-v4-pro": _V4_PRO_CNY,
            "deepseek-v4-flash": _V4_FLASH_CNY,
            "deepseek-v4-flash-vision-exp": _VISION_CNY,
            "deepseek-chat": _CHAT_CNY,
            "deepseek-reasoner": _REASONER_CNY,
            "deepseek-coder": _CODER_CNY,
        },
    }
)
