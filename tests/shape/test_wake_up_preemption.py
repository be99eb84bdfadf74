"""How often a thread that is woken preempts who has woken it, on one core.

Linux 6.18, `benchmarks/wake_up_preemption.c` on the reference machine: one thread sleeps, computes
10 us, wakes another, computes 50 us; the other, woken, computes 0, 20 or 200 us. It preempts in 93,
66 and 0% of the times. Who has waited for 50 us keeps half of that as lag: for how many wake-ups it
then goes first is a matter of how much it computes.
"""

from functools import cache
from typing import Any

import pytest

from iosim.machine.clock import Clock
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Futex
from iosim.machine.machine import Machine
from iosim.machine.thread import Program
from iosim.profile import load
from iosim.schedulers import eevdf

MEASURED = {0: 0.93, 20_000: 0.66, 200_000: 0.00}
"""By the ns that the woken thread computes: the part of the wake-ups in which it preempts."""
TIMES = 500


@cache
def preempting(work_ns: int) -> float:
    def queue() -> eevdf.Queue:
        return eevdf.Queue(eevdf.Options())

    def kernel(thread: Any, machine: Machine, native: bool) -> Kernel:
        return Kernel(thread, machine)

    machine = Machine(Clock(), 1, queue, load("reference").costs, kernel)
    futex = Futex("nap")

    def other(kernel: Kernel) -> Program:
        while True:
            yield from kernel.futex_wait(futex, 0)
            yield from kernel.compute(work_ns)
            yield from kernel.settle()

    def waking(kernel: Kernel) -> Program:
        for _ in range(TIMES):
            yield from kernel.nanosleep(300_000)
            yield from kernel.compute(10_000)
            yield from kernel.futex_wake(futex)
            yield from kernel.compute(50_000)
            yield from kernel.settle()

    machine.spawn("other", other)
    waker = machine.spawn("waking", waking)
    machine.env.run(until=10**9)
    return waker.involuntary / TIMES


@pytest.mark.parametrize("work_ns", MEASURED)
def test_who_is_woken_preempts_as_often_as_measured(work_ns: int) -> None:
    assert preempting(work_ns) == pytest.approx(MEASURED[work_ns], abs=0.06)
