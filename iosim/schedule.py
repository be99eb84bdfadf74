"""Who asks for what, when: one replication's requests as a table, for a run for real.

The workload's own source runs on a clock with nothing behind it, so that real servers are
asked for exactly what the simulated ones are asked for: same arrivals, connections, sizes,
demands, from the same random streams.

Scope: open workloads as they come; of a closed one, whose requests depend on answers, the
demands in the order of asking and each user's think times; a pipeline's items.
Validated by: tests/real/test_schedule.py
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

from iosim.errors import UsageError
from iosim.machine.clock import Clock
from iosim.plugins import kinds
from iosim.real.plan import HEADER, THINK_TIMES
from iosim.request_classes import amounts
from iosim.scenario import CallStep, Scenario
from iosim.streams import Streams, columns
from iosim.workloads.closed import think_times

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
    demands = _demands(scenario, streams)
    if hasattr(scenario.workload.options, "users"):
        return _closed(scenario, streams, demands)
    return _open(scenario, streams, workload, demands)


def _columns(scenario: Scenario) -> int:
    per_step = (
        step.attempts_at_most if isinstance(step, CallStep) else 1
        for step in scenario.server.handler
    )
    return 4 + sum(per_step)


def _demands(scenario: Scenario, streams: Streams) -> Iterator[list[int]]:
    """Each request's columns of its steps."""
    calls = [isinstance(step, CallStep) for step in scenario.server.handler]
    for demand in amounts(scenario.server.handler, scenario, streams):
        found: list[int] = []
        for is_call, amount in zip(calls, demand, strict=True):
            if isinstance(amount, tuple):
                found += [ns * 2 + failed for ns, failed in amount]
            else:
                found.append(amount * 2 if is_call else amount)
        yield found


def _open(
    scenario: Scenario, streams: Streams, workload: Any, demands: Iterator[list[int]]
) -> Schedule:
    options, duration_ns = scenario.workload.options, scenario.run.duration
    env = Clock(initial_time=0)
    env.timeout(duration_ns)  # or an alarm that is alone would go on for ever
    table = array("q")
    columns_ = _columns(scenario)

    def offer_later(
        intended_ns: int, client: int, sizes: tuple[int, int] = (options.request, options.reply)
    ) -> None:
        if intended_ns >= duration_ns:
            return
        if len(table) >= MOST_ROWS * columns_:
            raise UsageError(
                f"{scenario.name}: more than {MOST_ROWS:,} requests in one run: too many to be "
                "measured; take a shorter run.duration"
            )
        table.extend((intended_ns, client, *(max(size, HEADER.size) for size in sizes)))
        table.extend(next(demands))

    clients: Any = SimpleNamespace(
        machine=SimpleNamespace(env=env),
        network=SimpleNamespace(free_ns=0, fixed_delays_ns=None),
        clients=range(options.connections.total),
        at_arrival=False,
        offer_later=offer_later,
    )
    where = (scenario.folder,) if hasattr(workload, "check_files") else ()
    workload.Source(options, clients, streams, *where).start()
    while env.peek() < duration_ns:
        env.step()
    return Schedule(table, columns_)


def _closed(scenario: Scenario, streams: Streams, demands: Iterator[list[int]]) -> Schedule:
    options = scenario.workload.options
    sizes = (max(options.request, HEADER.size), max(options.reply, HEADER.size))
    table = array("q")
    for demand in islice(demands, CLOSED_ROWS):
        table.extend((-1, -1, *sizes))
        table.extend(demand)
    think = array("q")
    for user in range(options.users):
        think.extend(islice(think_times(options, streams, user), THINK_TIMES))
    return Schedule(table, _columns(scenario), think)


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
