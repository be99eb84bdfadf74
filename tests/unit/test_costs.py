"""The two laws of machine/costs.py, and what makes of a table a number."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.machine.costs import Costs, Table, interpolate
from iosim.profile import load

REFERENCE = load("reference").costs
TABLE: Table = ((10, 100), (20, 200), (40, 0))


@pytest.fixture(scope="module", params=["reference", "free"])
def costs(request: pytest.FixtureRequest) -> Costs:
    name: str = request.param
    return load(name).costs


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (0, 100),
        (10, 100),
        (11, 110),
        (15, 150),
        (20, 200),
        (30, 100),
        (39, 10),
        (40, 0),
        (10**18, 0),
    ],
)
def test_a_table_is_linear_in_between_and_constant_beyond_its_ends(x: int, y: int) -> None:
    assert interpolate(TABLE, x) == y


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8),
    st.integers(0, 2 * 10**9),
)
def test_a_value_of_a_table_lies_between_its_neighbours(
    points: list[tuple[int, int]], x: int
) -> None:
    table = tuple(sorted(dict(points).items()))
    y = interpolate(table, x)
    below = [point for point in table if point[0] <= x][-1:] or table[:1]
    above = [point for point in table if point[0] >= x][:1] or table[-1:]
    assert min(below[0][1], above[0][1]) <= y <= max(below[0][1], above[0][1])


def test_the_longer_idle_the_later_and_the_dearer(costs: Costs) -> None:
    idle_ns = range(0, 6_000_000, 500)
    latency, charged, cold = zip(*(costs.leave_idle(ns) for ns in idle_ns), strict=True)
    assert list(latency) == sorted(latency)
    assert list(charged) == sorted(charged)
    assert list(cold) == sorted(cold)
    # Charged CPU time is a part of the latency, or time would be counted that did not pass.
    assert all(part <= whole for part, whole in zip(charged, latency, strict=True))


def test_leave_idle_is_the_table_to_half_a_step(costs: Costs) -> None:
    for idle_ns in (0, 9_000, 12_345, 30_000, 100_000, 777_777, 1_000_000, 50_000_000):
        for got, table in zip(
            costs.leave_idle(idle_ns),
            (costs.idle_exit_ns, costs.idle_exit_charged_ns, costs.cold_execution_ns),
            strict=True,
        ):
            low = interpolate(table, max(0, idle_ns - 512))
            assert low <= got <= interpolate(table, idle_ns + 512)


def test_refill_grows_with_distance_and_with_size(costs: Costs) -> None:
    refills = [costs.refill(distance, 8192) for distance in range(1, 64 << 20, 65_537)]
    assert refills == sorted(refills)
    sizes = [costs.refill(costs.cache_bytes, size) for size in range(0, 1 << 20, 4099)]
    assert sizes == sorted(sizes)
    assert costs.refill(0, 8192) == costs.refill(-1, 8192) == costs.refill(1 << 20, 0) == 0


@given(distance=st.integers(1, 1 << 36))
def test_refill_is_the_table_to_half_a_step(distance: int) -> None:
    costs = REFERENCE
    got = costs.refill(distance, 1024)
    table = costs.cache_refill_per_kib_ns
    half_a_step = 8 * 1024
    low, high = max(0, distance - half_a_step), distance + half_a_step
    assert interpolate(table, low) <= got <= interpolate(table, high)


def test_beyond_the_cache_everything_is_fetched() -> None:
    costs = REFERENCE
    assert costs.refill(costs.cache_bytes, 1024) == costs.cache_refill_per_kib_ns[-1][1]
    assert costs.refill(2**60, 1024) == costs.cache_refill_per_kib_ns[-1][1]


def test_a_scan_costs_each_descriptor() -> None:
    costs = REFERENCE
    assert costs.descriptor_scan(0) == 0
    assert costs.descriptor_scan(100) == 100 * 51
    scans = [costs.descriptor_scan(n) for n in range(12_000)]
    assert scans == sorted(scans)


def test_a_machine_that_costs_nothing() -> None:
    costs = load("free").costs
    assert costs.leave_idle(123_456) == (0, 0, 0)
    assert costs.refill(1 << 30, 1 << 20) == 0
    assert costs.descriptor_scan(10_000) == 0


def test_costs_survive_a_process_boundary(costs: Costs) -> None:
    copy = pickle.loads(pickle.dumps(costs))
    assert copy == costs
    assert copy.leave_idle(100_000) == costs.leave_idle(100_000)
    assert copy.refill(1 << 20, 8192) == costs.refill(1 << 20, 8192)
