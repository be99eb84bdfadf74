"""Recording: slices, windows, warm-up, samples."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from iosim.machine.clock import Clock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.request import PARTS, Request
from iosim.metrics import measure_all, promised
from iosim.profile import load as load_profile
from iosim.record import Record
from iosim.recording import SAMPLE_MOST, SLICES, Observation, Recording, cut_warm_up
from iosim.scenario import from_data
from iosim.schedulers import fifo
from iosim.simulation import observe, run_once


def still_machine() -> Machine:
    """A machine on which nothing happens."""
    costs = load_profile("free").costs
    return Machine(
        Clock(initial_time=0),
        1,
        lambda: fifo.Queue(fifo.Options()),
        costs,
        lambda thread, machine, native: Kernel(thread, machine),
    )


@dataclass
class Load:
    """What becomes of requests, by hand."""

    refused: int = 0
    timed_out: int = 0
    under_way: list[Request] = field(default_factory=list)


class Run:
    """A recording fed by hand."""

    def __init__(self) -> None:
        self.machine = still_machine()
        self.load = Load()
        self.recording = Recording(self.machine, {})
        self.recording.watch(self.load)
        self.answered = 0

    def answer(self, at_ns: int, response_ns: int, failed: bool = False, **parts: int) -> None:
        request = Request(self.answered, at_ns - response_ns, (), 0, 0)
        request.answered_ns = at_ns
        request.failed = failed
        for name, ns in (parts or {"cpu": response_ns}).items():
            setattr(request, f"{name}_ns", ns)
        self.answered += 1
        self.recording.completed(request)

    def slice(self, at_ns: int) -> None:
        self.machine.env._now = at_ns
        self.recording.boundary()

    def finish(self, at_ns: int) -> Observation:
        self.machine.env._now = at_ns
        fates = {"offered": 0, "completed": 0, "refused": 0, "timed_out": 0, "in_flight": 0}
        return self.recording.finish(fates, (), "", 0)


def filled(per_slice: int = 4, slices: int = SLICES) -> Observation:
    """`slices` slices of 1,000 ns; in slice n `per_slice` responses of n + 1 ns."""
    run = Run()
    for number in range(slices):
        run.slice(1_000 * number)
        run.machine.syscalls["sendto"] += 1  # counted in this slice
        for _ in range(per_slice):
            run.answer(1_000 * number + 500, number + 1)
    return run.finish(1_000 * slices)


def test_without_a_warm_up_the_window_is_the_whole_run() -> None:
    record = cut_warm_up([filled()], "none")[0]
    assert (record.window_ns, record.warm_up_ns, record.duration_ns) == (50_000, 0, 50_000)
    assert record.answered == record.responses.count == 200
    assert record.responses.total_ns == 4 * sum(range(1, 51)) == record.parts_ns["cpu"]
    assert record.warm_up_warning is None


@pytest.mark.parametrize(("warm_up_ns", "first"), [(0, 0), (1_000, 1), (10_000, 10), (49_000, 49)])
def test_a_warm_up_in_ns_ends_where_a_slice_begins(warm_up_ns: int, first: int) -> None:
    record = cut_warm_up([filled()], warm_up_ns)[0]
    assert record.warm_up_ns == 1_000 * first
    assert record.window_ns == 50_000 - 1_000 * first
    assert record.answered == record.responses.count == 4 * (50 - first)
    assert record.responses.total_ns == 4 * sum(range(first + 1, 51)) == record.parts_ns["cpu"]
    assert record.syscalls == {"sendto": 50 - first}


def test_what_was_answered_before_the_first_slice_is_not_counted() -> None:
    run = Run()
    run.answer(10, 5)
    run.slice(100)
    run.answer(110, 7)
    record = cut_warm_up([run.finish(200)], "none")[0]
    assert (record.answered, record.responses.total_ns) == (1, 7)


def observed(seed: int, warm: int) -> Observation:
    """2,000 responses in 50 slices, the first `warm` slices far too slow."""
    import random

    rng = random.Random(seed)
    run = Run()
    for number in range(SLICES):
        run.slice(1_000 * number)
        for _ in range(40):
            run.answer(1_000 * number, rng.randrange(900, 1_100) + (5_000 if number < warm else 0))
    return run.finish(1_000 * SLICES)


def test_where_requests_pile_up_no_longer_run_is_advised() -> None:
    """Two servers that never become steady: one is asked for too much, the other is not."""

    def slower(left: int) -> Observation:
        run = Run()
        for number in range(SLICES):
            run.slice(1_000 * number)
            for _ in range(40):
                run.answer(1_000 * number, 1_000 + 300 * number)
        made = run.finish(1_000 * SLICES)
        fates = {"offered": 2_000 + left, "completed": 2_000, "in_flight": left}
        return replace(made, fates={**made.fates, **fates})

    for record in cut_warm_up([slower(left=1_000) for _ in range(3)], "auto"):
        assert record.warm_up_warning is not None
        assert "requests pile up" in record.warm_up_warning
        assert "longer" not in record.warm_up_warning
    for record in cut_warm_up([slower(left=0) for _ in range(3)], "auto"):
        assert record.warm_up_warning is not None
        assert "make it longer" in record.warm_up_warning


def test_the_warm_up_found_is_what_is_too_slow_at_first() -> None:
    records = cut_warm_up([observed(seed, warm=5) for seed in range(4)], "auto")
    assert {record.warm_up_ns for record in records} <= {5_000, 6_000}
    for record in records:
        mean_ns = record.responses.total_ns / record.responses.count
        assert 980 < mean_ns < 1_020


def test_where_a_run_is_cut_is_what_the_others_say() -> None:
    cold, warm = observed(1, warm=5), observed(2, warm=0)
    of_cold, of_warm = cut_warm_up([cold, warm], "auto")
    assert of_cold.warm_up_ns <= 2_000
    assert of_warm.warm_up_ns in (5_000, 6_000)


def test_a_run_that_never_gets_warm_is_said_not_to() -> None:
    run = Run()
    for number in range(SLICES):
        run.slice(1_000 * number)
        for _ in range(40):
            run.answer(1_000 * number, 20_000 - 300 * number)
    record = cut_warm_up([run.finish(50_000)], "auto")[0]
    assert record.warm_up_ns == 25_000  # never more than half
    assert record.warm_up_warning


@pytest.mark.parametrize("count", [10, SAMPLE_MOST, SAMPLE_MOST + 1, 3 * SAMPLE_MOST, 20_001])
def test_the_sample_is_evenly_spread(count: int) -> None:
    run = Run()
    run.slice(0)
    for number in range(count):
        run.answer(number + 10, 1)
        if number % 700 == 699:
            run.slice(number + 10)
    numbers = [record.number for record in run.finish(10**6).sample]
    assert numbers[0] == 0
    steps = {b - a for a, b in pairwise(numbers)}
    assert len(steps) == 1
    step = steps.pop()
    assert numbers[-1] + step >= count
    assert min(count, SAMPLE_MOST // 2) <= len(numbers) <= SAMPLE_MOST


# --------------------------------------------------------------------- of a simulated run


def simulated(**run: Any) -> tuple[Observation, Record]:
    scenario = from_data(
        {
            "workload": {"open": {"rate": "20k/s", "connections": {"total": 20}}},
            "models": ["epoll"],
            "server": {"handler": [{"cpu": {"exponential": "20us"}}, {"call": "db"}]},
            "devices": {"db": {"remote": {"latency": {"exponential": "300us"}}}},
            "run": {"duration": "50ms", **run},
        }
    )
    costs = load_profile("reference").costs
    return (
        observe(scenario, scenario.models[0], costs, 0),
        run_once(scenario, scenario.models[0], costs, 0),
    )


@pytest.mark.parametrize("warm_up", ["none", "auto", "1ms", "13ms", "49ms"])
def test_each_figure_of_the_window_belongs_to_it(warm_up: str) -> None:
    observation, record = simulated(warm_up=warm_up)
    snapshots = observation.snapshots
    assert len(snapshots) == SLICES + 1
    assert [b.at_ns - a.at_ns for a, b in pairwise(snapshots)] == [1_000_000] * SLICES
    first = record.warm_up_ns // 1_000_000
    assert record.window_ns == (SLICES - first) * 1_000_000 > 0
    assert record.answered == sum(h.count for h in observation.histograms[first:])
    assert record.answered == record.responses.count
    assert sum(record.parts_ns.values()) == record.responses.total_ns
    assert set(record.parts_ns) == set(PARTS)
    for core in record.cores_ns:
        assert sum(core.values()) == record.window_ns
    for request in record.requests:
        assert sum(getattr(request, f"{part}_ns") for part in PARTS) == request.response_ns
        assert request.intended_ns >= snapshots[first].at_ns
    # The fates are of the whole run.
    assert record.offered == observation.fates["offered"]
    assert record.offered >= record.answered


def test_the_fates_of_the_warm_up_are_not_those_of_the_window() -> None:
    run = Run()
    run.slice(0)
    run.load.refused, run.load.timed_out = 30, 4
    run.answer(400, 100, failed=True)
    run.load.under_way = [Request(7, 200, (), 0, 0)]
    run.slice(1_000)
    run.load.refused, run.load.timed_out = 31, 6
    run.load.under_way = [Request(7, 200, (), 0, 0), Request(8, 1_900, (), 0, 0)]
    for number in range(7):
        run.answer(1_500, 100, failed=number < 2)
    observation = run.finish(2_000)
    windows = cut_warm_up([observation], "none")[0], cut_warm_up([observation], 1_000)[0]
    assert [record.refused_in_window for record in windows] == [31, 1]
    assert [record.timed_out_in_window for record in windows] == [6, 2]
    assert [measure_all(record)["error_fraction"] for record in windows] == [37 / 45, 0.3]
    assert [measure_all(record)["failed_fraction"] for record in windows] == [3 / 8, 2 / 7]
    assert [record.failed for record in windows] == [3, 3]
    assert [record.under_way_before.max_ns for record in windows] == [None, 800]
    assert [record.under_way_after.to_pairs() for record in windows] == [[(100, 1), (1_800, 1)]] * 2


def test_a_rush_at_the_start_is_no_error_of_the_window() -> None:
    """Far too much for 20 ms, then hardly anything."""
    rush, calm = {"for": "20ms", "rate": "50k/s"}, {"for": "1s", "rate": "1k/s"}
    open_ = {"rates": [rush, calm], "connections": {"total": 50}, "backlog": 100}
    scenario = from_data(
        {
            "workload": {"varying": {**open_, "timeout": "5ms"}},
            "models": ["epoll"],
            "server": {"handler": [{"cpu": "100us"}]},
            "run": {"duration": "200ms", "warm_up": "100ms"},
        }
    )
    record = run_once(scenario, scenario.models[0], load_profile("free").costs, 0)
    metrics = measure_all(record)
    assert record.refused > 100 and record.timed_out > 100
    ended = record.completed + record.refused + record.timed_out
    assert metrics["offered"] == record.offered == ended + record.in_flight
    assert metrics["error_fraction"] == 0
    assert promised(record, "response_time_p50_ns") is not None
    assert promised(record, "response_time_p50_ns") < 5_000_000  # type: ignore[operator]
