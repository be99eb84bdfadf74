"""What the kernel counts of each thread of a process: switches, CPU time, waits for a core.

Validated by: tests/real/test_threads.py
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

THREADS_MOST: Final = 1_000
"""Of more, reading them takes too long."""
READ_CALLS: Final = {0, 63}
"""read(2) by number: x86-64, arm64."""


@dataclass(frozen=True)
class ThreadUse:
    """One thread, since it began; None: this kernel does not say (no schedstat)."""

    name: str
    voluntary: int
    involuntary: int
    cpu_ns: int | None
    run_queue_ns: int | None

    def since(self, then: "ThreadUse | None") -> "ThreadUse":
        """What has been added."""
        if then is None:
            return self
        return ThreadUse(
            self.name,
            self.voluntary - then.voluntary,
            self.involuntary - then.involuntary,
            None if self.cpu_ns is None else self.cpu_ns - (then.cpu_ns or 0),
            None if self.run_queue_ns is None else self.run_queue_ns - (then.run_queue_ns or 0),
        )


def threads_of(pid: int, control: int | None = None) -> dict[int, ThreadUse]:
    """The threads of a process by their number, but for `control`; none if they are too many."""
    found = {}
    with suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for task in tasks if len(tasks) <= THREADS_MOST else ():
            if int(task.name) != control:
                with suppress(OSError):  # it may have ended
                    found[int(task.name)] = _use(task)
    return found


def _use(task: Path) -> ThreadUse:
    status = dict(_fields((task / "status").read_text()))
    cpu_ns = run_queue_ns = None
    with suppress(OSError):
        words = (task / "schedstat").read_text().split()
        cpu_ns, run_queue_ns = int(words[0]), int(words[1])
    return ThreadUse(
        status["Name"],
        int(status["voluntary_ctxt_switches"]),
        int(status["nonvoluntary_ctxt_switches"]),
        cpu_ns,
        run_queue_ns,
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


def control_thread(pid: int) -> int | None:
    """The thread that sleeps in read(2) on stdin until it is asked for the counters."""
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError, ValueError, IndexError):
                words = (task / "syscall").read_text().split()
                if int(words[0]) in READ_CALLS and int(words[1], 16) == 0:
                    return int(task.name)
    return None


def used_between(
    then: Mapping[int, ThreadUse], now: Mapping[int, ThreadUse]
) -> tuple[ThreadUse, ...]:
    """What each thread that is there now has used since then."""
    return tuple(use.since(then.get(number)) for number, use in sorted(now.items()))
