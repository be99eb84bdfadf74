"""The histogram of response times against numpy on the raw values."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.histogram import RELATIVE_ERROR, Histogram

LARGEST = 2**63 - 1

# Uniform over magnitudes, not values, with the edges of octaves made likely.
durations = st.one_of(
    st.integers(0, 5000),
    st.integers(0, 62).flatmap(lambda bits: st.integers(0, 2**bits)),
    st.builds(
        lambda bits, step: min(max(2**bits + step, 0), LARGEST),
        st.integers(0, 63),
        st.integers(-2, 2),
    ),
)
percents = st.one_of(st.integers(0, 100), st.sampled_from([50, 90, 99, 99.9, 99.99]),
                     st.floats(0, 100))  # fmt: skip


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.add_many(values)
    return histogram


def state(histogram: Histogram) -> tuple[object, ...]:
    return (
        histogram.count,
        histogram.total_ns,
        histogram.min_ns,
        histogram.max_ns,
        histogram.to_pairs(),
    )


@given(st.lists(durations, min_size=1, max_size=200), percents)
def test_percentile_agrees_with_numpys_inverted_cdf(values: list[int], q: float) -> None:
    found = histogram_of(values).percentile(q)
    assert found is not None
    # numpy computes the rank in binary floating point, so it may be one off where q falls on a
    # rank exactly: the two neighbours bracket ours.
    around = np.clip([q - 1e-9, q + 1e-9], 0, 100)
    low, high = np.percentile(np.array(values), around, method="inverted_cdf").tolist()
    assert low - low * RELATIVE_ERROR <= found <= high + high * RELATIVE_ERROR


@given(st.lists(durations, min_size=1, max_size=50))
def test_every_value_is_reported_within_the_relative_error(values: list[int]) -> None:
    # Without the clamp to minimum and maximum, which the two outer values take up.
    histogram = histogram_of([0, *values, LARGEST])
    for rank, value in enumerate(sorted(values), start=2):
        found = histogram.percentile(100 * (rank - 0.5) / (len(values) + 2))
        assert found is not None
        assert abs(found - value) * 1024 <= value


def test_values_below_1024_are_exact() -> None:
    histogram = histogram_of([*range(1024), 10**9])
    assert [histogram.percentile(100 * (v + 0.5) / 1025) for v in range(1024)] == list(range(1024))


def test_a_bucket_is_reported_by_its_middle() -> None:
    # 2**20 .. 2**21 has 512 buckets of 2,048 ns.
    base = 2**20
    histogram = histogram_of([0, base, base + 2047, base + 2048, 10**9])
    assert [histogram.percentile(q) for q in (40, 60, 80)] == [base + 1024] * 2 + [base + 3072]


def test_percentiles_of_decimal_ranks_are_not_pushed_up_by_binary_rounding() -> None:
    # 99.9 / 100 * 1000 > 999 and 99.9 * 41000 / 100 > 40959 in floating point.
    assert histogram_of([0] * 40_959 + [1] * 41).percentile(99.9) == 0
    histogram = histogram_of(list(range(1, 1001)))
    assert histogram.percentile(99.9) == 999
    assert histogram.percentile(50) == 500
    assert histogram.percentile(0) == 1
    assert histogram.percentile(100) == 1000


def test_the_outermost_values_are_exact_and_bound_the_others() -> None:
    spread = histogram_of([10**6 + 1, 10**8, 10**9 + 1])
    assert (spread.percentile(0), spread.percentile(100)) == (10**6 + 1, 10**9 + 1)
    # All in one bucket of 1,024 ns, on either side of its middle.
    assert histogram_of([2**19 + 3] * 3).percentile(50) == 2**19 + 3
    assert histogram_of([2**19 + 1021] * 3).percentile(50) == 2**19 + 1021


@given(st.lists(durations))
def test_count_sum_minimum_and_maximum_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert (histogram.count, histogram.total_ns) == (len(values), sum(values))
    assert histogram.min_ns == (min(values) if values else None)
    assert histogram.max_ns == (max(values) if values else None)
    assert histogram.mean_ns == (sum(values) / len(values) if values else None)
    assert sum(count for _, count in histogram.to_pairs()) == len(values)


def test_a_sum_beyond_64_bits_is_exact() -> None:
    histogram = histogram_of([LARGEST] * 1000 + [1])
    assert histogram.total_ns == LARGEST * 1000 + 1


@given(st.lists(durations), st.lists(durations), st.lists(durations))
def test_batches_and_merges_hold_what_one_batch_holds(
    a: list[int], b: list[int], c: list[int]
) -> None:
    whole = histogram_of(a + b + c)
    batched = histogram_of(a)
    batched.add_many(np.array(b, np.int64))
    other = histogram_of(c)
    before = state(other)
    batched.merge(other)
    assert state(batched) == state(whole)
    assert state(other) == before
    # A merged histogram has counts of its own, also if it was empty.
    copied = Histogram()
    copied.merge(other)
    copied.add_many(c)
    assert state(other) == before


@given(st.lists(durations))
def test_pairs_json_and_pickle_give_the_histogram_back(values: list[int]) -> None:
    histogram = histogram_of(values)
    pairs = json.loads(json.dumps(histogram.to_pairs()))
    rebuilt = Histogram.from_pairs(pairs, histogram.total_ns, histogram.min_ns, histogram.max_ns)
    assert state(rebuilt) == state(histogram)
    assert rebuilt.percentile(50) == histogram.percentile(50)
    assert state(pickle.loads(pickle.dumps(histogram))) == state(histogram)


def test_pairs_are_ascending_lower_bounds_with_counts() -> None:
    assert histogram_of([7, 3, 7, 2047, 2046]).to_pairs() == [(3, 1), (7, 2), (2046, 2)]


def test_an_empty_histogram_knows_nothing() -> None:
    empty = histogram_of([])
    assert (empty.percentile(50), empty.mean_ns, empty.min_ns, empty.max_ns) == (None,) * 4
    assert (empty.count, empty.total_ns, empty.to_pairs()) == (0, 0, [])
    empty.merge(Histogram())
    assert empty.percentile(99) is None


@pytest.mark.parametrize("q", [-0.1, 100.1, float("nan"), float("inf")])
def test_a_percentile_outside_0_to_100_is_refused_even_when_empty(q: float) -> None:
    with pytest.raises(ValueError, match=r"^percentile: expected"):
        Histogram().percentile(q)


def test_bad_values_are_refused_and_nothing_is_added() -> None:
    histogram = histogram_of([10])
    with pytest.raises(ValueError, match="found -1"):
        histogram.add_many([5, -1])
    with pytest.raises(TypeError, match="found float64"):
        histogram.add_many(np.array([0.5]))
    with pytest.raises(TypeError, match="expected int64 ns"):
        histogram.add_many([2**63])
    assert state(histogram) == state(histogram_of([10]))


@pytest.mark.parametrize(
    ("pairs", "total_ns", "min_ns", "max_ns"),
    [
        ([], 1, None, None),
        ([], 0, 0, 0),
        ([(5, 1)], 5, None, None),
        ([(5, 0)], 0, 5, 5),
        ([(-5, 1)], -5, -5, -5),
        ([(5, 1)], 5, 6, 6),
        ([(5, 1), (9, 1)], 14, 9, 5),
        ([(5, 1), (9, 1)], 19, 5, 9),
        ([(5, 1), (9, 1)], 9, 5, 9),
    ],
)
def test_parts_that_contradict_each_other_do_not_make_a_histogram(
    pairs: list[tuple[int, int]], total_ns: int, min_ns: int | None, max_ns: int | None
) -> None:
    with pytest.raises(ValueError, match=r"^histogram: "):
        Histogram.from_pairs(pairs, total_ns, min_ns, max_ns)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    histogram = Histogram()
    values = np.random.default_rng(1).lognormal(11, 1, 100_000).astype(np.int64)
    histogram.add_many(values)
    once = len(pickle.dumps(histogram))
    for _ in range(20):
        histogram.add_many(values)
    assert histogram.count == 2_100_000
    assert len(pickle.dumps(histogram)) < 1.2 * once < 60_000


@pytest.mark.parametrize("rank", [0, 4, -1])
def test_a_rank_that_no_value_has_is_refused(rank: int) -> None:
    assert [histogram_of([3, 1, 2]).at_rank(r) for r in (1, 2, 3)] == [1, 2, 3]
    with pytest.raises(ValueError, match=r"^rank: expected 1\.\.3, found"):
        histogram_of([3, 1, 2]).at_rank(rank)


@given(st.lists(st.integers(0, 1_000_000)), st.integers(0, 1_000_000))
def test_how_many_are_above_a_value(values: list[int], limit: int) -> None:
    found = histogram_of(values).count_above(limit)
    # Those in the limit's own bucket are not told from it.
    assert sum(value > limit * (1 + 2 * RELATIVE_ERROR) for value in values) <= found
    assert found <= sum(value > limit for value in values)


def test_nothing_is_above_infinity() -> None:
    assert histogram_of([3, 2**62]).count_above(math.inf) == 0
    assert histogram_of([]).count_above(0) == 0


def test_equal_are_those_that_hold_the_same() -> None:
    one, other = Histogram(), Histogram()
    one.add_many([5, 2_000_000])
    other.add_many([2_000_000])
    assert one != other
    other.add_many([5])
    assert one == other
    assert one != 7
    # Together as many, in the same buckets, but not the same.
    other.add_many([2_000_001])
    one.add_many([2_000_000])
    assert one != other
