"""What a pipeline's programs are given: items to make, a place to report them.

The twin of `iosim.pipeline`. Items are made until the load is over; `plan` then raises `Over`,
which ends the thread. A consumer that waits for another item is ended with the process.

Validated by: tests/real/test_pipelines.py
"""

import threading
import time
from itertools import count
from pathlib import Path
from typing import Final

from iosim.real.kernel import NS_PER_S, Over
from iosim.real.plan import Plan, flat

ORDER_LENGTH: Final = 64
"""So many of the first steps are kept, to show the order in which things happened."""
IN_FLIGHT, ANSWERED = 0, 1


class Item:
    """Something that is made and used; times are of CLOCK_MONOTONIC, -1: not yet."""

    __slots__ = ("consume_ns", "made_ns", "row", "used_ns")

    def __init__(self, row: int, consume_ns: int, made_ns: int) -> None:
        self.row = row
        self.consume_ns = consume_ns
        self.made_ns = made_ns
        self.used_ns = -1


class Pipeline:
    """Items on their way, counted."""

    def __init__(self, plan: Plan, table: "memoryview[int]") -> None:
        self.capacity = plan.capacity
        self.producers = plan.producers
        self.consumers = plan.consumers
        # In lists: that two threads add to them at once does no harm.
        self._order: list[str] = []
        self._duration_ns = plan.duration_ns
        self._table = table
        self._rows = plan.rows
        # Taking a number is one step for the interpreter: no two producers get the same.
        self._numbers = count()
        self._items: list[Item] = []
        self._start_ns = self._end_ns = 0
        self._finished = False

    def begin(self, start_ns: int) -> None:
        """The load starts at `start_ns` and lasts as long as planned."""
        self._start_ns, self._end_ns = start_ns, start_ns + self._duration_ns
        sleep_until(start_ns)

    def plan(self) -> tuple[int, int, int]:
        """The next item: (its row, ns to make it, ns to use it). Raises Over."""
        if time.monotonic_ns() >= self._end_ns:
            raise Over
        row = next(self._numbers) % self._rows
        return row, self._table[2 * row], self._table[2 * row + 1]

    def made(self, row: int, consume_ns: int, now_ns: int) -> Item:
        """An item has been made. Raises Over if it comes too late to be told of in `responses`."""
        item = Item(row, consume_ns, now_ns)
        self._items.append(item)
        # Looked at after that: who finds it unset has its item in the list that is written.
        if self._finished:
            raise Over
        self._note("P")
        return item

    def taken(self) -> None:
        """A consumer has an item in hand."""
        self._note("C")

    def _note(self, what: str) -> None:
        if len(self._order) < ORDER_LENGTH:
            self._order.append(what)

    def used(self, item: Item, now_ns: int) -> None:
        """An item has been used."""
        item.used_ns = now_ns

    def finish(self, folder: Path) -> None:
        """When the load is over: write what has become of the items, and in what order."""
        sleep_until(self._end_ns)
        self._finished = True
        (folder / "responses").write_bytes(flat(map(self._response, list(self._items))).tobytes())
        (folder / "order").write_text("".join(self._order[:ORDER_LENGTH]))

    def _response(self, item: Item) -> tuple[int, int, int, int, int]:
        made_ns, used_ns = item.made_ns - self._start_ns, -1
        if 0 <= item.used_ns <= self._end_ns:
            used_ns = item.used_ns - self._start_ns
        return item.row, made_ns, made_ns, used_ns, IN_FLIGHT if used_ns < 0 else ANSWERED


def sleep_until(at_ns: int) -> None:
    """Let time pass up to `at_ns` of CLOCK_MONOTONIC."""
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        threading.Event().wait(left_ns / NS_PER_S)
