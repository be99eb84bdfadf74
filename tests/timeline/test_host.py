"""Below the machine: the host takes a core away, and a busy sibling slows it down."""

from itertools import chain, repeat
from typing import Any

import pytest
from bench import Bench, Letter, rr
from hypothesis import given
from hypothesis import strategies as st

from iosim.machine.host import Sibling, Thief
from iosim.machine.kernel import Kernel
from iosim.machine.thread import Program

NEVER = 10**12


def steal(bench: Bench, at_ns: int, ns: int, core: int = 0) -> None:
    """Let the host take a core away for `ns`."""
    bench.at(at_ns, lambda: bench.machine.cores[core].steal(ns))


def pace(bench: Bench, at_ns: int, pace: float) -> None:
    bench.at(at_ns, lambda: bench.machine.cores[0].change_pace(pace))


# ------------------------------------------------------------------------------- stolen


def test_a_burst_goes_on_where_it_was_when_the_host_gives_the_core_back() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(1_000))
    steal(bench, 400, 250)
    assert bench.run(2_000) == [(1_250, "done")]
    assert bench.cpu() == {"user": 1_000, "stolen": 250, "idle": 750}


def test_at_each_instant_the_causes_add_up() -> None:
    for until_ns in range(1, 1_400, 7):
        bench = Bench(interrupt_ns=50, idle_exit_ns=100, idle_exit_charged_ns=40)
        bench.spawn("a", bench.computes(500))  # runs from 100 (60 idle, 40 charged) on
        steal(bench, 50, 100)  # on the way out of idle: runs from 200 on
        bench.interrupt(300, 80)
        steal(bench, 350, 100)  # 30 of the interrupt are left, until 480
        bench.run(until_ns)
        cpu = bench.cpu()
        assert sum(cpu.values()) == until_ns
        stolen = min(max(0, until_ns - 50), 100) + min(max(0, until_ns - 350), 100)
        assert cpu.get("stolen", 0) == stolen
        softirq = min(max(0, until_ns - 300), 50) + min(max(0, until_ns - 450), 30)
        assert cpu.get("softirq", 0) == softirq
        user = min(max(0, until_ns - 200), 100) + min(max(0, until_ns - 480), 400)
        assert cpu.get("user", 0) == user


def test_an_idle_core_does_not_notice() -> None:
    bench = Bench()
    steal(bench, 100, 500)
    bench.run(1_000)
    assert bench.cpu() == {"idle": 1_000}


def test_who_is_woken_meanwhile_waits_until_the_core_is_back() -> None:
    bench = Bench(idle_exit_ns=30, recvfrom_ns=10)
    socket = bench.socket()

    def program(kernel: Kernel) -> Program:
        yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        bench.note("received")

    bench.spawn("a", program)
    steal(bench, 100, 500)
    bench.at(250, lambda: bench.machine.arrive(socket, Letter()))
    # Idle until 250, stolen until 600; then the idle exit, and the call.
    assert bench.run(1_000) == [(640, "received")]
    assert bench.cpu() == {"idle": 250 + 30 + 360, "stolen": 350, "syscall": 10}


def test_an_interrupt_waits_for_the_host_too() -> None:
    bench = Bench(idle_exit_ns=30)
    steal(bench, 100, 500)
    bench.interrupt(300, 20, then="first")
    bench.spawn("a", bench.computes(50))  # 30 to wake up at 0, done at 80
    steal(bench, 1_000, 500)
    bench.interrupt(900, 300, then="second")  # runs from 930: 70 done when the host comes
    assert bench.run(3_000) == [(80, "done"), (650, "first"), (1_730, "second")]
    assert bench.cpu() == {"user": 50, "softirq": 320, "stolen": 300 + 500, "idle": 1_830}


def test_a_slice_does_not_run_out_while_the_core_is_away() -> None:
    bench = Bench(queue=rr("100ns"))
    bench.spawn("a", bench.computes(150, name="a"))
    bench.spawn("b", bench.computes(100, name="b"))
    steal(bench, 50, 1_000)
    # a has 50 left of its slice at 1,050; b runs from 1,100, a again from 1,200.
    assert bench.run(5_000) == [(1_200, "b"), (1_250, "a")]


def test_a_thief_comes_again_and_again() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(1_000))
    Thief(bench.machine.cores[0], iter([(100, 50), (200, 0), (300, 10), (NEVER, 1)]))
    # Stolen 100-150; nothing at 350; 650-660.
    assert bench.run(5_000) == [(1_060, "done")]
    stolen = [at_ns for at_ns, _, _ in bench.moments("stolen")]
    assert stolen == [100, 650]


def test_gaps_and_lengths_of_zero_have_an_end() -> None:
    bench = Bench()
    Thief(bench.machine.cores[0], repeat((0, 0)))
    bench.run(1_000)
    assert bench.cpu() == {"idle": 1_000}


@given(
    thefts=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 300)), max_size=8),
    interrupts=st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 90)), max_size=6),
    bursts=st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
def test_no_work_is_lost_or_made(thefts: Any, interrupts: Any, bursts: list[int]) -> None:
    bench = Bench(queue=rr("130ns"), context_switch_ns=7, idle_exit_ns=20, idle_exit_charged_ns=5)
    for number, ns in enumerate(bursts):
        bench.at(200 * number, lambda ns=ns: bench.spawn("a", bench.computes(ns)))
    for at_ns, ns in interrupts:
        bench.interrupt(at_ns, ns)
    Thief(bench.machine.cores[0], chain(thefts, repeat((NEVER, 0))))
    assert len(bench.run(20_000)) == len(bursts)
    cpu = bench.cpu()
    assert sum(cpu.values()) == 20_000
    assert cpu["user"] == sum(bursts)
    assert cpu.get("softirq", 0) == sum(ns for _, ns in interrupts)
    assert cpu.get("stolen", 0) <= sum(ns for _, ns in thefts)


# ------------------------------------------------------------------------------ sibling


def test_beside_a_busy_sibling_a_burst_takes_longer_and_costs_more() -> None:
    bench = Bench()
    pace(bench, 0, 1.5)
    bench.at(100, lambda: bench.spawn("a", bench.computes(400)))
    assert bench.run(2_000) == [(700, "done")]
    assert bench.cpu() == {"user": 600, "idle": 1_400}


def test_what_is_left_is_stretched_and_shrunk() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(1_000))
    pace(bench, 200, 2.0)
    pace(bench, 800, 1.0)
    # 200 at full speed, 300 in the next 600, the other 500 at full speed again.
    assert bench.run(500) == []
    assert bench.cpu() == {"user": 500}
    assert bench.run(3_000) == [(1_300, "done")]
    assert bench.cpu() == {"user": 1_300, "idle": 1_700}


def test_a_preempted_thread_takes_its_work_along_and_not_the_core_s_speed() -> None:
    bench = Bench(queue=rr("100ns"))
    bench.spawn("a", bench.computes(150, name="a"))
    bench.spawn("b", bench.computes(40, name="b"))
    pace(bench, 50, 2.0)
    # a: 50, and in the other 50 of its slice 25; b 40 in 80, until 180; a the other 75 in 150.
    pace(bench, 180, 1.0)
    # But at full speed: until 255.
    assert bench.run(1_000) == [(180, "b"), (255, "a")]


def test_a_switch_back_to_a_preempted_thread_is_slowed_and_its_work_not_twice() -> None:
    bench = Bench(queue=rr("100ns"), context_switch_ns=10)
    pace(bench, 0, 2.0)
    bench.at(10, lambda: bench.spawn("a", bench.computes(150, name="a")))
    bench.at(10, lambda: bench.spawn("b", bench.computes(30, name="b")))
    # a: switch until 30, 40 of its work until 110; b: switch until 130, done at 190; a: switch
    # until 210, and 110 of work.
    assert bench.run(1_000) == [(190, "b"), (430, "a")]


def test_a_signal_handler_and_what_it_interrupts_are_slowed_once() -> None:
    bench = Bench()
    a = bench.spawn("a", bench.computes(400))
    pace(bench, 100, 2.0)

    def handler() -> Program:
        yield from a.kernel.compute(50)

    bench.at(200, lambda: bench.machine.interrupt_thread(a, handler))
    # 100 and 50 are done at 200; the handler takes 100, the other 250 take 500.
    assert bench.run(2_000) == [(800, "done")]
    assert bench.cpu() == {"user": 800, "idle": 1_200}


def test_interrupts_are_slowed_too() -> None:
    bench = Bench()
    pace(bench, 0, 1.5)
    bench.interrupt(100, 40, then="end")
    assert bench.run(1_000) == [(160, "end")]


def test_a_message_leaves_when_a_slow_core_has_sent_it() -> None:
    bench = Bench(sendto_ns=100)
    socket = bench.socket()

    def program(kernel: Kernel) -> Program:
        yield from kernel.compute(100)
        yield from kernel.sendto(socket, Letter(), 0)

    pace(bench, 0, 1.5)
    bench.at(10, lambda: bench.spawn("a", program))
    assert bench.run(1_000) == [(310, "socket sent")]


def test_a_sibling_is_busy_and_idle_in_turn() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(1_000))
    Sibling(bench.machine.cores[0], 2.0, iter([100, 200, 300, NEVER]), busy=False)
    # 100; 200 for 100; 300; and 500 that are left at half the speed.
    assert bench.run(5_000) == [(1_600, "done")]


def test_a_sibling_that_turns_during_an_interrupt_does_so_at_its_end() -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(1_000))
    Sibling(bench.machine.cores[0], 2.0, iter([100, NEVER]), busy=False)
    bench.interrupt(50, 200)
    # 50, the interrupt until 250, and the other 950 slowly.
    assert bench.run(5_000) == [(2_150, "done")]


@pytest.mark.parametrize("slowdown", [1.0, 1.4, 3.0])
def test_whatever_its_speed_it_adds_up(slowdown: float) -> None:
    bench = Bench()
    bench.spawn("a", bench.computes(10_000))
    Sibling(bench.machine.cores[0], slowdown, repeat(777), busy=True)
    for until_ns in range(500, 9_000, 500):
        bench.run(until_ns)
        assert sum(bench.cpu().values()) == until_ns
