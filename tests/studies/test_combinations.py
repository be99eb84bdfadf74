"""Which combinations of values are run."""

import re
from collections import Counter

import pytest

from iosim.errors import UsageError
from iosim.studies import quantities
from iosim.studies.combinations import METHODS, Design
from iosim.studies.grid import parse_all

AXES = parse_all(["a=1..1000", "b=0us..100us:linear", "c=x,y"])


def numbers(design: Design, axis: int) -> list[float]:
    found = quantities.numbers(tuple(row[axis] for row in design))
    assert found is not None
    return list(found)


def test_the_grid_has_each_value_with_each_other_and_the_last_axis_is_fastest() -> None:
    design = Design(parse_all(["a=1,2", "b=x,y,z"]))
    assert [*design] == [(a, b) for a in ("1", "2") for b in ("x", "y", "z")]
    assert len(design) == 6


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_fills_each_axis_evenly(method: str) -> None:
    design = Design(AXES, 64, method, seed=3)
    assert len([*design]) == len(design) == 64
    evenly = sorted(numbers(design, 1))
    # Of 64 equal parts each is drawn from once; a draw may be rounded over a part's edge.
    assert all(
        abs(ns - 100_000 * (part + 0.5) / 64) < 100_000 / 64 for part, ns in enumerate(evenly)
    )
    by_logarithm = Counter(1 + (value > 10) + (value > 100) for value in numbers(design, 0))
    assert max(by_logarithm.values()) - min(by_logarithm.values()) <= 2
    assert Counter(row[2] for row in design) == {"x": 32, "y": 32}


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_is_the_seeds(method: str) -> None:
    assert [*Design(AXES, 8, method, seed=3)] == [*Design(AXES, 8, method, seed=3)]
    assert [*Design(AXES, 8, method, seed=3)] != [*Design(AXES, 8, method, seed=4)]


def test_latin_hypercubes_and_sobol_sequences_differ() -> None:
    assert [*Design(AXES, 8, "lhs")] != [*Design(AXES, 8, "sobol")]


def test_a_sobol_sample_is_best_of_a_power_of_two() -> None:
    (warning,) = Design(AXES, 100, "sobol").warnings
    assert "100 is none: 64 or 128 would be" in warning
    assert Design(AXES, 128, "sobol").warnings == ()
    assert Design(AXES, 100, "lhs").warnings == ()


@pytest.mark.parametrize(
    ("sample", "method", "message"),
    [
        (8, "sobl", "method: expected lhs or sobol, found 'sobl'; did you mean 'sobol'?"),
        (0, "lhs", "sample: expected at least 1, found 0"),
        (1_000_001, "lhs", "expected at most 1,000,000 points, found 1,000,001"),
    ],
)
def test_what_cannot_be_drawn(sample: int, method: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Design(AXES, sample, method)


def test_a_grid_of_too_many_points_is_a_slip() -> None:
    axes = parse_all([f"{name}=1..1000:linear 1000" for name in "abc"])
    with pytest.raises(UsageError, match=r"expected at most 1,000,000 points, found 1,000,000,000"):
        Design(axes)
