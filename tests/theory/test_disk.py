"""A disk of queue depth n is n servers: M/M/n, open and closed; hits of the page cache none.

Threads that wait for the disk never run out here: a pool of 100 workers, of which at
rho 0.75 and three accesses at once more than 60 are busy with probability 0.75**57.
Formulas and sources: formulas.py.
"""

from functools import cache
from typing import Any

import pytest
from agreement import (
    Load,
    assert_agrees,
    mean_part_ns,
    mean_response_ns,
    replicate,
    tail,
)
from formulas import (
    closed_throughput,
    delay_station,
    mmc_response_tail,
    mmc_wait,
    queue_station,
)

from iosim.record import Record
from iosim.scenario import Scenario, from_data

SERVICE_NS = 100_000
DEPTH = 3
POOL: dict[str, Any] = {"thread_pool_callbacks": {"threads": 100}}


def accesses(load: Load, requests: int, model: Any = POOL, **options: Any) -> Scenario:
    disk = {"latency": {"exponential": "100us"}, "queue_depth": DEPTH, **options}
    return load.scenario(
        [{"call": "disk"}], requests, model=model, devices={"disk": {"disk": disk}}
    )


@cache
def misses() -> list[Record]:
    return replicate(accesses(Load(SERVICE_NS, 0.75, DEPTH), 8_000), 8)


class TestADiskOfDepthThree:
    load = Load(SERVICE_NS, 0.75, DEPTH)
    wait_ns = mmc_wait(DEPTH, load.rate_per_ns, SERVICE_NS)

    def test_mean_response(self) -> None:
        assert_agrees(map(mean_response_ns, misses()), SERVICE_NS + self.wait_ns, 0.15)
        assert_agrees(map(mean_part_ns("device"), misses()), SERVICE_NS + self.wait_ns, 0.15)

    def test_95th_percentile(self) -> None:
        edge_ns, beyond = tail(misses(), 450_000)
        exact = mmc_response_tail(DEPTH, self.load.rate_per_ns, SERVICE_NS, edge_ns)
        assert 0.03 < exact < 0.07
        assert_agrees(beyond, exact, 0.5)

    def test_mean_in_service_and_in_the_queue(self) -> None:
        in_service = [r.devices["disk"].busy_ns / r.window_ns for r in misses()]
        assert_agrees(in_service, 0.75 * DEPTH, 0.05)
        queued = [r.devices["disk"].queued_ns / r.window_ns for r in misses()]
        assert_agrees(queued, self.load.rate_per_ns * self.wait_ns, 0.4)


@pytest.mark.parametrize(
    "options",
    [{"access": "write", "fsync": True}, {"size": "1B", "bandwidth": "1GB/s"}],
    ids=["fsync", "transfer"],
)
def test_flushes_and_transfers_wait_alike(options: dict[str, Any]) -> None:
    """The same draws, whatever the access is called; 1 B at 1 GB/s takes a nanosecond."""
    (plain,) = replicate(accesses(Load(SERVICE_NS, 0.5, DEPTH), 1_000), 1)
    (other,) = replicate(accesses(Load(SERVICE_NS, 0.5, DEPTH), 1_000, **options), 1)
    assert other.responses.count == plain.responses.count
    assert abs(mean_response_ns(other) - mean_response_ns(plain)) < 5


def test_hits_neither_wait_nor_keep_others_waiting() -> None:
    """A Poisson stream split at random: the misses are M/M/3 of their own rate."""
    hit = 0.6
    load = Load(SERVICE_NS, 0.6 / (1 - hit), DEPTH)
    scenario = accesses(load, 16_000, page_cache_hit="60%")
    records = replicate(scenario, 8)
    rate = load.rate_per_ns * (1 - hit)
    response_ns = (1 - hit) * (SERVICE_NS + mmc_wait(DEPTH, rate, SERVICE_NS))
    assert_agrees(map(mean_response_ns, records), response_ns, 0.1)
    calls = [r.devices["disk"].calls / r.answered for r in records]
    assert_agrees(calls, 1 - hit, 0.03)


@pytest.mark.parametrize("model", ["blocking", POOL], ids=["blocking", "pool"])
@pytest.mark.parametrize("depth", [1, 4])
def test_users_behind_a_disk_are_a_closed_network(model: Any, depth: int) -> None:
    users, think_ns = 12, 300_000
    scenario = from_data(
        {
            "server": {"handler": [{"call": "disk"}]},
            "devices": {
                "disk": {"disk": {"latency": {"exponential": "100us"}, "queue_depth": depth}}
            },
            "workload": {
                "closed": {
                    "users": users,
                    "think": {"exponential": "300us"},
                    "connections": {"total": users},
                }
            },
            "models": [model],
            "run": {"duration": "300ms", "warm_up": "30ms"},
        }
    )
    records = replicate(scenario, 8)
    exact = closed_throughput(
        users, [delay_station(think_ns, users), queue_station(SERVICE_NS, users, depth)]
    )
    assert_agrees([r.answered / r.window_ns for r in records], exact, 0.04)


def test_an_event_loop_is_one_server_whatever_the_depth() -> None:
    """It waits for each access before it turns to the next request: M/M/1."""
    load = Load(SERVICE_NS, 0.6)
    records = replicate(accesses(load, 6_000, model="epoll"), 8)
    assert_agrees(map(mean_response_ns, records), SERVICE_NS / 0.4, 0.2)
    in_service = [r.devices["disk"].busy_ns / r.window_ns for r in records]
    assert_agrees(in_service, 0.6, 0.06)
