"""The pipeline as coroutines: the producer hands each item over by yielding it.

    producer:  make an item; yield it ->      (runs on when the consumer has used it)
    consumer:  <- resumed with the item; use it; resume the next producer ...

One thread, no lock, no buffer to overflow: control passes where the program says so and
nowhere else, so the order is the same whatever things cost.

Source: Conway, "Design of a Separable Transition-Diagram Compiler", CACM 6(7), 1963.
Validated by: tests/timeline/test_pipeline.py
"""

from collections.abc import Generator
from typing import Any

from iosim.choice import Options as BaseOptions
from iosim.machine.kernel import Kernel
from iosim.machine.request import Request
from iosim.machine.thread import Program
from iosim.pipeline import Pipeline

SERVES = "items"


class Options(BaseOptions):
    """Pipeline of coroutines: the producer yields each item to the consumer."""


def main(kernel: Kernel, pipeline: Pipeline, options: Options) -> Program:
    """Let each producer in turn hand an item to each consumer in turn."""
    producers = [produce(kernel, pipeline) for _ in range(pipeline.producers)]
    consumers = [consume(kernel, pipeline) for _ in range(pipeline.consumers)]
    for consumer in consumers:
        next(consumer)
    turn = 0
    while True:
        item = yield from resume(kernel, producers[turn % len(producers)])
        yield from resume(kernel, consumers[turn % len(consumers)], item)
        turn += 1


def produce(kernel: Kernel, pipeline: Pipeline) -> Generator[Any, Any, Any]:
    """Make items and yield each."""
    while True:
        produce_ns, consume_ns = pipeline.plan()
        yield from kernel.compute(produce_ns, "produce")
        yield from kernel.settle()
        yield pipeline.made(consume_ns, kernel.now_ns)


def consume(kernel: Kernel, pipeline: Pipeline) -> Generator[Any, Any, Any]:
    """Use each item that is sent in."""
    item = yield DONE
    while True:
        pipeline.taken()
        item.begin(kernel.thread, kernel.now_ns)
        yield from kernel.compute(item.amounts[0], "consume")
        yield from kernel.settle()
        pipeline.used(item, kernel.now_ns)
        item = yield DONE


DONE = object()
"""What a consumer yields when it wants the next item."""


def resume(
    kernel: Kernel, coroutine: Generator[Any, Any, Any], value: Any = None
) -> Generator[Any, Any, Any]:
    """Switch to `coroutine`; give back what it hands over when it yields to us."""
    kernel.switch_coroutine()
    wanted = coroutine.send(value)
    while wanted is not DONE and not isinstance(wanted, Request):
        wanted = coroutine.send((yield wanted))  # for the core
    return wanted
