"""A trace of a real run: what the scheduler did on the server's cores, and each syscall.

What it does: lets perf record the kernel's tracepoints while the load is on, and writes them
as text, an event a line: who, on which core, when, what.

Scope: where perf may use tracepoints: root, or CAP_PERFMON.
Source: perf-record(1), perf-script(1).
Validated by: tests/real/test_measure.py
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from iosim.real.syscalls import (
    COUNTED,
    Unavailable,
    known_to_perf,
    perf,
    perf_at_rest,
    run_tool,
)

__all__ = ["Unavailable", "tracer"]

SCHEDULER = ("sched:sched_switch", "sched:sched_wakeup", "sched:sched_migrate_task")
FIELDS = "comm,pid,tid,cpu,time,event,trace"
RETURN = "raw_syscalls:sys_exit"
SLOW_S = 60
"""Reading back what was recorded may take so long."""


@dataclass(frozen=True)
class Traced:
    """What happened on the cores of the server `pid`, an event a line."""

    pid: int
    text: str


@contextmanager
def tracer(cpus: Collection[int], pid: int) -> Iterator[Callable[[int], Traced]]:
    """Make ready to trace the cores of the server `pid`; what is given does, up to an instant.

    Raises Unavailable, as does what is given.
    """
    known = known_to_perf()
    if not known:
        raise Unavailable("perf has no tracepoints here (they need root)")
    # On a core that it watches it would record its own recording, for ever.
    elsewhere = os.sched_getaffinity(0).difference(cpus)
    if not elsewhere:
        raise Unavailable("perf needs a core that is not the server's")
    calls = (f"syscalls:sys_enter_{name}" for name in COUNTED if name in known)
    with TemporaryDirectory(prefix="iosim-") as folder, ExitStack() as stack:
        data = str(Path(folder, "perf.data"))
        command = [
            *("record", "-q", "-o", data, "-m", "4M", "-k", "CLOCK_MONOTONIC"),
            *("-C", ",".join(map(str, cpus)), "-e", ",".join((*SCHEDULER, RETURN, *calls))),
        ]
        work = stack.enter_context(perf_at_rest(command, elsewhere))

        def trace(until_ns: int) -> Traced:
            begin_ns, _ = work(until_ns)
            if begin_ns >= until_ns:
                raise Unavailable("perf: it began when the load was over")
            read = run_tool([*perf(), "script", "--ns", "-i", data, "-F", FIELDS], SLOW_S)
            return Traced(pid, read.stdout)

        yield trace
