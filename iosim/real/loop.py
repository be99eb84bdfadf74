"""What happens when a descriptor is ready, and what happens at a time: the clients' event loop.

Validated by: tests/real/test_load.py
"""

import select
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic_ns
from typing import Any

NEVER_NS = 1 << 62
MOST_EVENTS = 64

OnReady = Callable[[int], None]
"""Gets the events of epoll_wait(2)."""


class Loop:
    """Descriptors that are watched, and timers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, OnReady] = {}
        self._timers: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()

    def watch(self, fd: int, on_ready: OnReady, events: int = select.EPOLLIN) -> None:
        """Call `on_ready` whenever `fd` is ready."""
        self._watched[fd] = on_ready
        self._epoll.register(fd, events)

    def watch_for(self, fd: int, events: int) -> None:
        """Watch `fd` for other events."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """`fd` is closed next, which ends the kernel's watching too."""
        del self._watched[fd]

    def at(self, due_ns: int, act: Callable[..., None], *what: Any) -> None:
        """Call `act` with `what` and `due_ns` at that time of CLOCK_MONOTONIC."""
        heappush(self._timers, (due_ns, next(self._number), act, what))

    @property
    def due_ns(self) -> int:
        """When the next timer is due."""
        return self._timers[0][0] if self._timers else NEVER_NS

    def run_due(self, now_ns: int) -> int:
        """Do what is due; how much it was."""
        done = 0
        while self._timers and self._timers[0][0] <= now_ns:
            due_ns, _, act, what = heappop(self._timers)
            act(*what, due_ns)
            done += 1
        return done

    def sleep(self, until_ns: int) -> None:
        """Sleep until a descriptor is ready, or so long."""
        left_s = (until_ns - monotonic_ns()) / 1e9
        # select(2) counts in us, epoll_wait(2) in ms.
        select.select([self._epoll], [], [], None if until_ns == NEVER_NS else max(0.0, left_s))

    def look(self, between: Callable[[], None]) -> int:
        """Serve the descriptors that are ready now, `between` after each; how many there were."""
        ready = self._epoll.poll(0, MOST_EVENTS)
        for fd, events in ready:
            # What is closed while this batch is gone through may still be named by it. Its number
            # may even be another's again, who then finds nothing, which does no harm.
            on_ready = self._watched.get(fd)
            if on_ready is not None:
                on_ready(events)
                between()
        return len(ready)
