"""The pipeline as threads: a bounded buffer, a mutex, two condition variables.

A deadlock stops nobody but those who are in it, so a watchdog looks for a cycle of threads that
wait for one another's locks. It names the cycle and ends the process. It runs only where there
is a second lock, ten times a second, and a cycle must be there twice.

Twin of: iosim/io_models/threads.py
Validated by: tests/real/test_pipelines.py, tests/real/test_twins.py
"""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from iosim.real.kernel import Kernel
from iosim.real.pipeline import Item, Pipeline
from iosim.real.process import say

SERVES = "items"

DEADLOCK_CODE: Final = 3
LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True)
class Options:
    """Pipeline of threads: bounded buffer, mutex, two condition variables."""

    second_lock: str = "none"


class Mutex:
    """A lock that knows who has it; `WAITS` knows who waits for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner: threading.Thread | None = None
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True) -> bool:
        """Take it; sleep while another thread holds it."""
        thread = threading.current_thread()
        if not self._lock.acquire(blocking=False):
            if not blocking:
                return False
            WAITS[thread] = self
            self._lock.acquire()
            del WAITS[thread]
        self.owner = thread
        return True

    def release(self) -> None:
        """Free it."""
        self.owner = None
        self._lock.release()

    def _is_owned(self) -> bool:  # asked by Condition
        return self.owner is threading.current_thread()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


WAITS: Final[dict[threading.Thread, Mutex]] = {}


class Buffer:
    """The bounded buffer and its locks."""

    def __init__(self, capacity: int, tracked: bool) -> None:
        self.capacity = capacity
        self.items: deque[Item] = deque()
        lock: Any = Mutex if tracked else lambda name: threading.Lock()
        self.mutex = lock("buffer lock")
        self.not_full = threading.Condition(self.mutex)
        self.not_empty = threading.Condition(self.mutex)
        self.statistics = lock("statistics lock")
        self.count = 0


def main(kernel: Kernel, pipeline: Pipeline, options: Options) -> None:
    """Start all producers and consumers."""
    buffer = Buffer(pipeline.capacity, tracked=options.second_lock != "none")
    for number in range(pipeline.producers):
        program = partial(produce, pipeline=pipeline, buffer=buffer, options=options)
        kernel.spawn(f"producer {number}", program)
    for number in range(pipeline.consumers):
        program = partial(consume, pipeline=pipeline, buffer=buffer, options=options)
        kernel.spawn(f"consumer {number}", program)
    if options.second_lock != "none":
        watch()


def produce(kernel: Kernel, pipeline: Pipeline, buffer: Buffer, options: Options) -> None:
    """Make items and put them in the buffer, for ever."""
    while True:
        row, produce_ns, consume_ns = pipeline.plan()
        kernel.compute(produce_ns)
        with buffer.mutex:
            while len(buffer.items) >= buffer.capacity:
                buffer.not_full.wait()
            if options.second_lock != "none":
                count(buffer)
            buffer.items.append(pipeline.made(row, consume_ns, kernel.now_ns))
            buffer.not_empty.notify()


def consume(kernel: Kernel, pipeline: Pipeline, buffer: Buffer, options: Options) -> None:
    """Take items from the buffer and use them, for ever."""
    misordered = options.second_lock == "misordered"
    while True:
        if misordered:
            buffer.statistics.acquire()
        buffer.mutex.acquire()
        while not buffer.items:
            if misordered:  # or nobody could ever count an item into the buffer
                buffer.statistics.release()
            buffer.not_empty.wait()
            if misordered:
                buffer.mutex.release()
                buffer.statistics.acquire()
                buffer.mutex.acquire()
        if options.second_lock == "ordered":
            count(buffer)
        item = buffer.items.popleft()
        pipeline.taken()
        buffer.not_full.notify()
        buffer.mutex.release()
        if misordered:
            buffer.count += 1
            buffer.statistics.release()
        kernel.compute(item.consume_ns)
        pipeline.used(item, kernel.now_ns)
        kernel.counters.answered += 1


def count(buffer: Buffer) -> None:
    """Count an item under the statistics' own lock."""
    with buffer.statistics:
        buffer.count += 1


# ------------------------------------------------------------------------ the watchdog


def watch() -> None:
    """Look for a deadlock, again and again; end the process when there is one."""
    before: list[tuple[threading.Thread, Mutex]] = []
    while True:
        time.sleep(LOOK_EVERY_S)
        cycle = find_deadlock()
        if cycle and cycle == before:
            say(f"deadlock {describe(cycle)}")
            os._exit(DEADLOCK_CODE)
        before = cycle


def find_deadlock() -> list[tuple[threading.Thread, Mutex]]:
    """A cycle of (thread, the lock it waits for), each held by the next one's thread; or none."""
    waits = dict(WAITS)
    for first, lock in waits.items():
        cycle = [(first, lock)]
        while (owner := cycle[-1][1].owner) is not None and owner is not first:
            if owner not in waits or any(owner is thread for thread, _ in cycle):
                break
            cycle.append((owner, waits[owner]))
        else:
            if owner is first:
                return cycle
    return []


def describe(cycle: list[tuple[threading.Thread, Mutex]]) -> str:
    """Who holds what and waits for what, as the simulation says it."""
    steps = []
    for i, (thread, lock) in enumerate(cycle):
        held = cycle[i - 1][1].name
        holder = cycle[(i + 1) % len(cycle)][0].name
        steps.append(f"{thread.name} holds {held}, waits for {lock.name} (held by {holder})")
    return "; ".join(steps)
