"""A simulated run as a Perfetto trace, written while it goes on.

    trace(scenario, "epoll", "run.pftrace", duration="50ms")

What the UI shows:

    CPU 0, CPU 1 ...       who had each core; a slice's details name who woke it, and where
    core 0: interrupts     softirq work, and what the host took
    requests               each from its intended send time to its answer
    run queue              threads that wait for a core
    ready list             what epolls have to report, all together
    in flight              requests made and not yet over
    each thread            its syscalls, from entry to return, the sleep in them included;
                           within them and between what else it did; whom it woke
    each thread's requests what it worked on

An arrow goes from whoever wakes a thread to the woken, and one, the request's flow, from its
arrival over all who work on it to its answer.

The trace begins with the first request: by then all connections are open. Its memory is that of
the threads and of the requests in flight.

Scope: one replication of one model.
Not done: forked processes, which are shown as threads of one; who woke a thread, if that was
the clients, a device without interrupts or a timer.
Validated by: tests/report/test_perfetto_simulated.py
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

from iosim.machine.request import REFUSED, TIMED_OUT, Request
from iosim.machine.thread import CAUSES, ENTRY, SPIN, SYSCALL, USER_MODE
from iosim.machine.trace import Trace
from iosim.report.burst import Place, laid_out
from iosim.report.perfetto.packets import ASLEEP, DEAD, RUNNABLE, Packets, Task
from iosim.report.perfetto.rows import Counts, Rows

if TYPE_CHECKING:
    from iosim.machine.core import Core
    from iosim.machine.thread import Segment, Thread, WaitQueue

PID: Final = 1000
"""The server's; its main thread has the same number, as on Linux."""

FATES: Final = {REFUSED: " refused", TIMED_OUT: " timed out"}

WAKE_FLOWS: Final = 1 << 48
"""The first flow of a wake-up; those of requests are their numbers, from one on."""


@dataclass(slots=True)
class _Lane:
    """How far a thread's rows have come."""

    task: Task
    call: str = ""
    """The syscall that it is in."""
    done_ns: int = 0
    """When what it last did had ended."""
    serves: Request | None = None
    serves_ns: int = 0
    """Since when; the thread's own time may lie ahead of what it has done."""
    woken_by: int | None = None
    """The flow that is to end when it next runs."""


@dataclass(frozen=True, slots=True)
class _Waker:
    """Who acts at the moment, and so wakes whoever is woken."""

    at_ns: int = -1
    core: int = 0
    lane: _Lane | None = None
    """None: an interrupt."""


@dataclass(slots=True)
class _Life:
    """What is known of a request in flight."""

    request: Request
    delivered_ns: int | None = None


@dataclass
class SimulatedRun(Trace):
    """A machine's trace that goes to a file."""

    packets: Packets
    name: str
    noun: str = "request"
    _lanes: dict[int, _Lane] = field(default_factory=dict)
    _others: dict[int, list[Place]] = field(default_factory=dict)
    """By core: what else had it since its last burst."""
    _lives: dict[int, _Life] = field(default_factory=dict)
    _waker: _Waker = field(default_factory=_Waker)
    _flows: Iterator[int] = field(default_factory=lambda: count(WAKE_FLOWS))

    def __post_init__(self) -> None:
        self._rows = Rows(self.packets, self.name, PID)
        self._counts = Counts(self._rows, ("run queue", "ready list", "in flight"))

    def finish(self) -> None:
        """The run has ended, or goes no further: end what is under way."""
        at_ns = self._waker.at_ns
        for life in list(self._lives.values()):
            self._show(life, max(at_ns, life.request.intended_ns), " in flight")
        for lane in self._lanes.values():
            at_ns = max(at_ns, lane.done_ns)
            self._stop_serving(lane, max(lane.done_ns, lane.serves_ns))
        for lane in self._lanes.values():
            self._return(lane, at_ns)
        self._counts.write_until(at_ns)
        self._rows.finish(at_ns)

    # ------------------------------------------------------------------------ threads

    def spawned(self, thread: "Thread", at_ns: int) -> None:
        self._lanes[thread.number] = _Lane(Task(PID + thread.number, thread.name))
        self.woke(thread, at_ns)

    def woke(self, thread: "Thread", at_ns: int) -> None:
        self._counts.change("run queue", at_ns, 1)
        if not self._rows.on:
            return
        lane, rows, core = self._lanes[thread.number], self._rows, thread.core.number
        waker = self._waker
        if waker.at_ns != at_ns:
            self.packets.waking(core, at_ns, 0, lane.task, core)
            return
        if waker.lane is None:
            tid, row = 0, rows.interrupts(waker.core)
        else:
            tid, row = waker.lane.task.tid, rows.thread(waker.lane.task)
        self.packets.waking(waker.core, at_ns, tid, lane.task, core)
        lane.woken_by = next(self._flows)
        self.packets.instant(row, at_ns, f"wakes {lane.task.name}", lane.woken_by)

    def dispatched(self, thread: "Thread", core: "Core", at_ns: int, runs_ns: int) -> None:
        lane = self._lanes[thread.number]
        self._counts.change("run queue", at_ns, -1)
        lane.done_ns = max(lane.done_ns, runs_ns)
        self._forget_others(core, at_ns)
        self._rows.runs(core.number, runs_ns, lane.task)
        if lane.woken_by is not None:
            row = self._rows.thread(lane.task)
            self.packets.instant(row, runs_ns, "woken", lane.woken_by, last=True)
            lane.woken_by = None

    def preempted(self, thread: "Thread", core: "Core", at_ns: int, by: "Thread") -> None:
        self._counts.change("run queue", at_ns, 1)
        # It was on its way back to user mode.
        lane = self._lanes[thread.number]
        self._return(lane, lane.done_ns)
        self._rows.leaves(core.number, at_ns, RUNNABLE)

    def slept(self, thread: "Thread", core: "Core", at_ns: int, on: "WaitQueue") -> None:
        self._rows.leaves(core.number, at_ns, ASLEEP)

    def ended(self, thread: "Thread", core: "Core", at_ns: int) -> None:
        lane = self._lanes.pop(thread.number)
        self._return(lane, at_ns)
        self._stop_serving(lane, at_ns)
        self._rows.leaves(core.number, at_ns, DEAD)
        self._rows.forget(lane.task)

    # --------------------------------------------------------------------- what they do

    def ran(
        self, thread: "Thread", core: "Core", from_ns: int, to_ns: int, segments: "list[Segment]"
    ) -> None:
        lane = self._lanes[thread.number]
        others = self._others.get(core.number, [])
        for (cause, _, label), places in laid_out(segments, from_ns, to_ns, others):
            if places:
                self._did(lane, cause, label, places)
        self._forget_others(core, to_ns)
        self._waker = _Waker(to_ns, core.number, lane)
        self._counts.write_until(to_ns)

    def _did(self, lane: _Lane, cause: int, label: str, places: list[Place]) -> None:
        """A part of the syscall that the thread is in, or something else of its own."""
        if cause == ENTRY or cause in USER_MODE:
            self._return(lane, lane.done_ns)
        if cause in (ENTRY, SYSCALL) and not lane.call:
            lane.call = label
            self._rows.begin(lane.task, places[0][0], label, "syscall")
        elif cause != SYSCALL or label != lane.call:
            name = f"{label} in vain" if cause == SPIN else label
            for from_ns, to_ns in places:
                self._rows.slice(lane.task, from_ns, to_ns, name, CAUSES[cause])
        lane.done_ns = places[-1][1]

    def _return(self, lane: _Lane, at_ns: int) -> None:
        """The syscall that the thread is in, if it is in one, has returned."""
        if lane.call:
            lane.call = ""
            self._rows.end(lane.task, at_ns)

    # ------------------------------------------------------------------------ cores

    def interrupt_done(self, core: "Core", at_ns: int, ns: int) -> None:
        self._had(core, at_ns - ns, at_ns, "softirq")
        self._waker = _Waker(at_ns, core.number)

    def stolen(self, core: "Core", at_ns: int, ns: int) -> None:
        self._had(core, at_ns, at_ns + ns, "host")

    def _had(self, core: "Core", from_ns: int, to_ns: int, name: str) -> None:
        """Something that is no thread has had the core."""
        self._others.setdefault(core.number, []).append((from_ns, to_ns))
        if self._rows.on:
            row = self._rows.interrupts(core.number)
            self.packets.begin(row, from_ns, name, name)
            self.packets.end(row, to_ns)

    def _forget_others(self, core: "Core", at_ns: int) -> None:
        others = self._others.get(core.number)
        if others:
            others[:] = [place for place in others if place[1] > at_ns]

    # ------------------------------------------------------------------------- requests

    def listed(self, change: int, at_ns: int) -> None:
        self._counts.change("ready list", at_ns, change)

    def offered(self, request: Request) -> None:
        if not self._rows.on:
            self._start(request.intended_ns)
        self._lives[request.number] = _Life(request)
        self._counts.change("in flight", request.intended_ns, 1)

    def _start(self, at_ns: int) -> None:
        self._rows.start(at_ns)
        self._counts.start(at_ns)
        for lane in self._lanes.values():
            if lane.call:
                self._rows.begin(lane.task, at_ns, lane.call, "syscall")

    def delivered(self, request: Request, at_ns: int) -> None:
        if request.number in self._lives:  # else it was given up on its way
            self._lives[request.number].delivered_ns = at_ns

    def begun(self, request: Request, thread: "Thread", at_ns: int) -> None:
        lane = self._lanes[thread.number]
        self._stop_serving(lane, at_ns)
        lane.serves, lane.serves_ns = request, at_ns
        row = self._rows.beside(lane.task, f"{self.noun}s")
        self.packets.begin(row, at_ns, self._called(request), self.noun, request.number + 1)

    def paused(self, request: Request, at_ns: int) -> None:
        lane = self._lanes[request.thread.number]
        if lane.serves is request:
            self._stop_serving(lane, at_ns)

    def _stop_serving(self, lane: _Lane, at_ns: int) -> None:
        if lane.serves is not None:
            lane.serves = None
            self.packets.end(self._rows.beside(lane.task, f"{self.noun}s"), at_ns)

    def over(self, request: Request, at_ns: int) -> None:
        self._counts.change("in flight", at_ns, -1)
        self._show(self._lives[request.number], at_ns, FATES.get(request.state, ""))

    def _show(self, life: _Life, to_ns: int, fate: str) -> None:
        """On a row of their own, from its intended send time to its end; its flow begins there."""
        request, flow = life.request, life.request.number + 1
        del self._lives[request.number]
        row = self._rows.request_row(f"{self.noun}s", request.intended_ns, to_ns)
        self.packets.begin(row, request.intended_ns, self._called(request) + fate, self.noun)
        if life.delivered_ns is not None:
            self.packets.instant(row, life.delivered_ns, "arrives", flow)
        if not fate:
            self.packets.instant(row, to_ns, "answered", flow, last=True)
        self.packets.end(row, to_ns)

    def _called(self, request: Request) -> str:
        return f"{self.noun} {request.number}"
