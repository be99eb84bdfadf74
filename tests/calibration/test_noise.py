"""The host's noise from what a spinning probe sees: its distribution comes back, ticks do not."""

from itertools import pairwise
from math import log
from random import Random
from statistics import fmean

import pytest

from iosim.calibration import noise, spinning
from iosim.calibration.noise import CoreRecord

SECOND_NS = 1_000_000_000


def thefts(
    random: Random, duration_ns: int, gap_ns: float, length_ns: float
) -> list[tuple[int, int]]:
    """Exponential gaps; lengths uniform about `length_ns`, from half to one and a half."""
    found, now = [], 0
    while True:
        now += round(random.expovariate(1 / gap_ns))
        length = round(random.uniform(0.5, 1.5) * length_ns)
        if now + length >= duration_ns:
            return found
        found.append((now, length))
        now += length


def mean_ns(quantiles: noise.Quantiles) -> float:
    """Of a distribution that is straight between its quantiles."""
    return sum((q1 - q0) * (ns0 + ns1) / 2 for (q0, ns0), (q1, ns1) in pairwise(quantiles))


def record(stolen: list[tuple[int, int]], duration_ns: int, **more: object) -> CoreRecord:
    return CoreRecord(duration_ns, tuple(sorted(stolen)), **more)  # type: ignore[arg-type]


def test_synthetic_thefts_give_their_distributions_back() -> None:
    duration_ns = 400 * SECOND_NS
    records = [record(thefts(Random(seed), duration_ns, 5e7, 2e6), duration_ns) for seed in (1, 2)]
    found = noise.of_records(records)
    assert found.share == pytest.approx(2 / 52, rel=0.03)
    assert found.count == pytest.approx(800 / 0.052, rel=0.03)
    assert found.stationary
    assert found.ticks_per_s == 0
    for level, value in found.lengths_ns:
        assert value == pytest.approx(1e6 + 2e6 * level, rel=0.03)
    # The quantile of an exponential distribution: -mean * ln(1 - level).
    for level, value in found.gaps_ns:
        if 0.05 < level < 0.95:
            assert value == pytest.approx(-5e7 * log(1 - level), rel=0.05)
    assert len(found.gaps_ns) == noise.POINTS
    assert mean_ns(found.gaps_ns) == pytest.approx(5e7, rel=0.03)


def test_lengths_and_gaps_fill_the_time() -> None:
    stolen = [(100, 20), (300, 30)]
    found = noise.of_records([record(stolen, 1000)])
    assert found.share == 0.05
    assert {length for _, length in found.lengths_ns} == {20, 30}
    assert {gap for _, gap in found.gaps_ns} == {180, 100 + 670}
    assert 2 * mean_ns(found.lengths_ns) + 2 * mean_ns(found.gaps_ns) == 1000


def test_a_host_that_takes_nothing_has_no_noise() -> None:
    found = noise.of_records([record([], SECOND_NS), record([], SECOND_NS)])
    assert (found.lengths_ns, found.gaps_ns, found.share, found.count) == ((), (), 0, 0)
    assert found.stationary is None
    assert noise.warnings(found) == []


def test_one_theft_is_a_distribution_of_one_value() -> None:
    found = noise.of_records([record([(100, 20)], 1000)])
    assert found.lengths_ns == ((0, 20), (1, 20))
    assert found.gaps_ns == ((0, 980), (1, 980))


@pytest.mark.parametrize("period_ns", noise.TICK_PERIODS_NS)
def test_ticks_are_left_out(period_ns: int) -> None:
    random = Random(3)
    duration_ns = 10 * SECOND_NS
    ticks = [
        (start + round(random.gauss(0, 5_000)), round(random.uniform(2e4, 9e4)))
        for start in range(period_ns * 7 // 10, duration_ns, period_ns)
        if random.random() < 0.5
    ]
    short = [(start + 50_000, length) for start, length in thefts(random, duration_ns, 2e8, 5e4)]
    long = thefts(random, duration_ns, 2e8, 3e6)
    left = noise.without_ticks(sorted([*ticks, *short, *long]))
    assert set(long) <= set(left)
    assert not set(ticks) & set(left)
    # A tenth of the phases is that of ticks.
    assert len(set(short) & set(left)) >= 0.7 * len(short)


def test_short_thefts_at_random_are_no_ticks() -> None:
    stolen = thefts(Random(4), 10 * SECOND_NS, 1e7, 5e4)
    assert noise.without_ticks(stolen) == stolen
    few = stolen[:6]
    assert noise.without_ticks(few) == few


def test_noise_that_grows_is_not_stationary() -> None:
    duration_ns = 100 * SECOND_NS
    half_ns = duration_ns // 2
    more = [(start + half_ns, length) for start, length in thefts(Random(6), half_ns, 1e8, 2e6)]
    grows = [*thefts(Random(5), half_ns, 5e8, 2e6), *more]
    assert not noise.is_stationary(grows, duration_ns)
    longer = [
        (start, length * 3 if start > half_ns else length)
        for start, length in thefts(Random(7), duration_ns, 1e9, 2e6)
    ]
    assert not noise.is_stationary(longer, duration_ns)
    found = noise.of_records([record(grows, duration_ns)])
    assert noise.warnings(found) == [
        "the host's noise did not stay as it was: tails cannot be compared"
    ]


def test_of_few_thefts_nobody_can_tell() -> None:
    duration_ns = 100 * SECOND_NS
    many = thefts(Random(7), duration_ns, 5e8, 2e6)
    few = many[:19]
    assert noise.is_stationary(few, duration_ns) is None
    assert noise.is_stationary(many, duration_ns) is True
    # All in the first tenth: with one more there are enough, and they are told.
    assert noise.is_stationary(many[:20], duration_ns) is False
    found = noise.of_records([record(few, duration_ns), record(many, duration_ns)])
    assert found.stationary is None
    assert noise.warnings(found) == []  # a quiet host is no reason to doubt
    all_told = noise.of_records([record(few, duration_ns), record(many[:20], duration_ns)])
    assert all_told.stationary is False


def test_stationary_noise_is_hardly_ever_taken_for_another() -> None:
    duration_ns = 100 * SECOND_NS
    taken = [
        noise.is_stationary(thefts(Random(seed), duration_ns, 5e8, 2e6), duration_ns)
        for seed in range(50)
    ]
    assert sum(taken) >= 49


def test_what_others_had_is_no_theft_and_is_told() -> None:
    found = noise.of_records([record([(100, 20)], 1000, switched_ns=300)])
    assert found.share == 0.02
    assert found.others_share == 0.3
    (warning,) = noise.warnings(found)
    assert warning.startswith("other processes had 30.0% of the cores")


def test_two_speeds_show_in_the_laps() -> None:
    laps = tuple([20_000.0] * 50 + [39_000.0] * 20)
    found = noise.of_records([record([], SECOND_NS, laps_ns=laps)])
    assert found.speeds is not None
    assert found.speeds.slowdown == pytest.approx(1.95)


def test_quantiles_are_the_values_while_they_are_few() -> None:
    assert noise.quantiles([]) == ()
    assert noise.quantiles([3, 1]) == ((0, 1), (0.25, 1), (0.75, 3), (1, 3))
    assert noise.quantiles([5] * 100) == ((0, 5), (1, 5))


def test_quantiles_are_at_most_so_many_and_keep_a_long_tail() -> None:
    random = Random(9)
    values = [round(random.lognormvariate(10, 1.5)) for _ in range(3000)]
    points = noise.quantiles(values)
    assert len(points) == noise.POINTS
    assert points == tuple(sorted(points))
    assert (points[0], points[-1]) == ((0, min(values)), (1, max(values)))
    assert mean_ns(points) == pytest.approx(fmean(values), rel=0.01)
    ranked = sorted(values)
    assert ranked[int(0.99 * 3000)] == pytest.approx(interpolated(points, 0.99), rel=0.05)


def interpolated(points: noise.Quantiles, level: float) -> float:
    """The quantile at `level`."""
    for (q0, ns0), (q1, ns1) in pairwise(points):
        if q0 <= level <= q1:
            return ns0 + (ns1 - ns0) * (level - q0) / (q1 - q0)
    raise AssertionError(level)


def test_a_probe_spins_for_its_time() -> None:
    spun_ns, switched_ns, stolen, laps = spinning.spin(20_000_000)
    assert spun_ns >= 20_000_000
    assert sum(stolen[1::2]) + switched_ns <= spun_ns
    assert all(length >= noise.LENGTH_LEAST_NS for length in stolen[1::2])
    assert stolen[::2] == sorted(stolen[::2])
    assert all(lap > 0 for lap in laps)


def test_probes_of_all_cores_are_heard() -> None:
    cpus = noise.needs.usable_cpus()
    records = noise.spin(cpus, 0.05)
    assert len(records) == len(cpus)
    found = noise.of_records(records)
    assert 0 <= found.share < 1
    assert sum(each.duration_ns for each in records) >= len(cpus) * 50_000_000
