"""A picture of a job: what it did over time, as SVG.

Four panels share one axis of time: requests at once and how many were allowed, answers and tokens
per second, and the cost. The colours follow the reader's light or dark mode.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from deepseek_async.batch.amounts import clock, dollars, short
from deepseek_async.batch.chart_axes import rates, time_ticks, value_ticks
from deepseek_async.errors import BatchFileError, PreflightError
from deepseek_async.types.batch import BatchSample

# All in pixels.
_WIDTH = 960
_LEFT, _RIGHT = 64, 24
_TOP = 64
_PANEL, _GAP, _HEADING = 116, 44, 18
_BOTTOM = 54
_PLOT = _WIDTH - _LEFT - _RIGHT

# Of the legend: a piece of the line, the width of a character, the space to the next.
_SWATCH, _CHARACTER, _BETWEEN = 24, 6.6, 16

# Parts of the time over which a pace is measured: each is some pixels wide.
_COLUMNS = 140

# Seconds that a picture needs at least.
_SHORTEST = 1e-3

# A PNG has twice the pixels, for screens that do.
_PNG_SCALE = 2.0

# Not CSS variables: the library that makes PNGs of it doesn't know them.
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; \
fill: #475569 }
.paper { fill: #ffffff }
.title { font-size: 17px; font-weight: 600; fill: #0f172a }
.name { font-weight: 600; fill: #0f172a }
.grid { stroke: #e2e8f0; stroke-width: 1; fill: none }
.axis { stroke: #94a3b8; stroke-width: 1; fill: none }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round }
.area { stroke: none; fill-opacity: .16 }
.grey { stroke: #64748b; fill: #64748b } .blue { stroke: #2563eb; fill: #2563eb }
.green { stroke: #059669; fill: #059669 } .violet { stroke: #7c3aed; fill: #7c3aed }
.red { stroke: #dc2626; fill: #dc2626 } .amber { stroke: #b45309; fill: #b45309 }
.line.grey { stroke-dasharray: 5 3 }
path.line { fill: none } path.area, text { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #94a3b8 } .paper { fill: #0f172a } .title, .name { fill: #f1f5f9 }
.grid { stroke: #1e293b } .axis { stroke: #475569 }
.grey { stroke: #94a3b8; fill: #94a3b8 } .blue { stroke: #60a5fa; fill: #60a5fa }
.green { stroke: #34d399; fill: #34d399 } .violet { stroke: #a78bfa; fill: #a78bfa }
.red { stroke: #f87171; fill: #f87171 } .amber { stroke: #fbbf24; fill: #fbbf24 }
}
"""


class _Series(NamedTuple):
    """A line of a panel."""

    label: str
    colour: str
    times: Sequence[float]
    values: Sequence[float]
    is_area: bool = False
    is_stepped: bool = False
    """Whether a value holds until the next one, or the line goes straight there."""


class _Panel(NamedTuple):
    title: str
    series: list[_Series]
    scale: Callable[[float], str] = short


def render_chart(
    samples: Sequence[BatchSample], *, title: str = "Batch", subtitle: str | None = None
) -> str:
    """Return a picture of a job as an SVG document.

    Args:
        samples: Its course, oldest first.
        title: What stands above it, such as the name of the file.
        subtitle: What stands below the title; by default what the job did in numbers.
    """
    begin, end = (samples[0].t, samples[-1].t) if samples else (0.0, 0.0)
    panels = _panels(samples) if end - begin > _SHORTEST else []
    height = _TOP + _BOTTOM + max(1, len(panels)) * (_PANEL + _GAP) - _GAP
    if subtitle is None:
        subtitle = _summary(samples)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{_text(title)}: {_text(subtitle)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        f'<text class="title" x="{_LEFT}" y="24">{_text(title)}</text>',
        f'<text x="{_LEFT}" y="43">{_text(subtitle)}</text>',
    ]
    for number, panel in enumerate(panels):
        top = _TOP + number * (_PANEL + _GAP) + _HEADING
        lines += _draw(panel, top, begin, end, is_last=number == len(panels) - 1)
    if not panels:
        lines.append(
            f'<text x="{_WIDTH / 2}" y="{height / 2}" text-anchor="middle">'
            "too short for a picture</text>"
        )
    return "\n".join([*lines, "</svg>", ""])


def write_chart(
    path: str | os.PathLike[str],
    samples: Sequence[BatchSample],
    *,
    title: str = "Batch",
    subtitle: str | None = None,
) -> None:
    """Write a picture of a job; see :func:`render_chart`.

    Args:
        path: Where to: a name that ends in ``.svg``, or in ``.png`` for which the library cairosvg
            must be installed.
        samples: Its course, oldest first.
        title: What stands above it.
        subtitle: What stands below the title.

    Raises:
        BatchFileError: If the file can't be written.
        ImportError: If cairosvg is not installed and needed.
        PreflightError: If the name ends in anything else.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise PreflightError(f"a picture ends in .svg or .png, not {str(file)!r}")
    data = render_chart(samples, title=title, subtitle=subtitle).encode()
    if suffix == ".png":
        data = _png(data)
    try:
        file.write_bytes(data)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise BatchFileError(
            f"the picture {file} can't be written: {reason}", path=str(file)
        ) from exc


def _png(svg: bytes) -> bytes:
    try:
        # By name: the library is not among our dependencies.
        library = importlib.import_module("cairosvg")
    except (ImportError, OSError) as exc:  # OSError: it doesn't find the library cairo.
        raise ImportError(
            "a picture as .png takes the library cairosvg (pip install cairosvg), which takes the "
            "system's libcairo; or write it as .svg, which every browser shows"
        ) from exc
    data: bytes = library.svg2png(bytestring=svg, scale=_PNG_SCALE)
    return data


def _text(text: str) -> str:
    """Escape text, without the characters that no XML document may have."""
    return escape("".join(char if char.isprintable() else " " for char in text))


def _summary(samples: Sequence[BatchSample]) -> str:
    if not samples:
        return "no samples"
    last = samples[-1]
    parts = [f"{last.done:,} answered"]
    if last.failed:
        parts.append(f"{last.failed:,} failed")
    if last.rejected:
        parts.append(f"{last.rejected:,} refused with 429")
    parts += [f"{short(last.tokens)} tokens", dollars(last.cost_usd), clock(last.t - samples[0].t)]
    return " · ".join(parts)


def _panels(samples: Sequence[BatchSample]) -> list[_Panel]:
    times = [sample.t for sample in samples]
    last = samples[-1]
    seconds = times[-1] - times[0]
    columns = min(_COLUMNS, len(samples) - 1)
    middles = [times[0] + seconds / columns * (column + 0.5) for column in range(columns)]

    def pace(label: str, colour: str, totals: Sequence[float]) -> _Series:
        values = rates(times, totals, columns)
        mean = (totals[-1] - totals[0]) / seconds
        # To the edges, where the line would end half a column early.
        return _Series(
            f"{label}: {short(mean)} on average",
            colour,
            [times[0], *middles, times[-1]],
            [values[0], *values, values[-1]],
            is_area=colour in ("green", "violet"),
        )

    counts = [sample.in_flight for sample in samples]
    in_flight = _Series(f"in flight: at most {max(counts):,}", "blue", times, counts, is_area=True)
    answers = [pace("answered", "green", [sample.done for sample in samples])]
    if last.failed:
        answers.append(pace("failed", "red", [sample.failed for sample in samples]))
    if last.rejected:
        answers.append(pace("refused (429)", "amber", [sample.rejected for sample in samples]))
    costs = [sample.cost_usd for sample in samples]
    return [
        _Panel("Requests at once", [in_flight, *_limit(samples, times)]),
        _Panel("Items per second", answers),
        _Panel(
            "Tokens per second",
            [pace("prompt and output", "violet", [sample.tokens for sample in samples])],
        ),
        _Panel(
            "Cost in US dollars",
            [_Series(f"so far: {dollars(costs[-1])}", "blue", times, costs, is_area=True)],
            dollars,
        ),
    ]


def _limit(samples: Sequence[BatchSample], times: Sequence[float]) -> list[_Series]:
    """Return the line of the limit; none where it was never near what was under way."""
    far = 20.0 * max(1, *(sample.in_flight for sample in samples))
    limits = [sample.limit for sample in samples]
    if min(limits) > far:
        return []
    label = f"limit: {limits[-1]:,.0f} at the end"
    return [_Series(label, "grey", times, [min(limit, far) for limit in limits], is_stepped=True)]


def _draw(panel: _Panel, top: float, begin: float, end: float, *, is_last: bool) -> list[str]:
    """Return the elements of a panel whose plot begins at ``top``."""
    bottom = top + _PANEL
    # A little more, so that no line lies on the upper edge.
    ticks = value_ticks(1.04 * max(max(series.values) for series in panel.series))

    def x(time: float) -> float:
        return _LEFT + (time - begin) / (end - begin) * _PLOT

    def y(value: float) -> float:
        return bottom - value / ticks[-1] * _PANEL

    lines = [f'<text class="name" x="{_LEFT}" y="{top - 9}">{panel.title}</text>']
    lines += _legend(panel.series, top - 9)
    for tick in ticks:
        lines += [
            f'<path class="grid" d="M{_LEFT} {y(tick):.1f}h{_PLOT}"/>',
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">'
            f"{panel.scale(tick)}</text>",
        ]
    for tick in time_ticks(end - begin):
        at = x(begin + tick)
        lines.append(f'<path class="grid" d="M{at:.1f} {top}v{_PANEL}"/>')
        if is_last:
            lines.append(
                f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{clock(tick)}</text>'
            )
    lines.append(f'<path class="axis" d="M{_LEFT} {bottom}h{_PLOT}"/>')
    for series in panel.series:
        path = _path(
            [(x(time), y(value)) for time, value in zip(series.times, series.values, strict=True)],
            is_stepped=series.is_stepped,
        )
        if series.is_area:
            closed = f"{path}V{bottom}H{x(series.times[0]):.1f}Z"
            lines.append(f'<path class="area {series.colour}" d="{closed}"/>')
        lines.append(f'<path class="line {series.colour}" d="{path}"/>')
    return lines


def _legend(all_series: Sequence[_Series], y: float) -> list[str]:
    """Return what the lines are, on the right; how wide a text is can only be guessed."""
    widths = [_SWATCH + _CHARACTER * len(series.label) for series in all_series]
    x = _WIDTH - _RIGHT - sum(widths) - _BETWEEN * (len(widths) - 1)
    lines: list[str] = []
    for series, width in zip(all_series, widths, strict=True):
        lines += [
            f'<path class="line {series.colour}" d="M{x:.0f} {y - 4}h{_SWATCH - 6}"/>',
            f'<text x="{x + _SWATCH:.0f}" y="{y}">{_text(series.label)}</text>',
        ]
        x += width + _BETWEEN
    return lines


def _path(points: Sequence[tuple[float, float]], *, is_stepped: bool) -> str:
    (first_x, first_y), *rest = points
    if is_stepped:
        moves = [f"H{x:.1f}V{y:.1f}" for x, y in rest]
    else:
        moves = [f"L{x:.1f} {y:.1f}" for x, y in rest]
    return f"M{first_x:.1f} {first_y:.1f}{''.join(moves)}"
