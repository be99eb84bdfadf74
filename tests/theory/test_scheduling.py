"""Schedulers: first come, first served, and processor sharing in short slices.

With short slices, threads share a core: M/G/1-PS. A demand of x then takes x/(1 - rho)
in the mean, so the mean response is S/(1 - rho) whatever the distribution (Sakata,
Noguchi, Oizumi 1971; Kleinrock, "Queueing Systems", vol. 2, 4.4), where first come,
first served has Pollaczek's and Khinchine's.

Sharing in slices of q is expensive to simulate, so theory is held against `shared`,
processor sharing on given arrivals and demands, which is exact and quick; and the
simulator against `shared`, request by request. A fair scheduler gives none of n threads
more than a slice too much or too little, so a response differs by at most about n q, in
the mean q (E[n] + 1) with E[n] = rho/(1 - rho). A tenth of that mean would be missed by
any scheduler that favours some threads by more than a slice.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf
from statistics import fmean, median
from typing import Any

import pytest
from agreement import FREE, Load, assert_agrees, mean_response_ns, replicate
from formulas import mg1_wait

from iosim.record import Record
from iosim.request_classes import amounts
from iosim.scenario import Scenario
from iosim.simulation import run_once
from iosim.streams import Streams

SERVICE_NS = 1_000_000
LOAD_FACTOR = 0.6
LOAD = Load(SERVICE_NS, LOAD_FACTOR)
SLICE_NS = 5_000
SERVICES: dict[str, tuple[Any, float]] = {
    "exponential": ({"exponential": "1ms"}, 2.0),
    "lognormal": ({"lognormal": {"mean": "1ms", "cv": 1.5}}, 3.25),
    "bimodal": (
        {"bimodal": {"low": "500us", "high": "5500us", "high_fraction": "10%"}},
        0.9 * 0.5**2 + 0.1 * 5.5**2,
    ),
}
"""Distribution, and second moment over the squared mean."""

SHARING: dict[str, Any] = {
    "round_robin": {"round_robin": {"slice": f"{SLICE_NS}ns"}},
    "eevdf": {"eevdf": {"slice": f"{SLICE_NS}ns", "tick": "0us"}},
}


def shared(arrivals_ns: Sequence[float], demands_ns: Sequence[float]) -> list[float]:
    """Response times under processor sharing.

    All present are served at rate 1/n. In the time that each of them has been served,
    a request leaves at its arrival's plus its demand: a heap of those.
    """
    responses = [0.0] * len(arrivals_ns)
    present: list[tuple[float, int]] = []
    now = served = 0.0
    number = 0
    while number < len(arrivals_ns) or present:
        arrival = arrivals_ns[number] if number < len(arrivals_ns) else inf
        if present:
            leaves = now + (present[0][0] - served) * len(present)
            if leaves <= arrival:
                now = leaves
                served, leaving = heappop(present)
                responses[leaving] = now - arrivals_ns[leaving]
                continue
            served += (arrival - now) / len(present)
        now = arrival
        heappush(present, (served + demands_ns[number], number))
        number += 1
    return responses


def sharing(service: Any, scheduler: Any, requests: int) -> Scenario:
    return LOAD.scenario(
        [{"cpu": service}],
        requests,
        model="blocking",
        connections=4_000,
        machine={"scheduler": scheduler},
        warm_up=False,
    )


def asked(scenario: Scenario, record: Record) -> tuple[list[int], list[int], list[int]]:
    """Arrivals, demands and responses of all requests up to the first not answered."""
    demands = amounts(
        scenario.server.handler, scenario, Streams(scenario.run.seed, record.replication)
    )
    requests = sorted(record.requests, key=lambda request: request.number)
    answered = [q for index, q in enumerate(requests) if q.number == index]
    return (
        [q.intended_ns for q in answered],
        [next(demands)[0] for _ in answered],
        [q.response_ns for q in answered],
    )


@pytest.mark.parametrize("kind", list(SERVICES))
def test_processor_sharing_is_insensitive(kind: str) -> None:
    """The yardstick itself: the mean is S/(1 - rho), and x/(1 - rho) for each demand x."""
    import numpy as np

    sample = sharing(SERVICES[kind][0], "fifo", 10).server.handler[0]
    means, short, long = [], [], []
    for replication in range(12):
        rng = np.random.default_rng([1, replication])
        arrivals = np.cumsum(rng.exponential(1 / LOAD.rate_per_ns, 20_000)).tolist()
        demands = sample.cpu.options.sample(rng, 20_000).tolist()  # type: ignore[union-attr]
        responses = shared(arrivals, demands)[2_000:]
        means.append(fmean(responses))
        pairs = list(zip(demands[2_000:], responses, strict=True))
        short.append(fmean(r / d for d, r in pairs if d < SERVICE_NS))
        long.append(fmean(r / d for d, r in pairs if d >= SERVICE_NS))
    assert_agrees(means, SERVICE_NS / (1 - LOAD_FACTOR), 0.08)
    assert_agrees(short, 1 / (1 - LOAD_FACTOR), 0.08)
    assert_agrees(long, 1 / (1 - LOAD_FACTOR), 0.08)


@pytest.mark.parametrize("scheduler", list(SHARING))
@pytest.mark.parametrize("kind", list(SERVICES))
def test_short_slices_share_the_core(kind: str, scheduler: str) -> None:
    """Request by request against processor sharing, and short and long ones alike.

    A request whose connection is busy does not share but waits; it may differ by
    anything, and is one in 2,000, so of differences the median is looked at, and the
    mean without the largest hundredth.
    """
    a_round_ns = SLICE_NS * (LOAD_FACTOR / (1 - LOAD_FACTOR) + 1)
    scenario = sharing(SERVICES[kind][0], SHARING[scheduler], 600)
    for replication in range(2):
        record = run_once(scenario, scenario.models[0], FREE, replication)
        arrivals, demands, responses = asked(scenario, record)
        assert len(arrivals) > 500
        exact = shared(arrivals, demands)
        # The last ones are answered after others that are not known here.
        known = range(len(arrivals) - 50)
        differences = sorted(abs(responses[n] - exact[n]) for n in known)
        assert median(differences) < a_round_ns
        assert fmean(differences[: len(differences) * 99 // 100]) < a_round_ns
        assert record.involuntary_switches > 20 * record.completed


@pytest.mark.parametrize("kind", ["exponential", "bimodal"])
def test_first_come_first_served_is_not_insensitive(kind: str) -> None:
    """The same threads and demands under FIFO: Pollaczek and Khinchine."""
    service, second_moment = SERVICES[kind]
    scenario = LOAD.scenario(
        [{"cpu": service}],
        5_000,
        model="blocking",
        connections=500,
        machine={"scheduler": "fifo"},
    )
    records = replicate(scenario, 8)
    wait_ns = mg1_wait(LOAD.rate_per_ns, SERVICE_NS, second_moment * SERVICE_NS**2)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS + wait_ns, 0.3)
    assert all(record.involuntary_switches == 0 for record in records)


def test_a_slice_that_is_never_used_up_is_first_come_first_served() -> None:
    """To the ns: round robin with demands below its slice."""
    scenarios = [
        sharing({"uniform": {"low": "100us", "high": "1900us"}}, scheduler, 1_500)
        for scheduler in ("fifo", {"round_robin": {"slice": "2ms"}})
    ]
    fifo, round_robin = (run_once(s, s.models[0], FREE, 0) for s in scenarios)
    assert fifo.requests == round_robin.requests
    assert round_robin.involuntary_switches == 0
