"""What an objective turns on and a scenario leaves open is told, and nothing else."""

from typing import Any

import pytest

from iosim.assumptions import assumptions
from iosim.scenario import from_data

SPREAD = {"lognormal": {"median": "20ms", "p99": "60ms"}}


def told(*slo: str, calls: str = "db", **remote: Any) -> str:
    scenario = from_data(
        {
            "server": {"handler": [{"cpu": "10us"}, {"call": calls}]},
            "devices": {
                "db": {"remote": {"latency": "20ms", **remote}},
                "page": {"disk": {"latency": "1ms"}},
            },
            "workload": {"open": {"rate": "1k/s"}},
            "models": ["epoll"],
            "slo": list(slo),
        }
    )
    return "; ".join(assumptions(scenario))


def test_a_constant_latency_under_an_objective_on_a_percentile() -> None:
    assert "db is taken to answer in 20ms each time" in told("p99 < 100ms")
    assert "each time" not in told("mean < 100ms")
    assert "each time" not in told("p99 < 100ms", latency=SPREAD)


@pytest.mark.parametrize("slo", ["p99 < 100ms", "mean < 100ms"])
def test_a_driver_of_which_nobody_has_said_whether_it_blocks(slo: str) -> None:
    assert "not to block in calls to db" in told(slo)
    assert "block" not in told(slo, interface="socket")
    assert "block" not in told(slo, interface="blocking")


def test_nothing_is_told_without_such_an_objective_or_of_what_is_not_called() -> None:
    assert told() == told("errors < 1%") == ""
    assert told("p99 < 100ms", calls="page") == ""
