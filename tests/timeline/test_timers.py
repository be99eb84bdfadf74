"""Timers: sleeping, slack, timeouts of waits."""

from collections.abc import Generator
from typing import Any

from bench import Bench

from iosim.machine.calls import TIMED_OUT
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Mutex
from iosim.machine.readiness import DescriptorSet

Steps = Generator[Any, Any, None]


def test_nanosleep_is_late_by_the_timers_slack() -> None:
    bench = Bench(syscall_ns=5, timer_set_ns=10, timer_slack_ns=50)

    def program(kernel: Kernel) -> Steps:
        yield from kernel.compute(100)
        yield from kernel.nanosleep(1_000)
        bench.note("awake")

    thread = bench.spawn("a", program)
    # 100 computed, 15 in the call, then 1,000 and 50 of slack.
    assert bench.run(10_000) == [(1_165, "awake")]
    assert thread.voluntary == 1
    assert bench.calls() == {"nanosleep": 1}
    assert bench.cpu() == {"user": 100, "syscall": 15, "idle": 9_885}


def test_a_timeout_ends_a_wait() -> None:
    bench = Bench(timer_slack_ns=50)
    socket = bench.socket()
    values = []

    def program(kernel: Kernel) -> Steps:
        values.append((yield from kernel.sleep_on(socket.wait_queue, 200)))
        bench.note("over")

    bench.spawn("a", program)
    assert bench.run(1_000) == [(250, "over")]
    assert values == [TIMED_OUT]
    assert not socket.wait_queue.sleepers


def test_a_timer_that_was_not_needed_wakes_nobody() -> None:
    bench = Bench()
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.sleep_on(socket.wait_queue, 200)
        bench.note("woken")
        yield from kernel.recvfrom(socket)
        yield from kernel.recvfrom(socket)
        bench.note("received")

    thread = bench.spawn("a", program)
    bench.arrive(100, socket)
    bench.arrive(1_000, socket)
    # Asleep from 0 to 100 and from 100 to 1,000, past 200.
    assert bench.run(2_000) == [(100, "woken"), (1_000, "received")]
    assert (thread.voluntary, bench.machine.wakeups) == (2, 2)


def test_a_timer_is_set_anew_earlier_and_later() -> None:
    bench = Bench()
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        for ns in (1_000, 100, 5_000):
            yield from kernel.sleep_on(socket.wait_queue, ns)
            bench.note(f"{ns}")
            socket.received.clear()

    bench.spawn("a", program)
    bench.at(10, lambda: bench.machine.arrive(socket, "x"))
    # Woken at 10 out of a wait until 1,000; then until 110; then until 5,110.
    assert bench.run(10_000) == [(10, "1000"), (110, "100"), (5_110, "5000")]


def test_epoll_wait_with_a_timeout_returns_nothing_when_it_is_over() -> None:
    bench = Bench(epoll_wait_ns=10, timer_slack_ns=50)
    answers = []

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        answers.append((yield from kernel.epoll_wait(epoll, 1, timeout_ns=200)))
        bench.note("over")
        answers.append((yield from kernel.epoll_wait(epoll, 1, timeout_ns=0)))
        yield from kernel.settle()
        bench.note("at once")

    thread = bench.spawn("a", program)
    assert bench.run(1_000) == [(260, "over"), (270, "at once")]
    assert answers == [[], []]
    assert (thread.voluntary, bench.machine.waits, bench.machine.wait_events) == (1, 2, 0)


def test_poll_with_a_timeout_scans_again_when_it_is_over() -> None:
    bench = Bench(poll_per_descriptor_ns=10, timer_slack_ns=50)
    sockets = [bench.socket() for _ in range(3)]

    def program(kernel: Kernel) -> Steps:
        descriptors = DescriptorSet(bench.machine)
        for socket in sockets:
            descriptors.add(socket)
        assert (yield from kernel.poll(descriptors, timeout_ns=200)) == []
        bench.note("over")

    bench.spawn("a", program)
    # One pass 30, 200 + 50, another pass 30.
    assert bench.run(1_000) == [(310, "over")]


def test_a_condition_wait_with_a_timeout_says_that_nobody_signalled() -> None:
    bench = Bench()
    mutex, condition = Mutex("mutex"), Condition("condition")
    answers = []

    def program(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        answers.append((yield from kernel.cond_wait(condition, mutex, 200)))
        bench.note("over")
        answers.append((yield from kernel.cond_wait(condition, mutex, 200)))
        bench.note("signalled")

    def other(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(300)
        yield from kernel.cond_signal(condition)

    bench.spawn("a", program)
    bench.spawn("b", other)
    assert bench.run(1_000) == [(200, "over"), (300, "signalled")]
    assert answers == [False, True]
    assert not condition.waiters
