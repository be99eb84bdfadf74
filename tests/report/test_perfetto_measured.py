"""A trace made of what perf says: lines as it writes them, in; rows, out."""

from pathlib import Path

import pytest
from oracle import Ran, Read, read

from iosim.report.perfetto.measured import write

SWITCH = "sched:sched_switch: prev_comm={} prev_pid={} prev_prio=120 prev_state={} ==> "
NEXT = "next_comm={} next_pid={} next_prio=120"


def line(comm: str, pid: int, tid: int, core: int, ns: int, rest: str) -> str:
    return f"{comm:>16} {pid}/{tid} [{core:03}] 36907.{ns:09}: {rest:>28}"


def switch(core: int, ns: int, left: tuple[str, int], state: str, comes: tuple[str, int]) -> str:
    rest = SWITCH.format(*left, state) + NEXT.format(*comes)
    return line(left[0], left[1], left[1], core, ns, rest)


def call(comm: str, tid: int, core: int, ns: int, name: str) -> str:
    return line(comm, 70, tid, core, ns, f"syscalls:sys_enter_{name}: fd: 0x00000003")


def back(comm: str, tid: int, core: int, ns: int) -> str:
    return line(comm, 70, tid, core, ns, "raw_syscalls:sys_exit: NR 232 = 1")


def waking(by: tuple[str, int], core: int, ns: int, who: tuple[str, int], to: int) -> str:
    what = f"sched:sched_wakeup: comm={who[0]} pid={who[1]} prio=120 target_cpu={to:03}"
    return line(by[0], 70 if by[1] else 0, by[1], core, ns, what)


LOOP, WORKER, IDLE = ("a loop", 70), ("worker", 71), ("swapper/0", 0)
SECOND_NS = 36907_000_000_000

LINES = [
    call("a loop", 70, 0, 100, "epoll_wait"),
    switch(0, 200, LOOP, "S", IDLE),
    waking(IDLE, 0, 300, LOOP, 0),
    switch(0, 400, IDLE, "R", LOOP),
    back("a loop", 70, 0, 450),
    call("a loop", 70, 0, 500, "write"),
    call("worker", 71, 1, 500, "futex"),
    switch(1, 550, WORKER, "S", ("kworker/1:2", 9)),
    "this is no line of perf's",
    waking(LOOP, 0, 600, WORKER, 1),
    back("a loop", 70, 0, 650),
    switch(1, 700, ("kworker/1:2", 9), "I", WORKER),
    back("worker", 71, 1, 750),
    switch(0, 800, LOOP, "R+", ("other", 80)),
    waking(("other", 80), 0, 850, ("far", 99), 5),
    switch(0, 900, ("other", 80), "X", IDLE),
]


@pytest.fixture
def found(tmp_path: Path) -> Read:
    path = tmp_path / "trace"
    with path.open("wb") as file:
        packets = write(LINES, file, "epoll", 70)
    trace = read(path)
    assert trace.packets == packets
    return trace


def at(ns: int) -> int:
    return SECOND_NS + ns


def test_who_had_each_core(found: Read) -> None:
    assert sorted(found.ran, key=lambda ran: (ran.core, ran.from_ns)) == [
        Ran(0, 70, "a loop", at(100), at(200), 1),
        Ran(0, 70, "a loop", at(400), at(800), 0),
        Ran(0, 80, "other", at(800), at(900), 16),
        Ran(1, 71, "worker", at(100), at(550), 1),
        Ran(1, 9, "kworker/1:2", at(550), at(700), 2),
        Ran(1, 71, "worker", at(700), at(900), 0),
    ]


def test_each_syscall_lasts_until_it_returns(found: Read) -> None:
    assert sorted(found.on_threads("syscall"), key=lambda call: call[2:]) == [
        (70, "epoll_wait", at(100), at(450)),
        (70, "write", at(500), at(650)),
        (71, "futex", at(500), at(750)),
    ]
    assert set(found.threads.values()) == {(70, "a loop"), (71, "worker")}


def test_an_arrow_for_whom_a_thread_wakes(found: Read) -> None:
    wakes, woken = (piece for piece in found.slices if piece.flows or piece.ends)
    assert (wakes.name, found.names[wakes.row]) == ("wakes worker", "a loop")
    assert (woken.name, found.names[woken.row]) == ("woken", "worker")
    assert (wakes.from_ns, woken.from_ns) == (at(600), at(700))
    assert wakes.flows == woken.ends
    # What runs on a core that is not recorded is left out.
    assert found.wakings == [(at(300), 0, 0, 70), (at(600), 0, 70, 71)]


def test_who_waits_for_a_core_is_counted(found: Read) -> None:
    assert found.counts["run queue"] == [
        (at(100), 0),
        (at(300), 1),
        (at(400), 0),
        (at(600), 1),
        (at(700), 0),
        (at(800), 1),
    ]


def test_of_nothing_there_is_an_empty_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with path.open("wb") as file:
        assert write([], file, "epoll", 70) == 1
    assert read(path).slices == []
