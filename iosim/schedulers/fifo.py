"""First in, first out: a thread keeps its core until it sleeps or ends.

What it models: SCHED_FIFO among threads of one priority.
Not modelled: priorities.
Source: sched(7).
Validated by: tests/theory/test_scheduling.py, tests/conformance
"""

from collections import deque

from iosim.choice import Options as BaseOptions
from iosim.machine.alarm import NEVER
from iosim.machine.thread import Thread


class Options(BaseOptions):
    """First in, first out: no time slices, no preemption."""


class Queue:
    """A run queue in order of arrival."""

    __slots__ = ("_threads", "waiting")

    def __init__(self, options: Options) -> None:
        self._threads: deque[Thread] = deque()
        self.waiting = 0

    def entity(self) -> None:
        """Nothing is kept on a thread."""

    def enqueue(self, thread: Thread, current: Thread | None) -> None:
        self._threads.append(thread)
        self.waiting += 1

    def preempts(self, thread: Thread, current: Thread) -> bool:
        return False

    def pick(self) -> Thread | None:
        if not self._threads:
            return None
        self.waiting -= 1
        return self._threads.popleft()

    def put_back(self, thread: Thread) -> None:
        self._threads.append(thread)
        self.waiting += 1

    def remove_current(self, thread: Thread) -> None:
        pass

    def ran(self, thread: Thread, ns: int) -> None:
        pass

    def slice_end_ns(self, thread: Thread, now: int) -> int:
        return NEVER

    @property
    def rivals(self) -> int:
        return self.waiting

    def holds(self, thread: Thread) -> bool:
        return False

    def steal(self) -> Thread:
        self.waiting -= 1
        return self._threads.pop()

    def adopt(self, thread: Thread) -> None:
        pass
