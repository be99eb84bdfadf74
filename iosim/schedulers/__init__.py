"""CPU schedulers, one file each: who runs next on a core, for how long, who preempts.

A scheduler's file holds its frozen `Options` and a class `Queue(options)`, the run
queue of one core, which fulfils `RunQueue`. The file's name is its name in scenarios.

Validated by: tests/conformance, tests/timeline/test_schedulers.py
"""

from typing import Any, Protocol

from iosim.machine.thread import Thread


class RunQueue(Protocol):
    """The run queue of one core. Plain calls; the core keeps the clock."""

    waiting: int
    """Threads that are runnable and not running."""

    @property
    def rivals(self) -> int:
        """Threads besides the running one that count when its slice is over.

        Asleep ones too, where the scheduler keeps them for a while.
        """

    def entity(self) -> Any:
        """The scheduler's data on a new thread, kept as `thread.entity`."""

    def enqueue(self, thread: Thread, current: Thread | None) -> None:
        """A thread has become runnable, by a wake-up or by its creation."""

    def preempts(self, thread: Thread, current: Thread) -> bool:
        """Whether `thread`, just enqueued, should take the core from `current`."""

    def pick(self) -> Thread | None:
        """Take the thread that runs next from the queue; None if there is none."""

    def put_back(self, thread: Thread) -> None:
        """The current thread leaves the core and stays runnable."""

    def remove_current(self, thread: Thread) -> None:
        """The current thread falls asleep or ends."""

    def ran(self, thread: Thread, ns: int) -> None:
        """The current thread has run `ns` more."""

    def slice_end_ns(self, thread: Thread, now: int) -> int:
        """When the current thread must let another run, if it goes on running; absolute."""

    def holds(self, thread: Thread) -> bool:
        """Whether `thread`, asleep, still counts here, and so must wake up here."""

    def steal(self) -> Thread:
        """Give up a waiting thread to another core."""

    def adopt(self, thread: Thread) -> None:
        """Take over as current a thread that another core's queue gave up."""
