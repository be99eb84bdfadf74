"""CPython's interpreter lock: hand-over, switch interval, forced switches, calls outside it.

Two cores, so that only the lock keeps threads apart; switch interval 1,000.
"""

import itertools
from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, Letter, fair

from iosim.machine.interpreter import CPythonKernel, InterpreterLock
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Mutex
from iosim.machine.uring import RECV, Sqe

Steps = Generator[Any, Any, None]


def python(**costs: Any) -> Bench:
    return Bench(**{"cores": 2, "cpython": True, "cpython_switch_interval_ns": 1_000, **costs})


def computing(bench: Bench) -> list[tuple[str, int, int]]:
    """When each thread computed, adjoining pieces joined."""
    spans: list[tuple[str, int, int]] = []
    for name, start, to, cause, label in sorted(bench.watch.work, key=lambda work: work[1]):
        if (cause, label) != ("user", "compute"):
            continue
        if spans and spans[-1][0] == name and spans[-1][2] == start:
            spans[-1] = (name, spans[-1][1], to)
        else:
            spans.append((name, start, to))
    return spans


def interpreter_lock(bench: Bench) -> InterpreterLock:
    (lock,) = bench.machine.interpreters
    return lock


def test_one_thread_alone_takes_the_lock_without_a_futex() -> None:
    bench = python(cpython_lock_ns=10, cpython_call_ns=5, syscall_ns=20)

    def program(kernel: Kernel) -> Steps:
        yield from kernel.compute(100)
        eventfd = yield from kernel.eventfd()
        yield from kernel.eventfd_write(eventfd)
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program)
    # Take 10; compute 100; eventfd 20; call 5, drop 10, write 20, take 10.
    assert bench.run(1_000) == [(175, "end")]
    assert bench.calls() == {"eventfd2": 1, "write": 1}
    # Held from 10 to 145, then from 175 on, until the end's 10 ns of dropping it are over.
    lock = interpreter_lock(bench)
    assert lock.held_ns(1_000) == 135 + 10
    assert (lock.waits, lock.wait_ns) == (0, 0)


def test_two_computing_threads_take_turns_of_a_switch_interval() -> None:
    bench = python()
    bench.spawn("a", bench.computes(5_000, name="a"))
    bench.spawn("b", bench.computes(5_000, name="b"))
    # Each waits 1,000 in vain, asks, and is handed the lock: never two at once, on two cores.
    assert bench.run(20_000) == [(9_000, "a"), (10_000, "b")]
    turns = [("ab"[n % 2], 1_000 * n, 1_000 * (n + 1)) for n in range(10)]
    assert computing(bench) == turns
    # Nine turns were waited for, each for a whole one; the lock was never free.
    lock = interpreter_lock(bench)
    assert lock.held_ns(20_000) == 10_000
    assert (lock.waits, lock.wait_ns) == (9, 9_000)


def test_who_waits_less_than_the_interval_forces_nobody() -> None:
    bench = python()
    bench.spawn("a", bench.computes(900, name="a"))
    bench.spawn("b", bench.computes(900, name="b"))
    assert bench.run(5_000) == [(900, "a"), (1_800, "b")]
    assert computing(bench) == [("a", 0, 900), ("b", 900, 1_800)]


def test_a_blocking_call_lets_the_other_thread_compute() -> None:
    bench = python()
    socket = bench.socket()

    def reader(kernel: Kernel) -> Steps:
        yield from kernel.compute(100)
        yield from kernel.recvfrom(socket)
        yield from kernel.compute(50)
        yield from kernel.settle()
        bench.note("reader")

    bench.spawn("reader", reader)
    bench.spawn("busy", bench.computes(2_000, name="busy"))
    bench.arrive(300, socket)
    # reader 0-100, then waits outside the lock; busy from 100. The reader, woken at 300,
    # asks for the lock at 1,300, computes 1,300-1,350; busy goes on.
    assert bench.run(5_000) == [(1_350, "reader"), (2_150, "busy")]
    assert computing(bench) == [
        ("reader", 0, 100),
        ("busy", 100, 1_300),
        ("reader", 1_300, 1_350),
        ("busy", 1_350, 2_150),
    ]


def test_a_call_that_does_not_block_gives_the_lock_away_all_the_same() -> None:
    # The convoy's root: whoever waits gets the lock at every call, blocking or not.
    bench = python(recvfrom_ns=10)
    socket = bench.socket("socket", *(Letter() for _ in range(3)))

    def reader(kernel: Kernel) -> Steps:
        for _ in range(3):
            yield from kernel.compute(100)
            yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        bench.note("reader")

    bench.spawn("reader", reader)
    bench.spawn("busy", bench.computes(10_000, name="busy"))
    bench.run(10_400)
    # reader 100, recvfrom 100-110 outside; it asks from 110 on and gets the lock at 1,110.
    assert computing(bench)[:5] == [
        ("reader", 0, 100),
        ("busy", 100, 1_110),
        ("reader", 1_110, 1_210),
        ("busy", 1_210, 2_220),
        ("reader", 2_220, 2_320),
    ]


def test_a_computation_is_interrupted_whatever_the_program_does_next() -> None:
    bench = python()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.compute(2_500)
        yield from kernel.nanosleep(1)
        yield from kernel.settle()
        bench.note(kernel.thread.name)

    def later(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(500)
        yield from kernel.compute(100)
        yield from kernel.settle()
        bench.note("later")

    bench.spawn("later", later)
    bench.spawn("program", program)
    # later asks at 500 and is handed the lock at 1,500, though a call follows at 2,500.
    assert bench.run(10_000) == [(1_600, "later"), (2_601, "program")]
    assert computing(bench) == [
        ("program", 0, 1_500),
        ("later", 1_500, 1_600),
        ("program", 1_600, 2_600),
    ]


def test_a_thread_that_starts_waits_for_what_the_only_other_one_still_computes() -> None:
    bench = python(eventfd_write_ns=20)
    eventfd = bench.socket()

    def first(kernel: Kernel) -> Steps:
        yield from kernel.compute(300)
        yield from kernel.eventfd_write(eventfd)
        yield from kernel.compute(10)
        yield from kernel.settle()
        bench.note("first")

    bench.spawn("first", first)
    bench.at(100, lambda: bench.spawn("second", bench.computes(50, name="second")))
    # The first drops the lock at 300 and writes until 320; the second has it 300-350.
    assert bench.run(10_000) == [(350, "second"), (360, "first")]


def test_who_drops_the_lock_and_wants_it_back_at_once_may_have_it() -> None:
    # Dropping signals the waiter; until it runs, whoever comes first takes the lock.
    bench = python(idle_exit_ns=50)
    socket = bench.socket("socket", Letter())

    def quick(kernel: Kernel) -> Steps:
        yield from kernel.compute(300)
        yield from kernel.recvfrom(socket)
        yield from kernel.compute(100)
        yield from kernel.settle()
        bench.note("quick")

    bench.spawn("quick", quick)
    bench.spawn("waiter", bench.computes(10, name="waiter"))
    # Both start at 50. The waiter, signalled at 350, finds it taken again at 400.
    assert bench.run(10_000) == [(450, "quick"), (510, "waiter")]


def test_a_forced_switch_waits_for_the_return_from_what_is_no_python() -> None:
    # The lock is asked for in a syscall that is made under it: handed over when Python is back.
    bench = python()

    def holder(kernel: Kernel) -> Steps:
        kernel.thread.charge(0, 900, "compute")
        kernel.thread.charge(1, 300, "call")
        yield None
        yield from kernel.compute(500)
        yield from kernel.settle()
        bench.note("holder")

    bench.spawn("holder", holder)
    bench.spawn("b", bench.computes(100, name="b"))
    # Asked at 1,000, inside the call until 1,200; b computes 1,200-1,300.
    assert bench.run(5_000) == [(1_300, "b"), (1_800, "holder")]


def test_eagain_is_an_exception() -> None:
    bench = python(cpython_exception_ns=100, recvfrom_eagain_ns=7, cpython_call_ns=5)
    socket = bench.socket(nonblocking=True)

    def program(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program)
    assert bench.run(1_000) == [(112, "end")]


def test_each_event_of_a_wait_is_made_into_python() -> None:
    bench = python(cpython_event_ns=10, epoll_wait_per_event_ns=1)
    sockets = [bench.socket(str(n), Letter()) for n in range(3)]

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        for socket in sockets:
            yield from kernel.epoll_ctl_add(epoll, socket)
        assert len((yield from kernel.epoll_wait(epoll, 10))) == 3
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program)
    assert bench.run(1_000) == [(3 + 30, "end")]


@pytest.mark.parametrize("native", [True, False])
def test_conditions_are_python_in_python(native: bool) -> None:
    bench = python(cpython_condition_wait_ns=600, cpython_condition_notify_ns=50)
    mutex, condition = Mutex("mutex"), Condition("condition")

    def waiting(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.cond_wait(condition, mutex)
        bench.note("signalled")

    def signalling(kernel: Kernel) -> Steps:
        yield from kernel.cond_signal(condition)
        yield from kernel.settle()
        bench.note("has signalled")
        yield from kernel.cond_signal(condition)  # nobody waits: nothing to do
        yield from kernel.settle()
        bench.note("again")

    bench.spawn("waiting", waiting, native=native)
    bench.at(1_000, lambda: bench.spawn("signalling", signalling, native=native))
    cpu_ns = 0 if native else 650
    assert [text for _, text in bench.run(10_000)].count("signalled") == 1
    assert bench.cpu().get("user", 0) == cpu_ns
    assert (1_000 if native else 1_050, "has signalled") in bench.log


@pytest.mark.parametrize("native", [True, False])
def test_entries_of_an_io_uring_and_signals_are_made_into_python(native: bool) -> None:
    bench = python(cpython_uring_sqe_ns=100, cpython_uring_cqe_ns=10, cpython_siginfo_ns=1)
    sockets = [bench.socket(str(n), Letter()) for n in range(3)]

    def program(kernel: Kernel) -> Steps:
        uring = yield from kernel.io_uring_setup(8)
        for socket in sockets:
            kernel.fill(uring, Sqe(RECV, socket))
        assert len((yield from kernel.io_uring_submit_and_wait(uring, 3))) == 3
        signals = yield from kernel.sigprocmask(8)
        assert (yield from kernel.sigtimedwait(signals, 0)) is None
        signals.on_readable(sockets[0])
        assert (yield from kernel.sigtimedwait(signals)) is sockets[0]
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program, native=native)
    assert bench.run(1_000) == [(0 if native else 3 * 100 + 3 * 10 + 1, "end")]


@pytest.mark.parametrize("native", [True, False])
def test_time_outs_of_epoll_are_whole_milliseconds_in_python(native: bool) -> None:
    bench = python()

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_wait(epoll, 10, 1_100_000)
        bench.note("end")

    bench.spawn("a", program, native=native)
    assert bench.run(3_000_000) == [(1_100_000 if native else 2_000_000, "end")]


def test_a_native_thread_needs_no_lock() -> None:
    bench = python()
    bench.spawn("python", bench.computes(500, name="python"))
    bench.spawn("native", bench.computes(500, name="native"), native=True)
    assert bench.run(5_000) == [(500, "python"), (500, "native")]


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("costs", [{}, {"lock_ns": 3, "futex_ns": 7, "cpython_lock_ns": 2}])
def test_nobody_sleeps_for_a_mutex_with_the_interpreter_lock_in_hand(
    cores: int, costs: dict[str, int]
) -> None:
    bench = python(cores=cores, queue=fair("300ns"), **costs)
    mutex = Mutex("mutex")
    held_asleep = []

    def program(compute_ns: int) -> Any:
        def steps(kernel: Kernel) -> Steps:
            for _ in range(15):
                yield from kernel.lock(mutex)
                yield from kernel.compute(compute_ns)
                yield from kernel.nanosleep(40)
                yield from kernel.unlock(mutex)
                yield from kernel.compute(13)
            yield from kernel.settle()
            bench.note(kernel.thread.name)

        return steps

    threads = [bench.spawn(str(n), program(50 + 31 * n)) for n in range(3)]

    def look() -> None:
        for thread in threads:
            kernel = thread.kernel
            assert isinstance(kernel, CPythonKernel)
            if thread.state == "asleep" and kernel.in_python:
                held_asleep.append((bench.env._now, thread.name))

    for at_ns in range(1, 30_000, 37):
        bench.at(at_ns, look)
    bench.run(100_000)
    assert held_asleep == []
    assert sorted(name for _, name in bench.log) == ["0", "1", "2"]  # all came to their end


@pytest.mark.parametrize("cores", [1, 2])
def test_never_two_threads_compute_at_once(cores: int) -> None:
    bench = python(
        cores=cores,
        queue=fair("400ns"),
        lock_ns=3,
        futex_ns=7,
        cpython_lock_ns=2,
        idle_exit_ns=20,
        context_switch_ns=5,
        recvfrom_ns=30,
    )
    socket = bench.socket("socket", *(Letter() for _ in range(100)))

    def program(compute_ns: int) -> Any:
        def steps(kernel: Kernel) -> Steps:
            for _ in range(20):
                yield from kernel.compute(compute_ns)
                yield from kernel.recvfrom(socket)
                yield from kernel.nanosleep(100)
            bench.note(kernel.thread.name)

        return steps

    for number in range(4):
        bench.spawn(str(number), program(300 + 217 * number))
    bench.run(1_000_000)
    assert len(bench.log) == 4
    spans = computing(bench)
    for (_, _, to), (_, start, _) in itertools.pairwise(spans):
        assert to <= start
    assert sum(to - start for _, start, to in spans) == 20 * sum(300 + 217 * n for n in range(4))


def test_who_is_signalled_takes_the_mutex_only_with_the_interpreters_lock() -> None:
    bench = python()
    mutex, condition = Mutex("mutex"), Condition("condition")

    def waiting(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.cond_wait(condition, mutex)
        bench.note(f"waiter has it, {mutex.owner is kernel.thread}")

    def signalling(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.cond_signal(condition)
        yield from kernel.unlock(mutex)
        yield from kernel.compute(500)
        # The waiter is awake and waits for the interpreter: the mutex is free all the same.
        yield from kernel.lock(mutex)
        yield from kernel.settle()
        bench.note("signaller has it again")
        yield from kernel.compute(100)
        yield from kernel.unlock(mutex)

    bench.spawn("waiting", waiting)
    bench.at(100, lambda: bench.spawn("signalling", signalling))
    assert bench.run(10_000) == [(600, "signaller has it again"), (700, "waiter has it, True")]
