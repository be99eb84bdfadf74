"""Who asks for what, when: one replication's requests as a table, for a run for real.

The workload's own source runs on a clock with nothing behind it, so that real servers are
asked for exactly what the simulated ones are asked for: same arrivals, connections, sizes,
demands, from the same random streams.

Scope: open workloads as they come; of a closed one, whose requests depend on answers, the
demands in the order of asking and each user's think times; a pipeline's items.
Validated by: tests/real/test_schedule.py
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

from iosim.errors import UsageError
from iosim.machine.clock import Clock
from iosim.plugins import kinds
from iosim.real.plan import CALL, CPU, FIXED_COLUMNS, HEADER, NO_SUCH_STEP, SLEEP, THINK_TIMES, Step
from iosim.request_classes import amounts, class_choice
from iosim.scenario import CallStep, CpuStep, RequestClass, Scenario
from iosim.streams import Streams, columns

MOST_ROWS = 5_000_000
"""A table of more requests would not fit the memory of a small machine."""
CLOSED_ROWS = 100_000
"""So many different requests are enough for users who ask again and again."""


@dataclass(frozen=True)
class Schedule:
    """One replication's requests: `rows` times `columns` integers, as `iosim.real.plan` has it."""

    table: "array[int]"
    columns: int
    think: "array[int] | None" = None
    classes: "array[int]" = field(default_factory=lambda: array("H"))
    """Each row's class of requests, by its position in the scenario."""

    @property
    def rows(self) -> int:
        """How many requests, or items, it has."""
        return len(self.table) // self.columns

    def column(self, index: int) -> "array[int]":
        """One column of the table."""
        return self.table[index :: self.columns]


def schedule_of(scenario: Scenario, replication: int) -> Schedule:
    """The requests of one replication. Raises UsageError where they are too many."""
    streams = Streams(scenario.run.seed, replication)
    workload = kinds("workloads")[scenario.workload.kind]
    if workload.TRAFFIC == "items":
        return _items(scenario, streams)
    asked = _asked(scenario, streams)
    if hasattr(workload, "think_times"):
        return _closed(scenario, streams, workload, asked)
    return _open(scenario, streams, workload, asked)


def steps_of(scenario: Scenario) -> tuple[Step, ...]:
    """The handler's steps; where there are classes of requests, those of all one after the other.

    A request has `NO_SUCH_STEP` in the columns of other classes' steps: the server leaves them out.
    """
    numbers = {name: number for number, name in enumerate(scenario.devices)}
    return tuple(
        Step(CALL, numbers[step.call], step.attempts_at_most)
        if isinstance(step, CallStep)
        else Step(CPU if isinstance(step, CpuStep) else SLEEP)
        for one in scenario.server.request_classes.values()
        for step in one.handler
    )


def _width(handler: Iterable[Any]) -> int:
    """How many columns a handler's steps have."""
    return sum(step.attempts_at_most if isinstance(step, CallStep) else 1 for step in handler)


def _columns(scenario: Scenario) -> int:
    return FIXED_COLUMNS + sum(step.columns for step in steps_of(scenario))


Asked = tuple[int, int | None, int | None, list[int]]
"""A request's class, its own sizes if it has such, and the columns of all steps."""


def _asked(scenario: Scenario, streams: Streams) -> Iterator[Asked]:
    """What requests ask for, one after the other."""
    server = scenario.server
    if not server.classes:
        for demands in _demands(server.handler, scenario, streams):
            yield 0, None, None, demands
        return
    before, own = 0, []
    width = sum(_width(one.handler) for one in server.classes.values())
    for index, (name, one) in enumerate(server.classes.items()):
        after = width - before - _width(one.handler)
        demands_of = _demands(one.handler, scenario, streams.of(f"class {name}"))
        own.append(_placed(index, one, demands_of, before, after))
        before = width - after
    weights = [one.weight for one in server.classes.values()]
    yield from (next(own[index]) for index in class_choice(weights, streams))


def _placed(
    index: int, one: RequestClass, demands_of: Iterator[list[int]], before: int, after: int
) -> Iterator[Asked]:
    """The same for one class, whose steps have so many columns before and after them."""
    for demands in demands_of:
        yield (
            index,
            one.request,
            one.reply,
            [NO_SUCH_STEP] * before + demands + [NO_SUCH_STEP] * after,
        )


def _demands(handler: tuple[Any, ...], scenario: Scenario, streams: Streams) -> Iterator[list[int]]:
    """Each request's columns of one handler's steps."""
    calls = [isinstance(step, CallStep) for step in handler]
    for demand in amounts(handler, scenario, streams):
        found: list[int] = []
        for is_call, amount in zip(calls, demand, strict=True):
            if isinstance(amount, tuple):
                found += [ns * 2 + failed for ns, failed in amount]
            else:
                found.append(amount * 2 if is_call else amount)
        yield found


def _open(scenario: Scenario, streams: Streams, workload: Any, asked: Iterator[Asked]) -> Schedule:
    options, duration_ns = scenario.workload.options, scenario.run.duration
    env = Clock(initial_time=0)
    env.timeout(duration_ns)  # or an alarm that is alone would go on for ever
    table, classes = array("q"), array("H")
    columns_ = _columns(scenario)

    def offer_later(
        intended_ns: int, client: int, sizes: tuple[int | None, int | None] = (None, None)
    ) -> None:
        if intended_ns >= duration_ns:
            return
        if len(table) >= MOST_ROWS * columns_:
            raise UsageError(
                f"{scenario.name}: more than {MOST_ROWS:,} requests in one run: too many to be "
                "measured; take a shorter run.duration"
            )
        class_, *own_sizes, demands = next(asked)
        classes.append(class_)
        table.extend((intended_ns, client, *_sizes(options, sizes, own_sizes)))
        table.extend(demands)

    clients: Any = SimpleNamespace(
        machine=SimpleNamespace(env=env),
        network=SimpleNamespace(free_ns=0, fixed_delays_ns=None),
        clients=range(options.connections.total),
        at_arrival=False,
        quiet=False,
        offer_later=offer_later,
    )
    where = (scenario.folder,) if hasattr(workload, "check_files") else ()
    workload.Source(options, clients, streams, *where).start()
    while env.peek() < duration_ns:
        env.step()
    return Schedule(table, columns_, classes=classes)


def _sizes(options: Any, *own: Iterable[int | None]) -> Iterator[int]:
    """A request's sizes and its answer's: the first that it has of its own, or the usual."""
    for sizes in zip(*own, (options.request, options.reply), strict=True):
        yield max(next(size for size in sizes if size is not None), HEADER.size)


def _closed(
    scenario: Scenario, streams: Streams, workload: Any, asked: Iterator[Asked]
) -> Schedule:
    options = scenario.workload.options
    table, classes = array("q"), array("H")
    for class_, *own_sizes, demands in islice(asked, CLOSED_ROWS):
        classes.append(class_)
        table.extend((-1, -1, *_sizes(options, own_sizes)))
        table.extend(demands)
    think = array("q")
    for user in range(options.users):
        think.extend(islice(workload.think_times(options, streams, user), THINK_TIMES))
    return Schedule(table, _columns(scenario), think, classes)


def _items(scenario: Scenario, streams: Streams) -> Schedule:
    options = scenario.workload.options
    table = array("q")
    for row in islice(_plans(options, streams), CLOSED_ROWS):
        table.extend(row)
    return Schedule(table, 2)


def _plans(options: Any, streams: Streams) -> Iterator[tuple[int, ...]]:
    produce, consume = streams.generator("produce"), streams.generator("consume")
    return columns(
        partial(options.produce.options.sample, produce),
        partial(options.consume.options.sample, consume),
    )
