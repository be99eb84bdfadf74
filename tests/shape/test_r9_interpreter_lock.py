"""R9: the interpreter lock's convoy.

Beazley, "Understanding the Python GIL", PyCon 2010: each time a thread has done I/O it
must get the lock back, and behind a CPU-bound thread that takes a switch interval, 5 ms.
Measured on one core (CPython 3.11, Linux 6.18, sleeping thread behind 1, 2, 4 CPU-bound
ones; medians of two passes): 5.2, 12 to 15, and 23 to 32 ms.
"""

from collections.abc import Sequence
from functools import cache, partial
from statistics import median
from typing import Any

import pytest
from simpy.core import Environment

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
ROUNDS = 60


def machine_of(cores: int, locked: bool = True) -> Machine:
    lock = InterpreterLock(INTERVAL_NS)

    def kernel(thread: Any, machine: Machine, native: bool) -> Kernel:
        return CPythonKernel(thread, machine, lock) if locked else Kernel(thread, machine)

    return Machine(
        Environment(), cores, lambda: eevdf.Queue(eevdf.Options()), REFERENCE, kernel
    )


def computing(kernel: Kernel) -> Program:
    """A CPU-bound thread. Its bytecodes are many; that a step is short matters to nobody."""
    while True:
        yield from kernel.compute(10 * MS)
        yield from kernel.settle()


def sleeping(kernel: Kernel, late_ns: list[int]) -> Program:
    """Sleep for 1 ms, again and again; note how late it is back in Python."""
    for _ in range(ROUNDS):
        yield from kernel.settle()
        due_ns = kernel.now_ns + MS
        yield from kernel.nanosleep(MS)
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
    assert len(late_ns) == ROUNDS
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


@pytest.mark.parametrize(
    ("computing_threads", "least_ms", "most_ms"), [(1, 5.0, 5.5), (2, 10, 17), (4, 20, 35)]
)
def test_behind_several_computing_threads(
    computing_threads: int, least_ms: float, most_ms: float
) -> None:
    """The measured medians, 5.2, 12 to 15, 23 to 32 ms, and the passes' distance around."""
    assert least_ms * MS <= median(regained_ns(computing_threads)) <= most_ms * MS


def test_without_computing_threads_it_is_back_at_once() -> None:
    assert median(regained_ns(0)) < 0.2 * MS


def test_without_the_lock_it_is_back_at_once_on_a_free_core() -> None:
    assert median(regained_ns(1, cores=2, locked=False)) < 0.2 * MS
