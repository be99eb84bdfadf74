"""The fit of whole runs, on "measurements" that are simulated with other costs."""

from math import log

import pytest

from iosim.calibration.macro import (
    FLOORS,
    InSitu,
    Observed,
    Parameter,
    available,
    fit,
    scaled,
)
from iosim.profile import FittedOn, Profile, load
from iosim.scenario import Scenario, from_data
from iosim.simulation import simulate

WAKE = Parameter("wake-up latency", ("idle_exit",), 0.4)
SLEEP = Parameter("CPU per sleep", ("idle_exit_charged", "cold_execution"), 0.5)
DISK = Parameter("disk", ("pread64",), 0.4)


def light(model: str, seed: int, replications: int) -> Scenario:
    return from_data(
        {
            "name": model,
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": {"open": {"rate": "5k/s", "connections": {"total": 16}}},
            "models": [model],
            "run": {"duration": "100ms", "replications": replications, "seed": seed},
        }
    )


@pytest.fixture(scope="module")
def found() -> InSitu:
    """Runs of a machine that wakes more slowly, though at less CPU time."""
    reference = load("reference")
    true = scaled(reference, (WAKE, SLEEP), (log(1.5), log(0.6)))
    observed = []
    for model in ("epoll", "blocking"):
        (run,) = simulate(light(model, seed=7, replications=3), true).models
        observed.append(
            Observed(
                light(model, seed=1, replications=1),
                {name: tuple(v for v in run.values[name] if v is not None) for name in FLOORS},
                FittedOn(model, "native", 16, 20_000, 5_000.0),
            )
        )
    return fit(reference, observed, (WAKE, SLEEP, DISK))


def test_changed_costs_are_found_again(found: InSitu) -> None:
    for factor, true in zip(found.factors, (1.5, 0.6), strict=False):
        assert factor.identified, factor.parameter.name
        assert abs(log(factor.factor / true)) < 2.5 * factor.error, factor.parameter.name
        assert abs(log(factor.factor / true)) < 0.15, factor.parameter.name


def test_what_the_runs_do_not_use_stays_as_it_is(found: InSitu) -> None:
    disk = found.factors[2]
    assert (disk.identified, disk.factor) == (False, 1.0)
    assert disk.error == pytest.approx(DISK.width)


def test_it_says_what_it_was_fitted_on_and_how_well(found: InSitu) -> None:
    assert [run.model for run in found.runs] == ["epoll", "blocking"]
    assert found.repetitions == 3
    assert found.birge < 2
    assert len(found.misfit) == 6
    assert max(map(abs, found.misfit.values())) < 0.1


def test_costs_that_are_not_there_are_left_out() -> None:
    reference = load("reference")
    some = Parameter("some", ("no_such_cost", "poll"), 0.1)
    none = Parameter("none", ("no_such_cost",), 0.1)
    assert available((some, none), reference) == (Parameter("some", ("poll",), 0.1),)
    assert available((some,), load("free")) == ()


def test_costs_of_several_parameters_take_all_their_factors() -> None:
    reference: Profile = load("reference")
    both = (Parameter("a", ("poll",), 1), Parameter("b", ("poll", "futex"), 1))
    costs = scaled(reference, both, (log(2), log(3))).costs
    assert (costs.poll_ns, costs.futex_ns) == (120, 150)


def test_without_runs_nothing_is_fitted() -> None:
    assert fit(load("reference"), ()) == InSitu()
