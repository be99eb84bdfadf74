"""A measured run as a Perfetto trace, out of what perf has recorded of it.

    write(lines, file, "epoll", pid=4711)

What the UI shows is what it shows of a simulated run (simulated.py), as far as a kernel's
tracepoints tell it: who had each core, the syscalls of each thread from entry to return, an arrow
from whoever wakes a thread to the woken, and how many threads waited for a core.

A line, as `perf script` writes it (iosim.real.tracing.FIELDS):

    python 4711/4712 [000] 36907.948588120: sched:sched_switch: prev_comm=python prev_pid=4712 ...

Scope: the cores that were recorded. Threads get a row when they first make a syscall.
Not done: requests, which no tracepoint knows; interrupts; syscalls that were under way at the
start; those that iosim.real.syscalls does not name.
Validated by: tests/report/test_perfetto_measured.py, tests/real/test_measure.py
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import BinaryIO, Final

from iosim.report.perfetto.packets import ASLEEP, DEAD, RUNNABLE, UNINTERRUPTIBLE, Packets, Task
from iosim.report.perfetto.rows import Counts, Rows

LINE: Final = re.compile(
    r"\s*(?P<comm>.*?)\s+(?P<pid>-?\d+)/(?P<tid>\d+)\s+\[(?P<core>\d+)\]\s+(?P<s>\d+)\.(?P<ns>\d{9}):"
    r"\s+(?P<kind>\w+):(?P<event>\w+):\s*(?P<what>.*)"
)
SWITCH: Final = re.compile(
    r"prev_comm=(?P<prev>.*) prev_pid=(?P<prev_tid>\d+) prev_prio=-?\d+ prev_state=(?P<state>\S+) "
    r"==> next_comm=(?P<next>.*) next_pid=(?P<next_tid>\d+) next_prio=-?\d+"
)
WAKE_UP: Final = re.compile(
    r"comm=(?P<comm>.*) pid=(?P<tid>\d+) prio=-?\d+.* target_cpu=(?P<core>\d+)"
)
STATES: Final = {
    "R": RUNNABLE,
    "S": ASLEEP,
    "D": UNINTERRUPTIBLE,
    "I": UNINTERRUPTIBLE,
    "X": DEAD,
    "Z": DEAD,
}
WAITING: Final = "run queue"


def write(lines: Iterable[str], to: BinaryIO, name: str, pid: int) -> int:
    """Write a trace of the server `pid`, called `name`; how many packets it has.

    Lines that say something else are left out.
    """
    run = _MeasuredRun(Packets(to), name, pid)
    for line in lines:
        found = LINE.fullmatch(line.rstrip())
        if found is not None:
            run.happened(found)
    run.finish()
    return run.packets.written


@dataclass
class _MeasuredRun:
    """How far a trace has come."""

    packets: Packets
    name: str
    pid: int
    _in_call: dict[int, Task] = field(default_factory=dict)
    """Who is in a syscall, by tid."""
    _known: dict[int, Task] = field(default_factory=dict)
    """Threads that have a row."""
    _waiting: set[int] = field(default_factory=set)
    _woken_by: dict[int, int] = field(default_factory=dict)
    """By tid: the flow that ends when it runs."""
    _seen: set[int] = field(default_factory=set)
    """Cores."""
    _flows: "count[int]" = field(default_factory=lambda: count(1))
    _now_ns: int = 0

    def __post_init__(self) -> None:
        self._rows = Rows(self.packets, self.name, self.pid)
        self._counts = Counts(self._rows, (WAITING,))

    def happened(self, line: "re.Match[str]") -> None:
        """What a line tells."""
        at_ns = self._now_ns = int(line["s"]) * 1_000_000_000 + int(line["ns"])
        if not self._rows.on:
            self._rows.start(at_ns)
            self._counts.start(at_ns)
        core, event = int(line["core"]), line["event"]
        if event == "sched_switch":
            self._switched(core, at_ns, SWITCH.match(line["what"]))
        elif event == "sched_wakeup":
            self._woke(core, at_ns, int(line["tid"]), WAKE_UP.match(line["what"]))
        elif event.startswith("sys_enter_"):
            task = Task(int(line["tid"]), line["comm"], int(line["pid"]))
            self._returned(task.tid, at_ns)  # its return was not seen
            self._known[task.tid] = self._in_call[task.tid] = task
            self._rows.begin(task, at_ns, event.removeprefix("sys_enter_"), "syscall")
        elif event == "sys_exit":
            self._returned(int(line["tid"]), at_ns)
        self._counts.write_until(at_ns)

    def finish(self) -> None:
        """The last line has been told."""
        for tid in list(self._in_call):
            self._returned(tid, self._now_ns)
        self._rows.finish(self._now_ns)

    def _returned(self, tid: int, at_ns: int) -> None:
        task = self._in_call.pop(tid, None)
        if task is not None:
            self._rows.end(task, at_ns)

    def _switched(self, core: int, at_ns: int, what: "re.Match[str] | None") -> None:
        if what is None:
            return
        left, tid = int(what["prev_tid"]), int(what["next_tid"])
        state = STATES.get(what["state"][0], ASLEEP)
        if left and core not in self._seen:  # it has had the core since before the trace
            self._rows.runs(core, self._rows.since_ns, Task(left, what["prev"]))
        self._seen.add(core)
        self._rows.leaves(core, at_ns, state)
        if left and state == RUNNABLE:
            self._waits(left, at_ns)
        if state == DEAD:
            self._returned(left, at_ns)
        if tid:
            self._rows.runs(core, at_ns, Task(tid, what["next"]))
            self._waits_no_more(tid, at_ns)
            flow = self._woken_by.pop(tid, None)
            if flow is not None:
                row = self._rows.thread(self._known[tid])
                self.packets.instant(row, at_ns, "woken", flow, last=True)

    def _waits(self, tid: int, at_ns: int) -> None:
        if tid not in self._waiting:
            self._waiting.add(tid)
            self._counts.change(WAITING, at_ns, 1)

    def _waits_no_more(self, tid: int, at_ns: int) -> None:
        if tid in self._waiting:
            self._waiting.remove(tid)
            self._counts.change(WAITING, at_ns, -1)

    def _woke(self, core: int, at_ns: int, waker: int, what: "re.Match[str] | None") -> None:
        if what is None or int(what["core"]) not in self._seen | {core}:
            return  # it is going to run where nobody records
        tid = int(what["tid"])
        self._waits(tid, at_ns)
        woken = Task(tid, what["comm"])
        self.packets.waking(core, at_ns, waker, woken, int(what["core"]))
        if tid in self._known and waker in self._known:
            flow = self._woken_by[tid] = next(self._flows)
            row = self._rows.thread(self._known[waker])
            self.packets.instant(row, at_ns, f"wakes {woken.name}", flow)
