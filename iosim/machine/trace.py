"""Watching a machine: what happens on its cores, as it happens.

A trace observes and changes nothing; where there is none it costs a comparison, or nothing:
what is watched is then of a class that tells (`request_type`, `WatchedEpoll`).

Scope: threads, cores, requests from their making to their end, ready lists.
Validated by: tests/conformance/test_trace.py
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iosim.machine.core import Core
    from iosim.machine.request import Request
    from iosim.machine.thread import Segment, Thread, WaitQueue


class Trace:
    """What can be observed; all times in ns. Derive from it, and say what is to be done."""

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

    def interrupt_done(self, core: "Core", at_ns: int, ns: int) -> None:
        """It has; what it was for is done at this instant, after this call."""

    def stolen(self, core: "Core", at_ns: int, ns: int) -> None:
        """The host has a core for `ns` from `at_ns` on, during which something wants it."""

    def listed(self, change: int, at_ns: int) -> None:
        """An epoll's ready list is longer by so many."""

    def offered(self, request: "Request") -> None:
        """A request has been made; the clock may lie anywhere from its `intended_ns` on."""

    def delivered(self, request: "Request", at_ns: int) -> None:
        """A request has reached the server's socket (an item has been made)."""

    def begun(self, request: "Request", thread: "Thread", at_ns: int) -> None:
        """A thread works on a request from `at_ns` on, which may lie ahead of the clock."""

    def paused(self, request: "Request", at_ns: int) -> None:
        """Its thread stops working on a request: a call, a hand-over, its answer has left."""

    def resumable(self, request: "Request", at_ns: int) -> None:
        """The device's answer, or the end of a sleep, is there."""

    def over(self, request: "Request", at_ns: int) -> None:
        """A request's answer arrives at `at_ns`, or it is refused or given up then."""
