"""The machine: where threads are placed, migration, pulling, descriptors, memory."""

from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from iosim.errors import DescriptorLimit
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Memory
from iosim.machine.thread import USER

Steps = Generator[Any, Any, None]


def occupy(bench: Bench, core: int, until: int) -> None:
    """Keep a core in an interrupt from now on."""
    bench.machine.cores[core].interrupt(until - bench.env._now, lambda: None)


def receiver(bench: Bench, socket: Any, compute_ns: int = 10) -> Any:
    """A program that notes its core each time it has received and computed."""

    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.recvfrom(socket)
            yield from kernel.compute(compute_ns)
            yield from kernel.settle()
            bench.note(f"core {kernel.thread.core.number}")

    return program


# ---------------------------------------------------------------------------- placement


def test_new_threads_go_to_idle_cores_then_to_the_shortest_queue() -> None:
    bench = Bench(cores=2)
    for name in "abcd":
        bench.spawn(name, bench.computes(100, name=name))
    # a on core 0, b on core 1, c behind a, d behind b.
    assert bench.run(1_000) == [(100, "a"), (100, "b"), (200, "c"), (200, "d")]
    assert [run[:2] for run in bench.watch.runs] == [("a", 0), ("b", 1), ("c", 0), ("d", 1)]


def test_a_woken_thread_goes_where_it_was_if_that_core_is_idle() -> None:
    bench = Bench(cores=2)
    socket = bench.socket()
    bench.spawn("first", bench.computes(50))  # core 0
    thread = bench.spawn("waiter", receiver(bench, socket))  # core 1
    bench.arrive(100, socket)
    assert bench.run(200)[1:] == [(110, "core 1")]
    assert (thread.migrations, bench.machine.migrations) == (0, 0)


def test_a_woken_thread_goes_to_another_idle_core_if_its_own_is_busy() -> None:
    bench = Bench(cores=2)
    socket = bench.socket()
    thread = bench.spawn("waiter", receiver(bench, socket))  # core 0
    bench.at(50, lambda: bench.spawn("busy", bench.computes(1_000)))  # core 0
    bench.arrive(100, socket)
    assert bench.run(200) == [(110, "core 1")]
    assert (thread.migrations, bench.machine.migrations) == (1, 1)
    assert (bench.cpu(0), bench.cpu(1)) == ({"user": 150, "idle": 50}, {"user": 10, "idle": 190})


def test_a_woken_thread_waits_at_its_own_core_if_all_are_busy() -> None:
    bench = Bench(cores=2)
    socket = bench.socket()
    thread = bench.spawn("waiter", receiver(bench, socket))  # core 0
    bench.at(50, lambda: bench.spawn("a", bench.computes(100, name="a")))  # core 0
    bench.at(50, lambda: bench.spawn("b", bench.computes(300, name="b")))  # core 1
    bench.arrive(100, socket)
    assert bench.run(1_000) == [(150, "a"), (160, "core 0"), (350, "b")]
    assert thread.off_core[0] == 50  # runnable from 100 to 150


# ------------------------------------------------------------------------------ pulling


def test_a_core_that_falls_idle_pulls_a_thread_that_waits_elsewhere() -> None:
    bench = Bench(cores=2)
    bench.spawn("long", bench.computes(1_000, name="long"))  # core 0
    bench.spawn("short", bench.computes(50, name="short"))  # core 1
    waiting = bench.spawn("waiting", bench.computes(100, name="waiting"))  # behind long
    assert bench.run(2_000) == [(50, "short"), (150, "waiting"), (1_000, "long")]
    assert waiting.migrations == 1
    assert ("waiting", 1, 50, 150) in bench.watch.runs


def test_a_pulled_thread_pays_for_its_move() -> None:
    bench = Bench(
        cores=2,
        context_switch_ns=5,
        cache_refill_per_kib_ns=((0, 0), (16_384, 1)),
        cache_bytes=16_384,
        thread_working_set_bytes=16_384,
    )
    bench.spawn("long", bench.computes(1_000, name="long"))
    bench.spawn("short", bench.computes(50, name="short"))
    bench.spawn("waiting", bench.computes(100, name="waiting"))
    # Each starts with switch 5 and refill 16; short ends at 71, and again 21 before waiting.
    assert bench.run(500) == [(71, "short"), (192, "waiting")]


def test_who_moves_to_another_core_finds_nothing_of_its_own_in_the_cache() -> None:
    bench = Bench(
        cores=2,
        cache_refill_per_kib_ns=((0, 0), (16_384, 1), (65_536, 5)),
        cache_bytes=65_536,
        thread_working_set_bytes=16_384,
    )
    socket = bench.socket()
    thread = bench.spawn("waiter", receiver(bench, socket))  # core 0
    bench.at(100, lambda: bench.spawn("other", bench.computes(50, name="other")))  # core 0
    bench.arrive(1_000, socket)
    bench.at(2_000, lambda: bench.spawn("busy", bench.computes(5_000)))  # core 0
    bench.arrive(2_500, socket)
    bench.run(4_000)
    # New: 80. After the other on its own core: 16 (a reuse distance of 16 KiB). Moved: 80.
    refills = [to - start for name, start, to, cause, _ in bench.watch.work
               if (name, cause) == ("waiter", "refill")]  # fmt: skip
    assert refills == [80, 16, 80]
    assert thread.migrations == 1


def test_a_core_pulls_at_the_end_of_an_interrupt_too() -> None:
    bench = Bench(cores=2)
    bench.spawn("long", bench.computes(1_000, name="long"))  # core 0
    bench.at(40, lambda: occupy(bench, 1, until=140))
    bench.at(50, lambda: bench.spawn("late", bench.computes(10, name="late")))
    # Wherever late was queued: at 140 core 1 is free, and core 0 is not.
    assert bench.run(2_000) == [(150, "late"), (1_000, "long")]


def test_who_comes_back_to_the_core_that_it_ran_on_last_is_there() -> None:
    bench = Bench(cores=2)
    socket = bench.socket()
    bench.spawn("first", bench.computes(10))  # core 0
    bench.spawn("waiter", receiver(bench, socket))  # core 1
    # At 100 core 1 is in an interrupt: whether the waiter waits for it or moves to core 0,
    # at 400, with core 0 busy, it runs on core 1, and knows it.
    bench.at(90, lambda: occupy(bench, 1, until=200))
    bench.arrive(100, socket)
    bench.at(300, lambda: bench.spawn("busy", bench.computes(1_000)))
    bench.arrive(400, socket)
    bench.run(500)
    assert bench.log[-1] == (410, "core 1")
    for core in bench.machine.cores:
        assert sum(core.account()) == 500
        assert min(core.account()) >= 0


@given(
    cores=st.integers(1, 3),
    threads=st.lists(
        st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    ),
    interrupts=st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 100)), max_size=5),
)
def test_no_core_idles_while_a_thread_waits(
    cores: int, threads: list[list[tuple[int, int]]], interrupts: list[tuple[int, int]]
) -> None:
    bench = Bench(cores=cores)

    def program(turns: list[tuple[int, int]]) -> Any:
        def steps(kernel: Kernel) -> Steps:
            for compute_ns, sleep_ns in turns:
                yield from kernel.compute(compute_ns)
                yield from kernel.nanosleep(sleep_ns)

        return steps

    for number, turns in enumerate(threads):
        bench.spawn(str(number), program(turns))
    for number, (at_ns, ns) in enumerate(interrupts):
        bench.interrupt(at_ns, ns, core=number % cores)
    violations = []

    def look() -> None:
        machine = bench.machine
        idle = any(core.current is None and not core._interrupts for core in machine.cores)
        # Who is woken to an idle core that is in an interrupt waits for its end, as in Linux.
        waiting = any(core.current and core.run_queue.waiting for core in machine.cores)
        if idle and waiting:
            violations.append(bench.env._now)

    for at_ns in range(1, 1_500, 23):
        bench.at(at_ns, look)
    bench.run(20_000)
    assert violations == []
    # All of it was done, on whatever core.
    users = sum(core.account()[USER] for core in bench.machine.cores)
    assert users == sum(ns for turns in threads for ns, _ in turns)


# -------------------------------------------------------------------------- descriptors


def test_a_new_descriptor_is_the_lowest_free_one() -> None:
    bench = Bench()
    sockets = [bench.socket(str(n)) for n in range(4)]
    assert [socket.descriptor for socket in sockets] == [3, 4, 5, 6]
    bench.machine.close_descriptor(sockets[2])
    bench.machine.close_descriptor(sockets[0])
    assert [bench.socket().descriptor for _ in range(3)] == [3, 5, 7]


def test_descriptors_run_out_at_the_limit() -> None:
    bench = Bench(descriptors=5)
    assert [bench.socket().descriptor for _ in range(2)] == [3, 4]
    with pytest.raises(DescriptorLimit, match="open takes descriptors below 5, not 5"):
        bench.socket()


# ------------------------------------------------------------------------------- memory


def test_each_part_of_the_memory_has_its_peak_and_all_together_have_theirs() -> None:
    memory = Memory()
    for what, size in (("a", 100), ("a", -100), ("b", 50), ("a", 30), ("b", -50), ("c", 10)):
        if size > 0:
            memory.take(what, size)
        else:
            memory.give_back(what, -size)
    assert memory.peak == {"a": 100, "b": 50, "c": 10}
    assert memory.peak_bytes == 100  # at first; 80 with b and a; 40 in the end
    assert dict(memory.in_use) == {"a": 30, "b": 0, "c": 10}


def test_a_thread_gives_its_memory_back_when_it_ends() -> None:
    bench = Bench(thread_memory_bytes=1_000)
    for _ in range(2):
        bench.spawn("a", bench.computes(10))
    assert bench.machine.memory.in_use["threads"] == 2_000
    bench.run(100)
    assert bench.machine.memory.in_use["threads"] == 0
    assert bench.machine.memory.peak["threads"] == 2_000
    assert bench.machine.threads == []
