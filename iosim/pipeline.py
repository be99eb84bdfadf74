"""What a pipeline's programs are given: items to make, a place to report them.

Validated by: tests/timeline/test_pipeline.py
"""

from collections.abc import Iterator
from typing import Any, Final

from iosim.clients import COUNT_EVERY, Recorder
from iosim.machine.machine import Machine
from iosim.machine.request import Request, request_type

ORDER_LENGTH: Final = 64
"""So many of the first steps are kept, to show the order in which things happened."""


class Pipeline:
    """Items on their way, counted."""

    refused = timed_out = 0

    def __init__(
        self,
        machine: Machine,
        recorder: Recorder,
        capacity: int,
        producers: int,
        consumers: int,
        amounts: Iterator[Any],
    ) -> None:
        self.capacity = capacity
        self.producers = producers
        self.consumers = consumers
        self.offered = self.answered = 0
        # Items that have been made and not been used.
        self.under_way: set[Request] = set()
        self.order = ""
        self._machine = machine
        self._recorder = recorder
        self._item = request_type(machine.trace)
        # Endless tuples (ns to make it, ns to use it).
        self._amounts = amounts

    def plan(self) -> tuple[int, int]:
        """What the next item will cost: (ns to make it, ns to use it)."""
        amounts: tuple[int, int] = next(self._amounts)
        return amounts

    def made(self, consume_ns: int, now: int) -> Request:
        """An item has been made."""
        item = self._item(self.offered, now, (consume_ns,), 0, 0)
        item.delivered(now)
        if not self.offered % COUNT_EVERY:
            self._recorder.count()
        self.offered += 1
        self.under_way.add(item)
        if len(self.order) < ORDER_LENGTH:
            self.order += "P"
        return item

    def taken(self) -> None:
        """A consumer has an item in hand."""
        if len(self.order) < ORDER_LENGTH:
            self.order += "C"

    def used(self, item: Request, now: int) -> None:
        """An item has been used."""
        self.answered += 1
        self.under_way.remove(item)
        item.pause(now)
        item.answered_ns = now
        self._recorder.completed(item)
