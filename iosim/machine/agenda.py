"""Things due at known instants: a heap of one's own behind a single alarm.

What it models: an actor with several things under way at once (a device that serves
many calls, clients that think) that needs one event, not one for each.

Validated by: tests/unit/test_alarm.py
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from iosim.machine.alarm import Alarm
from iosim.machine.clock import Clock


class Agenda:
    """Calls `on_due(item)` at each item's instant, in order of time, then of entry."""

    __slots__ = ("_alarm", "_count", "_entries", "_on_due")

    def __init__(self, env: Clock, on_due: Callable[[Any], None], quiet: bool = False) -> None:
        self._alarm = Alarm(env, self._next, quiet)
        self._entries: list[tuple[int, int, Any]] = []
        self._count = 0
        self._on_due = on_due

    def __len__(self) -> int:
        return len(self._entries)

    def at(self, due_ns: int, item: Any) -> None:
        """Call `on_due(item)` at `due_ns`, which is not before now."""
        self._count += 1
        heappush(self._entries, (due_ns, self._count, item))
        if self._entries[0][1] == self._count:
            self._alarm.set(due_ns)

    def _next(self) -> None:
        _, _, item = heappop(self._entries)
        if self._entries:
            self._alarm.set(self._entries[0][0])
        self._on_due(item)
