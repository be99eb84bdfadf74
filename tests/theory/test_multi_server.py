"""Several servers: cores, a service's places, a pool's workers; and no limit at all.

M/M/c and M/G/infinity (Erlang); formulas and sources: formulas.py. A request whose
connection is busy waits at the client although a server may be free; with `MANY`
connections that happens to one request in 1,000, which moves no figure here by a tenth
of its interval. Where it happens more often it is part of the exact value.
"""

from functools import cache
from typing import Any

import pytest
from agreement import (
    FREE,
    Load,
    assert_agrees,
    mean_part_ns,
    mean_response_ns,
    replicate,
    tail,
    utilization,
)
from formulas import erlang_c, mg1_wait, mmc_response_tail, mmc_wait

from iosim.record import Record
from iosim.scenario import Scenario
from iosim.simulation import run_once

SERVICE_NS = 100_000
SERVERS = 3
LOAD = Load(SERVICE_NS, 0.75, SERVERS)
MEAN_WAIT_NS = mmc_wait(SERVERS, LOAD.rate_per_ns, SERVICE_NS)


@cache
def station() -> list[Record]:
    """A service with three places behind an event loop that costs nothing."""
    scenario = LOAD.scenario(
        [{"call": "service"}],
        14_000,
        devices={
            "service": {"remote": {"latency": {"exponential": "100us"}, "concurrency": SERVERS}}
        },
    )
    return replicate(scenario, 10)


class TestAStationOfSeveralServers:
    def test_mean_response(self) -> None:
        assert_agrees(map(mean_response_ns, station()), SERVICE_NS + MEAN_WAIT_NS, 0.1)

    def test_response_is_all_at_the_device(self) -> None:
        for record in station():
            others = sum(ns for part, ns in record.parts_ns.items() if part != "device")
            # What is not at the device waited at the client for its connection.
            assert others == record.parts_ns["client"]
            assert others < 0.003 * record.responses.total_ns

    def test_95th_percentile(self) -> None:
        edge_ns, beyond = tail(station(), 450_000)
        exact = mmc_response_tail(SERVERS, LOAD.rate_per_ns, SERVICE_NS, edge_ns)
        assert 0.03 < exact < 0.07
        assert_agrees(beyond, exact, 0.35)

    def test_mean_in_service(self) -> None:
        in_service = [r.devices["service"].busy_ns / r.window_ns for r in station()]
        assert_agrees(in_service, 0.75 * SERVERS, 0.03)

    def test_mean_queue(self) -> None:
        queued = [r.devices["service"].queued_ns / r.window_ns for r in station()]
        assert_agrees(queued, LOAD.rate_per_ns * MEAN_WAIT_NS, 0.25)

    def test_littles_law(self) -> None:
        """L = lambda W: the time-integral of calls against the sum of what requests saw.

        The two are measured apart, in the device and in the requests; they differ only by
        requests under way at the window's ends, as often in favour of one as of the other.
        """
        gaps = []
        for record in station():
            device = record.devices["service"]
            gaps.append((device.busy_ns + device.queued_ns) / record.parts_ns["device"])
        assert_agrees(gaps, 1, 0.003)


@pytest.mark.parametrize("scheduler", ["fifo", "round_robin", "eevdf"])
def test_threads_on_several_cores_are_a_multi_server_queue(scheduler: str) -> None:
    """Exponential demands forget: any work-conserving order has M/M/c's mean."""
    load = Load(SERVICE_NS, 0.75, SERVERS)
    scenario = load.scenario(
        [{"cpu": {"exponential": "100us"}}],
        6_000,
        model="blocking",
        connections=2_000,
        machine={"cores": SERVERS, "scheduler": scheduler},
    )
    records = replicate(scenario, 8)
    assert_agrees(map(utilization, records), 0.75, 0.06)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS + MEAN_WAIT_NS, 0.15)
    assert_agrees(map(mean_part_ns("run_queue"), records), MEAN_WAIT_NS, 0.35)


def test_the_part_that_waits_is_erlangs_c() -> None:
    """A thread that wakes finds a core free, or all of them busy with probability C."""
    scenario = LOAD.scenario(
        [{"cpu": {"exponential": "100us"}}],
        1_500,
        model="blocking",
        connections=2_000,
        machine={"cores": SERVERS, "scheduler": "fifo"},
    )
    records = replicate(scenario, 14)
    waited = [sum(q.run_queue_ns > 0 for q in r.requests) / len(r.requests) for r in records]
    assert_agrees(waited, erlang_c(SERVERS, 0.75 * SERVERS), 0.15)


def test_a_pool_of_workers_is_a_multi_server_queue() -> None:
    """Calls that block, made by three workers: M/M/3 with the pool's queue in front.

    To the nanosecond what a service of three places does: the same arrivals and demands.
    """
    services: dict[str, tuple[Any, dict[str, Any]]] = {
        "places": ("epoll", {"concurrency": SERVERS}),
        "workers": (
            {"thread_pool_callbacks": {"threads": SERVERS}},
            {"interface": "blocking"},
        ),
    }
    totals = {}
    for name, (model, options) in services.items():
        scenario = LOAD.scenario(
            [{"call": "service"}],
            3_000,
            model=model,
            devices={"service": {"remote": {"latency": {"exponential": "100us"}, **options}}},
        )
        records = replicate(scenario, 3)
        totals[name] = [(r.responses.count, r.responses.total_ns) for r in records]
    assert totals["workers"] == totals["places"]


INFINITE = Load(SERVICE_NS, 0.5, servers=20)
BIMODAL = {"bimodal": {"low": "50us", "high": "1050us", "high_fraction": "5%"}}


def without_limit(step: str, service: Any, requests: int, model: str = "epoll") -> Scenario:
    return INFINITE.scenario(
        [{"call": "far"}] if step == "call" else [{"sleep": service}],
        requests,
        model=model,
        connections=1_000,
        devices={"far": {"remote": {"latency": service}}},
    )


@pytest.mark.parametrize(
    ("service", "second_moment"),
    [("100us", 1.0), ({"exponential": "100us"}, 2.0), (BIMODAL, 5.75)],
    ids=["M/D", "M/M", "M/G"],
)
def test_without_a_limit_nobody_waits(service: Any, second_moment: float) -> None:
    """M/G/infinity: the mean response is the mean service, whatever its distribution.

    Each of N connections is an M/G/1 with arrival rate lambda/N (a Poisson stream split
    at random), and what waits there waits at the client: that is added, exactly.
    """
    records = replicate(without_limit("call", service, 5_000), 8)
    assert_agrees([mean_part_ns("device")(r) for r in records], SERVICE_NS, 0.08)
    wait_ns = mg1_wait(INFINITE.rate_per_ns / 1_000, SERVICE_NS, second_moment * SERVICE_NS**2)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS + wait_ns, 0.08)
    busy = [r.devices["far"].busy_ns / r.window_ns for r in records]
    assert_agrees(busy, 0.5 * 20, 0.1)


@pytest.mark.parametrize("step", ["call", "sleep"])
@pytest.mark.parametrize("model", ["blocking", "coroutine", "poll"])
def test_it_does_not_matter_who_waits_for_it(model: str, step: str) -> None:
    """A thread asleep in a call, or a loop that goes on: the same responses, to the ns."""
    responses = []
    for who, what in (("epoll", "call"), (model, step)):
        scenario = without_limit(what, BIMODAL, 3_000, who)
        record = run_once(scenario, scenario.models[0], FREE, 0)
        responses.append((record.responses.count, record.responses.total_ns))
    assert responses[0] == responses[1]


def test_a_loop_on_many_cores_is_still_one_server() -> None:
    """What several cores are to M/M/c, they are not to one thread: a test of this file."""
    load = Load(SERVICE_NS, 0.75)
    scenario = load.scenario([{"cpu": {"exponential": "100us"}}], 6_000, machine={"cores": SERVERS})
    records = replicate(scenario, 8)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS / 0.25, 0.25)
    assert_agrees(map(utilization, records), 0.75 / SERVERS, 0.06)
