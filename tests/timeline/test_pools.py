"""Models with several workers: what a request costs each, when nothing else goes on.

Requests come every 10 ms and take 100 us, as in test_models.py, so each finds all asleep.
"""

import pytest
from bench import Watch
from test_models import COSTS, REQUESTS, each, run

from iosim.errors import SimulationError
from iosim.machine.core import Core
from iosim.machine.locks import Mutex
from iosim.machine.thread import Thread, WaitQueue
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

# -------------------------------------------------------------------------- thread pool


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("reader", ["worker", "main"])
def test_a_pool_costs_two_sleeps_and_three_futex_calls(reader: str, threads: int) -> None:
    record = run("thread_pool", {"reader": reader, "threads": threads})
    syscalls = each(record.syscalls)
    for name in ("epoll_wait", "recvfrom", "sendto"):
        assert syscalls[name] == 1
    # A worker that reads has to arm the connection again.
    assert syscalls.get("epoll_ctl", 0) == (reader == "worker")
    # Of several, one still has lag from its start when it is first signalled: it preempts main
    # inside FUTEX_WAKE, blocks on the mutex and is woken for it: a sleep more, two calls more.
    p = (threads > 1) / REQUESTS
    assert record.voluntary_switches / REQUESTS == 2 + p
    # To wait, to signal, and for the mutex that the waiter's re-lock has marked.
    assert syscalls["futex"] == pytest.approx(3 + 2 * p)


class MutexSleeps(Watch):
    """Counts the sleeps for a mutex."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def slept(self, thread: Thread, core: Core, at_ns: int, on: WaitQueue) -> None:
        super().slept(thread, core, at_ns, on)
        self.count += isinstance(on.lock, Mutex)


def pool_of(threads: int) -> tuple[Record, int]:
    scenario = from_data(
        {
            "workload": {
                "open": {"rate": "100/s", "arrivals": "deterministic", "connections": {"total": 3}}
            },
            "models": [{"thread_pool": {"threads": threads}}],
            "server": {"handler": [{"cpu": "100us"}]},
            "run": {"duration": "209ms", "warm_up": "none"},
        }
    )
    sleeps = MutexSleeps()
    return run_once(scenario, scenario.models[0], COSTS, 0, trace=sleeps), sleeps.count


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8, 20])
def test_voluntary_switches_are_two_and_p_futex_calls_three_and_two_p(threads: int) -> None:
    record, blocked = pool_of(threads)
    # Some block on the mutex in the start-up: before the load, they count no more.
    assert record.voluntary_switches <= 2 * REQUESTS + blocked
    p = record.voluntary_switches - 2 * REQUESTS
    assert 0 <= p <= blocked
    assert record.syscalls["futex"] == 3 * REQUESTS + 2 * p
    assert p <= record.involuntary_switches <= 2 * p
    assert threads < 8 or p > 0


def test_the_pool_takes_turns() -> None:
    # A signal is for whoever has waited longest.
    assert sorted(run("thread_pool", {"threads": 3}).served) == [6, 7, 7]
    assert run("thread_pool", {"threads": 30}).served.count(1) == REQUESTS


def test_one_worker_serves_one_call_at_a_time() -> None:
    def answered(threads: int) -> Record:
        scenario = from_data(
            {
                "workload": {
                    "open": {
                        "rate": "1k/s",
                        "arrivals": "deterministic",
                        "connections": {"total": 50},
                    }
                },
                "models": [{"thread_pool": {"threads": threads}}],
                "server": {"handler": [{"call": "db"}]},
                "devices": {"db": {"remote": {"latency": "10ms"}}},
                "run": {"duration": "200ms", "warm_up": "none"},
            }
        )
        return run_once(scenario, scenario.models[0], COSTS, 0)

    # 100 calls a second of 10 ms, whatever the load; with 4 four times as many; with 16 all.
    assert 18 <= answered(1).completed <= 20
    assert 72 <= answered(4).completed <= 80
    assert answered(16).completed >= 185


# -------------------------------------------------------------------------------- prefork


def test_a_process_costs_a_request_what_a_thread_of_its_own_does() -> None:
    record = run("prefork", {"processes": 3})
    assert each(record.syscalls) == {"recvfrom": 1, "sendto": 1}
    assert record.voluntary_switches == REQUESTS
    assert sum(record.served) == REQUESTS
    assert len(record.served) == 3


@pytest.mark.parametrize("wake", ["exclusive", "herd"])
def test_more_connections_than_processes_are_refused(wake: str) -> None:
    with pytest.raises(SimulationError, match=r"3 connections stay open .* 2 processes") as error:
        run("prefork", {"processes": 2, "wake": wake})
    assert error.value.at_ns is None


# ------------------------------------------------------------------------- epoll, shared out


@pytest.mark.parametrize("sharing", ["shared_listener", "exclusive", "reuseport"])
def test_with_an_epoll_of_its_own_a_worker_costs_what_one_loop_does(sharing: str) -> None:
    record = run("epoll", {"workers": 3, "sharing": sharing})
    assert each(record.syscalls) == {"epoll_wait": 1, "recvfrom": 1, "sendto": 1}
    assert record.voluntary_switches == REQUESTS
    assert record.spurious_wakeups == 0
    assert sum(record.served) == REQUESTS


def test_on_a_shared_epoll_the_last_to_come_back_serves_all() -> None:
    for trigger in ("edge", "oneshot"):
        record = run("epoll", {"workers": 3, "trigger": trigger})
        assert sorted(record.served) == [0, 0, REQUESTS]
        assert record.voluntary_switches == REQUESTS
        assert record.spurious_wakeups == 0
        assert record.syscalls.get("epoll_ctl", 0) == REQUESTS * (trigger == "oneshot")


def test_on_a_shared_epoll_a_level_triggered_report_wakes_one_more() -> None:
    record = run("epoll", {"workers": 3})
    # On one core it runs when the first has answered, finds nothing and sleeps again; now it is
    # the one that came last, so the two take turns and the third is never woken.
    assert record.spurious_wakeups == REQUESTS
    assert record.voluntary_switches == 2 * REQUESTS
    assert sorted(record.served) == [0, REQUESTS // 2, REQUESTS // 2]


def test_the_hash_spreads_connections_the_same_way_whatever_the_model_does() -> None:
    def shares(trigger: str, replication: int) -> tuple[int, ...]:
        scenario = from_data(
            {
                "machine": {"cores": 2},
                "workload": {"closed": {"users": 60, "think": "1ms", "connections": {"total": 60}}},
                "models": [{"epoll": {"workers": 4, "sharing": "reuseport", "trigger": trigger}}],
                "run": {"duration": "50ms", "warm_up": "none"},
            }
        )
        return run_once(scenario, scenario.models[0], COSTS, replication).served

    first = shares("level", 0)
    assert sum(first) > 1_000
    assert shares("level", 0) == first
    # Each user asks as often as any other: who serves how many is who has how many connections.
    for one, other in zip(first, shares("edge", 0), strict=True):
        assert other == pytest.approx(one, rel=0.02)
    assert shares("level", 1) != pytest.approx(first, rel=0.05)
