"""R8: a small pool starves: four slow calls, and every quick one waits behind them.

libuv has four threads for files and name lookups together (its documentation: "Thread
pool work scheduling"). Nine of ten calls here need no waiting at all - the file is in the
page cache, the name at hand - and would be answered in microseconds. The tenth takes 10
ms on average. With four workers the pool is busy for 3/4 of the time: M/G/4, in which
half of the requests wait for milliseconds. The disk itself, and the cores, are idle.
"""

from functools import cache
from typing import Any

import pytest

from iosim.histogram import Histogram
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

SLOW: dict[str, dict[str, Any]] = {
    "disk": {"disk": {"latency": {"exponential": "10ms"}, "page_cache_hit": "90%"}},
    "names": {"dns": {"latency": {"exponential": "10ms"}, "cached": "90%"}},
}
CACHED = {"disk": {"latency": "10ms", "page_cache_hit": "100%"}}


def pool(threads: int) -> dict[str, Any]:
    return {"thread_pool_callbacks": {"threads": threads}}


@cache
def served(slow: str, threads: int) -> tuple[Record, ...]:
    """Each request reads a cached file; before that, it makes a call that is seldom slow."""
    scenario = from_data(
        {
            "machine": {"cores": 2},
            "server": {"handler": [{"call": "slow"}, {"call": "file"}]},
            "devices": {"slow": SLOW[slow], "file": CACHED},
            "workload": {"open": {"rate": "3k/s", "connections": {"total": 1_000}}},
            "models": [pool(threads)],
            "run": {"duration": "1s", "warm_up": "100ms"},
        }
    )
    costs = load("reference").costs
    return tuple(run_once(scenario, scenario.models[0], costs, number) for number in range(3))


def median_ns(records: tuple[Record, ...]) -> float:
    together = Histogram()
    for record in records:
        together.merge(record.responses)
    value = together.percentile(50)
    assert value is not None
    return value


@pytest.mark.parametrize("slow", SLOW)
def test_quick_requests_wait_behind_slow_ones(slow: str) -> None:
    # The median request is a quick one: nothing of it ever waits for the device.
    assert median_ns(served(slow, threads=4)) > 10 * median_ns(served(slow, threads=64))


@pytest.mark.parametrize("slow", SLOW)
def test_they_wait_for_the_pool_and_for_nothing_else(slow: str) -> None:
    for record in served(slow, threads=4):
        queue_ns = record.parts_ns["queue"] / record.answered
        assert queue_ns > 1_000_000
        assert queue_ns > 10 * record.parts_ns["run_queue"] / record.answered
        # Nobody queues at the device, and the cores have nothing to do.
        assert record.devices["slow"].queued_ns == 0
        assert sum(core["idle"] for core in record.cores_ns) > 0.8 * 2 * record.window_ns


@pytest.mark.parametrize("slow", SLOW)
def test_a_larger_pool_frees_them(slow: str) -> None:
    for record in served(slow, threads=64):
        assert record.parts_ns["queue"] / record.answered < 100_000
    # What is slow by itself stays so.
    few, many = served(slow, threads=4), served(slow, threads=64)
    for one, other in zip(few, many, strict=True):
        device_ns = one.parts_ns["device"] / one.answered
        assert device_ns == pytest.approx(other.parts_ns["device"] / other.answered, rel=0.1)
