"""`batch.chart`: a picture of a job that every browser shows."""

import re
import sys
import types
from itertools import pairwise
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.amounts import clock, dollars, short
from deepseek_async.batch.chart import render_chart, write_chart
from deepseek_async.batch.chart_axes import rates, time_ticks, value_ticks
from deepseek_async.batch.sample_log import SampleLog
from deepseek_async.errors import BatchFileError, PreflightError
from deepseek_async.types.batch import BatchSample

SVG = "{http://www.w3.org/2000/svg}"
COURSE = [
    BatchSample(t, 16 + t, 15 + t, 10 * t, t // 10, 5000 * t, 0.002 * t, t // 5) for t in range(100)
]


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(SVG + "text")
    ]


def paths(svg: str, kind: str) -> list[str]:
    elements = ElementTree.fromstring(svg).iter(SVG + "path")
    return [element.attrib["d"] for element in elements if kind in element.attrib["class"]]


def test_it_says_what_it_shows_and_in_which_units() -> None:
    found = texts(render_chart(COURSE, title="answers.jsonl"))
    assert found[:2] == [
        "answers.jsonl",
        "990 answered · 9 failed · 19 refused with 429 · 495k tokens · $0.198 · 1:39 min",
    ]
    for text in (
        *("Requests at once", "in flight: at most 114", "limit: 115 at the end"),
        *("Items per second", "answered: 10 on average", "refused (429): 0.192 on average"),
        *("Tokens per second", "prompt and output: 5k on average"),
        *("Cost in US dollars", "so far: $0.198"),
        *("0 s", "10 s", "1 min", "1:30 min", "$0.05", "$0.25", "2k", "150"),
    ):
        assert text in found


def test_there_is_no_line_for_what_never_happened() -> None:
    svg = render_chart([BatchSample(0, 16, 0), BatchSample(1, 16, 3, 3)])
    assert not any("failed" in text or "429" in text for text in texts(svg))
    assert len(paths(svg, "line red")) == len(paths(svg, "line amber")) == 0


def test_a_limit_that_is_far_away_is_left_out() -> None:
    for limit in (inf, 1_000_000):
        course = [BatchSample(t, limit, 100) for t in range(5)]
        assert not any("limit" in text for text in texts(render_chart(course)))
    fallen = [BatchSample(0, inf, 100), BatchSample(1, 50, 50)]
    svg = render_chart(fallen)
    assert "limit: 50 at the end" in texts(svg)
    assert "2k" in texts(svg)
    assert "inf" not in svg


@pytest.mark.parametrize("course", [[], COURSE[:1], [COURSE[0]] * 3])
def test_a_course_without_length_has_no_panels(course: list[BatchSample]) -> None:
    found = texts(render_chart(course))
    assert found[-1] == "too short for a picture"
    assert len(found) == 3


def test_texts_are_escaped() -> None:
    title = 'a<b> & "c"\x00\x0b\ud800\uffff'
    svg = render_chart(COURSE, title=title, subtitle="<script>")
    assert texts(svg)[:2] == ['a<b> & "c"    ', "<script>"]
    assert "<script>" not in svg


def test_it_follows_the_reader_into_the_dark() -> None:
    assert "@media (prefers-color-scheme: dark)" in render_chart(COURSE)


@given(
    st.lists(
        st.builds(
            BatchSample,
            t=st.floats(0, 1e7),
            limit=st.floats(1, 1e9),
            in_flight=st.integers(0, 5000),
            done=st.integers(0, 10**8),
            failed=st.integers(0, 10**6),
            tokens=st.integers(0, 10**12),
            cost_usd=st.floats(0, 1e6),
            rejected=st.integers(0, 10**6),
        ),
        max_size=8,
    )
)
def test_any_course_can_be_drawn(course: list[BatchSample]) -> None:
    course.sort(key=lambda sample: sample.t)
    svg = render_chart(course)
    assert "nan" not in svg
    assert "inf" not in svg
    for path in paths(svg, "line"):
        for number in re.findall(r"-?[\d.]+(?:e\S+)?", path):
            assert 0 <= float(number) <= 960


def test_it_is_written_as_svg(tmp_path: Path) -> None:
    file = tmp_path / "run.SVG"
    write_chart(file, COURSE, title="é")
    assert texts(file.read_text(encoding="utf-8"))[0] == "é"


def test_what_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(BatchFileError, match=r"run\.svg can't be written: No such file") as info:
        write_chart(tmp_path / "none" / "run.svg", COURSE)
    assert info.value.path == str(tmp_path / "none" / "run.svg")
    with pytest.raises(PreflightError, match=r"ends in \.svg or \.png, not 'run\.jpg'"):
        write_chart("run.jpg", COURSE)


def test_a_png_is_made_by_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def svg2png(*, bytestring: bytes, scale: float) -> bytes:
        ElementTree.fromstring(bytestring)
        return b"PNG x%d" % scale

    monkeypatch.setitem(sys.modules, "cairosvg", types.SimpleNamespace(svg2png=svg2png))
    write_chart(tmp_path / "run.png", COURSE)
    assert (tmp_path / "run.png").read_bytes() == b"PNG x2"


def test_without_the_library_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(ImportError, match=r"pip install cairosvg.*or write it as \.svg"):
        write_chart(tmp_path / "run.png", COURSE)
    assert list(tmp_path.iterdir()) == []


# Scales


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [0, 0.2]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (416, [0, 100, 200, 300, 400, 500]),
        (0.00037, [0, 0.0001, 0.0002, 0.0003, 0.0004]),
    ],
)
def test_values_have_round_lines(most: float, ticks: list[float]) -> None:
    assert value_ticks(most) == pytest.approx(ticks)


@given(st.floats(1e-9, 1e12))
def test_all_values_are_between_the_lines(most: float) -> None:
    ticks = value_ticks(most)
    assert ticks[-1] >= most * (1 - 1e-6)
    assert 2 <= len(ticks) <= 6


@pytest.mark.parametrize(
    ("seconds", "step", "last"),
    [
        (0.5, 0.05, "0.5 s"),
        (2.3, 0.5, "2 s"),
        (95, 10, "1:30 min"),
        (1800, 300, "30 min"),
        (86_400, 10_800, "24 h"),
        (10 * 86_400, 86_400, "10 d"),
        (50 * 86_400, 5 * 86_400, "50 d"),
    ],
)
def test_times_have_lines_that_people_count_in(seconds: float, step: float, last: str) -> None:
    ticks = time_ticks(seconds)
    assert ticks[1] == pytest.approx(step)
    assert clock(ticks[-1]) == last


@given(st.floats(1e-6, 1e9))
def test_all_times_are_on_the_axis(seconds: float) -> None:
    ticks = time_ticks(seconds)
    assert ticks[-1] <= seconds * (1 + 1e-6)
    assert 1 <= len(ticks) <= 12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (0.25, "0.25"), (999, "999"), (12_500, "12.5k"), (3_000_000, "3M")),
        *((2e9, "2G"), (4e12, "4T"), (0.00001, "1e-05")),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "$0.00"), (1.5, "$1.50"), (1234.5, "$1,234"), (0.00037, "$0.00037")),
        *((0.25, "$0.25"), (0.123456, "$0.123"), (1e-9, "$0.000000001")),
    ],
)
def test_dollars(value: float, text: str) -> None:
    assert dollars(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (45, "45 s"), (59.7, "59.7 s"), (125, "2:05 min"), (3600, "1 h")),
        *((5400, "1:30 h"), (86_400, "24 h"), (4 * 86_400 + 6 * 3600, "4 d 6 h")),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_pace_is_measured_in_equal_parts_of_the_time() -> None:
    assert rates([0, 1, 3, 4], [0, 10, 10, 14], 4) == pytest.approx([10, 0, 0, 4])
    assert rates([0, 4], [0, 8], 2) == pytest.approx([2, 2])
    # Two looks at one moment.
    assert rates([0, 1, 1, 2], [0, 1, 5, 6], 2) == pytest.approx([5, 1])


# The course in bounded memory


def test_few_samples_are_all_kept() -> None:
    log = SampleLog()
    assert list(log.samples) == []
    for sample in COURSE:
        log.add(sample)
    assert list(log.samples) == COURSE


@given(st.integers(1, 500), st.sampled_from([2, 4, 10]))
def test_many_samples_are_thinned_evenly(count: int, most: int) -> None:
    log = SampleLog(most)
    for t in range(count):
        log.add(BatchSample(t, 1, 1))
    times = [sample.t for sample in log.samples]
    assert times[0] == 0
    assert times[-1] == count - 1
    assert len(times) <= most + 1
    if count > most:
        assert len(times) >= most / 2
    steps = {after - before for before, after in pairwise(times[:-1])}
    assert len(steps) <= 1
