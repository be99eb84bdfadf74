"""Watching a machine: what happens on its cores, as it happens.

A trace observes and changes nothing; where there is none it costs a comparison.

Scope: threads, cores, requests' arrivals and replies.
Validated by: tests/conformance/test_trace.py
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from iosim.machine.core import Core
    from iosim.machine.request import Request
    from iosim.machine.thread import Segment, Thread, WaitQueue


class Trace(Protocol):
    """What can be observed; all times in ns."""

    def spawned(self, thread: "Thread", at_ns: int) -> None:
        """A thread has been started."""

    def dispatched(self, thread: "Thread", core: "Core", at_ns: int, runs_ns: int) -> None:
        """A thread has been given a core, which begins to work at `runs_ns`."""

    def ran(
        self, thread: "Thread", core: "Core", from_ns: int, to_ns: int, segments: "list[Segment]"
    ) -> None:
        """A thread has run from its segments, in order, as far as the time goes."""

    def preempted(self, thread: "Thread", core: "Core", at_ns: int, by: "Thread") -> None:
        """A thread has left the core runnable."""

    def slept(self, thread: "Thread", core: "Core", at_ns: int, on: "WaitQueue") -> None:
        """A thread has left the core asleep."""

    def woke(self, thread: "Thread", at_ns: int) -> None:
        """A thread has become runnable."""

    def ended(self, thread: "Thread", core: "Core", at_ns: int) -> None:
        """A thread has ended."""

    def interrupted(self, core: "Core", at_ns: int, ns: int) -> None:
        """A core will run `ns` of softirq work, beginning at `at_ns`."""

    def stolen(self, core: "Core", at_ns: int, ns: int) -> None:
        """The host has a core for `ns` from `at_ns` on, during which something wants it."""

    def delivered(self, request: "Request", at_ns: int) -> None:
        """A request has reached the server's socket (an item has been made)."""

    def begun(self, request: "Request", thread: "Thread", at_ns: int) -> None:
        """A thread works on a request from `at_ns` on, which may lie ahead of the clock."""

    def paused(self, request: "Request", at_ns: int) -> None:
        """Its thread stops working on a request: a call, a hand-over, its answer has left."""

    def resumable(self, request: "Request", at_ns: int) -> None:
        """The device's answer, or the end of a sleep, is there."""
