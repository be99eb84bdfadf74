"""One server: an event loop, or blocking threads, on one core.

With costs of zero, an event loop is a single server that serves in order of arrival:
M/M/1, M/D/1, M/G/1. Formulas and sources: formulas.py; how agreement is judged:
agreement.py. `test_every_response_is_lindleys` asks for more: on the same arrivals and
demands each single response must follow Lindley's recursion, to the nanosecond.

    D(n) = max(A(n), D(n-1)) + S(n)          (Lindley, 1952)
"""

from dataclasses import replace
from functools import cache
from math import exp, log
from typing import Any

import pytest
from agreement import (
    FREE,
    MANY,
    Load,
    assert_agrees,
    mean_part_ns,
    mean_response_ns,
    replicate,
    tail,
    utilization,
    voluntary_per_request,
)
from formulas import mg1_wait, mm1k_present, mm1k_refused, setup_wait

from iosim.plugins import kinds
from iosim.record import Record
from iosim.request_classes import amounts
from iosim.simulation import run_once
from iosim.streams import Streams, block_iterator

SERVICE_NS = 100_000
EXPONENTIAL = [{"cpu": {"exponential": "100us"}}]
ONE_CORE_FIFO = {"scheduler": "fifo"}

LOOPS = ("epoll", "poll", "coroutine", {"epoll": {"trigger": "edge"}})


@cache
def mm1(load_factor: float, replications: int, requests: int) -> list[Record]:
    load = Load(SERVICE_NS, load_factor)
    return replicate(load.scenario(EXPONENTIAL, requests), replications)


@pytest.mark.parametrize(
    ("load_factor", "replications", "requests", "within"),
    [(0.5, 10, 10_000, 0.06), (0.8, 12, 14_000, 0.12), (0.9, 12, 18_000, 0.3)],
)
class TestMM1:
    def test_mean_response(
        self, load_factor: float, replications: int, requests: int, within: float
    ) -> None:
        records = mm1(load_factor, replications, requests)
        exact = SERVICE_NS / (1 - load_factor)
        assert_agrees(map(mean_response_ns, records), exact, within)

    def test_mean_wait(
        self, load_factor: float, replications: int, requests: int, within: float
    ) -> None:
        records = mm1(load_factor, replications, requests)
        exact = load_factor * SERVICE_NS / (1 - load_factor)
        waits = [mean_part_ns("queue")(r) + mean_part_ns("client")(r) for r in records]
        assert_agrees(waits, exact, within * 2)

    def test_utilization(
        self, load_factor: float, replications: int, requests: int, within: float
    ) -> None:
        records = mm1(load_factor, replications, requests)
        assert_agrees(map(utilization, records), load_factor, 0.03)

    def test_switches_are_busy_periods(
        self, load_factor: float, replications: int, requests: int, within: float
    ) -> None:
        """The loop sleeps once a busy period, and 1 - rho of the requests begin one."""
        records = mm1(load_factor, replications, requests)
        assert_agrees(map(voluntary_per_request, records), 1 - load_factor, 0.15)


def test_the_95th_percentile_of_mm1() -> None:
    """A response is exponential with the mean response: P(R > r) = e^(-r/E[R])."""
    records = mm1(0.5, 10, 10_000)
    mean_ns = SERVICE_NS / 0.5
    edge_ns, beyond = tail(records, -log(0.05) * mean_ns)
    assert_agrees(beyond, exp(-edge_ns / mean_ns), 0.2)
    exact_ns = -log(0.05) * mean_ns
    assert_agrees([r.responses.percentile(95) for r in records], exact_ns, 0.08)


def test_a_constant_service_time_is_md1() -> None:
    load = Load(SERVICE_NS, 0.8)
    records = replicate(load.scenario([{"cpu": "100us"}], 9_000), 10)
    wait_ns = mg1_wait(load.rate_per_ns, SERVICE_NS, SERVICE_NS**2)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS + wait_ns, 0.08)


@pytest.mark.parametrize(
    ("service", "mean_ns", "second_moment", "within"),
    [
        ({"lognormal": {"mean": "100us", "cv": 1.2}}, 100_000, 100_000**2 * (1 + 1.2**2), 0.15),
        (
            {"bimodal": {"low": "50us", "high": "1ms", "high_fraction": "5%"}},
            97_500,
            0.95 * 50_000**2 + 0.05 * 1_000_000**2,
            0.25,
        ),
        ({"uniform": {"low": "0us", "high": "200us"}}, 100_000, 200_000**2 / 3, 0.05),
    ],
    ids=["lognormal", "bimodal", "uniform"],
)
def test_any_service_time_is_pollaczek_khinchine(
    service: dict[str, Any], mean_ns: float, second_moment: float, within: float
) -> None:
    load = Load(mean_ns, 0.65)
    records = replicate(load.scenario([{"cpu": service}], 9_000), 10)
    wait_ns = mg1_wait(load.rate_per_ns, mean_ns, second_moment)
    assert_agrees(map(mean_response_ns, records), mean_ns + wait_ns, within)


SERVING_REQUESTS = [
    name
    for name, module in kinds("io_models").items()
    if getattr(module, "SERVES", "requests") == "requests"
]


ONE_BY_ONE: dict[str, dict[str, Any]] = {"io_uring": {"batch": 1}}


@pytest.mark.parametrize("model", SERVING_REQUESTS)
def test_every_io_model_is_mm1_when_nothing_costs(model: str) -> None:
    """Exponential demands forget: whoever is served next, the mean response is M/M/1's.

    io_uring's answers would leave together when a batch has been handled: for it, one by one.
    """
    load = Load(SERVICE_NS, 0.6)
    options = {model: ONE_BY_ONE.get(model, {})}
    scenario = load.scenario(EXPONENTIAL, 3_000, model=options, connections=500)
    records = replicate(scenario, 6)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS / 0.4, 0.25)


def test_io_uring_answers_later_by_a_batch_but_is_no_less_busy() -> None:
    """Answers wait for the batch's end; the demands, and so the utilization, are the same."""
    load = Load(SERVICE_NS, 0.6)
    for batch, one_by_one in zip(
        *(
            replicate(load.scenario(EXPONENTIAL, 3_000, model={"io_uring": options}), 3)
            for options in ({}, {"batch": 1})
        ),
        strict=True,
    ):
        assert mean_response_ns(batch) > 1.1 * mean_response_ns(one_by_one)
        assert utilization(batch) == pytest.approx(utilization(one_by_one), rel=0.01)


# ----------------------------------------------------------------------- path by path


@pytest.mark.parametrize("model", LOOPS, ids=["epoll", "poll", "coroutine", "epoll edge"])
@pytest.mark.parametrize(
    "handler",
    [EXPONENTIAL, [{"cpu": "100us"}], [{"cpu": {"lognormal": {"mean": "100us", "cv": 3}}}]],
    ids=["M/M/1", "M/D/1", "M/G/1"],
)
def test_every_response_is_lindleys(model: Any, handler: list[Any]) -> None:
    """To the ns, in each busy period in which no connection is used twice.

    `poll` reports in the order of descriptors, so there it is the busy periods that must
    be Lindley's: when each begins and ends is the same for every order.
    """
    load = Load(SERVICE_NS, 0.8)
    # Few enough that the record keeps each request.
    scenario = load.scenario(handler, 1_700, model=model, warm_up=False)
    compared = 0
    for replication in range(3):
        record = run_once(scenario, scenario.models[0], FREE, replication)
        compared += _compare_with_lindley(scenario, record, in_order=model != "poll")
    assert compared > 4_500


def _compare_with_lindley(scenario: Any, record: Record, in_order: bool) -> int:
    streams = Streams(scenario.run.seed, record.replication)
    rng = streams.generator("connections")
    connections = block_iterator(lambda n: rng.integers(0, MANY, n))
    demands = amounts(scenario.server.handler, scenario, streams)
    requests = sorted(record.requests, key=lambda request: request.number)
    assert [request.number for request in requests][:-50] == list(range(len(requests) - 50))
    compared = 0
    busy_period: list[tuple[int, int, int]] = []  # simulated and exact departure, connection
    departure_ns = 0
    for request in requests[:-50]:
        (demand_ns,) = next(demands)
        if request.intended_ns > departure_ns:
            compared += _compare(busy_period, in_order)
            busy_period = []
            departure_ns = request.intended_ns
        departure_ns += demand_ns
        answered_ns = request.intended_ns + request.response_ns
        busy_period.append((answered_ns, departure_ns, next(connections)))
    return compared


def _compare(busy_period: list[tuple[int, int, int]], in_order: bool) -> int:
    simulated = [answered for answered, _, _ in busy_period]
    exact = [departed for _, departed, _ in busy_period]
    if in_order and len({connection for _, _, connection in busy_period}) == len(busy_period):
        assert simulated == exact
    elif busy_period:
        assert max(simulated) == max(exact)
    return len(busy_period)


# ------------------------------------------------- what the machine adds to a single server


@pytest.mark.parametrize(("latency_ns", "cold_ns"), [(60_000, 0), (40_000, 50_000)])
def test_waking_an_idle_core_is_a_set_up_time(latency_ns: int, cold_ns: int) -> None:
    """Welch 1964: E[W] = lambda E[S^2]/(2(1-rho)) + (2D + lambda D^2)/(2(1 + lambda D)).

    A cycle is idle time 1/lambda, set-up D and a busy period; it lasts
    (1/lambda + D)/(1 - rho) and has one sleep, hence (1 - rho)/(1 + lambda D) sleeps a
    request, and a part lambda D (1 - rho)/(1 + lambda D) of the time is set-up.
    """
    charged_ns = latency_ns // 3
    costs = replace(
        FREE,
        idle_exit_ns=((0, latency_ns),),
        idle_exit_charged_ns=((0, charged_ns),),
        cold_execution_ns=((0, cold_ns),),
    )
    load = Load(SERVICE_NS, 0.5)
    records = replicate(load.scenario(EXPONENTIAL, 7_000), 10, costs)
    rate, setup_ns = load.rate_per_ns, latency_ns + cold_ns
    wait_ns = mg1_wait(rate, SERVICE_NS, 2 * SERVICE_NS**2) + setup_wait(
        rate, setup_ns, setup_ns**2
    )
    assert_agrees(map(mean_response_ns, records), wait_ns + SERVICE_NS, 0.05)
    sleeps = (1 - 0.5) / (1 + rate * setup_ns)
    assert_agrees(map(voluntary_per_request, records), sleeps, 0.04)
    busy = 0.5 + sleeps * rate * (charged_ns + cold_ns)
    assert_agrees(map(utilization, records), busy, 0.03)


def test_a_set_up_time_that_depends_on_the_idle_time() -> None:
    """D only after idling for T or longer, which has probability p = e^(-lambda T).

    What an idle period lasts tells nothing about the arrivals after it, so the set-up is
    D with probability p, else none: E[D] = pD, E[D^2] = pD^2.
    """
    threshold_ns, setup_ns = 200 * 1024, 100_000
    costs = replace(FREE, idle_exit_ns=((threshold_ns, 0), (threshold_ns + 1, setup_ns)))
    load = Load(SERVICE_NS, 0.5)
    records = replicate(load.scenario(EXPONENTIAL, 7_000), 10, costs)
    rate = load.rate_per_ns
    probability = exp(-rate * threshold_ns)
    wait_ns = mg1_wait(rate, SERVICE_NS, 2 * SERVICE_NS**2) + setup_wait(
        rate, probability * setup_ns, probability * setup_ns**2
    )
    assert_agrees(map(mean_response_ns, records), wait_ns + SERVICE_NS, 0.05)
    sleeps = (1 - 0.5) / (1 + rate * probability * setup_ns)
    assert_agrees(map(voluntary_per_request, records), sleeps, 0.04)


def test_a_context_switch_lengthens_each_service() -> None:
    """Blocking threads, first in, first out: M/D/1 whose service is work and switch.

    The same thread twice in a row needs no switch: one request in N.
    """
    switch_ns, connections = 40_000, 400
    costs = replace(FREE, context_switch_ns=switch_ns)
    service_ns = SERVICE_NS + switch_ns * (1 - 1 / connections)
    load = Load(service_ns, 0.75)
    scenario = load.scenario(
        [{"cpu": "100us"}], 6_000, model="blocking", machine=ONE_CORE_FIFO, connections=connections
    )
    records = replicate(scenario, 10, costs)
    wait_ns = mg1_wait(load.rate_per_ns, service_ns, service_ns**2)
    assert_agrees(map(mean_response_ns, records), service_ns + wait_ns, 0.1)
    assert_agrees(map(utilization, records), 0.75, 0.04)
    assert all(record.voluntary_switches - record.answered in range(-50, 51) for record in records)


@pytest.mark.parametrize("idle_exit_ns", [0, 50_000])
def test_an_interrupt_has_preemptive_priority(idle_exit_ns: int) -> None:
    """Each message brings h of softirq, which pushes the running thread aside, then S.

    A request leaves when all that is to be done before it on its arrival is done, its own
    h + S, and the softirq h of whoever comes meanwhile: T = (E[W] + h + S)/(1 - lambda h),
    where W is the wait in M/G/1 with service h + S, and with a set-up if waking costs one.
    """
    softirq_ns, work_ns = 30_000, 70_000
    costs = replace(FREE, receive_softirq_ns=softirq_ns, idle_exit_ns=((0, idle_exit_ns),))
    load = Load(softirq_ns + work_ns, 0.75)
    scenario = load.scenario(
        [{"cpu": "70us"}], 7_000, machine={"network": {"nic": {"latency": "0us"}}}
    )
    records = replicate(scenario, 10, costs)
    rate = load.rate_per_ns
    wait_ns = mg1_wait(rate, SERVICE_NS, SERVICE_NS**2) + setup_wait(
        rate, idle_exit_ns, idle_exit_ns**2
    )
    exact = (wait_ns + softirq_ns + work_ns) / (1 - rate * softirq_ns)
    assert_agrees(map(mean_response_ns, records), exact, 0.1)
    assert_agrees(map(utilization, records), 0.75, 0.04)
    softirq = [r.cores_ns[0]["softirq"] / r.window_ns for r in records]
    assert_agrees(softirq, rate * softirq_ns, 0.04)
    assert all(sum(core.values()) == r.window_ns for r in records for core in r.cores_ns)


# ------------------------------------------------------------------- clients that wait


def test_each_connection_is_a_queue_at_the_client() -> None:
    """A service without limit behind 20 connections: each is an M/M/1 of its own.

    Poisson arrivals split at random are independent Poisson streams. The wait is at the
    client and counts from the intended send time: nothing is omitted.
    """
    load = Load(SERVICE_NS, 0.6, servers=20)
    scenario = load.scenario(
        [{"call": "far"}],
        18_000,
        connections=20,
        devices={"far": {"remote": {"latency": {"exponential": "100us"}}}},
    )
    records = replicate(scenario, 6)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS / 0.4, 0.15)
    edge_ns, beyond = tail(records, 750_000)
    assert_agrees(beyond, exp(-edge_ns * 0.4 / SERVICE_NS), 0.4)


@pytest.mark.parametrize("load_factor", [0.8, 1.0, 1.5])
def test_a_backlog_makes_mm1k(load_factor: float) -> None:
    """One connection: one request in service and at most `backlog` that wait.

    Refused is the probability of finding K = backlog + 1 present (arrivals see time
    averages); the mean response of the others is E[N] / accepted rate (Little).
    """
    backlog = 4
    load = Load(SERVICE_NS, load_factor)
    # The relaxation of a finite queue is no longer than K services; the start is left in.
    scenario = Load(SERVICE_NS, 0.5).scenario(
        EXPONENTIAL, 3_000, connections=1, backlog=backlog, rate=f"{load.rate_per_s}/s"
    )
    records = replicate(scenario, 10)
    refused = mm1k_refused(load_factor, backlog + 1)
    assert_agrees([r.refused / r.offered for r in records], refused, 0.15)
    exact = mm1k_present(load_factor, backlog + 1) / (load.rate_per_ns * (1 - refused))
    assert_agrees(map(mean_response_ns, records), exact, 0.05)
    for r in records:
        assert r.offered == r.completed + r.refused + r.timed_out + r.in_flight


def test_timeouts_are_the_responses_tail() -> None:
    """Work is not abandoned: P(timed out) = P(response > t) = e^(-(mu - lambda) t)."""
    load = Load(SERVICE_NS, 0.7)
    timeout_ns = 700_000
    scenario = load.scenario(EXPONENTIAL, 8_000, connections=2 * MANY, timeout=f"{timeout_ns}ns")
    records = replicate(scenario, 8)
    exact = exp(-0.3 * timeout_ns / SERVICE_NS)
    ended = [r.timed_out / (r.timed_out + r.completed) for r in records]
    assert_agrees(ended, exact, 0.35)


def test_where_requests_wait_is_all_the_same() -> None:
    """One constant service: at the client or in the kernel, the busy periods are the same."""
    load = Load(SERVICE_NS, 0.8)
    handler = [{"cpu": "100us"}]
    at_client, in_kernel = (
        replicate(load.scenario(handler, 2_000, connections=n), 3) for n in (1, MANY)
    )
    for a, b in zip(at_client, in_kernel, strict=True):
        assert a.cores_ns == b.cores_ns
        assert a.responses.total_ns == b.responses.total_ns
        assert mean_part_ns("client")(a) > 3 * SERVICE_NS / 2
        assert mean_part_ns("queue")(b) > 3 * SERVICE_NS / 2
