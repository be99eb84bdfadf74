"""What stops a model: one case for each kind of resource, with the figures that say so."""

from typing import Any

import pytest
from planned import scenario

from iosim.studies.capacity import Capacity
from iosim.studies.limiting import Use, fullest
from iosim.studies.planning import plan

QUICK: dict[str, Any] = {"run": {"duration": "20ms", "replications": 3}}


def searched(*models: Any, **parts: Any) -> Capacity:
    made = scenario(*models, **{**QUICK, **parts})
    return plan(made, jobs=1, budget=5, resolution=0.1).models[0].capacity


def limit_of(*models: Any, **parts: Any) -> Use:
    found = searched(*models, **parts).limit
    assert found is not None
    return found


def calling(latency: str, *models: Any, rate: str = "1k/s", **device: Any) -> Use:
    return limit_of(
        *models,
        server={"handler": [{"cpu": "10us"}, {"call": "db"}]},
        devices={"db": {"remote": {"latency": latency, **device}}},
        workload={"open": {"rate": rate, "connections": {"total": 400}}},
        slo=["p50 < 20ms"],
        run={"duration": "60ms", "replications": 3},
    )


def test_the_only_core() -> None:
    found = limit_of()
    assert (found.kind, found.name) == ("core", "1 core")
    assert found.used > 0.8
    assert "CPU a request" in found.evidence


def test_all_cores() -> None:
    found = limit_of("blocking", machine={"cores": 2}, server={"handler": [{"cpu": "50us"}]})
    assert (found.kind, found.name) == ("core", "2 cores")


def test_one_thread_of_a_loop_on_many_cores() -> None:
    found = limit_of(machine={"cores": 4}, server={"handler": [{"cpu": "50us"}]})
    assert found.kind == "thread"
    assert found.evidence.startswith("its main thread had ")


def test_the_interpreter_lock() -> None:
    found = limit_of(
        "blocking",
        machine={"cores": 4, "runtime": "cpython"},
        server={"handler": [{"cpu": "50us"}]},
        workload={"open": {"rate": "2k/s", "connections": {"total": 50}}},
        slo=["p50 < 2ms"],
    )
    assert found.kind == "interpreter lock"


def test_the_places_of_a_device() -> None:
    found = calling("5ms", concurrency=10)
    assert (found.kind, found.name) == ("device", "device db")
    assert found.used > 0.6
    assert "calls waiting" in found.evidence


def test_the_threads_of_a_pool() -> None:
    found = calling("5ms", {"thread_pool": {"threads": 10}})
    assert (found.kind, found.name) == ("pool", "pool of 10")


def test_the_clients_connections() -> None:
    found = limit_of(
        server={"handler": [{"sleep": "5ms"}]},
        workload={"open": {"rate": "1k/s", "connections": {"total": 10}}},
        slo=["p50 < 20ms"],
        run={"duration": "400ms", "replications": 3},
    )
    assert found.kind == "connections"


def test_memory_where_an_objective_says_so() -> None:
    found = limit_of(
        "blocking",
        workload={"closed": {"users": 20, "think": "1ms", "connections": {"total": 20}}},
        slo=["memory < 4MiB"],
    )
    assert found.kind == "memory"
    assert "at the peak, of which" in found.evidence


def test_descriptors() -> None:
    capacity = searched(
        machine={"descriptors": 60},
        workload={"closed": {"users": 20, "think": "10ms", "connections": {"total": 20}}},
        slo=["p50 < 1s"],
    )
    assert capacity.carries is not None
    assert 50 <= capacity.carries.load <= 56
    assert capacity.limit is not None
    assert capacity.limit.kind == "descriptors"


def test_an_error_names_itself() -> None:
    found = limit_of("select", workload={"open": {"rate": "2k/s", "connections": {"total": 2000}}})
    assert found.kind == "error"
    assert "select takes descriptors below 1,024" in found.evidence


def test_a_response_that_simply_takes_so_long() -> None:
    capacity = searched(
        server={"handler": [{"call": "far"}]},
        devices={"far": {"remote": {"latency": "30ms"}}},
        workload={"open": {"rate": "1k/s", "connections": {"total": 400}}},
        slo=["p50 < 20ms"],
        run={"duration": "200ms", "replications": 3},
    )
    assert capacity.carries is None
    limit = capacity.limit
    assert limit is not None
    assert (limit.kind, limit.name) == ("response", "device")
    assert "a call of device far takes 30.0 ms" in limit.evidence


def test_an_objective_on_a_resource_names_it_however_little_is_used() -> None:
    found = limit_of(slo=["utilization < 30%"])
    assert found.kind == "core"
    assert found.used < 0.31


@pytest.mark.parametrize(
    ("uses", "kind"),
    [
        ({"core": 0.9, "connections": 1.0}, "core"),
        ({"core": 0.3, "pool": 0.99, "connections": 1.0}, "pool"),
        ({"device": 0.97, "pool": 1.0, "core": 0.85}, "device"),
        ({"core": 0.3, "connections": 0.9}, "connections"),
        ({"core": 0.5, "device": 0.6}, None),
    ],
)
def test_what_is_held_while_waiting_for_something_full_is_not_the_limit(
    uses: dict[str, float], kind: str | None
) -> None:
    found = fullest(Use(name, name, used, "") for name, used in uses.items())
    assert (found.kind if found else None) == kind
