"""A robbed core is a renewal process; beside an ever busy sibling a server is a slower server.

A theft takes L after a gap G, so a core that always has work loses E[L] / (E[L] + E[G]) of its
time (renewal reward), and one beside a sibling that is busy in turns does the work that the
mean of its speeds says. A sibling that is always busy multiplies every service time: M/M/1.
With thefts that are short and frequent, against a service time, a server is slower by the
part that is left to it: M/M/1 again, nearly.
"""

from typing import Any

import pytest
from agreement import Load, assert_agrees, mean_response_ns, replicate, utilization

from iosim.record import Record

SERVICE_NS = 100_000


def noisy(load: Load, requests: int, noise: dict[str, Any], share: float) -> list[Record]:
    """Services shorter by `share`, so that the noise makes them as long as the load says."""
    handler = [{"cpu": {"exponential": f"{round(load.mean_service_ns * share)}ns"}}]
    machine = {"scheduler": "fifo", "host_noise": noise}
    return replicate(load.scenario(handler, requests, machine=machine), 10)


def stolen(record: Record) -> float:
    return record.cores_ns[0]["stolen"] / record.window_ns


@pytest.mark.parametrize("slowdown", [1.25, 2.0])
def test_beside_an_ever_busy_sibling_a_server_is_slower(slowdown: float) -> None:
    load = Load(SERVICE_NS, 0.6)
    sibling = {"busy": "100%", "slowdown": slowdown}
    records = noisy(load, 9_000, {"sibling": sibling}, 1 / slowdown)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS / 0.4, 0.08)
    assert_agrees(map(utilization, records), 0.6, 0.03)


def overloaded(noise: dict[str, Any]) -> list[Record]:
    """Constant services of 200 us, nearly twice as much as can be done."""
    load = Load(SERVICE_NS, 0.9)
    machine = {"scheduler": "fifo", "host_noise": noise}
    return replicate(load.scenario([{"cpu": "200us"}], 4_000, machine=machine), 10)


def work_done(record: Record) -> float:
    """Work done in each ns of the core."""
    return record.answered * 200_000 / record.window_ns


def test_a_sibling_is_busy_for_its_part_of_the_time() -> None:
    """At half speed for 30% of the time, a core does 85% of the work."""
    sibling = {"busy": "30%", "slowdown": 2.0, "spell": {"exponential": "200us"}}
    records = overloaded({"sibling": sibling})
    assert_agrees(map(work_done, records), 0.85, 0.02)
    assert_agrees(map(utilization, records), 1, 0.001)


def test_a_core_that_always_has_work_loses_what_is_stolen() -> None:
    thefts = {"length": {"exponential": "50us"}, "gap": {"exponential": "150us"}}
    records = overloaded({"stolen": thefts})
    assert_agrees(map(stolen, records), 0.25, 0.03)
    assert_agrees(map(work_done, records), 0.75, 0.02)


def test_thefts_short_beside_a_service_make_a_slower_server() -> None:
    load = Load(1_000_000, 0.6)
    thefts = {"length": "2us", "gap": "6us"}
    records = noisy(load, 2_000, {"stolen": thefts}, 0.75)
    assert_agrees(map(mean_response_ns, records), 1_000_000 / 0.4, 0.15)
