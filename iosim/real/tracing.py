"""A trace of a real run: what the scheduler did on the server's cores, and each syscall.

What it does: lets perf record the kernel's tracepoints while the load is on, and writes them
as text, an event a line: who, on which core, when, what.

Scope: where perf may use tracepoints: root, or CAP_PERFMON.
Source: perf-record(1), perf-script(1).
Validated by: tests/real/test_measure.py
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from iosim.real.syscalls import COUNTED, NS_PER_S, Unavailable, known_to_perf, perf, run_tool

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
def tracer(cpus: Iterable[int], pid: int) -> Iterator[Callable[[int], Traced]]:
    """Make ready to trace the cores of the server `pid`. Raises Unavailable."""
    known_to_perf()  # that takes its time
    yield partial(trace, cpus, pid)


def trace(cpus: Iterable[int], pid: int, until_ns: int) -> Traced:
    """What happens on `cpus` up to `until_ns` of CLOCK_MONOTONIC. Raises Unavailable."""
    known = known_to_perf()
    if not known:
        raise Unavailable("perf has no tracepoints here (they need root)")
    calls = (f"syscalls:sys_enter_{name}" for name in COUNTED if name in known)
    left_s = max(0.01, (until_ns - time.monotonic_ns()) / NS_PER_S)
    with TemporaryDirectory(prefix="iosim-") as folder:
        data = str(Path(folder, "perf.data"))
        cores = ",".join(map(str, cpus))
        recorded = run_tool(
            [
                *perf(),
                *("record", "-q", "-o", data, "-m", "4M", "-k", "CLOCK_MONOTONIC", "-C", cores),
                *("-e", ",".join((*SCHEDULER, RETURN, *calls))),
                *("--", "sleep", f"{left_s:.3f}"),
            ],
            left_s + SLOW_S,
        )
        if recorded.returncode:
            last = recorded.stderr.strip().splitlines()[-1:] or ["it fails"]
            raise Unavailable(f"perf: {last[0]}")
        read = run_tool([*perf(), "script", "--ns", "-i", data, "-F", FIELDS], SLOW_S)
        return Traced(pid, read.stdout)
