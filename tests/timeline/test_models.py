"""Each I/O model's textbook: what one request costs it when nothing else goes on.

Requests come every 10 ms and take 100 us, so each finds its server asleep; syscalls and switches
of a whole run are then so many for each request, exactly.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from bench import round_costs

from iosim.io_models import aio
from iosim.machine.kernel import Kernel
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

REQUESTS = 20

COSTS = round_costs(
    syscall_ns=10,
    recvfrom_ns=100,
    recvfrom_eagain_ns=90,
    sendto_ns=100,
    epoll_wait_per_event_ns=50,
    poll_per_descriptor_ns=10,
    context_switch_ns=1_000,
    idle_exit_ns=1_000,
    wake_up_ns=100,
    futex_ns=100,
    lock_ns=10,
    thread_create_ns=1_000,
    coroutine_switch_ns=50,
)


def run(model: str, options: dict[str, Any] | None = None, cores: int = 1, **server: Any) -> Record:
    scenario = from_data(
        {
            "machine": {"cores": cores},
            "workload": {
                "open": {"rate": "100/s", "arrivals": "deterministic", "connections": {"total": 3}}
            },
            "models": [{model: options or {}}],
            "server": {"handler": [{"cpu": "100us"}], **server},
            "devices": {"db": {"remote": {"latency": "1ms"}}},
            # The last request comes at 200 ms.
            "run": {"duration": "209ms", "warm_up": "none"},
        }
    )
    record = run_once(scenario, scenario.models[0], COSTS, 0)
    assert (record.offered, record.completed) == (REQUESTS, REQUESTS)
    return record


def each(counts: Mapping[str, int]) -> dict[str, float]:
    return {name: count / REQUESTS for name, count in counts.items() if count}


EPOLL = {"epoll_wait": 1, "recvfrom": 1, "sendto": 1}

MODELS: dict[str, tuple[str, dict[str, Any], dict[str, int], int]] = {
    # A thread sleeps in recvfrom; each answer's recvfrom is the next request's.
    "blocking": ("blocking", {}, {"recvfrom": 1, "sendto": 1}, 1),
    "select": ("select", {}, {"select": 1, "recvfrom": 1, "sendto": 1}, 1),
    "poll": ("poll", {}, {"poll": 1, "recvfrom": 1, "sendto": 1}, 1),
    "epoll": ("epoll", {}, EPOLL, 1),
    # Edge-triggered, it has to read until EAGAIN.
    "epoll edge": ("epoll", {"trigger": "edge"}, {**EPOLL, "recvfrom": 2}, 1),
    # swapcontext there and back.
    "coroutine": ("coroutine", {}, {**EPOLL, "rt_sigprocmask": 2}, 1),
    "pool": ("thread_pool_callbacks", {}, EPOLL, 1),
    # A helper reads and signals; the handler answers and submits the next read, for which it
    # wakes a helper: each of the two threads sleeps once a request.
    "aio": (
        "aio",
        {},
        {
            "pread64": 1,
            "recvfrom": 1,
            "getpid": 1,
            "getuid": 1,
            "rt_sigqueueinfo": 1,
            "rt_sigreturn": 1,
            "pause": 1,
            "sendto": 1,
            # To wait, to wake, and for the mutex that the waiter's re-lock has marked.
            "futex": 3,
        },
        3,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_request_costs_a_model_so_many_syscalls_and_switches(name: str) -> None:
    model, options, syscalls, voluntary = MODELS[name]
    record = run(model, options)
    assert each(record.syscalls) == syscalls
    assert record.voluntary_switches / REQUESTS == voluntary
    assert record.involuntary_switches == 0


def test_the_handler_in_the_pool_costs_two_hand_overs() -> None:
    record = run("thread_pool_callbacks", {"offload": "handler"})
    syscalls = each(record.syscalls)
    # The loop: wait, recvfrom, signal; then wait, read the eventfd, sendto. A worker: wait for
    # work; write the eventfd.
    for name, count in {"epoll_wait": 2, "recvfrom": 1, "sendto": 1, "write": 1, "read": 1}.items():
        assert syscalls[name] == count
    # The loop sleeps twice, a worker once, for which it enters the kernel, and is woken, and
    # unlocks a mutex that its re-lock has marked. The first time each of the four has lag from
    # its start: it preempts the loop and blocks on the mutex once more.
    assert syscalls["futex"] == 3 + 2 * 4 / REQUESTS
    assert record.voluntary_switches / REQUESTS == 3 + 4 / REQUESTS
    assert 4 <= record.involuntary_switches <= 2 * 4


def test_asking_again_and_again_never_sleeps() -> None:
    record = run("nonblocking")
    assert record.voluntary_switches == record.involuntary_switches == 0
    assert record.syscalls["sendto"] == REQUESTS
    assert record.syscalls["recvfrom"] == REQUESTS + record.wasted_polls
    # All that is not work is asking, at 100 ns: the core is never idle.
    core = record.cores_ns[0]
    assert core["idle"] == 0
    # Asks are counted when the next request is found, so up to one gap of 10 ms is missing
    # and one too many may be in.
    assert abs(core["spin"] / 100 - record.wasted_polls) <= 100_000 + 11
    work_ns = REQUESTS * (100_000 + 110 + 110)
    assert core["spin"] == record.window_ns - work_ns


def test_a_pause_between_rounds_gives_the_core_away() -> None:
    record = run("nonblocking", {"pause": "1ms"})
    # A round a millisecond, at most, of 4 sockets.
    assert 150 <= record.voluntary_switches <= 209
    assert record.cores_ns[0]["idle"] > 0.9 * record.window_ns - REQUESTS * 100_000


def test_a_call_to_a_device_in_each_model() -> None:
    handler = [{"cpu": "50us"}, {"call": "db"}, {"cpu": "50us"}]
    voluntary = {
        "blocking": 2,  # asleep for the request and for the answer
        "epoll": 2,
        "poll": 2,
        "select": 2,
        "coroutine": 2,
        "nonblocking": 0,
    }
    for model, count in voluntary.items():
        record = run(model, handler=handler)
        assert record.voluntary_switches / REQUESTS == count, model
        syscalls = each(record.syscalls)
        assert syscalls["sendto"] == 2, model
        assert record.devices["db"].calls == REQUESTS, model
        assert record.devices["db"].busy_ns == REQUESTS * 1_000_000, model
    pool = run("thread_pool_callbacks", handler=handler)
    # The loop sleeps for the request and for the result, the worker for the answer and for work;
    # and for a mutex the first time, as above.
    assert pool.voluntary_switches / REQUESTS == 4 + 4 / REQUESTS


def test_a_coroutine_switch_is_no_context_switch() -> None:
    record = run("coroutine")
    # Each request resumes its coroutine once.
    assert record.coroutine_switches == REQUESTS
    assert record.thread_switches == 0


def test_a_coroutine_is_resumed_again_after_a_call() -> None:
    record = run("coroutine", handler=[{"cpu": "50us"}, {"call": "db"}, {"cpu": "50us"}])
    assert record.coroutine_switches == 2 * REQUESTS


@pytest.mark.parametrize(
    "model",
    ["blocking", "epoll", "poll", "select", "coroutine", "goroutine", "nonblocking", "aio"],
)
def test_a_sleep_step_is_not_computed(model: str) -> None:
    record = run(model, handler=[{"cpu": "50us"}, {"sleep": "1ms"}, {"cpu": "50us"}])
    assert record.parts_ns["device"] >= REQUESTS * 1_000_000
    assert record.cores_ns[0]["user"] <= REQUESTS * 100_000 + 209 * 300
    responses = record.responses
    assert responses.count == REQUESTS
    assert 1_100_000 <= responses.total_ns / REQUESTS <= 1_140_000


@pytest.mark.parametrize("model", ["epoll", "poll", "coroutine", "nonblocking", "aio"])
def test_own_work_fills_the_time_between_requests(model: str) -> None:
    record = run(model, own_work={"chunk": "100us"})
    # All of the core but the requests' 100 us every 10 ms, and what looking around costs.
    assert record.own_work_ns > 0.97 * record.window_ns
    assert record.cores_ns[0]["idle"] <= 0.001 * record.window_ns


def test_a_blocking_server_has_no_time_for_own_work_but_in_a_thread_for_it() -> None:
    assert run("blocking", own_work={"chunk": "100us"}).own_work_ns == 0
    record = run("blocking", {"own_work_thread": True}, own_work={"chunk": "100us"})
    assert record.own_work_ns > 0.97 * record.window_ns


def cpython(model: str) -> Record:
    scenario = from_data(
        {
            "machine": {"runtime": "cpython"},
            "workload": {
                "open": {"rate": "100/s", "arrivals": "deterministic", "connections": {"total": 3}}
            },
            "models": [model],
            "server": {"handler": [{"cpu": "100us"}]},
            "run": {"duration": "209ms", "warm_up": "none"},
        }
    )
    costs = replace(COSTS, cpython_call_ns=1_000, cpython_lock_ns=100, cpython_event_ns=10)
    return run_once(scenario, scenario.models[0], costs, 0)


def test_in_cpython_each_call_costs_its_way_and_the_lock_twice() -> None:
    record = cpython("epoll")
    # Three calls a request, each 1,000 and 2 x 100; an event made, 10. The very first wait was
    # begun before the load.
    assert record.completed == REQUESTS
    each_ns = 100_000 + 3 * (1_000 + 2 * 100) + 10
    assert record.cores_ns[0]["user"] == REQUESTS * each_ns
    assert "futex" not in record.syscalls  # alone, a thread takes the lock without a call


def test_in_cpython_threads_that_come_one_after_the_other_need_no_futex_for_the_lock() -> None:
    record = cpython("blocking")
    assert record.completed == REQUESTS
    assert record.voluntary_switches == REQUESTS
    assert record.syscalls.get("futex", 0) == 0


def test_two_readers_share_one_helper_if_there_is_only_one() -> None:
    # glibc's aio: with fewer helpers than reads, the later reads are not even begun, so the
    # requests on the second and third connection are not read while the first is silent.
    scenario = from_data(
        {
            "workload": {
                "open": {"rate": "1k/s", "arrivals": "deterministic", "connections": {"total": 3}}
            },
            "models": [{"aio": {"workers": 1}}],
            "server": {"handler": [{"cpu": "10us"}]},
            "run": {"duration": "50ms", "warm_up": "none", "seed": 3},
        }
    )
    one = run_once(scenario, scenario.models[0], COSTS, 0)
    assert one.completed < one.offered
    assert one.in_flight > 0


def test_glibcs_aio_notifies_with_its_mutex_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[aio.Aio] = []
    begin, notify = aio.Aio.__init__, Kernel.sigqueue

    def beginning(self: aio.Aio, *given: Any) -> None:
        begin(self, *given)
        found.append(self)

    def sigqueue(self: Kernel, *given: Any) -> Any:
        owners.append(found[0].mutex.owner)
        helpers.append(self.thread)
        return notify(self, *given)

    owners: list[Any] = []
    helpers: list[Any] = []
    monkeypatch.setattr(aio.Aio, "__init__", beginning)
    monkeypatch.setattr(Kernel, "sigqueue", sigqueue)
    run("aio")
    assert len(owners) == REQUESTS
    assert owners == helpers
