"""The rows that a simulated and a measured trace have in common.

    rows = Rows(packets, "epoll", pid=1000)
    rows.start(0)
    rows.runs(0, 10, main)        # core 0
    rows.begin(main, 12, "epoll_wait", "syscall")
    rows.leaves(0, 20, ASLEEP)
    rows.finish(30)

A row is described when it is first needed. Until `start` nothing is written, but who has which
core is remembered, and told then.

Validated by: tests/report/test_perfetto_rows.py
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from itertools import count

from iosim.report.perfetto.packets import IDLE, RUNNABLE, Packets, Task

PROCESS = 1
"""The row of the server's process."""

REQUESTS_RANK, COUNTS_RANK, INTERRUPTS_RANK = range(3)
"""In which order the rows come that are no threads."""


@dataclass
class _Core:
    """Who has a core, and whom it had until when, if the next has not come yet."""

    task: Task = IDLE
    left: tuple[int, Task, int] | None = None


@dataclass
class Rows:
    """The rows of a process, and of others that share its cores; times in ns."""

    packets: Packets
    name: str
    pid: int
    on: bool = False
    since_ns: int = 0
    """From when on it is written."""
    _cores: dict[int, _Core] = field(default_factory=dict)
    _uuids: "count[int]" = field(default_factory=lambda: count(PROCESS + 1))
    _threads: dict[int, int] = field(default_factory=dict)
    _processes: dict[int, int] = field(default_factory=dict)
    _beside: dict[int, int] = field(default_factory=dict)
    _interrupts: dict[int, int] = field(default_factory=dict)
    _free: list[tuple[int, int]] = field(default_factory=list)
    """(until when it is taken, row) of each row of requests."""

    def start(self, at_ns: int) -> None:
        """Write from now on; what began before is shown from here."""
        self.on, self.since_ns = True, at_ns
        self.packets.process(PROCESS, self.pid, self.name)
        for number, core in self._cores.items():
            if core.task is not IDLE:
                self.packets.switch(number, at_ns, IDLE, RUNNABLE, core.task)

    def finish(self, at_ns: int) -> None:
        """The trace ends: so does what still has a core."""
        for number in self._cores:
            self.leaves(number, at_ns, RUNNABLE)
            self._switch(number, IDLE, at_ns)

    # -------------------------------------------------------------------------- cores

    def runs(self, core: int, at_ns: int, task: Task) -> None:
        """A thread has the core from `at_ns` on."""
        self._switch(core, task, at_ns)

    def leaves(self, core: int, at_ns: int, state: int) -> None:
        """The thread that has the core leaves it, as `prev_state` says."""
        has = self._cores.setdefault(core, _Core())
        if has.task is not IDLE:
            has.left, has.task = (at_ns, has.task, state), IDLE

    def _switch(self, core: int, comes: Task, at_ns: int) -> None:
        has = self._cores.setdefault(core, _Core())
        before, state = IDLE, RUNNABLE
        if has.left is not None:
            left_ns, before, state = has.left
            if left_ns < at_ns or comes is IDLE:
                self._told(core, left_ns, before, state, IDLE)
                before, state = IDLE, RUNNABLE
        if comes is not IDLE:
            self._told(core, at_ns, before, state, comes)
        has.task, has.left = comes, None

    def _told(self, core: int, at_ns: int, before: Task, state: int, comes: Task) -> None:
        if self.on and at_ns >= self.since_ns:
            self.packets.switch(core, at_ns, before, state, comes)

    def interrupts(self, core: int) -> int:
        """The row of a core's interrupts."""
        if core not in self._interrupts:
            row = self._interrupts[core] = next(self._uuids)
            self.packets.track(row, f"core {core}: interrupts", rank=INTERRUPTS_RANK)
        return self._interrupts[core]

    # ------------------------------------------------------------------------- threads

    def thread(self, task: Task) -> int:
        """The row of a thread."""
        if task.tid not in self._threads:
            process, pid = self._process(task), task.pid or self.pid
            row = self._threads[task.tid] = next(self._uuids)
            self.packets.thread(row, process, pid, task.tid, task.name)
        return self._threads[task.tid]

    def _process(self, task: Task) -> int:
        if task.pid in (0, self.pid):
            return PROCESS
        if task.pid not in self._processes:
            row = self._processes[task.pid] = next(self._uuids)
            self.packets.process(row, task.pid, task.name)
        return self._processes[task.pid]

    def beside(self, task: Task, name: str) -> int:
        """A second row under a thread's."""
        if task.tid not in self._beside:
            row = self._beside[task.tid] = next(self._uuids)
            self.packets.track(row, name, self.thread(task))
        return self._beside[task.tid]

    def forget(self, task: Task) -> None:
        """The thread has ended."""
        self._threads.pop(task.tid, None)
        self._beside.pop(task.tid, None)

    def begin(self, task: Task, at_ns: int, name: str, category: str) -> None:
        """On a thread's row a slice begins."""
        if self.on:
            self.packets.begin(self.thread(task), max(at_ns, self.since_ns), name, category)

    def end(self, task: Task, at_ns: int) -> None:
        """The innermost slice of a thread's row ends."""
        if self.on:
            self.packets.end(self.thread(task), max(at_ns, self.since_ns))

    def slice(self, task: Task, from_ns: int, to_ns: int, name: str, category: str) -> None:
        """A whole slice, within the one that is open."""
        if self.on and to_ns > self.since_ns:
            self.begin(task, from_ns, name, category)
            self.end(task, to_ns)

    # ------------------------------------------------------------------------- requests

    def request_row(self, name: str, from_ns: int, to_ns: int) -> int:
        """A row of requests on which nothing else lies between these times."""
        if self._free and self._free[0][0] <= from_ns:
            row = self._free[0][1]
            heapreplace(self._free, (to_ns, row))
        else:
            row = next(self._uuids)
            heappush(self._free, (to_ns, row))
            self.packets.track(row, name, PROCESS, REQUESTS_RANK)
        return row


class Counts:
    """Numbers that change, told in any order: written when nothing earlier can come any more."""

    def __init__(self, rows: Rows, names: Sequence[str]) -> None:
        self._rows = rows
        self._values = dict.fromkeys(names, 0)
        self._tracks: dict[str, int] = {}
        self._to_come: list[tuple[int, int, str, int]] = []
        self._order = count()
        self._written_ns = 0

    def start(self, at_ns: int) -> None:
        """Describe the rows and tell what the numbers are now."""
        for rank, (name, value) in enumerate(self._values.items()):
            track = self._tracks[name] = COUNTS_BASE + rank
            self._rows.packets.counter(track, name, PROCESS, COUNTS_RANK)
            self._rows.packets.count(track, at_ns, value)
        self._written_ns = max(self._written_ns, at_ns)

    def change(self, name: str, at_ns: int, by: int) -> None:
        """At `at_ns` the number is greater by so much."""
        heappush(self._to_come, (at_ns, next(self._order), name, by))

    def write_until(self, at_ns: int) -> None:
        """Nothing before `at_ns` is going to be told any more."""
        to_come = self._to_come
        while to_come and to_come[0][0] <= at_ns:
            when_ns, _, name, by = heappop(to_come)
            self._values[name] += by
            self._written_ns = max(self._written_ns, when_ns)
            if self._tracks:
                self._rows.packets.count(self._tracks[name], self._written_ns, self._values[name])


COUNTS_BASE = 1 << 40
"""The first row of a counter: far from those that are numbered as they come."""
