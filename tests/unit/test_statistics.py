"""Confidence intervals against simulation and scipy; MSER-5 against series of known transient."""

from __future__ import annotations

import math
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from iosim.statistics import (
    Estimate,
    Mser,
    Truncation,
    paired_difference,
    relative_half_width,
    replications_needed,
    student_t,
    t_quantile,
)

scipy_stats: Any = import_module("scipy.stats")  # it ships no types
finite = st.floats(-1e100, 1e100)

# Student's t interval


def test_the_interval_by_hand() -> None:
    # mean 4, sd 2, t(2; 95 %) = 4.302653: half width 4.302653 * 2 / sqrt(3) = 4.968275
    estimate = student_t([2, 4, 6])
    assert (estimate.mean, estimate.n, estimate.confidence) == (4.0, 3, 0.95)
    assert estimate.low == pytest.approx(4 - 4.968275, abs=1e-6)
    assert estimate.high == pytest.approx(4 + 4.968275, abs=1e-6)


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(n: int, confidence: float) -> None:
    runs = 4000
    table = np.random.default_rng(20240 + n).normal(10, 3, (runs, n)).tolist()
    covered = 0
    for values in table:
        estimate = student_t(values, confidence)
        assert estimate.low is not None and estimate.high is not None
        covered += estimate.low <= 10 <= estimate.high
    sampling_error = math.sqrt(confidence * (1 - confidence) / runs)
    assert covered / runs == pytest.approx(confidence, abs=3 * sampling_error)


def test_undefined_replications_are_left_out_and_show_in_n() -> None:
    assert student_t([None, 2, None, 4, 6]) == student_t([2, 4, 6])
    assert student_t([None, None]) == student_t([]) == Estimate(None, None, None, 0)


def test_one_replication_has_no_interval() -> None:
    assert student_t([3.5, None]) == Estimate(3.5, None, None, 1)


@given(finite, st.integers(2, 30))
def test_identical_values_have_an_interval_of_no_width(value: float, n: int) -> None:
    assert student_t([value] * n) == Estimate(value, value, value, n)


@given(st.lists(st.none() | finite), st.floats(0.5, 0.999))
def test_nothing_is_ever_nan_and_the_interval_holds_the_mean(
    values: list[float | None], confidence: float
) -> None:
    estimate = student_t(values, confidence)
    defined = [value for value in values if value is not None]
    assert estimate.n == len(defined)
    assert (estimate.mean is None) == (not defined)
    assert (estimate.low is None) == (estimate.high is None) == (len(defined) < 2)
    if estimate.mean is not None:
        assert min(defined) <= estimate.mean <= max(defined)
    if estimate.mean is not None and estimate.low is not None and estimate.high is not None:
        assert estimate.low <= estimate.mean <= estimate.high


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=50))
def test_the_interval_agrees_with_scipy(values: list[int]) -> None:
    assume(len(set(values)) > 1)  # scipy has no interval of zero width
    estimate = student_t(values)
    interval = scipy_stats.t.interval(
        0.95, len(values) - 1, np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))
    )
    assert estimate.low == pytest.approx(interval[0], rel=1e-6, abs=1e-6)
    assert estimate.high == pytest.approx(interval[1], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"^replication value: expected a finite number"):
        student_t([1.0, value])


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, 0.9999999, math.nan])
def test_a_confidence_that_is_no_ratio_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"^confidence: expected a ratio"):
        student_t([1.0, 2.0], confidence)
    with pytest.raises(ValueError, match=r"^confidence: expected a ratio"):
        t_quantile(5, confidence)


# The quantile of t


@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999999])
def test_the_quantile_agrees_with_scipy(confidence: float) -> None:
    df = [*range(1, 1001, 1 if confidence == 0.95 else 37), 10_000, 10**6]
    found = np.array([t_quantile(d, confidence) for d in df])
    # isf keeps the digits of the tail, which 1 - (1 - confidence) / 2 would lose.
    expected = scipy_stats.t.isf((1 - confidence) / 2, df)
    assert np.abs(found / expected - 1).max() < (1e-12 if confidence <= 0.95 else 1e-8)


def test_the_quantile_tends_to_the_normals() -> None:
    assert t_quantile(10**12, 0.95) == pytest.approx(1.959963984540054, rel=1e-11)


def test_no_degrees_of_freedom_have_no_quantile() -> None:
    with pytest.raises(ValueError, match=r"^degrees of freedom: expected"):
        t_quantile(0, 0.95)


def test_an_interval_needs_neither_scipy_nor_numpy() -> None:
    script = (
        "import sys; from iosim.statistics import student_t; student_t([1, 2, 3]);"
        "print([m for m in ('numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n"


# Precision


def test_relative_half_width_of_a_known_interval() -> None:
    assert relative_half_width(Estimate(-20, -21, -19, 5)) == 0.05


def test_relative_half_width_is_none_where_it_is_undefined() -> None:
    assert relative_half_width(Estimate(None, None, None, 0)) is None
    assert relative_half_width(Estimate(3, None, None, 1)) is None
    assert relative_half_width(Estimate(0, -1, 1, 5)) is None
    assert relative_half_width(Estimate(0, 0, 0, 5)) == 0


def test_a_precise_estimate_needs_no_more_replications() -> None:
    assert replications_needed(Estimate(100, 99, 101, 7), 0.05) == 7
    assert replications_needed(Estimate(0, 0, 0, 7), 0.05) == 7


def test_an_estimate_without_interval_cannot_say_what_it_needs() -> None:
    assert replications_needed(student_t([3]), 0.05) is None
    assert replications_needed(Estimate(0, -1, 1, 5), 0.05) is None


@given(st.integers(2, 40), st.floats(0.01, 3), st.floats(0.005, 0.5), st.sampled_from([0.9, 0.95]))
def test_the_number_needed_is_the_smallest_that_reaches_the_target(
    n: int, spread: float, target: float, confidence: float
) -> None:
    half = t_quantile(n - 1, confidence) * spread / math.sqrt(n)
    estimate = Estimate(1.0, 1 - half, 1 + half, n, confidence)
    needed = replications_needed(estimate, target)
    assert needed is not None and needed >= n
    aim = target / (1 + target)

    def width(count: int) -> float:
        return t_quantile(count - 1, confidence) * spread / math.sqrt(count)

    assert width(needed) <= aim * (1 + 1e-9)
    if needed > n:
        assert width(needed - 1) > aim * (1 - 1e-9)


def test_the_number_needed_suffices_in_practice() -> None:
    generator = np.random.default_rng(5)
    pilot = student_t(generator.normal(100, 20, 10).tolist())
    needed = replications_needed(pilot, 0.02)
    assert needed is not None and 100 < needed < 1500
    relative = relative_half_width(student_t(generator.normal(100, 20, 2 * needed).tolist()))
    assert relative is not None and relative < 0.02


@pytest.mark.parametrize("target", [0, 1, -0.1, 5])
def test_a_target_that_is_no_ratio_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match=r"^target precision: expected a ratio"):
        replications_needed(Estimate(1, 0, 2, 5), target)


# Paired differences


def test_common_random_numbers_narrow_the_difference() -> None:
    generator = np.random.default_rng(8)
    load = generator.normal(100, 30, 12)
    a = (load + 2 + generator.normal(0, 0.5, 12)).tolist()
    b = (load + generator.normal(0, 0.5, 12)).tolist()
    paired = paired_difference(a, b)
    assert paired.low is not None and paired.high is not None
    assert 0 < paired.low < 2 < paired.high < 4
    assert (student_t(a).low or math.inf) < (student_t(b).high or -math.inf)  # apart, they overlap


def test_a_pair_with_an_undefined_side_is_left_out() -> None:
    assert paired_difference([1, None, 5, 9], [0, 2, None, 5]) == student_t([1, 4])


def test_unequal_numbers_of_replications_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="found 2 and 1"):
        paired_difference([1, 2], [1])


# MSER-5


def truncation_of(values: NDArray[np.float64] | list[float]) -> Truncation:
    mser = Mser()
    mser.add_many(values)
    return mser.truncation()


def decaying(n: int, transient: float, seed: int, noise: float = 1.0) -> NDArray[np.float64]:
    """Steady noise around 10 under an initial excess of 20 that decays with time `transient`."""
    steps = np.arange(n)
    return np.asarray(
        10 + 20 * np.exp(-steps / transient) + np.random.default_rng(seed).normal(0, noise, n)
    )


def brute_force(means: list[float]) -> int:
    """Return the batches to leave out, straight from the definition."""

    def statistic(cut: int) -> float:
        kept = means[cut:]
        mean = math.fsum(kept) / len(kept)
        return math.fsum((value - mean) ** 2 for value in kept) / len(kept) ** 2

    return min(range(len(means) // 2 + 1), key=statistic)


@pytest.mark.parametrize("transient", [100, 300, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_an_exponential_transient_is_cut_where_it_drowns_in_noise(
    transient: int, seed: int
) -> None:
    found = truncation_of(decaying(20_000, transient, seed))
    # The excess falls from 20 to the noise of a batch mean (0.45) in 3.8 decay times.
    assert 2.5 * transient < found.observations < 8 * transient
    assert found.fraction == found.observations / 20_000
    assert found.warning is None


@pytest.mark.parametrize("seed", range(10))
def test_the_mean_after_the_cut_is_unbiased(seed: int) -> None:
    values = decaying(20_000, 300, seed)
    assert values.mean() > 10.25
    kept = values[truncation_of(values).observations :]
    assert kept.mean() == pytest.approx(10, abs=0.05)


def test_little_is_cut_from_stationary_noise() -> None:
    fractions = [
        truncation_of(np.random.default_rng(seed).exponential(1, 20_000)).fraction
        for seed in range(40)
    ]
    assert np.median(fractions) < 0.001
    assert np.mean(fractions) < 0.01


@pytest.mark.parametrize("n", [100, 1000, 20_000, 200_000])
def test_a_run_that_never_settles_is_warned_about(n: int) -> None:
    drift = np.arange(n) + np.random.default_rng(1).normal(0, n / 100, n)
    found = truncation_of(drift)
    assert found.fraction > 0.45
    assert found.warning is not None
    assert "warm-up eats half the run" in found.warning
    assert str(found.observations) in found.warning


def test_a_step_is_cut_exactly_and_a_constant_not_at_all() -> None:
    assert truncation_of([9.0] * 200 + [1.0] * 800) == Truncation(200, 0.2, 5, None)
    assert truncation_of([9.0] * 198 + [1.0] * 802) == Truncation(200, 0.2, 5, None)
    assert truncation_of([4.2] * 1000) == Truncation(0, 0.0, 5, None)


def test_the_cut_lies_in_the_first_half_only() -> None:
    # The best cut of all would be at 800.
    found = truncation_of([9.0, 8.0] * 400 + [1.0] * 200)
    assert found.observations <= 500


@pytest.mark.parametrize("n", [0, 4, 49])
def test_too_few_observations_cut_nothing_and_say_so(n: int) -> None:
    found = truncation_of([float(i) for i in range(n)])
    assert (found.observations, found.fraction) == (0, 0.0)
    assert found.warning is not None and f"{n} observations are too few" in found.warning


@given(st.lists(st.integers(0, 10**6), min_size=50, max_size=400))
def test_the_cut_is_the_one_of_the_definition(values: list[int]) -> None:
    means = [sum(values[i : i + 5]) / 5 for i in range(0, len(values) - 4, 5)]
    found = truncation_of([float(value) for value in values])
    expected = brute_force(means)
    if found.observations != 5 * expected:
        # Equal statistics may round apart: then both are minima.
        kept = [np.array(means[cut:]) for cut in (found.observations // 5, expected)]
        a, b = [part.var() / part.size for part in kept]
        assert a == pytest.approx(b, rel=1e-9)
    assert 0 <= found.fraction <= 0.5


@given(st.integers(0, 60_000), st.lists(st.integers(1, 9000), max_size=12))
def test_the_answer_does_not_depend_on_how_the_values_are_handed_over(
    n: int, cuts: list[int]
) -> None:
    values = np.arange(n, dtype=np.float64) % 977 + 2000 * (np.arange(n) < n // 5)
    mser = Mser()
    for part in np.split(values, np.minimum(np.cumsum(cuts, dtype=np.int64), n)):
        mser.add_many(part)
    assert mser.count == n
    assert mser.truncation() == truncation_of(values)


def test_a_long_run_merges_batches_and_says_so() -> None:
    assert truncation_of(decaying(20_475, 100, 1)).batch == 5
    merged = truncation_of(decaying(20_480, 100, 1))
    assert merged.batch == 10
    assert truncation_of(decaying(40_960, 100, 1)).batch == 20

    long = truncation_of(decaying(1_000_000, 10_000, 1))
    assert long.batch == 320
    assert long.observations % 320 == 0
    assert 25_000 < long.observations < 80_000
    assert long.warning is None


def test_large_values_lose_no_digits() -> None:
    # Nanoseconds since an epoch: squares of 1e18 would drown the deviations in a one-pass formula.
    values = decaying(5000, 100, 3)
    assert truncation_of(values + 1e9).observations == truncation_of(values).observations


def test_an_observation_that_is_not_finite_is_refused_and_nothing_is_added() -> None:
    mser = Mser()
    with pytest.raises(ValueError, match=r"^observations: expected finite"):
        mser.add_many([1.0, math.nan])
    assert mser.count == 0


def test_equal_series_are_those_of_the_same_observations() -> None:
    def series(*values: float) -> Mser:
        mser = Mser()
        mser.add_many([*values])
        return mser

    assert series(*range(50_000)) == series(*range(50_000))
    assert series(1, 2, 3) == series(1, 2, 3)
    assert series(1, 2, 3) != series(1, 2, 4)
    assert series(*range(10)) != series(*range(9), 8)
    assert series() != 7
