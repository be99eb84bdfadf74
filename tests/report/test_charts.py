"""Charts: values stand where they belong, and looks tell models apart."""

import re
from itertools import pairwise
from math import isclose

import pytest

from iosim.report.html.curves import Curve, Limit, Point, over_load, over_percentiles, rarity
from iosim.report.html.palette import COLOURS, MARKERS, Look
from iosim.report.html.ratios import Ratio, compared
from iosim.report.html.scale import Scale, linear, logarithmic, short_count, short_duration
from iosim.report.html.stacks import Bar, Part, stacked


def numbers(pattern: str, text: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, text)]


@pytest.mark.parametrize(
    ("high", "ticks"),
    [
        (25_000, [0, 5_000, 10_000, 15_000, 20_000, 25_000]),
        (3.2, [0, 1, 2, 3, 4]),
        (0.55, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    ],
)
def test_ticks_are_round_and_hold_the_largest_value(high: float, ticks: list[float]) -> None:
    scale = linear([high], 0, 100)
    assert scale.ticks() == pytest.approx(ticks)
    assert scale.high >= high


def test_ticks_of_decades() -> None:
    assert logarithmic([2e3, 4e4], 0, 1).ticks() == pytest.approx([2e3, 5e3, 1e4, 2e4])
    assert logarithmic([1e3, 1e8], 0, 1).ticks() == pytest.approx([1e3, 1e4, 1e5, 1e6, 1e7, 1e8])
    few = logarithmic([5.0], 0, 1)
    assert few.high / few.low == pytest.approx(3)


def test_a_scale_maps_ends_and_middle() -> None:
    assert [Scale(0, 10, 100, 200)(value) for value in (0, 5, 10)] == [100, 150, 200]
    assert Scale(1, 100, 300, 0, logarithmic=True)(10) == pytest.approx(150)
    assert Scale(0, 10, 0, 1)(-5) == 0


def test_what_stands_at_ticks_is_short() -> None:
    assert [short_duration(ns) for ns in (0, 1e6, 1.5e6, 2e5, 100)] == [
        "0", "1 ms", "1.5 ms", "200 us", "100 ns",
    ]  # fmt: skip
    assert [short_count(value) for value in (0, 5_000, 12_500, 100)] == ["0", "5k", "12.5k", "100"]


def test_no_two_models_look_alike() -> None:
    pairs = {
        (Look(index).colour, re.sub(r"[-\d.]+", "", Look(index).marker(0, 0)))
        for index in range(COLOURS * MARKERS)
    }
    assert len({colour for colour, _ in pairs}) == COLOURS
    paths = {(Look(i).colour, Look(i).marker(9, 9)) for i in range(COLOURS * MARKERS)}
    assert len(paths) == COLOURS * MARKERS


def test_points_stand_where_their_values_are() -> None:
    points = tuple(Point(x, 2 * x, 1.5 * x, 2.5 * x, f"at {x}") for x in (1.0, 2.0, 4.0))
    drawn = over_load("T", "D", "load", [Curve("one", Look(0), points, knee=2.0)])
    (line,) = re.findall(r'class="curve" d="M([^"]*)"', drawn)
    places = [tuple(map(float, place.split())) for place in line.split("L")]
    # Both axes begin at zero: x and y are proportional.
    slopes = [(a[1] - b[1]) / (b[0] - a[0]) for a, b in pairwise(places)]
    assert isclose(*slopes, rel_tol=0.01)
    assert drawn.count("<title>at ") == 3
    assert drawn.count('class="knee"') == 1
    assert numbers(r'class="knee" cx="([\d.]+)"', drawn) == [pytest.approx(places[1][0], abs=0.02)]
    assert drawn.count('class="band"') == 1


def test_an_objective_is_a_line_at_its_level() -> None:
    curve = Curve("one", Look(0), (Point(1, 1e6), Point(2, 4e6)))
    drawn = over_load("T", "D", "load", [curve], [Limit(1e6, "p99 < 1ms")])
    (level,) = numbers(r'class="limit" d="M54 ([\d.]+)H', drawn)
    first = numbers(r'class="curve" d="M[\d.]+ ([\d.]+)L', drawn)
    assert first == [level]
    assert "p99 &lt; 1ms" in drawn


def test_percentiles_are_as_far_apart_as_they_are_rare() -> None:
    assert [rarity(q) for q in (0, 90, 99, 99.9)] == pytest.approx([0, 1, 2, 3])
    curve = Curve("one", Look(0), tuple(Point(q, 1e6) for q in (0, 50, 90, 97, 99)))
    drawn = over_percentiles("T", "D", [curve])
    assert re.findall(r'class="tick" text-anchor="middle">([^<]+)<', drawn) == [
        "0%", "50%", "90%", "99%",
    ]  # fmt: skip
    assert drawn.count('class="marker"') == 4  # none at 97%, which has no tick


def test_the_parts_of_a_bar_are_as_long_as_their_values() -> None:
    parts = [Part("user", 0), Part("idle", 2)]
    drawn = stacked("T", "D", "x", parts, [Bar("m", (0.25, 0.75))], lambda value: f"{value:g}")
    widths = numbers(r'class="p[02]"[^>]* width="([\d.]+)"', drawn)
    assert (widths[1] + 0.75) / (widths[0] + 0.75) == pytest.approx(3, rel=1e-3)
    starts = numbers(r'class="p[02]" x="([\d.]+)"', drawn)
    assert starts[1] == pytest.approx(starts[0] + widths[0] + 0.75, abs=0.02)
    assert "m, idle: 0.75" in drawn


def test_every_second_part_is_hatched_and_unknown_ones_are_left_out() -> None:
    parts = [Part("a", 0), Part("b", 1), Part("c", 2)]
    drawn = stacked("T", "D", "x", parts, [Bar("m", (1.0, 1.0, None))], str)
    assert drawn.count("url(#hatch") == 1
    assert 'class="p2"' not in drawn


def test_a_prediction_that_came_true_stands_on_the_line() -> None:
    drawn = compared("T", "D", {"p50": [Ratio(Look(0), 1.0, "true"), Ratio(Look(1), 2.0, "")]})
    (line,) = numbers(r'class="limit" d="M([\d.]+) ', drawn)
    (first,) = re.findall(r'class="marker" d="M([\d.]+) ', drawn)[:1]
    assert float(first) + 5 == pytest.approx(line, abs=0.01)  # a circle begins at its left
