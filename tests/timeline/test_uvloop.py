"""uvloop: what one request, a batch, a sleep and a connection cost on libuv's loop.

In `run` requests come every 10 ms and take 100 us, so that each finds its server asleep.
"""

from typing import Any

from bench import Bench, round_costs
from served import served

from iosim.io_models import uvloop
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import EPOLLIN, EPOLLOUT
from iosim.machine.thread import Program
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

REQUESTS = 20

GIVEN: dict[str, Any] = {
    "syscall_ns": 10, "recvfrom_ns": 100, "sendto_ns": 100, "accept4_ns": 60, "close_ns": 70,
    "epoll_wait_per_event_ns": 50, "epoll_ctl_add_ns": 30, "epoll_ctl_mod_ns": 25,
    "epoll_ctl_del_ns": 20, "idle_exit_ns": 1_000, "asyncio_feed_ns": 200,
    "uvloop_pass_ns": 500, "uvloop_handle_ns": 300, "uvloop_resume_ns": 700,
    "uvloop_stream_ns": 150, "uvloop_write_ns": 40,
    "cpython_lock_ns": 3, "cpython_message_ns": 5,
}  # fmt: skip


def run(
    handler: Any = None, runtime: str = "native", connections: Any = None, **workload: Any
) -> Record:
    connections = {"total": 3, **(connections or {})}
    scenario = from_data(
        {
            "machine": {"runtime": runtime, "send_buffer": "64KiB"},
            "workload": {
                "open": {
                    "rate": "100/s",
                    "arrivals": "deterministic",
                    "connections": connections,
                    **workload,
                }
            },
            "models": ["uvloop"],
            "server": {"handler": handler or [{"cpu": "100us"}]},
            "devices": {"db": {"remote": {"latency": "1ms"}}},
            "run": {"duration": "209ms", "warm_up": "none"},
        }
    )
    return run_once(scenario, scenario.models[0], round_costs(**GIVEN), 0)


def each(record: Record) -> dict[str, float]:
    return {name: count / REQUESTS for name, count in record.syscalls.items() if count}


def test_a_request_takes_one_wait() -> None:
    record = run()
    assert record.completed == REQUESTS
    # The pass that sleeps is woken by the event, reads and feeds the stream; the next begins with
    # the task, and then sleeps.
    assert each(record) == {"epoll_wait": 1, "read": 1, "write": 1}
    assert record.voluntary_switches == record.coroutine_switches == REQUESTS
    # A pass; libuv's callbacks; the stream's buffer; the task's step; the transport.
    user_ns = 500 + 150 + 200 + 700 + 40 + 100_000
    assert record.cores_ns[0]["user"] == REQUESTS * user_ns
    # The wait looks twice: at the level-triggered socket that it reported last, and at the event.
    assert record.cores_ns[0]["syscall"] == REQUESTS * (10 + 2 * 50 + 110 + 110)


def test_waiting_and_reading_leave_the_interpreter_lock_and_writing_does_not() -> None:
    native, python = run(), run(runtime="cpython")
    assert each(python) == each(native)
    # It is dropped and taken for epoll_wait and for read; and Python looks whose the message is.
    besides_ns = python.cores_ns[0]["user"] - native.cores_ns[0]["user"]
    assert besides_ns == REQUESTS * (4 * 3 + 5)


def test_accepting_and_telling_what_to_watch_leave_it_too() -> None:
    native, python = (
        run(runtime=runtime, connections={"total": 1, "lifetime": 1})
        for runtime in ("native", "cpython")
    )
    calls = python.syscalls
    outside = sum(calls[name] for name in ("accept4", "io_uring_enter", "epoll_wait", "read"))
    besides_ns = python.cores_ns[0]["user"] - native.cores_ns[0]["user"]
    # Of the wait that is under way when the load begins only the taking is seen, of the one in
    # which it ends only the dropping.
    assert besides_ns == 2 * 3 * outside + 5 * REQUESTS


def test_a_call_takes_one_wait_more() -> None:
    record = run([{"cpu": "50us"}, {"call": "db"}, {"cpu": "50us"}])
    assert record.completed == REQUESTS
    # The first call opens the connection, whose transport calls back in the next pass: so the task
    # goes on two passes later, neither of which waits.
    opening = {"connect": 1, "getsockname": 1, "getpeername": 1, "io_uring_enter": 1}
    called = {name: count for name, count in record.syscalls.items() if count}
    assert called == {
        "epoll_wait": 2 * REQUESTS + 2, "read": 2 * REQUESTS, "write": 2 * REQUESTS, **opening
    }  # fmt: skip
    assert record.coroutine_switches == 2 * REQUESTS + 1
    assert record.devices["db"].calls == REQUESTS


def test_of_a_batch_the_first_answer_leaves_when_all_has_been_read() -> None:
    bench = Bench(**GIVEN)
    answers = served(bench, uvloop, {}, [(100_000, 0), (100_000, 1)])
    begun_ns = 100_000 + 1_000 + 2 * 50  # it leaves idle; epoll_wait tells of both
    read_ns = begun_ns + 2 * (110 + 150 + 200)  # read, callbacks, the stream's buffer
    first_ns = read_ns + 500 + 700 + 40 + 110  # the next pass; a task's step, transport, write
    assert answers == [(first_ns, 0), (first_ns + 700 + 40 + 110, 1)]


def test_what_is_watched_is_told_by_an_sqe_each_and_one_call() -> None:
    costs = {"io_uring_fill_ns": 3, "io_uring_enter_ns": 40, "io_uring_per_sqe_ns": 7,
             "io_uring_per_cqe_ns": 5}  # fmt: skip
    bench = Bench(**GIVEN, **costs)
    sockets = [bench.socket(name) for name in "ab"]
    ended: list[int] = []

    def program(kernel: Kernel) -> Program:
        epoll = yield from kernel.epoll_create1()
        ring = yield from kernel.io_uring_setup(4)
        for changes in (
            [(socket, EPOLLIN) for socket in sockets],
            [(sockets[0], EPOLLOUT)],
        ):
            begun_ns = kernel.now_ns
            yield from kernel.io_uring_epoll_ctl(ring, epoll, changes)
            ended.append(kernel.now_ns - begun_ns)
        for _ in range(2):  # the second time it is not watched any more
            begun_ns = kernel.now_ns
            yield from kernel.epoll_ctl_del(epoll, sockets[0])
            ended.append(kernel.now_ns - begun_ns)
        assert list(epoll.interest) == [sockets[1]]

    bench.spawn("main", program)
    bench.run(100_000)
    each_ns = 3 + 7 + 5
    assert ended == [10 + 40 + 2 * (each_ns + 30), 10 + 40 + each_ns + 25, 10 + 20, 10]
    assert bench.machine.syscalls["io_uring_enter"] == bench.machine.syscalls["epoll_ctl"] == 2


def test_a_connection_is_accepted_in_two_passes_and_closed_in_three() -> None:
    # One request on each.
    record = run(connections={"total": 1, "lifetime": 1})
    assert record.completed == REQUESTS
    calls = each(record)
    # Accepted: the transport begins in the next pass, and its task in the one after. At its end it
    # is told of once more and taken out; libuv tries that again when it closes it.
    opened = {"accept4": 1, "setsockopt": 1, "getsockname": 1, "getpeername": 1}
    closed = {"epoll_ctl": 2, "close": 1}
    assert calls.pop("io_uring_enter") == 1
    # Accepted, begun, waited for the request (if that is not there yet), at the end, and closed.
    assert 4 <= calls.pop("epoll_wait") <= 6
    assert calls == {**opened, **closed, "read": 2, "write": 1}


def test_what_there_is_no_room_for_is_tried_twice_and_drained() -> None:
    record = run(reply="100KiB", connections={"receive_rate": "50MB/s"})
    assert record.completed == REQUESTS
    # 64 KiB go at once, and nothing when it is tried again. The rest goes in two parts, as a third
    # of the buffer is free each time; that room is waited for is told, and that it is no more.
    assert each(record) == {"epoll_wait": 3, "io_uring_enter": 2, "read": 1, "write": 4}


def test_a_sleep_is_of_whole_milliseconds() -> None:
    for asked, taken_ns in (("1400us", 1_000_000), ("1600us", 2_000_000)):
        record = run([{"sleep": asked}])
        assert record.completed == REQUESTS
        mean_ns = record.responses.total_ns / REQUESTS
        assert taken_ns <= mean_ns <= taken_ns + 10_000, asked
        # A timer that has been closed takes a pass more, which does not wait.
        assert each(record) == {"epoll_wait": 3, "read": 1, "write": 1}


def test_one_shorter_than_half_a_millisecond_only_lets_others_run() -> None:
    record = run([{"sleep": "400us"}])
    assert record.responses.total_ns / REQUESTS < 10_000
    assert each(record) == {"epoll_wait": 3, "read": 1, "write": 1}


def test_a_sleep_ends_in_any_pass_of_its_last_millisecond() -> None:
    # Every 1.25 ms one begins, at .0, .25, .5 and .75 of a millisecond; the last of these is over
    # when the next request makes the loop look at the clock, 1.25 ms later.
    record = run([{"sleep": "2ms"}], connections={"total": 20}, rate="800/s")
    assert 1_250_000 <= record.responses.min_ns < 1_260_000
    assert sum(record.parts_ns.values()) == record.responses.total_ns
