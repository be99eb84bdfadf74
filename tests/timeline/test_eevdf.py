"""EEVDF: slices, lag over sleep, protection, delayed dequeue, the tick.

Slice 100 and no tick unless said otherwise; a new thread's first deadline is half a slice away.
v is a thread's virtual runtime, V the mean of all.
"""

import random
from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, Letter, fair
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.machine.kernel import Kernel
from iosim.machine.sockets import Socket

Steps = Generator[Any, Any, None]


def starts(bench: Bench) -> list[tuple[int, str]]:
    return [(at_ns, name) for at_ns, _, name in bench.moments("dispatched")]


def serving(bench: Bench, socket: Socket, *computes_ns: int) -> Any:
    """A program that computes so long for each letter."""

    def program(kernel: Kernel) -> Steps:
        for ns in computes_ns:
            yield from kernel.recvfrom(socket)
            yield from kernel.compute(ns)

    return program


# ------------------------------------------------------------------------------- slices


def test_two_busy_threads_take_turns_of_a_slice() -> None:
    bench = Bench(queue=fair())
    a = bench.spawn("a", bench.computes(300, name="a"))
    b = bench.spawn("b", bench.computes(300, name="b"))
    # Deadlines 50 at first. a 0-50: v = 50, V = 25, not eligible: b 50-100. Now v = V = 50,
    # deadlines 150, and a has waited longer: a 100-200, b 200-300, a 300-400 (v 250),
    # b 400-500 (v 250), a 500-550 (ends), b 550-600.
    assert bench.run(1_000) == [(550, "a"), (600, "b")]
    assert starts(bench) == [
        (0, "a"),
        (50, "b"),
        (100, "a"),
        (200, "b"),
        (300, "a"),
        (400, "b"),
        (500, "a"),
        (550, "b"),
    ]
    assert (a.involuntary, b.involuntary) == (3, 3)


def test_an_expired_deadline_is_noticed_at_the_next_tick() -> None:
    bench = Bench(queue=fair(tick="40ns"))
    bench.spawn("a", bench.computes(300, name="a"))
    bench.spawn("b", bench.computes(300, name="b"))
    # a's deadline 50 is noticed at 80: v 80, deadline 180. b 80-160 (due 130): v 80, deadline
    # 180. a until 280 (due 260): v 200. b until 400 (due 160 + ...: 280 + 100 = 380): v 200.
    bench.run(401)
    assert starts(bench) == [(0, "a"), (80, "b"), (160, "a"), (280, "b"), (400, "a")]


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_busy_threads_get_equal_shares_to_within_a_slice(threads: int) -> None:
    bench = Bench(queue=fair())
    started = [bench.spawn(str(n), bench.computes(10**6)) for n in range(threads)]
    for at_ns in range(1_000, 20_000, 777):
        bench.run(at_ns)
        for core in bench.machine.cores:
            core._sync(at_ns)
        shares = [thread.cpu_ns for thread in started]
        assert max(shares) - min(shares) <= 200
        assert sum(shares) == at_ns


# ------------------------------------------------------------------------ lag over sleep


def test_who_slept_without_lag_waits_for_the_running_threads_deadline() -> None:
    bench = Bench(queue=fair())
    socket = bench.socket()
    bench.spawn("s", serving(bench, socket, 10))
    bench.at(5, lambda: bench.spawn("busy", bench.computes(1_000, name="busy")))
    bench.arrive(25, socket)
    # s slept alone: lag 0. At 25 it is placed at V = v of busy = 20. Both are eligible, busy
    # is protected until its first deadline, v = 50, at 55.
    bench.run(100)
    assert starts(bench) == [(0, "s"), (5, "busy"), (55, "s"), (65, "busy")]


def test_who_had_run_less_than_the_others_preempts_when_it_wakes() -> None:
    bench = Bench(queue=fair())
    socket = bench.socket("socket", Letter())
    bench.spawn("busy", bench.computes(1_000, name="busy"))
    s = bench.spawn("s", serving(bench, socket, 10, 5, 5))
    # busy 0-50 (v 50), s 50-60 (v 10); V = 30, so s leaves with lag 20.
    bench.arrive(80, socket)
    # At 80 busy has v 70 = V. s is placed at 70 - 20 x 2/1 = 30, so that V = 50 and its lag
    # is 20 again: busy (70 > 50) is not eligible, s is, and runs at once, 80-85.
    bench.arrive(95, socket)
    # It leaves with v 35, V 52: lag 17. At 95 busy has v 80: s at 80 - 34 = 46, V = 63.
    bench.run(200)
    assert starts(bench) == [
        (0, "busy"),
        (50, "s"),
        (60, "busy"),
        (80, "s"),
        (85, "busy"),
        (95, "s"),
        (100, "busy"),
    ]
    assert s.voluntary == 2  # for the second letter and for the third


def test_lag_does_not_grow_in_sleep() -> None:
    bench = Bench(queue=fair())
    socket = bench.socket("socket", Letter())
    bench.spawn("busy", bench.computes(100_000))
    bench.spawn("s", serving(bench, socket, 10, 1_000))
    bench.arrive(10_000, socket)
    # s leaves at 60 with lag 20, as above. At 10,000 busy has v 9,990: s is placed at 9,950,
    # with V = 9,970. It runs until its deadline, 9,950 + 100: 10,000-10,100, then takes turns;
    # sleeping for long has won it 20 and no more.
    bench.run(10_500)
    assert starts(bench)[3:6] == [(10_000, "s"), (10_100, "busy"), (10_200, "s")]


def test_a_running_thread_is_protected_from_one_with_lag_while_it_is_eligible_itself() -> None:
    bench = Bench(queue=fair())
    socket = bench.socket("socket", Letter())
    bench.spawn("a", bench.computes(1_000))
    bench.spawn("s", serving(bench, socket, 10, 5))
    bench.spawn("b", bench.computes(1_000))
    # a 0-50; s 50-60, v 10, V = 60 // 3 = 20: lag 10. b 60-110 (v 50, its deadline). a: v 50,
    # V = 50, deadlines 150: a 110-.
    bench.arrive(70, socket)
    # At 70: a 50, b 10, V = 30; s at 30 - 10 x 3/2 = 15. b (v 10) is eligible and protected
    # until its deadline, v = 50, at 110. Then V = 115 // 3: s 15 is the only one eligible.
    bench.run(120)
    assert starts(bench) == [(0, "a"), (50, "s"), (60, "b"), (110, "s"), (115, "a")]


# ---------------------------------------------------------------------- delayed dequeue


def test_who_slept_owing_and_wakes_soon_still_owes() -> None:
    bench = Bench(queue=fair())
    socket = bench.socket("socket", Letter())
    bench.spawn("s", serving(bench, socket, 10, 60))
    bench.spawn("busy", bench.computes(1_000))
    # s 0-10: v 10, V = 5: it sleeps, but stays in the competition.
    bench.arrive(12, socket)
    # At 12 V = (10 + 2) / 2 = 6 < 10: s stays at v 10, with its deadline of 50. busy runs
    # until its own deadline, v = 50, at 60; s until v 50, at 100: V = 50, deadline 150 each.
    bench.run(150)
    assert starts(bench) == [(0, "s"), (10, "busy"), (60, "s"), (100, "busy")]


def test_who_slept_owing_and_wakes_late_is_placed_right_and_gains_nothing() -> None:
    bench = Bench(queue=fair())
    socket = bench.socket("socket", Letter())
    bench.spawn("s", serving(bench, socket, 10, 1_000))
    bench.spawn("busy", bench.computes(1_000))
    bench.arrive(30, socket)
    # At 30 busy has v 20: V = 15 > 10, so s's debt is forgiven and it starts at V of the
    # others, 20, with a deadline of 120. It does not preempt: busy goes on until v 50, at 60;
    # then s from 20 to 120, 60-160.
    bench.run(200)
    assert starts(bench) == [(0, "s"), (10, "busy"), (60, "s"), (160, "busy")]


def test_a_sleeper_that_owes_counts_in_the_mean_until_it_is_picked() -> None:
    queue: Any = fair()()
    threads = [FakeThread(name) for name in "abc"]
    a, b, c = threads
    for thread in threads:
        thread.entity = queue.entity()
        queue.enqueue(thread, None)
    assert queue.pick() is a
    queue.ran(a, 30)
    queue.remove_current(a)
    # a asleep with v 30, V = 10: still there, and not to be stolen or counted as waiting.
    assert queue.holds(a)
    assert queue.waiting == 2
    assert queue.pick() is b
    queue.ran(b, 45)
    queue.put_back(b)
    # v 30, 45, 0, V = 25: c. Without a, V would be 22.
    assert queue.pick() is c
    queue.ran(c, 45)
    queue.put_back(c)
    # v 30, 45, 45, V = 40: a alone is eligible. It is picked and leaves; then V = 45: b.
    assert queue.pick() is b
    assert not queue.holds(a)


def test_a_sleeper_that_owes_wakes_where_it_is_counted_though_another_core_is_idle() -> None:
    bench = Bench(cores=2, queue=fair())
    socket = bench.socket("socket", Letter())
    s = bench.spawn("s", serving(bench, socket, 10, 20))  # core 0
    bench.spawn("short", bench.computes(11, name="short"))  # core 1
    bench.spawn("busy", bench.computes(200, name="busy"))  # core 0, behind s
    bench.arrive(12, socket)
    # At 10 s sleeps owing; at 11 core 1 falls idle, nobody waits. At 12 s is woken: it has
    # never left core 0's competition (Linux: ttwu_runnable), so it waits there for busy.
    bench.run(300)
    assert [run for run in bench.watch.runs if run[0] == "s"] == [("s", 0, 0, 10), ("s", 0, 60, 80)]
    assert s.migrations == 0
    assert bench.log == [(11, "short"), (230, "busy")]


# ------------------------------------------------------- against a plain implementation


class FakeThread:
    """What a queue needs of a thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entity: Any = None

    def __repr__(self) -> str:
        return self.name


class Plain:
    """EEVDF as the paper and the kernel have it, without heaps: (v, deadline, order) each."""

    def __init__(self, slice_ns: int, limit_ns: int) -> None:
        self.slice_ns, self.limit_ns = slice_ns, limit_ns
        self.v: dict[str, int] = {}
        self.deadline: dict[str, int] = {}
        self.lag: dict[str, int] = {}
        self.queued: dict[str, int] = {}
        """Those that do not run, with the order in which they came to wait."""
        self.asleep: set[str] = set()
        self.last_v: dict[str, int] = {}
        self.orders = 0

    def mean(self) -> int:
        return sum(self.v.values()) // len(self.v)

    def eligible(self, name: str) -> bool:
        return self.v[name] * len(self.v) <= sum(self.v.values())

    def join(self, name: str) -> None:
        count = len(self.v)
        lag = self.lag.pop(name, 0)
        new = name not in self.last_v
        v = self.mean() - lag * (count + 1) // count if count else self.last_v.get(name, 0)
        self.v[name] = v
        self.deadline[name] = v + (self.slice_ns // 2 if new else self.slice_ns)

    def leave(self, name: str) -> None:
        self.lag[name] = max(-self.limit_ns, min(self.limit_ns, self.mean() - self.v[name]))
        self.last_v[name] = self.v.pop(name)

    def wait(self, name: str) -> None:
        self.orders += 1
        self.queued[name] = self.orders

    def wake(self, name: str) -> None:
        if name in self.asleep:
            self.asleep.remove(name)
            if self.mean() - self.v[name] <= 0:
                return
            self.leave(name)
            self.lag[name] = 0
        self.join(name)
        self.wait(name)

    def pick(self) -> str | None:
        if not set(self.queued) - self.asleep:
            while self.queued:
                self.take_first()
            return None
        while (name := self.take_first()) is None:
            pass
        return name

    def take_first(self) -> str | None:
        able = [name for name in self.queued if self.eligible(name)]
        name = min(able, key=lambda name: (self.deadline[name], self.queued[name]))
        del self.queued[name]
        if name not in self.asleep:
            return name
        self.asleep.remove(name)
        self.leave(name)
        self.lag[name] = min(0, self.lag[name])
        return None

    def sleep(self, name: str) -> None:
        if self.eligible(name):
            self.leave(name)
        else:
            self.asleep.add(name)
            self.wait(name)

    def ran(self, name: str, ns: int) -> None:
        self.v[name] += ns
        if self.v[name] >= self.deadline[name]:
            self.deadline[name] = self.v[name] + self.slice_ns


@settings(max_examples=400)
@given(seed=st.integers(0, 10**9), threads=st.integers(1, 6))
def test_the_queue_picks_whom_a_plain_implementation_picks(seed: int, threads: int) -> None:
    rng = random.Random(seed)
    queue: Any = fair()()
    plain = Plain(100, 200)
    sleeping = [FakeThread(str(n)) for n in range(threads)]
    current: Any = None
    for thread in sleeping:
        thread.entity = queue.entity()
    for _ in range(60):
        if current is not None:
            ns = rng.choice([1, 7, 30, 60, 150])
            queue.ran(current, ns)
            plain.ran(current.name, ns)
        action = rng.choice(["wake", "wake", "switch", "sleep"])
        if action == "wake" and sleeping:
            woken = sleeping.pop(rng.randrange(len(sleeping)))
            queue.enqueue(woken, current)
            plain.wake(woken.name)
            if current is not None:
                continue
        elif action == "switch" and current is not None and queue.waiting:
            queue.put_back(current)
            plain.wait(current.name)
        elif action == "sleep" and current is not None:
            queue.remove_current(current)
            plain.sleep(current.name)
            sleeping.append(current)
        else:
            continue
        picked: Any = queue.pick()
        assert (picked.name if picked else None) == plain.pick()
        current = picked
