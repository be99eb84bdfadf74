"""A core: bursts, switches, waking from idle, cache refill, preemption, interrupts, accounts."""

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from bench import Bench, Letter, rr
from hypothesis import given
from hypothesis import strategies as st

from iosim.errors import Livelock
from iosim.machine import core
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Mutex
from iosim.machine.sockets import Socket
from iosim.machine.thread import RUN, SYSCALL, USER

Steps = Generator[Any, Any, None]


# ------------------------------------------------------------------------------- bursts


def test_a_thread_computes_its_bursts_one_after_the_other() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(100, 50))
    # 100 + 50, in one go.
    assert bench.run(1_000) == [(150, "done")]
    assert bench.watch.runs == [("a", 0, 0, 150)]
    assert bench.cpu() == {"user": 150, "idle": 850}


def ends(
    merged: bool,
    queue: Callable[[], Any],
    parts: tuple[list[tuple[int, int]], ...],
    interrupts: list[tuple[int, int]],
) -> list[Any]:
    """Run threads of (cause, ns) parts, settling between them or only at the end."""
    bench = Bench(queue=queue)

    def program(number: int) -> Callable[[Kernel], Steps]:
        def steps(kernel: Kernel) -> Steps:
            for index, (cause, ns) in enumerate(parts[number]):
                if index and not merged:
                    yield from kernel.settle()
                kernel.thread.charge(cause, ns, "part")
            yield from kernel.settle()
            bench.note(str(number))

        return steps

    for number in range(len(parts)):
        bench.spawn(str(number), program(number))
    for at_ns, ns in interrupts:
        bench.interrupt(at_ns, ns)
    bench.run(100_000)
    preempted = bench.moments("preempted")
    return [bench.log, preempted, bench.cpu()]


PART = st.tuples(st.sampled_from([USER, USER, SYSCALL]), st.integers(1, 60).map(lambda n: 10 * n))
PARTS = st.lists(PART, min_size=1, max_size=5).map(lambda parts: [*parts, (USER, 10)])


@given(
    parts=st.tuples(PARTS, PARTS, PARTS),
    # Never at the same instant as anything else: the order of equals is nobody's promise.
    interrupts=st.lists(st.tuples(st.integers(0, 300).map(lambda n: 10 * n + 3), st.just(100))),
    slice_ns=st.sampled_from([50, 100, 250]),
)
def test_merged_bursts_end_as_single_ones_do(
    parts: Any, interrupts: list[tuple[int, int]], slice_ns: int
) -> None:
    queue = rr(f"{slice_ns}ns")
    assert ends(True, queue, parts, interrupts) == ends(False, queue, parts, interrupts)


# -------------------------------------------------------------------- context switches


def test_sleeping_is_a_voluntary_switch_and_being_preempted_an_involuntary_one() -> None:
    bench = Bench(queue=rr("10us"))

    def sleeper(kernel: Kernel) -> Steps:
        yield from kernel.compute(5_000)
        yield from kernel.nanosleep(1_000)
        yield from kernel.compute(30_000)
        yield from kernel.settle()
        bench.note("sleeper")

    a = bench.spawn("a", sleeper)
    b = bench.spawn("b", bench.computes(30_000, name="b"))
    # a 0-5, asleep until 6; b 5-15 (slice), a 15-25, b 25-35, a 35-45, b 45-55, a 55-65.
    # b waits for a's wake at 6 with 9 us left of its slice; its last 10 us end at 55.
    assert bench.run(100_000) == [(55_000, "b"), (65_000, "sleeper")]
    assert (a.voluntary, a.involuntary) == (1, 2)
    assert (b.voluntary, b.involuntary) == (0, 2)
    assert (bench.machine.voluntary, bench.machine.involuntary) == (1, 4)
    # a b a b a b a: six changes of thread, whatever their reasons.
    assert bench.machine.cores[0].switches == 6


def test_from_the_idle_task_to_the_same_thread_is_a_context_switch_too() -> None:
    bench = Bench(context_switch_ns=10)

    def program(kernel: Kernel) -> Steps:
        for _ in range(3):
            yield from kernel.nanosleep(100)
        bench.note("done")

    thread = bench.spawn("a", program)
    # A switch of 10 to begin with and after each of three sleeps of 100.
    assert bench.run(1_000) == [(340, "done")]
    assert thread.voluntary == 3
    assert bench.machine.cores[0].switches == 0
    assert bench.cpu() == {"switch": 40, "idle": 960}


def test_a_context_switch_is_paid_by_whoever_comes() -> None:
    bench = Bench(context_switch_ns=10, queue=rr("100ns"))
    bench.spawn("a", bench.computes(150, name="a"))
    bench.spawn("b", bench.computes(50, name="b"))
    # a: switch 0-10, computes 90 of its slice of 100 until 100; b: 100-110, 50 until 160;
    # a: 160-170, the remaining 60 until 230.
    assert bench.run(1_000) == [(160, "b"), (230, "a")]
    assert bench.cpu() == {"user": 200, "switch": 30, "idle": 770}


# ------------------------------------------------------------------- waking from idle


def test_waking_from_idle_takes_time_part_of_it_charged_then_cold_execution() -> None:
    bench = Bench(idle_exit_ns=100, idle_exit_charged_ns=30, cold_execution_ns=20)

    def program(kernel: Kernel) -> Steps:
        yield from kernel.compute(50)
        yield from kernel.nanosleep(1_000)
        bench.note("awake")
        yield from kernel.compute(50)
        yield from kernel.settle()
        bench.note("done")

    thread = bench.spawn("a", program)
    # Start: idle exit 0-100 (70 of it idle, 30 charged), cold 20, compute 50: 170.
    # Wake at 1,170: idle exit until 1,270, cold until 1,290, compute until 1,340.
    assert bench.run(1_340) == [(1_290, "awake")]
    bench.run(1_341)
    assert bench.log[-1] == (1_340, "done")
    assert thread.cpu_ns == 2 * (30 + 20 + 50)
    assert thread.off_core[1] == 2 * (100 + 20)
    assert bench.cpu() == {"user": 100, "switch": 60, "refill": 40, "idle": 70 + 1_000 + 70 + 1}


def test_the_longer_the_core_has_idled_the_longer_waking_takes() -> None:
    # Tabulated in steps of 1,024 ns, each standing for its middle: of idling for 1,024,000 ns
    # the step's middle is 1,024,512; of 102,400 it is 102,912. A tenth of it: 102,451; 10,291.
    bench = Bench(idle_exit_ns=((0, 0), (10_240_000, 1_024_000)))

    def program(kernel: Kernel) -> Steps:
        for ns in (1_024_000, 102_400):
            yield from kernel.nanosleep(ns)
            bench.note(f"{ns}")

    bench.spawn("a", program)
    # Idle for 0 ns at first: the middle of the first step is 512, so 51 ns.
    first = 51 + 1_024_000 + 102_451
    second = first + 102_400 + 10_291
    assert bench.run(10_000_000) == [(first, "1024000"), (second, "102400")]


def test_a_core_that_is_busy_is_not_woken_from_idle() -> None:
    bench = Bench(idle_exit_ns=100)
    socket = bench.socket()

    def waiter(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        bench.note("received")

    bench.spawn("waiter", waiter)
    bench.at(1_000, lambda: bench.spawn("busy", bench.computes(500, name="busy")))
    bench.arrive(1_200, socket)
    # busy wakes the core: 1,100-1,600. The waiter, woken at 1,200, follows at once at 1,600.
    assert bench.run(10_000) == [(1_600, "busy"), (1_600, "received")]


# ------------------------------------------------------------------------- cache refill

REFILL = ((0, 0), (16 * 1_024, 1), (32 * 1_024, 2), (64 * 1_024, 3))
"""Ns to fetch a KiB again after so many bytes of other data."""


@pytest.mark.parametrize(("threads", "refill_ns"), [(1, 0), (2, 16), (3, 32), (5, 48)])
def test_refill_grows_with_what_other_threads_touched_meanwhile(
    threads: int, refill_ns: int
) -> None:
    # Each thread touches 16 KiB when it comes to run, so in a ring of n threads n - 1 times as
    # much of others lies between two of its turns. 16 KiB at 1 ns: 16, at 2: 32, at 3: 48.
    bench = Bench(
        queue=rr("1us"),
        cache_refill_per_kib_ns=REFILL,
        cache_bytes=64 * 1_024,
        thread_working_set_bytes=16 * 1_024,
    )
    for number in range(threads):
        bench.spawn(str(number), bench.computes(10_000))
    bench.run(100_000)
    refills = [(to - start) for _, start, to, cause, _ in bench.watch.work if cause == "refill"]
    first, later = refills[:threads], refills[threads:]
    assert first == [48] * threads  # nothing of it cached
    assert set(later) == ({refill_ns} if threads > 1 else set())


def test_a_connection_is_refilled_by_what_was_touched_since_it_was_last_served() -> None:
    bench = Bench(
        cache_refill_per_kib_ns=REFILL, cache_bytes=64 * 1_024, connection_bytes=16 * 1_024
    )
    sockets = [bench.socket(str(n), *(Letter() for _ in range(3))) for n in range(3)]

    def program(kernel: Kernel) -> Steps:
        for number in (0, 0, 1, 2, 0, 2):
            yield from kernel.recvfrom(sockets[number])
            yield from kernel.settle()
            bench.note(str(number))

    bench.spawn("a", program)
    # 0: new, 48. 0 again: nothing touched since, 0. 1: new, 48. 2: new, 48.
    # 0: after 1 and 2, 32 KiB: 32. 2: after 0, 16 KiB: 16.
    assert bench.run(10_000) == [
        (48, "0"),
        (48, "0"),
        (96, "1"),
        (144, "2"),
        (176, "0"),
        (192, "2"),
    ]


# --------------------------------------------------- preemption at the return to user mode


def owing(bench: Bench, *parts: tuple[int, int]) -> Callable[[Kernel], Steps]:
    """A program whose parts are (cause, ns), each worked off by itself."""

    def program(kernel: Kernel) -> Steps:
        for cause, ns in parts:
            kernel.thread.charge(cause, ns, "part")
            yield RUN
        bench.note("end")

    return program


def test_a_slice_that_ends_in_user_mode_ends_there() -> None:
    bench = Bench(queue=rr("100ns"))
    bench.spawn("a", owing(bench, (USER, 90), (SYSCALL, 5), (USER, 60)))
    bench.spawn("b", bench.computes(10, name="b"))
    # The slice ends at 100, 5 ns into a's second computation.
    assert bench.run(1_000) == [(110, "b"), (165, "end")]


def test_a_slice_that_ends_inside_a_syscall_ends_at_the_return_from_it() -> None:
    bench = Bench(queue=rr("100ns"))
    a = bench.spawn("a", owing(bench, (USER, 90), (SYSCALL, 50), (USER, 60)))
    bench.spawn("b", bench.computes(10, name="b"))
    # At 100 a is in the syscall 90-140: b runs 140-150, a the rest 150-210.
    assert bench.run(1_000) == [(150, "b"), (210, "end")]
    assert a.involuntary == 1


def test_between_two_syscalls_a_thread_is_in_user_mode() -> None:
    bench = Bench(queue=rr("100ns"), syscall_ns=50)

    def caller(kernel: Kernel) -> Steps:
        eventfd = yield from kernel.eventfd()  # 50
        while True:
            yield from kernel.eventfd_write(eventfd)  # 50 each

    bench.spawn("a", caller)
    bench.spawn("b", bench.computes(10, name="b"))
    # a's slice ends at 100, when its second syscall returns.
    assert bench.run(1_000)[:1] == [(110, "b")]


def test_a_slice_that_ends_with_a_computation_is_over() -> None:
    bench = Bench(queue=rr("100ns"))

    def chunks(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.compute(50)
            yield from kernel.settle()

    bench.spawn("a", chunks)
    bench.spawn("b", bench.computes(10, name="b"))
    assert bench.run(1_000) == [(110, "b")]


# --------------------------------------------------------------------------- interrupts


def test_an_interrupt_pushes_computing_aside() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(100))
    bench.interrupt(50, 10, then="irq")
    # 50 computed, 10 softirq, 50 computed.
    assert bench.run(200) == [(60, "irq"), (110, "done")]
    assert bench.cpu() == {"user": 100, "softirq": 10, "idle": 90}
    thread_ns = sum(to - start for _, start, to, cause, _ in bench.watch.work if cause == "user")
    assert thread_ns == 100


def test_an_interrupt_pushes_a_syscall_aside_too() -> None:
    bench = Bench()
    bench.spawn("a", owing(bench, (SYSCALL, 100), (USER, 10)))
    bench.interrupt(50, 10, then="irq")
    assert bench.run(200) == [(60, "irq"), (120, "end")]
    assert bench.cpu() == {"user": 10, "syscall": 100, "softirq": 10, "idle": 80}


@pytest.mark.parametrize("second_ns", [50, 55, 59])
def test_interrupts_queue(second_ns: int) -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(100))
    bench.interrupt(50, 10, then="first")
    bench.interrupt(second_ns, 10, then="second")
    # 50-60 the first, 60-70 the second, whenever it came meanwhile; 50 left to compute.
    assert bench.run(200) == [(60, "first"), (70, "second"), (120, "done")]
    assert bench.cpu() == {"user": 100, "softirq": 20, "idle": 80}


def test_the_way_out_of_idle_into_an_interrupt_is_accounted_as_it_passes() -> None:
    bench = Bench(idle_exit_ns=100, idle_exit_charged_ns=30, cold_execution_ns=20)
    bench.interrupt(5, 10)
    seen = {}

    def look() -> None:
        seen[bench.env._now] = bench.cpu()

    for at_ns in (5, 50, 75, 90, 105, 120, 125, 130, 135, 200):
        bench.at(at_ns, look)
    bench.run(300)
    # Idle until 5 and 70 of the exit's 100; 30 charged; 20 cold; 10 softirq; idle again.
    assert seen == {
        5: {"idle": 5},
        50: {"idle": 50},
        75: {"idle": 75},
        90: {"idle": 75, "switch": 15},
        105: {"idle": 75, "switch": 30},
        120: {"idle": 75, "switch": 30, "refill": 15},
        125: {"idle": 75, "switch": 30, "refill": 20},
        130: {"idle": 75, "switch": 30, "refill": 20, "softirq": 5},
        135: {"idle": 75, "switch": 30, "refill": 20, "softirq": 10},
        200: {"idle": 140, "switch": 30, "refill": 20, "softirq": 10},
    }


def test_the_way_out_of_idle_into_a_thread_is_accounted_as_it_passes() -> None:
    bench = Bench(idle_exit_ns=100, idle_exit_charged_ns=30, cold_execution_ns=20)
    bench.at(5, partial(bench.spawn, "a", bench.computes(40)))
    seen = {}

    def look() -> None:
        seen[bench.env._now] = bench.cpu()

    for at_ns in (5, 60, 75, 100, 110, 125, 150, 165, 200):
        bench.at(at_ns, look)
    bench.run(300)
    assert seen == {
        5: {"idle": 5},
        60: {"idle": 60},
        75: {"idle": 75},
        100: {"idle": 75, "switch": 25},
        110: {"idle": 75, "switch": 30, "refill": 5},
        125: {"idle": 75, "switch": 30, "refill": 20},
        150: {"idle": 75, "switch": 30, "refill": 20, "user": 25},
        165: {"idle": 75, "switch": 30, "refill": 20, "user": 40},
        200: {"idle": 110, "switch": 30, "refill": 20, "user": 40},
    }


def test_an_idle_core_wakes_for_an_interrupt_and_idles_on() -> None:
    bench = Bench(idle_exit_ns=100, idle_exit_charged_ns=30, cold_execution_ns=20)
    bench.interrupt(1_000, 10, then="irq")
    # Idle exit 1,000-1,100, cold 20, softirq 10.
    assert bench.run(2_000) == [(1_130, "irq")]
    assert bench.cpu() == {"switch": 30, "refill": 20, "softirq": 10, "idle": 1_940}


def test_who_is_woken_by_an_interrupt_runs_when_it_ends_on_a_core_that_is_awake() -> None:
    bench = Bench(idle_exit_ns=100, context_switch_ns=5)

    def wake() -> None:
        bench.spawn("a", bench.computes(50))

    bench.at(1_000, partial(bench.machine.cores[0].interrupt, 10, wake))
    # Idle exit until 1,100, softirq until 1,110, then no second exit: switch 5, compute 50.
    assert bench.run(2_000) == [(1_165, "done")]
    assert bench.cpu() == {"user": 50, "switch": 5, "softirq": 10, "idle": 1_935}


@pytest.mark.parametrize("parts", [[200], [70, 130], [20, 20, 20, 20, 20, 100]])
def test_what_interrupts_took_is_not_taken_from_a_slice(parts: list[int]) -> None:
    bench = Bench(queue=rr("100ns"))
    bench.spawn("a", owing(bench, *((USER, ns) for ns in parts)))
    bench.spawn("b", bench.computes(30, name="b"))
    bench.interrupt(50, 10, then="irq")
    bench.run(1_000)
    # a has computed its 100 at 110; b 110-140; a the other 100 until 240.
    assert bench.log == [(60, "irq"), (140, "b"), (240, "end")]


# ----------------------------------------------------------------------------- accounts


@given(
    work=st.lists(
        st.lists(st.tuples(st.integers(0, 400), st.integers(1, 400)), min_size=1, max_size=4),
        min_size=1,
        max_size=3,
    ),
    interrupts=st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 80)), max_size=8),
    looks=st.lists(st.integers(0, 4_000), min_size=1, max_size=20),
    cores=st.integers(1, 2),
)
def test_at_every_instant_the_causes_add_up_to_the_time_and_none_is_negative(
    work: list[list[tuple[int, int]]],
    interrupts: list[tuple[int, int]],
    looks: list[int],
    cores: int,
) -> None:
    bench = Bench(
        cores=cores,
        queue=rr("150ns"),
        idle_exit_ns=100,
        idle_exit_charged_ns=30,
        cold_execution_ns=20,
        context_switch_ns=7,
    )

    def program(turns: list[tuple[int, int]]) -> Callable[[Kernel], Steps]:
        def steps(kernel: Kernel) -> Steps:
            for sleep_ns, compute_ns in turns:
                yield from kernel.nanosleep(sleep_ns)
                yield from kernel.compute(compute_ns)

        return steps

    for number, turns in enumerate(work):
        bench.spawn(str(number), program(turns))
    for number, (at_ns, ns) in enumerate(interrupts):
        bench.interrupt(at_ns, ns, core=number % cores)
    accounts: list[tuple[int, list[int]]] = []

    def look() -> None:
        accounts.extend((bench.env._now, each.account()) for each in bench.machine.cores)

    for at_ns in looks:
        bench.at(at_ns, look)
    bench.run(20_000)
    for at_ns, account in accounts:
        assert sum(account) == at_ns
        assert min(account) >= 0
    # In the end everything asked for has been computed, and every interrupt served.
    total = [sum(each.account()[cause] for each in bench.machine.cores) for cause in range(7)]
    assert total[USER] == sum(ns for turns in work for _, ns in turns)
    assert total[4] == sum(ns for _, ns in interrupts)


# ------------------------------------------------------------------------------ livelock


def yields(bench: Bench) -> Callable[[Kernel], Steps]:
    def program(kernel: Kernel) -> Steps:
        while True:
            yield RUN

    return program


def computes_nothing(bench: Bench) -> Callable[[Kernel], Steps]:
    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.compute(0)

    return program


def settles(bench: Bench) -> Callable[[Kernel], Steps]:
    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.settle()

    return program


def asks_in_vain(bench: Bench) -> Callable[[Kernel], Steps]:
    socket = bench.socket(nonblocking=True)

    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.recvfrom(socket)

    return program


def waits_without_waiting(bench: Bench) -> Callable[[Kernel], Steps]:
    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        while True:
            yield from kernel.epoll_wait(epoll, 1, timeout_ns=0)

    return program


def locks_and_unlocks(bench: Bench) -> Callable[[Kernel], Steps]:
    mutex = Mutex("mutex")

    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.lock(mutex)
            yield from kernel.unlock(mutex)

    return program


def counts(bench: Bench) -> Callable[[Kernel], Steps]:
    def program(kernel: Kernel) -> Steps:
        eventfd = yield from kernel.eventfd()
        while True:
            yield from kernel.eventfd_write(eventfd)
            yield from kernel.eventfd_read(eventfd)

    return program


def sends(bench: Bench) -> Callable[[Kernel], Steps]:
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.sendto(socket, Letter(), 0)

    return program


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail, instead of hanging, if it takes longer."""

    def give_up(signum: int, frame: object) -> None:
        raise TimeoutError(f"still looping after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "program",
    [
        yields,
        computes_nothing,
        settles,
        asks_in_vain,
        waits_without_waiting,
        locks_and_unlocks,
        counts,
        sends,
    ],
)
def test_a_program_that_loops_without_consuming_time_is_a_livelock(
    program: Callable[[Bench], Callable[[Kernel], Steps]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "LIVELOCK_STEPS", 1_000)
    bench = Bench()
    bench.spawn("busy", bench.computes(10))
    bench.spawn("spinner", program(bench))
    with within(5), pytest.raises(Livelock, match="bench, at 10 ns: .*spinner made 1,0"):
        bench.run(1_000)


def test_two_threads_that_wake_each_other_at_no_cost_are_a_livelock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "LIVELOCK_STEPS", 1_000)
    bench = Bench()
    ping, pong = bench.socket("ping"), bench.socket("pong")

    def player(mine: Socket, other: Socket) -> Callable[[Kernel], Steps]:
        def program(kernel: Kernel) -> Steps:
            while True:
                yield from kernel.recvfrom(mine)
                bench.machine.arrive(other, Letter())

        return program

    bench.spawn("a", player(ping, pong))
    bench.spawn("b", player(pong, ping))
    bench.arrive(5, ping)
    with within(5), pytest.raises(Livelock, match="bench, at 5 ns"):
        bench.run(1_000)
