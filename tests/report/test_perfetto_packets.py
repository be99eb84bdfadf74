"""Each kind of packet, read back by Perfetto's own classes; and no memory however many."""

import io
import tracemalloc
from typing import Any

from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

from iosim.report.perfetto import packets as written
from iosim.report.perfetto.packets import IDLE, Packets, Task

MAIN = Task(1000, "main")


def packets_of(write: Any) -> Any:
    file = io.BytesIO()
    write(Packets(file))
    trace = protos.Trace.FromString(file.getvalue())
    first, *others = trace.packet
    assert first.sequence_flags == protos.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
    assert all(packet.trusted_packet_sequence_id == 1 for packet in trace.packet)
    return others


def test_rows() -> None:
    def write(packets: Packets) -> None:
        packets.process(1, 1000, "epoll")
        packets.thread(2, 1, 1000, 1001, "worker 1")
        packets.track(3, "requests", 1, 4)
        packets.counter(5, "run queue")

    process, thread, track, counter = (packet.track_descriptor for packet in packets_of(write))
    assert (process.uuid, process.process.pid, process.process.process_name) == (1, 1000, "epoll")
    assert process.child_ordering == protos.TrackDescriptor.EXPLICIT
    assert (thread.uuid, thread.parent_uuid) == (2, 1)
    assert (thread.thread.pid, thread.thread.tid) == (1000, 1001)
    assert thread.thread.thread_name == "worker 1"
    assert (track.uuid, track.name, track.parent_uuid) == (3, "requests", 1)
    assert track.sibling_order_rank == 4
    assert counter.HasField("counter") and not counter.HasField("parent_uuid")


def test_what_is_on_rows() -> None:
    def write(packets: Packets) -> None:
        packets.begin(2, 5_000, "recvfrom", "syscall", flow=7)
        packets.instant(2, 5_500, "wakes", flow=8)
        packets.instant(2, 5_600, "answered", flow=7, last=True)
        packets.end(2, 6_000)
        packets.count(5, 6_000, -3)

    found = packets_of(write)
    begin, wakes, answered, end, count = (packet.track_event for packet in found)
    assert [packet.timestamp for packet in found] == [5_000, 5_500, 5_600, 6_000, 6_000]
    kinds = protos.TrackEvent
    assert (begin.type, end.type) == (kinds.TYPE_SLICE_BEGIN, kinds.TYPE_SLICE_END)
    assert wakes.type == answered.type == kinds.TYPE_INSTANT
    assert (begin.name, list(begin.categories)) == ("recvfrom", ["syscall"])
    assert (list(begin.flow_ids), list(wakes.flow_ids)) == ([7], [8])
    assert (list(answered.flow_ids), list(answered.terminating_flow_ids)) == ([], [7])
    assert (count.type, count.track_uuid, count.counter_value) == (kinds.TYPE_COUNTER, 5, -3)


def test_scheduling() -> None:
    def write(packets: Packets) -> None:
        packets.switch(3, 700, IDLE, written.RUNNABLE, MAIN)
        packets.waking(1, 800, 1000, Task(1002, "worker 2"), 2)

    switched, woke = (packet.ftrace_events for packet in packets_of(write))
    assert (switched.cpu, woke.cpu) == (3, 1)
    (event,) = switched.event
    assert (event.timestamp, event.pid) == (700, 0)
    switch = event.sched_switch
    assert (switch.prev_comm, switch.prev_pid, switch.prev_state) == ("swapper", 0, 0)
    assert (switch.next_comm, switch.next_pid) == ("main", 1000)
    assert switch.prev_prio == switch.next_prio == 120
    (event,) = woke.event
    assert (event.timestamp, event.pid) == (800, 1000)
    waking = event.sched_waking
    assert (waking.comm, waking.pid, waking.target_cpu, waking.success) == ("worker 2", 1002, 2, 1)


def test_every_number_is_that_of_perfetto_s_own_description() -> None:
    of: dict[Any, dict[str, int]] = {
        protos.TracePacket: {
            "ftrace_events": written.FTRACE_EVENTS,
            "timestamp": written.TIMESTAMP,
            "trusted_packet_sequence_id": written.SEQUENCE,
            "sequence_flags": written.SEQUENCE_FLAGS,
            "track_event": written.TRACK_EVENT,
            "track_descriptor": written.TRACK_DESCRIPTOR,
        },
        protos.TrackEvent: {
            "type": written.TYPE,
            "track_uuid": written.TRACK,
            "categories": written.CATEGORY,
            "name": written.NAME,
            "counter_value": written.COUNTER_VALUE,
            "flow_ids": written.FLOW,
            "terminating_flow_ids": written.LAST_OF_FLOW,
        },
        protos.FtraceEvent: {
            "sched_switch": written.SCHED_SWITCH,
            "sched_waking": written.SCHED_WAKING,
        },
    }
    for message, fields in of.items():
        numbers = {field.name: field.number for field in message.DESCRIPTOR.fields}
        assert fields == {name: numbers[name] for name in fields}


class Nowhere(io.RawIOBase):
    """A file that keeps nothing but how long it is."""

    size_bytes = 0

    def write(self, data: Any) -> int:
        self.size_bytes += len(data)
        return len(data)


def test_memory_does_not_grow_with_the_trace() -> None:
    def write(events: int) -> int:
        packets = Packets(Nowhere())  # type: ignore[arg-type]
        for index in range(events // 2):
            packets.begin(2, index * 1_000, "recvfrom", "syscall")
            packets.end(2, index * 1_000 + 500)
        return packets.written

    assert write(1_000) == 1_001  # what is made once is made now
    tracemalloc.start()
    try:
        assert write(50_000) == 50_001
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000
