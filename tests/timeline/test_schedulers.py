"""Round robin and FIFO: who runs when."""

from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, rr

from iosim.machine.kernel import Kernel

Steps = Generator[Any, Any, None]


def test_fifo_runs_each_thread_to_its_end() -> None:
    bench = Bench()
    for name in "abc":
        bench.spawn(name, bench.computes(100, name=name))
    assert bench.run(1_000) == [(100, "a"), (200, "b"), (300, "c")]
    assert bench.machine.involuntary == 0


def test_under_fifo_a_woken_thread_waits_until_the_running_one_sleeps() -> None:
    bench = Bench()
    socket = bench.socket()

    def waiter(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        bench.note("received")

    bench.spawn("waiter", waiter)
    bench.at(10, lambda: bench.spawn("busy", bench.computes(10_000, name="busy")))
    bench.arrive(20, socket)
    assert bench.run(20_000) == [(10_010, "busy"), (10_010, "received")]


def test_round_robin_gives_each_thread_a_slice_in_turn() -> None:
    bench = Bench(queue=rr("10us"))
    a = bench.spawn("a", bench.computes(25_000, name="a"))
    b = bench.spawn("b", bench.computes(15_000, name="b"))
    c = bench.spawn("c", bench.computes(5_000, name="c"))
    # a 0-10, b 10-20, c 20-25 (ends), a 25-35, b 35-40 (ends), a 40-45 (ends).
    assert bench.run(100_000) == [(25_000, "c"), (40_000, "b"), (45_000, "a")]
    assert (a.involuntary, b.involuntary, c.involuntary) == (2, 1, 0)


def test_a_thread_alone_is_not_interrupted_by_its_slices() -> None:
    bench = Bench(queue=rr("10us"))
    thread = bench.spawn("a", bench.computes(95_000, name="a"))
    assert bench.run(100_000) == [(95_000, "a")]
    assert thread.involuntary == 0


def test_a_thread_that_has_been_alone_is_in_the_middle_of_a_slice_when_another_comes() -> None:
    bench = Bench(queue=rr("10us"))
    bench.spawn("a", bench.computes(50_000, name="a"))
    bench.at(34_000, lambda: bench.spawn("b", bench.computes(1_000, name="b")))
    # At 34 a is 4 us into its fourth slice: b runs 40-41.
    assert bench.run(100_000) == [(41_000, "b"), (51_000, "a")]


def test_a_woken_thread_has_a_fresh_slice() -> None:
    bench = Bench(queue=rr("10us"))

    def sleeper(kernel: Kernel) -> Steps:
        yield from kernel.compute(9_000)
        yield from kernel.nanosleep(1_000)
        yield from kernel.compute(9_000)
        yield from kernel.settle()
        bench.note("sleeper")

    bench.spawn("sleeper", sleeper)
    bench.spawn("busy", bench.computes(30_000, name="busy"))
    # sleeper 0-9, asleep until 10; busy 9-19; sleeper 19-28, whole; busy 28-48.
    assert bench.run(100_000) == [(28_000, "sleeper"), (48_000, "busy")]


@pytest.mark.parametrize("chunk_ns", [1_000, 2_000, 2_500, 5_000, 10_000, 3_000, 7_000])
def test_a_slice_ends_when_it_is_used_up_whatever_pieces_it_was_used_in(chunk_ns: int) -> None:
    bench = Bench(queue=rr("10us"))

    def chunks(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.compute(chunk_ns)
            yield from kernel.settle()

    a, b = bench.spawn("a", chunks), bench.spawn("b", chunks)
    bench.run(100_000)
    # Ten slices, in turn, each but the first after a preemption.
    assert (a.involuntary, b.involuntary) == (5, 4)
    starts = [at_ns for at_ns, _, _ in bench.moments("dispatched")]
    assert starts == list(range(0, 100_000, 10_000))


def test_eight_threads_of_50_ms_switch_7_times_under_fifo_and_39_under_round_robin() -> None:
    # R10 of the published numbers: five slices each, the last of each ends it: 8 x 5 - 1.
    def switches(**how: Any) -> int:
        bench = Bench(**how)
        for number in range(8):
            bench.spawn(str(number), bench.computes(50_000_000))
        bench.run(1_000_000_000)
        return bench.machine.cores[0].switches

    assert switches() == 7
    assert switches(queue=rr("10ms")) == 39
