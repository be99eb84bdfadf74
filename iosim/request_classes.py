"""What requests ask for: their steps, demands and sizes, by class.

    server:
      classes:
        get:    {weight: 9, handler: [{cpu: 20us}]}
        report: {weight: 1, handler: [{cpu: 2ms}], reply: 100KiB}

What it does: gives whoever sends requests a maker of them, and what each asks for, without end.
A request's class is drawn by weight, in the order in which requests are offered, from the random
stream `request class`; its demands come from streams of its class. So all I/O models are asked for
the same, and the n-th request of a class asks for the same whatever other classes there are.

Not done: classes that follow one another, or belong to some connections or users alone.
Validated by: tests/unit/test_request_classes.py, tests/theory/test_classes.py
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from iosim.handler import CALL, CPU, SLEEP, Step
from iosim.machine.request import Request, request_type
from iosim.scenario import CallStep, CpuStep, Scenario, SleepStep
from iosim.streams import Streams, block_iterator

if TYPE_CHECKING:
    from iosim.machine.trace import Trace

AnyStep = CpuStep | CallStep | SleepStep

Make = Callable[[int, int, Any, int, int], Request]
"""Makes a request of: number, intended ns, what it asks for, usual sizes of it and its answer."""


def requests(
    scenario: Scenario, devices: Mapping[str, Any], streams: Streams, trace: "Trace | None"
) -> tuple[Make, Iterator[Any]]:
    """What makes requests, and what they ask for one after the other."""
    if not scenario.server.classes:
        handler = scenario.server.handler
        plain = request_type(trace, steps(handler, devices))
        plain.like = amounts(handler, scenario, streams)
        return plain, plain.like
    types: list[type[Request]] = []
    for name, one in scenario.server.classes.items():
        of_class = request_type(trace, steps(one.handler, devices), name)
        own = amounts(one.handler, scenario, streams.of(f"class {name}"))
        of_class.like = _asked((of_class, one.request, one.reply), own)
        types.append(of_class)
    weights = [one.weight for one in scenario.server.classes.values()]
    return _make, (next(types[index].like) for index in class_choice(weights, streams))


def _asked(of_class: Any, own: Iterator[Any]) -> Iterator[Any]:
    """What requests of one class ask for: (its type, its sizes if they are its own), demands."""
    return ((of_class, demands) for demands in own)


def _make(number: int, intended_ns: int, asked: Any, bytes_: int, reply_bytes: int) -> Request:
    """A request of the class that was drawn."""
    (of_class, own_bytes, own_reply_bytes), demands = asked
    request: Request = of_class(
        number, intended_ns, demands, own_bytes or bytes_, own_reply_bytes or reply_bytes
    )
    return request


def class_choice(weights: list[float], streams: Streams) -> Iterator[int]:
    """Endless positions, each as often as its weight says."""
    import numpy as np

    edges = np.cumsum(weights) / sum(weights)
    rng = streams.generator("request class")

    def block(n: int) -> Any:
        # The last edge may be a little below 1.
        return np.minimum(np.searchsorted(edges, rng.random(n), "right"), len(edges) - 1)

    return block_iterator(block)


def steps(handler: tuple[AnyStep, ...], devices: Mapping[str, Any]) -> tuple[Step, ...]:
    """A handler's steps as threads go through them."""
    found: list[Step] = []
    for step in handler:
        if isinstance(step, CpuStep):
            found.append((CPU, None))
        elif isinstance(step, CallStep):
            found.append((CALL, devices[step.call]))
        else:
            found.append((SLEEP, None))
    return tuple(found)


def amounts(
    handler: tuple[AnyStep, ...], scenario: Scenario, streams: Streams
) -> Iterator[tuple[Any, ...]]:
    """Endless tuples, one a request: for each step of the handler ns, or what a call takes.

    Drawn in the order of the requests, so that every I/O model is asked for the same.
    """
    found: list[Iterator[Any]] = []
    for index, step in enumerate(handler):
        if isinstance(step, CallStep):
            options = scenario.devices[step.call].options
            found.append(options.amounts(streams, index, step.attempts_at_most))
        else:
            distribution = step.cpu if isinstance(step, CpuStep) else step.sleep
            rng = streams.generator("handler", index)
            found.append(block_iterator(partial(distribution.options.sample, rng)))
    if not found:
        return iter(lambda: (), None)
    return zip(*found, strict=True)
