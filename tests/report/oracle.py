"""A trace as another program reads it: Perfetto's own protobuf classes, then its rules.

Packets are sorted by time, those of one instant as they stand in the file; slices of a row nest;
what a core runs is between two switches.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4


@dataclass
class Slice:
    """A slice (or an instant: `to_ns` is `from_ns`) on a row."""

    row: int
    name: str
    category: str
    from_ns: int
    to_ns: int
    depth: int
    flows: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()


@dataclass
class Ran:
    """A thread on a core; `state`: as it left."""

    core: int
    tid: int
    name: str
    from_ns: int
    to_ns: int
    state: int


@dataclass
class Read:
    """What is in a trace."""

    names: dict[int, str] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    threads: dict[int, tuple[int, str]] = field(default_factory=dict)
    """By row: tid and name."""
    slices: list[Slice] = field(default_factory=list)
    counts: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    ran: list[Ran] = field(default_factory=list)
    wakings: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(ns, core, waker's tid, woken tid)."""
    packets: int = 0

    def on_threads(self, category: str) -> list[tuple[int, str, int, int]]:
        """Slices of a category on threads' own rows: (tid, name, from, to)."""
        return [
            (self.threads[piece.row][0], piece.name, piece.from_ns, piece.to_ns)
            for piece in self.slices
            if piece.row in self.threads and piece.category == category
        ]

    def named(self, name: str) -> list[Slice]:
        """Slices on rows of this name."""
        return [piece for piece in self.slices if self.names[piece.row] == name]


def read(path: Path) -> Read:
    """Parse a trace and check what makes it one."""
    trace = protos.Trace()
    trace.ParseFromString(path.read_bytes())
    found = Read(packets=len(trace.packet))
    assert trace.packet[0].sequence_flags == protos.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    events: list[tuple[int, int, Any]] = []
    for index, packet in enumerate(trace.packet):
        assert packet.trusted_packet_sequence_id == 1
        assert not packet.FindInitializationErrors()
        if packet.HasField("track_descriptor"):
            _describe(found, packet.track_descriptor)
        elif packet.HasField("track_event"):
            events.append((packet.timestamp, index, packet.track_event))
        elif packet.HasField("ftrace_events"):
            (event,) = packet.ftrace_events.event
            events.append((event.timestamp, index, (packet.ftrace_events.cpu, event)))
        else:
            assert index == 0
    _happen(found, sorted(events, key=lambda event: event[:2]))
    return found


def _describe(found: Read, row: Any) -> None:
    assert row.uuid not in found.names, "described twice"
    found.names[row.uuid] = row.name or row.thread.thread_name or row.process.process_name
    if row.HasField("parent_uuid"):
        assert row.parent_uuid in found.names, "a parent comes before its children"
        found.parents[row.uuid] = row.parent_uuid
    if row.HasField("thread"):
        found.threads[row.uuid] = (row.thread.tid, row.thread.thread_name)


def _happen(found: Read, events: list[tuple[int, int, Any]]) -> None:
    open_: dict[int, list[Slice]] = defaultdict(list)
    has: dict[int, tuple[int, str, int]] = {}
    for at_ns, _, event in events:
        if isinstance(event, tuple):
            _schedule(found, has, at_ns, *event)
            continue
        assert event.track_uuid in found.names, "an event on a row that is not described"
        row, stack = event.track_uuid, open_[event.track_uuid]
        if event.type == COUNT:
            found.counts[found.names[row]].append((at_ns, event.counter_value))
        elif event.type == END:
            assert stack, f"an end without a beginning: {found.names[row]} at {at_ns}"
            stack.pop().to_ns = at_ns
        else:
            piece = Slice(
                row,
                event.name,
                ",".join(event.categories),
                at_ns,
                at_ns,
                len(stack),
                tuple(event.flow_ids),
                tuple(event.terminating_flow_ids),
            )
            found.slices.append(piece)
            if event.type == BEGIN:
                stack.append(piece)
    assert not any(open_.values()), "a beginning without an end"


def _schedule(found: Read, has: dict[int, Any], at_ns: int, core: int, event: Any) -> None:
    if event.HasField("sched_waking"):
        found.wakings.append((at_ns, core, event.pid, event.sched_waking.pid))
        return
    switch = event.sched_switch
    tid, name, since_ns = has.get(core, (0, "swapper", 0))
    assert (switch.prev_pid, switch.prev_comm) == (tid, name), f"core {core} at {at_ns}"
    if tid:
        found.ran.append(Ran(core, tid, name, since_ns, at_ns, switch.prev_state))
    has[core] = (switch.next_pid, switch.next_comm, at_ns)
