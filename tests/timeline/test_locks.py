"""Mutexes and condition variables: states, futex calls, stolen locks, deadlocks.

lock 1, futex 10 and waking 5 where a test says so; a core each for the threads.
"""

from collections import deque
from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, fair

from iosim.errors import Deadlock
from iosim.machine.kernel import Kernel
from iosim.machine.locks import CONTENDED, FREE, HELD, Condition, Futex, Mutex

Steps = Generator[Any, Any, None]


def test_an_uncontended_mutex_never_enters_the_kernel() -> None:
    bench = Bench(lock_ns=1, futex_ns=10)
    mutex = Mutex("mutex")
    states = []

    def program(kernel: Kernel) -> Steps:
        for _ in range(2):
            yield from kernel.lock(mutex)
            states.append(mutex.state)
            yield from kernel.unlock(mutex)
            states.append(mutex.state)
        yield from kernel.settle()
        bench.note("end")

    thread = bench.spawn("a", program)
    assert bench.run(100) == [(4, "end")]
    assert states == [HELD, FREE, HELD, FREE]
    assert bench.calls() == {}
    assert thread.voluntary == 0


def test_a_contended_mutex_costs_a_wait_and_a_wake() -> None:
    bench = Bench(cores=2, lock_ns=1, futex_ns=10, wake_up_ns=5)
    mutex = Mutex("mutex")

    def holder(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)  # 0-1
        yield from kernel.compute(100)  # until 101
        yield from kernel.unlock(mutex)  # 1, futex 10: wakes at 112, then 5
        yield from kernel.settle()
        bench.note("unlocked")

    def waiter(kernel: Kernel) -> Steps:
        yield from kernel.compute(20)
        yield from kernel.lock(mutex)  # 21: held; futex until 31; asleep
        bench.note(f"locked {mutex.state}")
        yield from kernel.unlock(mutex)  # 1: it is marked contended, so futex 10 for nobody
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("holder", holder)
    thread = bench.spawn("waiter", waiter)
    assert bench.run(1_000) == [
        (112, f"locked {CONTENDED}"),
        (117, "unlocked"),
        (123, "end"),
    ]
    assert bench.calls() == {"futex": 3}
    assert mutex.state == FREE
    assert thread.voluntary == 1
    assert thread.off_core == (0, 0, 112 - 31)  # for the lock


def test_a_freed_mutex_may_be_taken_before_the_woken_waiter_comes() -> None:
    bench = Bench(cores=2, lock_ns=1, futex_ns=10, idle_exit_ns=50)
    mutex = Mutex("mutex")

    def greedy(kernel: Kernel) -> Steps:
        for _ in range(2):
            yield from kernel.lock(mutex)
            yield from kernel.compute(200)
            yield from kernel.unlock(mutex)
        yield from kernel.settle()
        bench.note("greedy")

    def waiter(kernel: Kernel) -> Steps:
        yield from kernel.compute(20)
        yield from kernel.lock(mutex)
        bench.note("waiter")

    bench.spawn("greedy", greedy)
    thread = bench.spawn("waiter", waiter)
    # Both start at 50. greedy: 51-251, unlock 252, wakes at 262, locks again at 263, until
    # 463, unlock 464, wakes at 474.
    # waiter: 70, 71 held, asleep at 81. Woken at 262 it runs at 312 and finds the mutex held
    # again: marks it contended, futex, asleep at 322. Woken at 474, it has it at 524.
    assert bench.run(1_000) == [(474, "greedy"), (524, "waiter")]
    assert thread.voluntary == 2
    assert bench.calls() == {"futex": 4}


def test_a_mutex_freed_while_one_enters_the_kernel_is_not_waited_for() -> None:
    bench = Bench(cores=2, lock_ns=1, futex_ns=10)
    mutex = Mutex("mutex")

    def holder(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.compute(20)
        yield from kernel.unlock(mutex)  # at 22

    def waiter(kernel: Kernel) -> Steps:
        yield from kernel.compute(15)
        yield from kernel.lock(mutex)  # 16: held; in the futex call until 26: free by then
        bench.note("locked")

    bench.spawn("holder", holder)
    thread = bench.spawn("waiter", waiter)
    # FUTEX_WAIT finds another value (EAGAIN) and the lock is tried again, at once.
    assert bench.run(1_000) == [(26, "locked")]
    assert thread.voluntary == 0
    assert bench.calls() == {"futex": 2}  # the wait in vain, and the wake that finds nobody


def test_waiters_get_a_mutex_in_the_order_in_which_they_came() -> None:
    bench = Bench(cores=4, lock_ns=1)
    mutex = Mutex("mutex")

    def program(delay_ns: int) -> Any:
        def steps(kernel: Kernel) -> Steps:
            yield from kernel.compute(delay_ns)
            yield from kernel.lock(mutex)
            bench.note(f"{kernel.thread.name}")
            yield from kernel.compute(100)
            yield from kernel.unlock(mutex)

        return steps

    for name, delay_ns in (("a", 0), ("b", 30), ("c", 10), ("d", 20)):
        bench.spawn(name, program(delay_ns))
    # Each holds it for 100 and unlocks in 1.
    assert bench.run(1_000) == [(1, "a"), (102, "c"), (203, "d"), (304, "b")]


# ---------------------------------------------------------------------- conditions


def test_a_signal_for_nobody_costs_no_futex_call() -> None:
    bench = Bench(lock_ns=1, futex_ns=10)
    condition = Condition("condition")

    def program(kernel: Kernel) -> Steps:
        yield from kernel.cond_signal(condition)
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program)
    assert bench.run(100) == [(1, "end")]
    assert bench.calls() == {}
    assert not condition.waiters


def consumer(bench: Bench, mutex: Mutex, condition: Condition, items: deque[str]) -> Any:
    def program(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        while not items:
            yield from kernel.cond_wait(condition, mutex)
        item = items.popleft()
        bench.note(f"took {item} {mutex.state}")
        yield from kernel.unlock(mutex)
        yield from kernel.settle()
        bench.note("consumed")

    return program


def test_a_wait_and_a_signal_on_two_cores() -> None:
    bench = Bench(cores=2, lock_ns=1, futex_ns=10, wake_up_ns=5)
    mutex, condition = Mutex("mutex"), Condition("condition")
    items: deque[str] = deque()

    def producer(kernel: Kernel) -> Steps:
        yield from kernel.compute(100)
        yield from kernel.lock(mutex)  # 101
        items.append("item")
        yield from kernel.cond_signal(condition)  # 102, futex 112: wakes; 117
        yield from kernel.unlock(mutex)  # 118: contended since 123? no: see below
        yield from kernel.settle()
        bench.note("produced")

    thread = bench.spawn("consumer", consumer(bench, mutex, condition, items))
    bench.spawn("producer", producer)
    # consumer: locks 1, unlocks 2, futex 12, asleep. Woken at 112 it re-locks: at 113 the
    # mutex is held, so it is marked contended; futex until 123. By then, at 118, the producer
    # has freed it and entered the kernel for the waiter that the mark speaks of, 128: nobody.
    # At 123 the consumer finds it free, and marks it contended again, as glibc does.
    # It unlocks at 124 and enters the kernel in vain, until 134.
    assert bench.run(1_000) == [
        (123, f"took item {CONTENDED}"),
        (128, "produced"),
        (134, "consumed"),
    ]
    # Wait, signal, re-lock, the producer's unlock, the consumer's unlock.
    assert bench.calls() == {"futex": 5}
    assert thread.voluntary == 1


def signalling(bench: Bench, mutex: Mutex, condition: Condition, items: deque[str]) -> Any:
    def program(kernel: Kernel) -> Steps:
        yield from kernel.compute(900)
        yield from kernel.lock(mutex)
        items.append("item")
        yield from kernel.cond_signal(condition)
        yield from kernel.unlock(mutex)
        yield from kernel.settle()
        bench.note("produced")

    return program


def test_a_consumer_without_lag_lets_its_waker_finish() -> None:
    bench = Bench(queue=fair("1us"), lock_ns=1, futex_ns=10, wake_up_ns=5)
    mutex, condition = Mutex("mutex"), Condition("condition")
    items: deque[str] = deque()
    thread = bench.spawn("consumer", consumer(bench, mutex, condition, items))
    main = bench.spawn("main", signalling(bench, mutex, condition, items))
    # consumer 0-12 (lock, unlock, futex), v 12, sleeps owing (V 6). main runs; when it passes
    # its first deadline, v 500, the consumer is dropped from the competition, and main has
    # until 1,500. Lock 913; signal 914, futex 924: consumer is woken at V, the v of main: no
    # lag, main is protected. It pays 5 for the wake-up, and unlocks, 930; no waiter is marked.
    bench.run(2_000)
    assert bench.log == [(930, "produced"), (931, f"took item {CONTENDED}"), (942, "consumed")]
    assert (main.involuntary, thread.voluntary) == (0, 1)
    # Wait; wake; the unlock of a mutex that the re-lock has marked.
    assert bench.calls() == {"futex": 3}


def test_a_consumer_with_lag_preempts_its_waker_and_blocks_on_the_mutex_it_still_holds() -> None:
    # As measured in a pool in C: 2 + p voluntary and 2p involuntary switches, 3 + 2p futex
    # calls, if the consumer preempts with probability p; here it is bound to.
    bench = Bench(queue=fair("1us"), lock_ns=1, futex_ns=10, wake_up_ns=5)
    mutex, condition = Mutex("mutex"), Condition("condition")
    items: deque[str] = deque()
    main = bench.spawn("main", signalling(bench, mutex, condition, items))
    thread = bench.spawn("consumer", consumer(bench, mutex, condition, items))
    # main 0-500 (first deadline); consumer 500-512, v 12, V 256: it sleeps with lag 244.
    # main computes until 912 (v 900), lock 913, signal 914, futex 924 (v 912): consumer is
    # placed at 912 - 488 = 424, V = 668; main is not eligible. 5 for the wake-up; at the
    # return to user mode, 929, the consumer runs: 930 finds the mutex held, futex, asleep 940.
    # main (v 917) unlocks 941, futex 951, wakes it again, with lag 241: 956, preempted.
    # The consumer has the mutex at 956, unlocks it 957, futex 967 for nobody; then main.
    bench.run(2_000)
    assert bench.log == [(956, f"took item {CONTENDED}"), (967, "consumed"), (967, "produced")]
    # main's first preemption is the end of its slice.
    assert (main.involuntary, thread.voluntary) == (1 + 2, 2)
    assert bench.calls() == {"futex": 5}


def test_each_signal_wakes_one() -> None:
    bench = Bench(cores=3)
    mutex, condition = Mutex("mutex"), Condition("condition")

    def waiter(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.cond_wait(condition, mutex)
        bench.note(kernel.thread.name)
        yield from kernel.unlock(mutex)

    def signaller(kernel: Kernel) -> Steps:
        for _ in range(2):
            yield from kernel.nanosleep(100)
            yield from kernel.cond_signal(condition)

    bench.spawn("a", waiter)
    bench.spawn("b", waiter)
    bench.spawn("signaller", signaller)
    assert bench.run(1_000) == [(100, "a"), (200, "b")]


# ----------------------------------------------------------------------- deadlocks


def locking(bench: Bench, *mutexes: Mutex) -> Any:
    def program(kernel: Kernel) -> Steps:
        for mutex in mutexes:
            yield from kernel.lock(mutex)
            yield from kernel.compute(100)

    return program


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_deadlock_names_the_cycle(count: int) -> None:
    bench = Bench(cores=count)
    mutexes = [Mutex(f"mutex {n}") for n in range(count)]
    for n in range(count):
        bench.spawn(f"thread {n}", locking(bench, mutexes[n], mutexes[(n + 1) % count]))
    with pytest.raises(Deadlock) as caught:
        bench.run(1_000)
    # Whoever closes it names it from itself on: each waits for what the next one holds.
    cycle = caught.value.cycle
    assert sorted(cycle) == [(f"thread {n}", f"mutex {(n + 1) % count}") for n in range(count)]
    for (_, wanted), (holder, _) in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
        assert wanted == f"mutex {holder.split()[1]}"
    assert caught.value.at_ns == 100
    text = str(caught.value)
    assert "bench, at 100 ns: deadlock: " in text
    assert "thread 0 holds mutex 0, waits for mutex 1 (held by thread 1)" in text


def test_a_thread_that_locks_what_it_holds_is_a_deadlock() -> None:
    bench = Bench()
    mutex = Mutex("mutex")
    bench.spawn("thread", locking(bench, mutex, mutex))
    with pytest.raises(Deadlock, match="thread holds mutex, waits for mutex .held by thread."):
        bench.run(1_000)


def test_locks_in_the_same_order_are_no_deadlock() -> None:
    bench = Bench(cores=2)
    first, second = Mutex("first"), Mutex("second")

    def program(kernel: Kernel) -> Steps:
        for _ in range(20):
            yield from kernel.lock(first)
            yield from kernel.compute(10)
            yield from kernel.lock(second)
            yield from kernel.compute(10)
            yield from kernel.unlock(second)
            yield from kernel.unlock(first)
        yield from kernel.settle()
        bench.note(kernel.thread.name)

    bench.spawn("a", program)
    bench.spawn("b", program)
    bench.run(10_000)
    assert sorted(name for _, name in bench.log) == ["a", "b"]
    assert bench.log[-1][0] == 2 * 20 * 20


def test_a_futex_is_slept_on_only_while_its_word_is_what_was_expected() -> None:
    bench = Bench(cores=2, futex_ns=10, wake_up_ns=5)
    futex = Futex("note")

    def sleeper(kernel: Kernel) -> Steps:
        yield from kernel.futex_wait(futex, 0)  # enters 0-10, asleep
        bench.note("woken")
        yield from kernel.futex_wait(futex, 0)  # it is 1: 10, and back
        bench.note("not slept")
        yield from kernel.futex_wait(futex, 1, timeout_ns=50)
        bench.note("time is up")

    def waker(kernel: Kernel) -> Steps:
        yield from kernel.compute(100)
        yield from kernel.settle()
        futex.value = 1
        yield from kernel.futex_wake(futex)  # 10, wakes at 110, 5
        yield from kernel.futex_wake(futex)  # nobody: 10
        yield from kernel.settle()
        bench.note("end")

    thread = bench.spawn("sleeper", sleeper)
    bench.spawn("waker", waker)
    assert bench.run(1_000) == [
        (110, "woken"),
        (120, "not slept"),
        (125, "end"),
        (180, "time is up"),
    ]
    assert bench.calls() == {"futex": 5}
    assert thread.voluntary == 2
    assert thread.off_core[2] == 0  # it is no lock
