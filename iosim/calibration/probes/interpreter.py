"""Probes of CPython itself: its queues and locks with nobody waiting, and its interpreter lock.

Validated by: tests/calibration/test_probes.py
"""

import os
import queue
import threading
import time
from collections import deque
from typing import Any

from iosim.calibration.probes.needs import TWO_CORES
from iosim.calibration.probes.registry import Place, Series, probe
from iosim.calibration.probes.timing import timed

_NAP_S = 500e-6
_NOTIFIED = 200
"""Waits that have begun, for one sample."""


@probe("pure_loop_1000_iters|for-range-pass")
def pure_loop(place: Place) -> Series:
    """A thousand rounds of a loop that does nothing: how fast bytecode runs."""
    return timed(place, 20, "for _ in range(1000): pass")


@probe("lock_acquire+release|uncontended")
def lock_uncontended(place: Place) -> Series:
    """A lock taken and released by `with`, which nobody else wants."""
    return timed(place, 1000, "with lock: pass", lock=threading.Lock())


@probe("SimpleQueue_put+get|uncontended")
def simple_queue_uncontended(place: Place) -> Series:
    """An item into a queue.SimpleQueue and out, with nobody waiting."""
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    return timed(place, 1000, "items.put(1); items.get()", items=items)


@probe("Queue_put+get|uncontended")
def queue_uncontended(place: Place) -> Series:
    """The same by a queue.Queue, which is written in Python."""
    items: queue.Queue[int] = queue.Queue()
    return timed(place, 200, "items.put(1); items.get()", items=items)


@probe("Condition_wait|nobody signals")
def condition_wait(place: Place) -> Series:
    """threading.Condition.wait with no time to wait: all that it does but to sleep."""
    lock = threading.Lock()
    condition = threading.Condition(lock)
    lock.acquire()
    return timed(place, 200, "wait(0)", wait=condition.wait)


@probe("Condition_notify|one waits")
def condition_notify(place: Place) -> Series:
    """threading.Condition.notify of a wait that has begun, by a thread that does not sleep yet."""
    lock = threading.Lock()
    condition = threading.Condition(lock)
    lock.acquire()
    waiters: deque[Any] = condition._waiters  # type: ignore[attr-defined]
    samples = []
    for _ in range(place.samples):
        kept = [threading.Lock() for _ in range(_NOTIFIED)]
        for waiting in kept:
            waiting.acquire()
            waiters.append(waiting)
        begun_ns = time.perf_counter_ns()
        for _ in range(_NOTIFIED):
            condition.notify()
        samples.append((time.perf_counter_ns() - begun_ns) / _NOTIFIED)
    return [samples]


def _regain(place: Place, hogs: int, cpus: set[int]) -> Series:
    """From when a nap of 500 us should have ended until this thread runs Python again, while
    `hogs` others never give the interpreter lock up by themselves."""
    os.sched_setaffinity(0, cpus)

    def hog() -> None:
        while True:
            pass

    for _ in range(hogs):
        threading.Thread(target=hog, daemon=True).start()
    samples = []
    for _ in range(place.samples):
        begun_ns = time.perf_counter_ns()
        time.sleep(_NAP_S)
        samples.append(float(time.perf_counter_ns() - begun_ns - round(_NAP_S * 1e9)))
    return [samples]


@probe(
    "gil_reacquire_after_sleep500us|same_core;hogs={0};switchinterval5ms",
    arguments=[(1,), (2,), (4,)], samples=40,
)  # fmt: skip
def lock_regained(place: Place, hogs: int) -> Series:
    """Getting the interpreter lock back from threads that compute, all on one core: the switch
    interval, and which of those that wait is handed it. Timer slack and a switch are in it."""
    return _regain(place, hogs, {place.server_cpu})


@probe(
    "gil_reacquire_after_sleep500us|2cores;hogs={0};switchinterval5ms",
    arguments=[(1,), (2,), (4,)], samples=40, needs=[TWO_CORES], quick=False,
)  # fmt: skip
def lock_regained_across(place: Place, hogs: int) -> Series:
    """The same on two cores: those that wait for the lock have a core to wake up on."""
    return _regain(place, hogs, {place.server_cpu, place.other_cpu})
