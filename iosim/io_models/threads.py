"""The pipeline as threads: a bounded buffer, a mutex, two condition variables.

    producer:  make; lock; while full: wait(not full); put; signal(not empty); unlock
    consumer:  lock; while empty: wait(not empty); take; signal(not full); unlock; use

A thread may be preempted anywhere, so the order of events depends on how long things
take. With a second lock that the two take in opposite order, each can come to hold what
the other wants: `second_lock: misordered` deadlocks sooner or later.

Source: pthread_cond_wait(3); Coffman, Elphick, Shoshani, "System Deadlocks", 1971.
Validated by: tests/timeline/test_pipeline.py
"""

from collections import deque
from functools import partial
from typing import Literal

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Mutex
from iosim.machine.request import Request
from iosim.machine.thread import Program
from iosim.pipeline import Pipeline

SERVES = "items"


class Options(BaseOptions):
    """Pipeline of threads: bounded buffer, mutex, two condition variables."""

    second_lock: Literal["none", "ordered", "misordered"] = Field(
        default="none",
        description="A lock on the statistics besides the buffer's: taken in the same order by "
        "all, or in opposite orders by producers and consumers.",
    )


class Buffer:
    """The bounded buffer and its locks."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.items: deque[Request] = deque()
        self.mutex = Mutex("buffer lock")
        self.not_full = Condition("buffer not full")
        self.not_empty = Condition("buffer not empty")
        self.statistics = Mutex("statistics lock")


def main(kernel: Kernel, pipeline: Pipeline, options: Options) -> Program:
    """Start all producers and consumers."""
    buffer = Buffer(pipeline.capacity)
    for number in range(pipeline.producers):
        program = partial(produce, pipeline=pipeline, buffer=buffer, options=options)
        yield from kernel.spawn(f"producer {number}", program)
    for number in range(pipeline.consumers):
        program = partial(consume, pipeline=pipeline, buffer=buffer, options=options)
        yield from kernel.spawn(f"consumer {number}", program)


def produce(kernel: Kernel, pipeline: Pipeline, buffer: Buffer, options: Options) -> Program:
    """Make items and put them in the buffer, for ever."""
    while True:
        produce_ns, consume_ns = pipeline.plan()
        yield from kernel.compute(produce_ns, "produce")
        yield from kernel.lock(buffer.mutex)
        while len(buffer.items) >= buffer.capacity:
            yield from kernel.cond_wait(buffer.not_full, buffer.mutex)
        if options.second_lock != "none":
            yield from count(kernel, buffer)
        kernel.operate_queue()
        yield from kernel.settle()
        buffer.items.append(pipeline.made(consume_ns, kernel.now_ns))
        yield from kernel.cond_signal(buffer.not_empty)
        yield from kernel.unlock(buffer.mutex)


def consume(kernel: Kernel, pipeline: Pipeline, buffer: Buffer, options: Options) -> Program:
    """Take items from the buffer and use them, for ever."""
    misordered = options.second_lock == "misordered"
    while True:
        if misordered:
            yield from kernel.lock(buffer.statistics)
        yield from kernel.lock(buffer.mutex)
        while not buffer.items:
            if misordered:  # or nobody could ever count an item into the buffer
                yield from kernel.unlock(buffer.statistics)
            yield from kernel.cond_wait(buffer.not_empty, buffer.mutex)
            if misordered:
                yield from kernel.unlock(buffer.mutex)
                yield from kernel.lock(buffer.statistics)
                yield from kernel.lock(buffer.mutex)
        if options.second_lock == "ordered":
            yield from count(kernel, buffer)
        kernel.operate_queue()
        item = buffer.items.popleft()
        pipeline.taken()
        yield from kernel.cond_signal(buffer.not_full)
        yield from kernel.unlock(buffer.mutex)
        if misordered:
            yield from kernel.unlock(buffer.statistics)
        item.begin(kernel.thread, kernel.now_ns)
        yield from kernel.compute(item.amounts[0], "consume")
        yield from kernel.settle()
        pipeline.used(item, kernel.now_ns)


def count(kernel: Kernel, buffer: Buffer) -> Program:
    """Count an item under the statistics' own lock."""
    yield from kernel.lock(buffer.statistics)
    kernel.operate_queue()
    yield from kernel.unlock(buffer.statistics)
