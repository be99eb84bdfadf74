"""Which real runs the fit is made on; the runs themselves are simulated here."""

from typing import Any

import pytest

from iosim import measurement
from iosim.calibration import light_runs
from iosim.calibration.light_runs import Effort, observe, total
from iosim.calibration.macro import FLOORS
from iosim.errors import MeasurementError
from iosim.results import Results
from iosim.scenario import Scenario
from iosim.simulation import simulate

TINY = Effort(20, 60, repetitions=2, attempts=1, simulated_requests=900)


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs as they are made: what they are called, and how long they are."""
    made: list[str] = []

    def measure(scenario: Scenario, **how: Any) -> Results:
        made.append(f"{scenario.name} {scenario.run.duration // 1_000_000}ms")
        if scenario.name.startswith("coroutine, cpython"):
            raise MeasurementError("no such server")
        return simulate(scenario)

    monkeypatch.setattr(measurement, "measure", measure)
    return made


def test_three_models_two_runtimes_three_loads_interleaved(order: list[str]) -> None:
    told: list[int] = []
    found = observe(TINY, lambda: told.append(1))
    cells = [
        f"{model}, {runtime}" for runtime in ("native", "cpython") for model in light_runs.MODELS
    ]
    loads = (("100%", 20), ("20%", 60), ("50%", 60))
    there = [f"{cell}, {load} {ms}ms" for load, ms in loads for cell in cells[:-1]]
    assert order == [*there[:5], "coroutine, cpython, 100% 20ms", *there[5:], *there]
    assert len(told) == total(TINY) == 36
    assert found.skipped == {"coroutine, cpython": "no such server"}
    assert not found.interrupted


def test_what_they_answer_at_most_and_a_fifth_and_a_half_of_it(order: list[str]) -> None:
    found = observe(TINY)
    models = [one.run.model for one in found.observed]
    assert models == 3 * ["epoll", "blocking", "coroutine", "epoll", "blocking"]
    for index, one in enumerate(found.observed):
        assert (one.run.connections, one.run.demand_ns) == (16, 20_000)
        # 20 us of work and the calls: less than 60 us a request.
        load = (1, 0.2, 0.5)[index // 5]
        rate_per_s = one.run.rate_per_s or 900e9 / one.scenario.run.duration
        assert load / 60e-6 < rate_per_s < load / 20e-6
        told = {metric for metric, values in one.values.items() if values}
        if load == 1:
            assert one.run.rate_per_s is None
            assert one.scenario.workload.kind == "closed"
            assert told == {"cpu_time_per_request_ns"}  # who is always asked hardly sleeps
        else:
            assert one.scenario.workload.options.rate == one.run.rate_per_s
            assert told == set(FLOORS)
        assert {len(one.values[metric]) for metric in told} == {2}
        seconds = one.scenario.run.duration / 1e9
        assert seconds * rate_per_s == pytest.approx(900, rel=0.02)


def test_no_warm_up_is_found_in_the_data_that_it_cuts(order: list[str]) -> None:
    """It would jump between values of a parameter, and common random numbers would be lost."""
    for one in observe(TINY).observed:
        assert one.scenario.run.warm_up == one.scenario.run.duration // 10


def test_a_quick_calibration_simulates_less() -> None:
    assert light_runs.QUICK.simulated_requests < light_runs.FULL.simulated_requests


def test_disturbed_runs_are_left_out(order: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of one server, one of another; and who is late for the tail alone is not disturbed."""

    def of_record(record: Any) -> dict[str, float]:
        made = order[-1]
        if made.startswith(("epoll, native", "coroutine, native, 20%")):
            return {"late_p99": 2.0, "others": 3.0} if "epoll" in made or len(order) < 13 else {}
        return {"late_p99": 4.0}

    monkeypatch.setattr(light_runs, "of_record", of_record)
    found = observe(TINY)
    for load in ("100%", "20%", "50%"):
        told = found.skipped[f"epoll, native, {load}"]
        assert told.startswith("all 2 of its runs were disturbed")
    (warning,) = found.warnings
    assert warning.startswith("coroutine, native, 20%: 1 of its runs was disturbed, and left out")
    runs = [
        (o.run.model, o.run.runtime, len(o.values["cpu_time_per_request_ns"]))
        for o in found.observed
    ]
    assert sorted(runs) == [
        *3 * [("blocking", "cpython", 2)],
        *3 * [("blocking", "native", 2)],
        ("coroutine", "native", 1),
        *2 * [("coroutine", "native", 2)],
        *3 * [("epoll", "cpython", 2)],
    ]


def test_interrupted_it_keeps_what_has_finished(
    order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = measurement.measure

    def interrupted(scenario: Scenario, **how: Any) -> Results:
        if len(order) == 8:
            raise KeyboardInterrupt
        return measure(scenario, **how)

    monkeypatch.setattr(measurement, "measure", interrupted)
    found = observe(TINY)
    assert found.interrupted
    # All six at saturation, but for the one that is not there, and two at a fifth of that.
    assert [len(one.values["cpu_time_per_request_ns"]) for one in found.observed] == 7 * [1]
