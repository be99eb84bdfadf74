"""Networks of stations: closed ones by convolution, open ones by Jackson's theorem.

A closed network of exponential stations and users who think has a product form
(Gordon and Newell 1967; for any distribution of think time: Baskett, Chandy, Muntz and
Palacios 1975), and its throughput is G(N-1)/G(N) (Buzen 1973). Each user has a
connection, so nothing waits at the clients. A loop and its core are one station of one
server, threads on c cores one of c, a remote service one of as many as it has places.

A thread needs its core to take up a device's answer, and queues for it, even if it then
has nothing to compute: a handler that ends with a call has one more visit to the core, of
no duration, and no product form. So in these handlers each visit computes, and all visits
to the core have one exponential distribution.
"""

from math import ceil
from typing import Any

import pytest
from agreement import (
    CONFIDENCE,
    FREE,
    Load,
    assert_agrees,
    mean_part_ns,
    mean_response_ns,
    replicate,
    utilization,
)
from formulas import (
    closed_throughput,
    delay_station,
    mmc_wait,
    queue_station,
)

from iosim.record import Record
from iosim.scenario import Scenario, from_data
from iosim.simulation import run_once

SERVICE_NS = 100_000
EXPONENTIAL: dict[str, Any] = {"exponential": "100us"}


def closed(
    users: int,
    think: Any,
    handler: list[Any],
    requests: int,
    throughput_per_ns: float,
    model: str = "epoll",
    machine: dict[str, Any] | None = None,
    devices: dict[str, Any] | None = None,
) -> Scenario:
    """About `requests` requests after a warm-up of a tenth as many.

    A closed network forgets its start within some tours of its users.
    """
    duration_ns = ceil(1.1 * requests / throughput_per_ns)
    return from_data(
        {
            "machine": machine or {},
            "server": {"handler": handler},
            "devices": devices or {},
            "workload": {
                "closed": {"users": users, "think": think, "connections": {"total": users}}
            },
            "models": [model],
            "run": {"duration": f"{duration_ns}ns", "warm_up": f"{duration_ns // 11}ns"},
        }
    )


def throughputs_per_ns(records: list[Record]) -> list[float]:
    return [record.answered / record.window_ns for record in records]


@pytest.mark.parametrize(
    "think",
    [
        {"exponential": "1ms"},
        "1ms",
        {"lognormal": {"mean": "1ms", "cv": 1.5}},
    ],
    ids=["exponential", "constant", "lognormal"],
)
@pytest.mark.parametrize("users", [5, 12, 24])
def test_the_machine_repairman(users: int, think: Any) -> None:
    """Users think 1 ms and ask one core for 100 us: below, at and far beyond saturation."""
    exact = closed_throughput(
        users, [delay_station(1_000_000, users), queue_station(SERVICE_NS, users)]
    )
    scenario = closed(users, think, [{"cpu": EXPONENTIAL}], 4_000, exact)
    records = replicate(scenario, 8)
    assert_agrees(throughputs_per_ns(records), exact, 0.05)
    assert_agrees(map(utilization, records), exact * SERVICE_NS, 0.06)
    # Little's law for the whole tour: N = X (R + Z).
    assert_agrees(map(mean_response_ns, records), users / exact - 1_000_000, 0.15)


@pytest.mark.parametrize("places", [1, 2])
def test_a_core_and_a_device(places: int) -> None:
    """Central server: 100 us of CPU, a call of 150 us, 100 us of CPU; users think 1 ms."""
    users = 10
    exact = closed_throughput(
        users,
        [
            delay_station(1_000_000, users),
            queue_station(2 * SERVICE_NS, users),
            queue_station(150_000, users, places),
        ],
    )
    scenario = closed(
        users,
        {"exponential": "1ms"},
        [{"cpu": EXPONENTIAL}, {"call": "disk"}, {"cpu": EXPONENTIAL}],
        6_000,
        exact,
        devices={"disk": {"remote": {"latency": {"exponential": "150us"}, "concurrency": places}}},
    )
    records = replicate(scenario, 8)
    assert_agrees(throughputs_per_ns(records), exact, 0.03)
    assert_agrees(map(mean_response_ns, records), users / exact - 1_000_000, 0.08)
    assert_agrees(map(utilization, records), exact * 2 * SERVICE_NS, 0.03)
    busy = [r.devices["disk"].busy_ns / r.window_ns for r in records]
    assert_agrees(busy, exact * 150_000, 0.04)


@pytest.mark.parametrize("scheduler", ["fifo", "eevdf"])
def test_threads_on_two_cores_and_a_device(scheduler: str) -> None:
    """Blocking threads: while a call is under way another thread has the core."""
    users = 8
    exact = closed_throughput(
        users,
        [
            delay_station(200_000, users),
            queue_station(2 * SERVICE_NS, users, 2),
            queue_station(80_000, users),
        ],
    )
    scenario = closed(
        users,
        {"exponential": "200us"},
        [{"cpu": EXPONENTIAL}, {"call": "disk"}, {"cpu": EXPONENTIAL}],
        4_000,
        exact,
        model="blocking",
        machine={"cores": 2, "scheduler": scheduler},
        devices={"disk": {"remote": {"latency": {"exponential": "80us"}, "concurrency": 1}}},
    )
    records = replicate(scenario, 8)
    assert_agrees(throughputs_per_ns(records), exact, 0.05)
    assert_agrees(map(mean_response_ns, records), users / exact - 200_000, 0.06)
    assert_agrees(map(utilization, records), exact * SERVICE_NS, 0.03)


def test_users_who_never_think_keep_the_core_busy() -> None:
    """Saturation: X = 1/S to the request, and R = N/X (Little), up to both ends."""
    scenario = closed(7, "0us", [{"cpu": "100us"}], 3_000, 1 / SERVICE_NS)
    record = run_once(scenario, scenario.models[0], FREE, 0)
    assert record.cores_ns[0]["idle"] == 0
    assert abs(record.answered - record.window_ns / SERVICE_NS) <= 1
    assert abs(record.responses.total_ns - 7 * record.window_ns) <= 7 * 7 * SERVICE_NS


def test_users_are_independent() -> None:
    """N users who never meet (a service without limit) answer N renewal processes.

    With exponential think time Z and service S each user's answers have, per unit of
    time, mean 1/(Z + S) and variance (Z^2 + S^2)/(Z + S)^3 (Cox, "Renewal Theory", 1962,
    4.2). Users who share a sequence would vary N times as much.
    """
    from scipy import stats

    users, think_ns, service_ns = 20, 1_000_000, 500_000
    cycle_ns = think_ns + service_ns
    scenario = closed(
        users,
        {"exponential": "1ms"},
        [{"call": "far"}],
        2_000,
        users / cycle_ns,
        devices={"far": {"remote": {"latency": {"exponential": "500us"}}}},
    )
    records = replicate(scenario, 30)
    per_ns = users * (think_ns**2 + service_ns**2) / cycle_ns**3
    squares = [
        (r.answered - users * r.window_ns / cycle_ns) ** 2 / (per_ns * r.window_ns) for r in records
    ]
    low, high = stats.chi2.interval(CONFIDENCE, len(records))
    assert low < sum(squares) < high


def test_an_open_network() -> None:
    """Jackson: each station is as if alone. The core is visited twice by each request."""
    load = Load(2 * SERVICE_NS, 0.6)
    scenario = load.scenario(
        [{"cpu": EXPONENTIAL}, {"call": "disk"}, {"cpu": EXPONENTIAL}],
        6_000,
        devices={"disk": {"remote": {"latency": {"exponential": "400us"}, "concurrency": 2}}},
    )
    records = replicate(scenario, 10)
    at_disk = 400_000 + mmc_wait(2, load.rate_per_ns, 400_000)
    assert_agrees(map(mean_part_ns("device"), records), at_disk, 0.08)
    assert_agrees(map(mean_response_ns, records), 2 * SERVICE_NS / 0.4 + at_disk, 0.08)
