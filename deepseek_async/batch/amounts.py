"""Numbers, money and time in few characters, for people."""

from math import floor, log10

#: Seconds.
DAY = 86_400

#: What is below is shown as 0.
LEAST = 1e-9

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(value: float) -> str:
    """Return a number in at most about six characters: ``0.25``, ``12.5k``, ``3M``."""
    for factor, unit in _UNITS:
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    if value < LEAST:
        return "0"
    return f"{value:.3g}" if value >= 1e-4 else f"{value:.0e}"


def dollars(value: float) -> str:
    """Return an amount with as many places as it needs: ``$0.0005``, ``$1.50``, ``$1,200``."""
    if value >= 1000:
        return f"${value:,.0f}"
    if value >= 1 or value < LEAST:
        return f"${value:.2f}"
    # Three digits that count; a round one loses its zeros.
    text = f"{value:.{2 - floor(log10(value))}f}".rstrip("0")
    return f"${text}"


def clock(seconds: float) -> str:
    """Return a duration: ``45 s``, ``2:05 min``, ``3 h``, ``4 d 6 h``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return _two(whole, 60, "min")
    if whole < 2 * DAY:
        return _two(whole // 60, 60, "h")
    days, hours = whole // DAY, whole % DAY // 3600
    return f"{days} d {hours} h" if hours else f"{days} d"


def _two(value: int, base: int, unit: str) -> str:
    high, low = divmod(value, base)
    return f"{high}:{low:02} {unit}" if low else f"{high} {unit}"
