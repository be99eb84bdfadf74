"""Coroutines by what switches them: swapcontext, longjmp, greenlets, and asyncio's event loop.

Requests come every 10 ms and take 100 us, so that each finds its server asleep.
"""

from typing import Any

import pytest
from bench import round_costs

from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

REQUESTS = 20
CONNECTIONS = 3

COSTS = round_costs(
    syscall_ns=10, recvfrom_ns=100, recvfrom_eagain_ns=90, sendto_ns=100,
    epoll_wait_per_event_ns=50, epoll_ctl_add_ns=30, epoll_ctl_del_ns=20, idle_exit_ns=1_000,
    coroutine_switch_ns=50, coroutine_longjmp_ns=20, greenlet_switch_ns=30,
    cpython_coroutine_switch_ns=7, coroutine_memory_bytes=4_000, cpython_coroutine_memory_bytes=600,
    greenlet_memory_bytes=2_000, asyncio_task_memory_bytes=3_000, asyncio_pass_ns=1_000,
    asyncio_handle_ns=300, asyncio_resume_ns=700, asyncio_feed_ns=200, asyncio_write_ns=40,
    asyncio_buffer_ns=400, asyncio_stream_ns=150,
)  # fmt: skip

CALL = [{"cpu": "50us"}, {"call": "db"}, {"cpu": "50us"}]
OPEN = {"rate": "100/s", "arrivals": "deterministic", "connections": {"total": CONNECTIONS}}


def run(
    model: str,
    options: dict[str, Any] | None = None,
    handler: Any = None,
    runtime: str = "native",
    costs: Any = COSTS,
    workload: dict[str, Any] | None = None,
) -> Record:
    scenario = from_data(
        {
            "machine": {"runtime": runtime},
            "workload": {"open": {**OPEN, **(workload or {})}},
            "models": [{model: options or {}}],
            "server": {"handler": handler or [{"cpu": "100us"}]},
            "devices": {"db": {"remote": {"latency": "1ms"}}},
            "run": {"duration": "209ms", "warm_up": "none"},
        }
    )
    return run_once(scenario, scenario.models[0], costs, 0)


def each(record: Record) -> dict[str, float]:
    return {name: count / REQUESTS for name, count in record.syscalls.items() if count}


@pytest.mark.parametrize(
    ("flavour", "runtime", "switch_ns", "memory_bytes"),
    [
        ("generator", "native", 50, 4_000),
        ("generator", "cpython", 7, 600),
        ("swapcontext", "native", 50, 4_000),
        ("longjmp", "native", 20, 4_000),
        ("greenlet", "cpython", 30, 2_000),
    ],
)
def test_a_flavour_is_what_a_switch_costs_and_a_coroutine_keeps(
    flavour: str, runtime: str, switch_ns: int, memory_bytes: int
) -> None:
    record = run("coroutine", {"flavour": flavour}, CALL, runtime)
    assert record.completed == REQUESTS
    assert record.coroutine_switches == 2 * REQUESTS
    assert record.cores_ns[0]["user"] == REQUESTS * (100_000 + 2 * switch_ns)
    # One for each connection, and the one that accepts.
    assert record.memory_bytes["coroutines"] == (CONNECTIONS + 1) * memory_bytes


def test_a_stack_takes_the_memory_that_it_is_given() -> None:
    record = run("coroutine", {"flavour": "longjmp", "stack": "64KiB"})
    assert record.memory_bytes["coroutines"] == (CONNECTIONS + 1) * 64 * 1024


def test_with_asyncios_streams_a_request_takes_two_passes() -> None:
    record = run("asyncio")
    assert record.completed == REQUESTS
    # The first pass is woken by the event: it reads and feeds the stream. The second, without
    # waiting, runs the task to its next read; it finds the level-triggered socket empty. The
    # third is the one that sleeps.
    buffer = {"mmap": 1, "mremap": 1, "munmap": 1}
    assert each(record) == {"epoll_wait": 2, "recvfrom": 1, "sendto": 1, **buffer}
    assert record.voluntary_switches == record.coroutine_switches == REQUESTS
    # Two passes; a handle for the event; transport and protocol; the stream's buffer; the task's
    # step; the transport.
    user_ns = 2 * 1_000 + 300 + 150 + 200 + 700 + 40 + 100_000
    assert record.cores_ns[0]["user"] == REQUESTS * user_ns
    assert record.cores_ns[0]["syscall"] == REQUESTS * (2 * 10 + 2 * 50 + 110 + 110 + 400)


def test_with_the_loops_socket_calls_each_wait_is_registered() -> None:
    record = run("asyncio", {"api": "sockets"})
    assert record.completed == REQUESTS
    # The task reads in vain, has the socket watched and waits; the event's handle reads; in the
    # next pass the socket is watched no longer, and the task goes on.
    assert each(record) == {"epoll_wait": 2, "recvfrom": 2, "sendto": 1, "epoll_ctl": 2}
    # As above without transport, protocol and buffer, and with one handle more.
    user_ns = 2 * 1_000 + 2 * 300 + 700 + 100_000
    assert record.cores_ns[0]["user"] == REQUESTS * user_ns
    syscall_ns = 2 * 10 + 2 * 50 + 110 + 100 + 110 + 40 + 30
    assert record.cores_ns[0]["syscall"] == REQUESTS * syscall_ns


@pytest.mark.parametrize("api", ["streams", "sockets"])
def test_a_call_takes_a_task_two_passes_more(api: str) -> None:
    plain, calling = run("asyncio", {"api": api}), run("asyncio", {"api": api}, CALL)
    assert calling.completed == REQUESTS
    assert calling.coroutine_switches == 2 * REQUESTS
    assert each(calling)["epoll_wait"] == each(plain)["epoll_wait"] + 2
    assert calling.devices["db"].calls == REQUESTS


def test_a_message_that_the_loop_has_read_waits_in_the_queue_for_its_task() -> None:
    record = run("asyncio")
    # Before it is read, the event and its handle; from the end of feeding to the end of the
    # task's step, the second pass and its epoll_wait, which looks at the socket again.
    assert record.parts_ns["queue"] == REQUESTS * (50 + 300 + 400 + 1_000 + 10 + 50 + 700)
    assert sum(record.parts_ns.values()) == record.responses.total_ns


def test_asyncio_rounds_the_wait_for_a_sleep_up_to_milliseconds() -> None:
    record = run("asyncio", handler=[{"sleep": "1100us"}])
    assert record.completed == REQUESTS
    mean_ns = record.responses.total_ns / REQUESTS
    assert 2_000_000 <= mean_ns <= 2_010_000


def test_all_that_arrives_in_one_pass_is_read_in_it() -> None:
    busy = {"rate": "8k/s", "arrivals": "poisson", "connections": {"total": 50}}
    record = run("asyncio", workload=busy)
    # 100 us each at 8,000 a second: often several are ready at once, and share the two passes.
    assert record.wait_events > 1.5 * record.syscalls["epoll_wait"] / 2
    assert record.completed + record.in_flight == record.offered


def test_asyncio_costs_more_than_generators_and_saturates_earlier() -> None:
    costs = load("reference").costs
    load_ = {"rate": "20k/s", "arrivals": "poisson", "connections": {"total": 100}}
    cpu = [{"cpu": "20us"}]
    generators = run("coroutine", None, cpu, "cpython", costs, load_)
    asyncio = run("asyncio", None, cpu, "cpython", costs, load_)
    besides_ns = [
        record.cores_ns[0]["user"] - record.answered * (20_000 + costs.cpython_message_ns)
        for record in (generators, asyncio)
    ]
    assert besides_ns[1] > 2 * besides_ns[0]
    assert asyncio.cores_ns[0]["idle"] < generators.cores_ns[0]["idle"]
