"""R9: the interpreter lock's convoy.

Beazley, "Understanding the Python GIL", PyCon 2010: each time a thread has done I/O it
must get the lock back, and behind a CPU-bound thread that takes a switch interval, 5 ms.

Measured (the profile's measurements, gil_reacquire_after_sleep500us: CPython 3.11, Linux
6.18, 60 times, two passes): medians in ms behind 1, 2 and 4 computing threads,

    one core     5.2, 5.1    12.0, 15.5    23.1, 32.1
    two cores    5.3, 5.3     9.9,  5.3     6.6,  4.7

A simulated median may lie a sixth below the lower of two passes or a tenth above the
higher, in round numbers; behind one thread, where the passes agree, 5.0 to 5.5 ms.
"""

from collections.abc import Sequence
from functools import cache, partial
from statistics import median
from typing import Any

import pytest

from iosim.machine.clock import Clock
from iosim.machine.interpreter import CPythonKernel, InterpreterLock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.sockets import Socket
from iosim.machine.thread import Program
from iosim.profile import load
from iosim.schedulers import eevdf

REFERENCE = load("reference").costs
INTERVAL_NS = REFERENCE.cpython_switch_interval_ns
MS = 1_000_000
SLEEP_NS = 500_000
ROUNDS = 60

ALLOWED_MS = {
    # (cores, computing threads): least and most
    (1, 1): (5.0, 5.5),
    (1, 2): (10, 17),
    (1, 4): (20, 35),
    (2, 1): (5.0, 5.5),
    (2, 2): (4.4, 10.9),
    (2, 4): (3.9, 7.2),
}


def machine_of(cores: int, locked: bool = True) -> Machine:
    lock = InterpreterLock(INTERVAL_NS)

    def kernel(thread: Any, machine: Machine, native: bool) -> Kernel:
        return CPythonKernel(thread, machine, lock) if locked else Kernel(thread, machine)

    return Machine(Clock(), cores, lambda: eevdf.Queue(eevdf.Options()), REFERENCE, kernel)


def computing(kernel: Kernel) -> Program:
    """A CPU-bound thread. Its bytecodes are many; that a step is short matters to nobody."""
    while True:
        yield from kernel.compute(10 * MS)
        yield from kernel.settle()


def sleeping(kernel: Kernel, late_ns: list[int]) -> Program:
    """Sleep for 500 us, again and again; note how late it is back in Python."""
    for _ in range(ROUNDS):
        yield from kernel.settle()
        due_ns = kernel.now_ns + SLEEP_NS
        yield from kernel.nanosleep(SLEEP_NS)
        yield from kernel.settle()
        late_ns.append(kernel.now_ns - due_ns)


def receiving(kernel: Kernel, socket: Socket, late_ns: list[int]) -> Program:
    """Receive messages; note how long after its arrival each has been taken."""
    for _ in range(ROUNDS):
        message = yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        late_ns.append(kernel.now_ns - message.arrived_ns)


class Ping:
    """A message that knows when it came."""

    bytes = 64

    def __init__(self, arrived_ns: int) -> None:
        self.arrived_ns = arrived_ns

    def delivered(self, now: int) -> None:
        """Nobody keeps account of it."""

    def begin(self, thread: Any, now: int) -> None:
        """Nobody keeps account of it."""

    def pause(self, now: int) -> None:
        """Nobody keeps account of it."""


@cache
def regained_ns(computing_threads: int, cores: int = 1, locked: bool = True) -> Sequence[int]:
    """How late a sleeping thread is back, behind so many CPU-bound ones."""
    machine = machine_of(cores, locked)
    late_ns: list[int] = []
    for number in range(computing_threads):
        machine.spawn(f"computing {number}", computing)
    machine.spawn("sleeping", partial(sleeping, late_ns=late_ns))
    machine.env.run(until=60 * 1_000 * MS)
    assert len(late_ns) == ROUNDS, f"had the lock {len(late_ns)} times in a minute"
    return tuple(late_ns)


@pytest.mark.parametrize("cores", [1, 2])
def test_one_computing_thread_costs_a_switch_interval_each_time(cores: int) -> None:
    late_ns = regained_ns(1, cores)
    assert INTERVAL_NS <= median(late_ns) <= 1.2 * INTERVAL_NS
    # At every I/O, not now and then.
    assert sorted(late_ns)[ROUNDS // 10] > 0.9 * INTERVAL_NS


def test_each_message_waits_a_switch_interval() -> None:
    machine = machine_of(2)
    late_ns: list[int] = []
    socket = Socket("socket", None)
    machine.spawn("computing", computing)
    machine.spawn("receiving", partial(receiving, socket=socket, late_ns=late_ns))

    def sending() -> Any:
        for _ in range(ROUNDS):
            yield machine.env.timeout(20 * MS)
            machine.arrive(socket, Ping(int(machine.env.now)))

    machine.env.process(sending())
    machine.env.run(until=2_000 * MS)
    assert len(late_ns) == ROUNDS
    assert INTERVAL_NS <= median(late_ns) <= 1.2 * INTERVAL_NS


def _assert_as_measured(cores: int, computing_threads: int) -> None:
    least_ms, most_ms = ALLOWED_MS[cores, computing_threads]
    assert least_ms <= median(regained_ns(computing_threads, cores)) / MS <= most_ms


NOT_YET = pytest.mark.xfail(
    strict=True,
    reason="races of 100 ns are decided by constants, always the same way: see machine.md",
)


@pytest.mark.parametrize(
    "computing_threads", [1, pytest.param(2, marks=NOT_YET), pytest.param(4, marks=NOT_YET)]
)
def test_on_one_core(computing_threads: int) -> None:
    _assert_as_measured(1, computing_threads)


@pytest.mark.parametrize("computing_threads", [1, 2, pytest.param(4, marks=NOT_YET)])
def test_on_two_cores(computing_threads: int) -> None:
    _assert_as_measured(2, computing_threads)


def test_the_more_compute_the_longer_it_takes() -> None:
    """On one core they compete for the core as well as for the lock."""
    medians = [median(regained_ns(threads)) for threads in (0, 1, 2, 4)]
    assert medians == sorted(medians)


def test_without_computing_threads_it_is_back_at_once() -> None:
    assert median(regained_ns(0)) < 0.2 * MS


def test_without_the_lock_it_is_back_at_once_on_a_free_core() -> None:
    assert median(regained_ns(1, cores=2, locked=False)) < 0.2 * MS
