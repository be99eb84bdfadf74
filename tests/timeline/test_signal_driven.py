"""Signals of I/O: what is queued, what a wait costs, overflow, stale signals, nothing lost."""

from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, Letter
from served import served

from iosim.io_models import signal_driven
from iosim.machine.kernel import Kernel
from iosim.machine.signals import F_SETFL, F_SETOWN, F_SETSIG, SIGIO, IoSignals
from iosim.machine.sockets import EAGAIN, EOF, Socket
from iosim.machine.thread import ASLEEP, RUNNING

Steps = Generator[Any, Any, None]

COSTS: dict[str, Any] = {
    "syscall_ns": 10,
    "sigprocmask_ns": 1,
    "fcntl_ns": 2,
    "sigtimedwait_ns": 20,
    "signal_take_ns": 30,
    "recvfrom_ns": 100,
    "recvfrom_eagain_ns": 40,
    "sendto_ns": 200,
    "poll_ns": 5,
    "poll_per_descriptor_ns": 50,
}


def watch(kernel: Kernel, signals: IoSignals, *sockets: Socket) -> Steps:
    for socket in sockets:
        socket.nonblocking = True
        for command in (F_SETOWN, F_SETSIG, F_SETFL):
            yield from kernel.fcntl(socket, command, signals)


def take(
    kernel: Kernel, bench: Bench, signals: IoSignals, timeout_ns: int | None = None
) -> Generator[Any, Any, Any]:
    """Wait for a signal, and note it."""
    signal = yield from kernel.sigtimedwait(signals, timeout_ns)
    yield from kernel.settle()
    bench.note(signal.name if signal is not None else "nothing")
    return signal


def test_an_arrival_is_signalled_and_the_signal_names_the_socket() -> None:
    bench = Bench(**COSTS)
    first, second = bench.socket("first"), bench.socket("second")

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(10)
        yield from watch(kernel, signals, first, second)
        for _ in range(2):
            yield from take(kernel, bench, signals)

    thread = bench.spawn("a", program)
    bench.arrive(1_000, second)
    bench.arrive(1_020, first)
    # Set up 11 and 6 x 12, and entered 30: asleep at 113. Taken at 1,030; the next call, 30 and 30.
    assert bench.run(5_000) == [(1_030, "second"), (1_090, "first")]
    assert bench.moments("slept") == [(113, "slept", "a")]
    assert bench.calls() == {"rt_sigprocmask": 1, "fcntl": 6, "rt_sigtimedwait": 2}
    assert bench.cpu() == {"syscall": 11 + 72 + 30 + 30 + 60, "idle": 5_000 - 203}
    assert thread.voluntary == 1


def test_each_arrival_is_signalled_so_that_a_signal_may_be_stale() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(10)
        yield from watch(kernel, signals, socket)
        yield from take(kernel, bench, signals)
        while (yield from kernel.recvfrom(socket)) is not EAGAIN:
            pass
        yield from take(kernel, bench, signals)
        assert (yield from kernel.recvfrom(socket)) is EAGAIN

    bench.spawn("a", program)
    bench.arrive(1_000, socket)
    bench.arrive(1_010, socket)
    # 30; two received 220, none 50; 60.
    assert bench.run(5_000) == [(1_030, "socket"), (1_360, "socket")]
    assert bench.machine.wasted_polls == 2


def test_what_had_arrived_before_is_not_signalled() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket("socket", Letter())

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(10)
        yield from watch(kernel, signals, socket)
        yield from take(kernel, bench, signals)

    bench.spawn("a", program)
    assert bench.run(5_000) == []


def test_a_wait_has_an_end() -> None:
    bench = Bench(**COSTS, timer_slack_ns=50)

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(10)
        yield from take(kernel, bench, signals, 500)
        yield from take(kernel, bench, signals, 0)

    bench.spawn("a", program)
    # 11; entered 30, 500, and late by 50; entered 30.
    assert bench.run(5_000) == [(591, "nothing"), (621, "nothing")]


def test_beyond_the_limit_there_is_one_sigio_and_it_comes_first() -> None:
    bench = Bench(**COSTS)
    sockets = [bench.socket(f"socket {n}") for n in range(5)]

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(2)
        yield from watch(kernel, signals, *sockets)
        yield from kernel.compute(1_000)
        for _ in range(4):
            yield from take(kernel, bench, signals, 0)

    bench.spawn("a", program)
    for number, socket in enumerate(sockets):
        bench.arrive(500 + number, socket)
    bench.run(5_000)
    assert [text for _, text in bench.log] == ["SIGIO", "socket 0", "socket 1", "nothing"]


def test_what_is_queued_is_thrown_away_and_what_comes_then_is_not() -> None:
    bench = Bench(**COSTS)
    sockets = [bench.socket(f"socket {n}") for n in range(4)]

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(2)
        yield from watch(kernel, signals, *sockets)
        yield from kernel.compute(1_000)
        assert (yield from take(kernel, bench, signals)) is SIGIO
        yield from kernel.discard_signals(signals)
        yield from kernel.compute(1_000)
        yield from take(kernel, bench, signals)

    bench.spawn("a", program)
    for socket in sockets[:3]:
        bench.arrive(500, socket)
    bench.arrive(2_000, sockets[3])
    # Set up 11 and 12 x 12, computed until 1,155, taken 60; thrown away 2 x 11, computed until
    # 2,237, taken 60.
    assert bench.run(5_000) == [(1_215, "SIGIO"), (2_297, "socket 3")]
    assert bench.calls()["rt_sigaction"] == 2


def test_the_signal_of_a_closed_socket_stays_and_names_none_that_is_open() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        signals = yield from kernel.sigprocmask(10)
        yield from watch(kernel, signals, socket)
        yield from kernel.compute(1_000)
        yield from kernel.close(socket)
        signal = yield from take(kernel, bench, signals)
        assert signal.descriptor == -1
        assert not socket.watchers

    bench.spawn("a", program)
    bench.at(500, lambda: bench.machine.arrive(socket, EOF))
    bench.run(5_000)
    assert [text for _, text in bench.log] == ["socket closed", "socket"]


# ------------------------------------------------------------------------ the model


def test_a_request_is_a_signal_two_reads_and_an_answer() -> None:
    bench = Bench(**COSTS)
    assert served(bench, signal_driven, {}, [(5_000, 0), (9_000, 0)]) == [(5_350, 0), (9_350, 1)]
    # Each: taken 30, received 110, answered 210; then EAGAIN 50, and the next wait, 30.
    calls = bench.calls()
    assert calls["recvfrom"] == 1 + 2 * 2  # and one look at the new connection
    assert (calls["sendto"], calls["rt_sigtimedwait"]) == (2, 3)
    # The listener's and the connection's.
    assert calls["fcntl"] == 6
    assert "poll" not in calls


def test_overflow_has_poll_look_at_every_descriptor_and_then_signals_are_back() -> None:
    bench = Bench(**COSTS)
    # Five at once: the first is taken, as many as fit are queued, the others are lost.
    arrivals = [(5_000, n) for n in range(5)] + [(9_000, 2)]
    answers = served(bench, signal_driven, {"queue": 2}, arrivals)
    # The queue is full when the thread is woken: it takes SIGIO 30, throws away 22, polls six
    # descriptors 315; then 110 and 210 each, with an EAGAIN 50 between.
    first_ns = 5_000 + 30 + 22 + 15 + 6 * 50 + 320
    assert answers == [(first_ns + 370 * n, n) for n in range(5)] + [(9_350, 5)]
    calls = bench.calls()
    assert (calls["poll"], calls["rt_sigaction"]) == (1, 2)


def test_a_stale_signal_is_survived() -> None:
    bench = Bench(**COSTS)
    # The second comes while the first of the same connection is served, and is read with it.
    answers = served(bench, signal_driven, {}, [(5_000, 0), (5_100, 0), (9_000, 0)])
    assert answers == [(5_350, 0), (5_670, 1), (9_350, 2)]
    # Its own signal finds nothing: one look at the start, then 2 + EAGAIN, EAGAIN, 1 + EAGAIN.
    assert bench.calls()["recvfrom"] == 1 + 3 + 1 + 2


@pytest.mark.parametrize("queue", [1, 2, 1024])
def test_no_arrival_at_any_instant_is_lost(queue: int) -> None:
    """Two more requests come at each instant from before the first one's to the next sleep."""
    begin_ns = 20_000
    states = set()
    overflows = set()
    for shift_ns in range(-20, 1_500):
        bench = Bench(**COSTS)
        second_ns = begin_ns + shift_ns
        bench.at(second_ns, lambda: states.add(bench.machine.threads[0].state))  # noqa: B023
        arrivals = [(begin_ns, 0), (begin_ns + 1, 1), (second_ns, 2), (second_ns + 53, 3)]
        answers = served(bench, signal_driven, {"queue": queue}, arrivals)
        assert sorted(number for _, number in answers) == [0, 1, 2, 3], shift_ns
        overflows.add(bench.calls().get("poll", 0))
    assert states == {RUNNING, ASLEEP}
    assert (max(overflows) > 0) == (queue < 1024)


def test_a_request_that_came_before_its_connection_was_watched_is_served() -> None:
    for at_ns in range(0, 400):
        bench = Bench(**COSTS, accept4_ns=20)
        answers = served(bench, signal_driven, {}, [(at_ns, 0)])
        assert [number for _, number in answers] == [0], at_ns
