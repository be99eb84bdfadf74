"""Trace packets: the few kinds of Perfetto's protobuf trace that iosim writes, one at a time.

    with open("run.pftrace", "wb") as file:
        packets = Packets(file)
        packets.process(1, 1000, "epoll")
        packets.thread(2, 1, 1000, 1000, "main")
        packets.begin(2, 5_000, "epoll_wait", "syscall")
        packets.end(2, 9_000)

A packet goes to the file as it is made, and nothing is kept: a trace of any length takes the
same memory. The order does not matter, except among packets of one track and one instant: who
reads a trace sorts it by time.

A *track* is a row of the UI, known by a number of the writer's choice (`uuid`). On it are
slices, which nest, instants, or a counter's values. A *flow* is an arrow from slice to
slice, known by a number, too. What cores run is told as the kernel tells it (ftrace's
sched_switch and sched_waking), so that the UI shows its own tracks of cores and of thread states.

Scope: times in ns of one clock; all packets on one sequence.
Not done: interned names, compact scheduling events, arguments of slices.
Source: Perfetto's protos/perfetto/trace (trace_packet, track_event, track_descriptor, ftrace).
Validated by: tests/report/test_perfetto_packets.py
"""

from typing import BinaryIO, Final, NamedTuple

from iosim.report.perfetto.wire import fixed, message, number, text

TRACE_PACKET: Final = 1

# TracePacket
FTRACE_EVENTS, TIMESTAMP, SEQUENCE, TRACK_EVENT = 1, 8, 10, 11
SEQUENCE_FLAGS, TRACK_DESCRIPTOR = 13, 60
INCREMENTAL_STATE_CLEARED: Final = 1
# TrackDescriptor
UUID, TRACK_NAME, PROCESS, THREAD, PARENT, COUNTER = 1, 2, 3, 4, 5, 8
CHILD_ORDERING, RANK, EXPLICIT = 11, 12, 3
# ProcessDescriptor, ThreadDescriptor
PROCESS_PID, PROCESS_NAME, THREAD_PID, THREAD_TID, THREAD_NAME = 1, 6, 1, 2, 5
# TrackEvent
TYPE, TRACK, CATEGORY, NAME, COUNTER_VALUE, FLOW, LAST_OF_FLOW = 9, 11, 22, 23, 30, 47, 48
SLICE_BEGIN, SLICE_END, INSTANT, COUNT = 1, 2, 3, 4
# FtraceEventBundle, FtraceEvent
CPU, EVENT, EVENT_TIMESTAMP, EVENT_PID, SCHED_SWITCH, SCHED_WAKING = 1, 2, 1, 2, 4, 20
# SchedSwitchFtraceEvent
PREV_COMM, PREV_PID, PREV_PRIO, PREV_STATE, NEXT_COMM, NEXT_PID, NEXT_PRIO = range(1, 8)
# SchedWakingFtraceEvent
WOKEN_COMM, WOKEN_PID, WOKEN_PRIO, WOKEN_SUCCESS, TARGET_CPU = range(1, 6)

USUAL_PRIORITY: Final = 120
"""Of a thread with nice value 0, as Linux counts them."""

RUNNABLE, ASLEEP, UNINTERRUPTIBLE, DEAD = 0, 1, 2, 16
"""How a thread leaves a core, as `prev_state` has it."""


class Task(NamedTuple):
    """A thread as the scheduler knows it."""

    tid: int
    name: str
    pid: int = 0
    """Its process, if that is not the one that the trace is about."""


IDLE: Final = Task(0, "swapper")
"""Who has a core that nobody has."""


class Packets:
    """A trace that is written packet by packet. Raises OSError as the file does."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self.written = 0
        """Packets so far."""
        self._sequence = number(SEQUENCE, 1)
        self._write(number(SEQUENCE_FLAGS, INCREMENTAL_STATE_CLEARED))

    def _write(self, content: bytes) -> None:
        self.written += 1
        self._to.write(message(TRACE_PACKET, self._sequence + content))

    # ------------------------------------------------------------------------- tracks

    def process(self, uuid: int, pid: int, name: str) -> None:
        """A process; its tracks come under it, by their `rank`."""
        process = number(PROCESS_PID, pid) + text(PROCESS_NAME, name)
        ordering = number(CHILD_ORDERING, EXPLICIT)
        self._describe(number(UUID, uuid) + message(PROCESS, process) + ordering)

    def thread(self, uuid: int, process: int, pid: int, tid: int, name: str) -> None:
        """A thread, of the process `pid` whose track is `process`."""
        thread = number(THREAD_PID, pid) + number(THREAD_TID, tid) + text(THREAD_NAME, name)
        self._describe(number(UUID, uuid) + number(PARENT, process) + message(THREAD, thread))

    def track(self, uuid: int, name: str, parent: int | None = None, rank: int = 0) -> None:
        """Any other row."""
        self._describe(_row(uuid, name, parent, rank))

    def counter(self, uuid: int, name: str, parent: int | None = None, rank: int = 0) -> None:
        """A row for a number that changes."""
        self._describe(_row(uuid, name, parent, rank) + message(COUNTER, b""))

    def _describe(self, descriptor: bytes) -> None:
        self._write(message(TRACK_DESCRIPTOR, descriptor))

    # ------------------------------------------------------------------ what is on them

    def begin(
        self, track: int, at_ns: int, name: str, category: str, flow: int | None = None
    ) -> None:
        """A slice begins, within the one that is open if there is one."""
        content = text(CATEGORY, category) + text(NAME, name)
        self._event(track, at_ns, SLICE_BEGIN, content if flow is None else content + _flow(flow))

    def end(self, track: int, at_ns: int) -> None:
        """The innermost open slice ends."""
        self._event(track, at_ns, SLICE_END, b"")

    def instant(
        self, track: int, at_ns: int, name: str, flow: int | None = None, last: bool = False
    ) -> None:
        """Something that takes no time; `last`: the flow ends here."""
        content = text(NAME, name)
        if flow is not None:
            content += fixed(LAST_OF_FLOW, flow) if last else _flow(flow)
        self._event(track, at_ns, INSTANT, content)

    def count(self, track: int, at_ns: int, value: int) -> None:
        """A counter's value from now on."""
        self._event(track, at_ns, COUNT, number(COUNTER_VALUE, value))

    def _event(self, track: int, at_ns: int, kind: int, content: bytes) -> None:
        event = number(TYPE, kind) + number(TRACK, track) + content
        self._write(number(TIMESTAMP, at_ns) + message(TRACK_EVENT, event))

    # ---------------------------------------------------------------------- scheduling

    def switch(self, core: int, at_ns: int, left: Task, state: int, comes: Task) -> None:
        """A core goes from one thread to another; `state` is how the first leaves it."""
        content = (
            text(PREV_COMM, left.name)
            + number(PREV_PID, left.tid)
            + _PREV_PRIO
            + number(PREV_STATE, state)
            + text(NEXT_COMM, comes.name)
            + number(NEXT_PID, comes.tid)
            + _NEXT_PRIO
        )
        self._scheduling(core, at_ns, left.tid, message(SCHED_SWITCH, content))

    def waking(self, core: int, at_ns: int, waker_tid: int, woken: Task, target: int) -> None:
        """On `core` a thread (0: none) makes another runnable, which is to run on `target`."""
        content = (
            text(WOKEN_COMM, woken.name)
            + number(WOKEN_PID, woken.tid)
            + _WOKEN
            + number(TARGET_CPU, target)
        )
        self._scheduling(core, at_ns, waker_tid, message(SCHED_WAKING, content))

    def _scheduling(self, core: int, at_ns: int, tid: int, content: bytes) -> None:
        event = number(EVENT_TIMESTAMP, at_ns) + number(EVENT_PID, tid) + content
        self._write(message(FTRACE_EVENTS, number(CPU, core) + message(EVENT, event)))


_PREV_PRIO = number(PREV_PRIO, USUAL_PRIORITY)
_NEXT_PRIO = number(NEXT_PRIO, USUAL_PRIORITY)
_WOKEN = number(WOKEN_PRIO, USUAL_PRIORITY) + number(WOKEN_SUCCESS, 1)


def _row(uuid: int, name: str, parent: int | None, rank: int) -> bytes:
    above = b"" if parent is None else number(PARENT, parent)
    return number(UUID, uuid) + text(TRACK_NAME, name) + above + number(RANK, rank)


def _flow(flow: int) -> bytes:
    return fixed(FLOW, flow)
