"""Signals: they interrupt computing, end sleeps, wait while a handler runs."""

from collections.abc import Generator
from typing import Any

from bench import Bench, rr

from iosim.machine.kernel import Kernel
from iosim.machine.locks import Mutex
from iosim.machine.signals import Signals, raise_signal
from iosim.machine.thread import RUN, SYSCALL, USER, Thread

Steps = Generator[Any, Any, None]


class Handled:
    """A thread that handles signals by computing for so long as they say."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.signals: Signals | None = None
        self.thread: Thread | None = None

    def prepare(self, kernel: Kernel) -> Steps:
        self.thread = kernel.thread

        def handler(ns: int) -> Steps:
            self.bench.note("handler")
            yield from kernel.compute(ns)
            yield from kernel.settle()
            self.bench.note("handled")

        self.signals = yield from kernel.sigaction(handler)

    def raise_at(self, at_ns: int, ns: int) -> None:
        def act() -> None:
            assert self.thread is not None and self.signals is not None
            raise_signal(self.thread, self.signals, ns)

        self.bench.at(at_ns, act)


def test_a_signal_interrupts_computing_which_then_goes_on_with_what_is_left() -> None:
    bench = Bench(signal_deliver_ns=5, sigreturn_ns=3, syscall_ns=2)
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.compute(100)
        yield from kernel.settle()
        bench.note("computed")

    thread = bench.spawn("a", program)
    handled.raise_at(42, 10)
    # sigaction 2; computing from 2, 40 of it done at 42. The handler's delivery 5 and its 10
    # are one burst, 42-57; sigreturn 2 + 3 until 62; the remaining 60 until 122.
    assert bench.run(1_000) == [(42, "handler"), (57, "handled"), (122, "computed")]
    assert bench.cpu() == {"user": 110, "syscall": 12, "idle": 878}
    assert (thread.voluntary, thread.involuntary) == (0, 0)
    assert bench.calls() == {"rt_sigaction": 1, "rt_sigreturn": 1}


def test_a_signal_inside_a_syscall_is_handled_at_the_return_from_it() -> None:
    bench = Bench()
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        kernel.thread.charge(USER, 10, "compute")
        kernel.thread.charge(SYSCALL, 50, "call")
        kernel.thread.charge(USER, 10, "compute")
        yield RUN
        bench.note("end")

    bench.spawn("a", program)
    handled.raise_at(20, 5)
    assert bench.run(1_000) == [(60, "handler"), (65, "handled"), (75, "end")]


def test_a_signal_is_handled_between_two_syscalls() -> None:
    bench = Bench(eventfd_write_ns=50)
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        eventfd = yield from kernel.eventfd()
        for _ in range(4):
            yield from kernel.eventfd_write(eventfd)
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program)
    handled.raise_at(60, 5)
    # In the second write, 50-100; handled at its return.
    assert bench.run(1_000) == [(100, "handler"), (105, "handled"), (205, "end")]


def test_a_signal_ends_a_pause() -> None:
    bench = Bench()
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.pause()
        bench.note("paused no more")

    thread = bench.spawn("a", program)
    handled.raise_at(100, 10)
    assert bench.run(1_000) == [(100, "handler"), (110, "handled"), (110, "paused no more")]
    assert (thread.voluntary, bench.machine.wakeups) == (1, 1)


def test_after_a_signal_a_sleep_goes_on_to_its_end() -> None:
    bench = Bench()
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.nanosleep(1_000)
        bench.note("slept")

    bench.spawn("a", program)
    handled.raise_at(100, 10)
    handled.raise_at(995, 20)
    # The second handler runs until 1,015: the sleep is over when it returns.
    assert bench.run(5_000) == [
        (100, "handler"),
        (110, "handled"),
        (995, "handler"),
        (1_015, "handled"),
        (1_015, "slept"),
    ]


def test_a_sleep_that_a_signal_interrupts_is_no_longer_for_it() -> None:
    bench = Bench()
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.nanosleep(1_000)
        bench.note("slept")

    thread = bench.spawn("a", program)
    handled.raise_at(100, 10)
    assert bench.run(5_000)[-1] == (1_000, "slept")
    assert thread.voluntary == 2
    assert bench.calls()["nanosleep"] == 1


def test_a_call_that_a_signal_interrupts_waits_on() -> None:
    bench = Bench()
    handled = Handled(bench)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.recvfrom(socket)
        bench.note("received")

    thread = bench.spawn("a", program)
    handled.raise_at(100, 10)
    bench.arrive(500, socket)
    assert bench.run(1_000) == [(100, "handler"), (110, "handled"), (500, "received")]
    assert thread.voluntary == 2
    assert bench.calls() == {"rt_sigaction": 1, "rt_sigreturn": 1, "recvfrom": 1}


def test_signals_queue_while_a_handler_runs() -> None:
    bench = Bench()
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.compute(100)
        yield from kernel.settle()
        bench.note("computed")

    bench.spawn("a", program)
    handled.raise_at(40, 30)
    handled.raise_at(50, 5)
    handled.raise_at(60, 5)
    # Never one inside another; the program goes on after the last: 100 + 30 + 5 + 5.
    assert bench.run(1_000) == [
        (40, "handler"),
        (70, "handled"),
        (70, "handler"),
        (75, "handled"),
        (75, "handler"),
        (80, "handled"),
        (140, "computed"),
    ]
    assert bench.calls() == {"rt_sigaction": 1, "rt_sigreturn": 3}


def test_a_signal_to_a_preempted_thread_is_handled_when_it_has_the_core_again() -> None:
    bench = Bench(queue=rr("100ns"))
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.compute(150)
        yield from kernel.settle()
        bench.note("computed")

    bench.spawn("a", program)
    bench.spawn("b", bench.computes(80, name="b"))
    handled.raise_at(120, 10)
    # a 0-100, b 100-180, a: handler 180-190, the remaining 50 until 240.
    assert bench.run(1_000) == [
        (180, "b"),
        (180, "handler"),
        (190, "handled"),
        (240, "computed"),
    ]


def test_a_handler_may_sleep_longer_than_the_sleep_that_it_interrupted() -> None:
    bench = Bench()
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        def handler(value: int) -> Steps:
            yield from kernel.recvfrom(socket)
            bench.note("handler received")

        signals = yield from kernel.sigaction(handler)
        bench.at(100, lambda: raise_signal(kernel.thread, signals, 0))
        yield from kernel.nanosleep(1_000)
        bench.note("slept")

    thread = bench.spawn("a", program)
    bench.arrive(5_000, socket)
    # The timer of the sleep is not the handler's: it wakes it neither at 1,000 nor ever.
    assert bench.run(10_000) == [(5_000, "handler received"), (5_000, "slept")]
    assert bench.moments("woke") == [(100, "woke", "a"), (5_000, "woke", "a")]
    assert thread.voluntary == 2


def test_a_thread_signals_another_on_its_own_core() -> None:
    bench = Bench(signal_send_ns=20, wake_up_ns=3, wake_up_idle_core_ns=1_000)
    handled = Handled(bench)

    def receiver(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.pause()
        bench.note("awake")

    def sender(kernel: Kernel) -> Steps:
        assert handled.thread is not None and handled.signals is not None
        yield from kernel.compute(10)
        yield from kernel.sigqueue(handled.thread, handled.signals, 5)
        yield from kernel.compute(40)
        yield from kernel.settle()
        bench.note("sender")

    bench.spawn("receiver", receiver)
    bench.at(100, lambda: bench.spawn("sender", sender))
    # Sent at 130, which wakes; under FIFO the receiver runs when the sender ends, at 173.
    assert bench.run(1_000) == [
        (173, "sender"),
        (173, "handler"),
        (178, "handled"),
        (178, "awake"),
    ]
    calls = ("rt_sigaction", "pause", "getpid", "getuid", "rt_sigqueueinfo", "rt_sigreturn")
    assert bench.calls() == dict.fromkeys(sorted(calls), 1)


def test_a_thread_waiting_for_a_lock_handles_signals_when_it_has_it() -> None:
    bench = Bench(cores=2)
    handled = Handled(bench)
    mutex = Mutex("mutex")

    def holder(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.compute(100)
        yield from kernel.unlock(mutex)

    def waiter(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        yield from kernel.compute(10)
        yield from kernel.lock(mutex)
        bench.note("locked")
        yield from kernel.compute(20)
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("holder", holder)
    bench.spawn("waiter", waiter)
    handled.raise_at(50, 5)
    assert bench.run(1_000) == [
        (100, "locked"),
        (100, "handler"),
        (105, "handled"),
        (125, "end"),
    ]


def test_a_timer_sends_a_signal_late_by_its_slack() -> None:
    bench = Bench(timer_set_ns=7, timer_slack_ns=50)
    handled = Handled(bench)

    def program(kernel: Kernel) -> Steps:
        yield from handled.prepare(kernel)
        assert handled.signals is not None
        yield from kernel.timer_settime(handled.signals, 100, 10)
        yield from kernel.compute(1_000)
        yield from kernel.settle()
        bench.note("computed")

    bench.spawn("a", program)
    # Set at 7, due at 107, signalled at 157; 7 + 1,000 + 10 in all.
    assert bench.run(5_000) == [(157, "handler"), (167, "handled"), (1_017, "computed")]


def test_a_handler_can_cut_short_what_it_has_interrupted() -> None:
    bench = Bench(signal_deliver_ns=5, sigreturn_ns=3, syscall_ns=2)
    left = []

    def program(kernel: Kernel) -> Steps:
        def handler(_: Any) -> Steps:
            left.append(kernel.cut_short())
            return
            yield

        signals = yield from kernel.sigaction(handler)
        bench.at(42, lambda: raise_signal(kernel.thread, signals, None))
        yield from kernel.compute(100)
        yield from kernel.settle()
        bench.note("computed")

    bench.spawn("a", program)
    # Computing from 2, 40 of it done at 42; the signal's 5 and 5; the other 60 are not done.
    assert bench.run(1_000) == [(52, "computed")]
    assert left == [60]
    assert bench.cpu() == {"user": 40, "syscall": 12, "idle": 948}
