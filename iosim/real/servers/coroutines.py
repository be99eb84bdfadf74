"""The pipeline as coroutines: the producer hands each item over by yielding it.

Twin of: iosim/io_models/coroutines.py
Validated by: tests/real/test_pipelines.py, tests/real/test_twins.py
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from iosim.real.kernel import Kernel
from iosim.real.pipeline import Item, Pipeline

SERVES = "items"

Sent = TypeVar("Sent")
Handed = TypeVar("Handed")


@dataclass(frozen=True)
class Options:
    """Pipeline of coroutines: the producer yields each item to the consumer."""


def main(kernel: Kernel, pipeline: Pipeline, options: Options) -> None:
    """Let each producer in turn hand an item to each consumer in turn."""
    producers = [produce(kernel, pipeline) for _ in range(pipeline.producers)]
    consumers = [consume(kernel, pipeline) for _ in range(pipeline.consumers)]
    for consumer in consumers:
        next(consumer)
    turn = 0
    while True:
        item = resume(kernel, producers[turn % len(producers)], None)
        resume(kernel, consumers[turn % len(consumers)], item)
        turn += 1


def produce(kernel: Kernel, pipeline: Pipeline) -> Generator[Item, None, None]:
    """Make items and yield each."""
    while True:
        row, produce_ns, consume_ns = pipeline.plan()
        kernel.compute(produce_ns)
        yield pipeline.made(row, consume_ns, kernel.now_ns)


def consume(kernel: Kernel, pipeline: Pipeline) -> Generator[None, Item, None]:
    """Use each item that is sent in."""
    item = yield
    while True:
        pipeline.taken()
        kernel.compute(item.consume_ns)
        pipeline.used(item, kernel.now_ns)
        kernel.counters.answered += 1
        item = yield


def resume(kernel: Kernel, coroutine: Generator[Handed, Sent, None], value: Sent) -> Handed:
    """Switch to `coroutine`; give back what it hands over when it yields to us."""
    kernel.counters.coroutine_switches += 1
    return coroutine.send(value)
