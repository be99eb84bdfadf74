"""The highest load under an objective, where queueing theory knows it.

M/M/1: a response is exponential, P(T > t) = exp(-(mu - lambda) t), so that p95 < L holds up to
mu - ln(20) / L. M/M/c: `mmc_response_tail` is solved for the rate. Formulas and sources:
formulas.py. The search answers by the interval's bound, and so a little low; what it answers
must lie within 2% all the same.
"""

from functools import cache
from math import ceil, log
from typing import Any

import pytest
from agreement import Load
from formulas import mmc_response_tail

from iosim.scenario import Scenario
from iosim.studies.capacity import Capacity
from iosim.studies.planning import plan

SERVICE_NS = 100_000
LIMIT_NS = 1_000_000
SERVERS = 3
WITHIN = 0.02
REPLICATIONS = 4


def mm1_capacity() -> float:
    """Requests a second."""
    return 1e9 / SERVICE_NS - log(20) / LIMIT_NS * 1e9


def mmc_capacity(limit_ns: int) -> float:
    """The same of several servers, by bisection."""
    low, high = 0.1 * SERVERS / SERVICE_NS, 0.9999 * SERVERS / SERVICE_NS
    for _ in range(60):
        middle = (low + high) / 2
        late = mmc_response_tail(SERVERS, middle, SERVICE_NS, limit_ns)
        low, high = (middle, high) if late < 0.05 else (low, middle)
    return low * 1e9


def searched(scenario: Scenario, slo: str) -> Capacity:
    """What `plan` finds when nothing costs anything."""
    run = scenario.run.model_copy(update={"replications": REPLICATIONS})
    scenario = scenario.model_copy(update={"run": run})
    return plan(scenario, slo, jobs=1, profile="free", budget=30).models[0].capacity


@cache
def one_server() -> Capacity:
    load = Load(SERVICE_NS, 0.45)
    return searched(load.scenario([{"cpu": {"exponential": "100us"}}], 6_000), "p95 < 1ms")


@cache
def several_servers() -> Capacity:
    load = Load(SERVICE_NS, 0.45, SERVERS)
    device: dict[str, Any] = {"latency": {"exponential": "100us"}, "concurrency": SERVERS}
    scenario = load.scenario([{"call": "service"}], 4_000, devices={"service": {"remote": device}})
    return searched(scenario, "p95 < 500us")


@pytest.mark.parametrize(
    ("found", "exact"),
    [(one_server, mm1_capacity()), (several_servers, mmc_capacity(500_000))],
    ids=["M/M/1", "M/M/3"],
)
def test_the_highest_load_is_that_of_the_closed_form(found: Any, exact: float) -> None:
    capacity = found()
    assert capacity.carries is not None
    assert capacity.carries.load == pytest.approx(exact, rel=WITHIN)
    # What fails does so for a reason.
    assert capacity.fails is not None
    assert capacity.fails.load > exact


def test_it_is_the_server_that_stops_it() -> None:
    for found, kind in ((one_server, "core"), (several_servers, "device")):
        limit = found().limit
        assert limit is not None
        assert limit.kind == kind


@pytest.mark.parametrize("found", [one_server, several_servers], ids=["M/M/1", "M/M/3"])
def test_it_takes_at_most_a_third_of_the_runs_of_a_grid(found: Any) -> None:
    """A grid as fine between the same ends, with the replications that a load has at first."""
    capacity = found()
    first, last = capacity.probes[0].load, capacity.probes[-1].load
    points = ceil(log(last / first) / log(1 + capacity.resolution)) + 1
    assert capacity.runs <= points * REPLICATIONS / 3


def test_a_higher_load_is_never_better_by_chance() -> None:
    """Common random numbers: the same requests, sooner, wait longer, whatever the draws."""
    probes = [probe for probe in one_server().probes if probe.replications == REPLICATIONS]
    times = [probe.metrics["response_time_mean_ns"].mean for probe in probes]
    assert times == sorted(times)
