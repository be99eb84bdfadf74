"""A scenario at another load: every rate by one factor, and the same requests."""

from typing import Any

import pytest
from planned import scenario

from iosim.errors import UsageError
from iosim.plugins import kinds
from iosim.scenario import Scenario, load, require_sound
from iosim.studies.load import at_load, is_open, lacks_descriptors, load_of, unit_of

WORKLOADS: dict[str, dict[str, Any]] = {
    "open": {"rate": "10k/s"},
    "on_off": {"rate": "20k/s", "on": "10ms", "off": {"exponential": "10ms"}},
    "varying": {"rates": [{"for": "1s", "rate": "5k/s"}, {"for": "1s", "rate": "15k/s"}]},
    "closed": {"users": 30, "think": "1ms"},
}


def of(kind: str) -> Scenario:
    return scenario(workload={kind: {**WORKLOADS[kind], "connections": {"total": 50}}})


def test_every_workload_that_has_a_load_is_tried_here() -> None:
    able = {name for name, module in kinds("workloads").items() if hasattr(module, "LOAD")}
    assert able == set(WORKLOADS)


@pytest.mark.parametrize("kind", WORKLOADS)
def test_it_has_the_load_that_was_asked_for(kind: str) -> None:
    start = of(kind)
    today = load_of(start)
    assert today == (30 if kind == "closed" else pytest.approx(10_000))
    other = at_load(start, 2.5 * today)
    require_sound(other)
    assert load_of(other) == pytest.approx(2.5 * today)
    assert at_load(other, today).workload.options == start.workload.options or kind == "closed"
    assert (is_open(start), unit_of(start)) == (
        (False, "users") if kind == "closed" else (True, "requests/s")
    )


def test_the_rates_of_a_day_keep_their_shape() -> None:
    rates = [piece.rate for piece in at_load(of("varying"), 20_000).workload.options.rates]
    assert rates == pytest.approx([10_000, 30_000])


def test_each_user_has_a_connection_of_its_own() -> None:
    options = at_load(of("closed"), 80).workload.options
    assert (options.users, options.connections.total) == (80, 80)
    half = scenario(
        workload={
            "closed": {"users": 5, "think": "1ms", "connections": {"total": 10, "active": "50%"}}
        }
    )
    assert at_load(half, 9).workload.options.connections.active_count >= 9
    assert load_of(at_load(half, 0.2)) == 1


def test_there_are_only_so_many_descriptors() -> None:
    closed = of("closed")
    assert lacks_descriptors(closed) is None
    told = lacks_descriptors(at_load(closed, 30_000))
    assert told == "30,000 connections, of 20,000 machine.descriptors"


def test_a_trace_has_no_load_to_turn_up() -> None:
    with pytest.raises(UsageError, match="a trace workload has no load to turn up; expected one"):
        unit_of(load("scenarios/trace_replay.yaml"))
