"""An OS thread: a generator, what CPU time it owes, and what it has been charged.

What it models: a schedulable thread. Its program is a generator that reaches the world
only through its kernel. Running ahead of the clock, the program *owes* CPU time: each
computation and each syscall appends a segment (cause, ns, label); the core works the
debt off before anything that depends on the moment may happen.

The program yields two primitives to its core:

- `RUN`: work off what is owed, then go on;
- a `WaitQueue`: sleep until something wakes the thread (nothing may be owed).

Scope: voluntary and involuntary context switches as Linux counts them in
/proc/PID/status; time spent runnable, woken and not yet running, waiting for a lock.

Not modelled: nice levels, affinity masks, priorities, ptrace.

Source: Linux 6.18, kernel/sched/core.c (which switches are voluntary).
Validated by: tests/timeline/test_core.py
"""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from iosim.machine.alarm import Alarm
    from iosim.machine.core import Core
    from iosim.machine.kernel import Kernel

USER: Final = 0
SYSCALL: Final = 1
SWITCH: Final = 2
REFILL: Final = 3
SOFTIRQ: Final = 4
SPIN: Final = 5
IDLE: Final = 6
STOLEN: Final = 7
CAUSES: Final = ("user", "syscall", "switch", "refill", "softirq", "spin", "idle", "stolen")
"""Where a core's time goes, by the index used in `Core.cpu_ns`."""

ENTRY: Final = 8
"""The cause `SYSCALL` where a syscall begins: the instant before is in user mode."""

USER_MODE: Final = frozenset({USER, SPIN})
"""Causes in whose time a thread may be preempted or take a signal.

Spinning is made of syscalls so short that each ends before it would matter."""

Segment = tuple[int, int, str]
"""(cause, ns, label): a piece of CPU time; the label is a syscall's or a step's name."""

RUN: Final = None

INTERRUPTED: Final = "EINTR"
"""What sleeping gives back when a signal, not the awaited event, ended it."""

Program = Generator["WaitQueue | None", Any, Any]
"""What a thread executes: a generator that yields `RUN` or the queue to sleep on."""

ASLEEP: Final = "asleep"
RUNNABLE: Final = "runnable"
RUNNING: Final = "running"
ENDED: Final = "ended"


class WaitQueue:
    """Threads asleep until something happens, in the order in which they came."""

    __slots__ = ("lock", "name", "sleepers")
    interruptible = True
    """Whether a signal ends the sleep."""

    wakes_all: ClassVar[bool] = False
    """Whether an arrival wakes all of them, or one."""

    def __init__(self, name: str, lock: Any = None) -> None:
        self.name = name
        # The lock that they wait for, if it is one (its `owner` is known then).
        self.lock = lock
        self.sleepers: list[Thread] = []


class Herd(WaitQueue):
    """Threads that are all woken, as in accept before Linux 2.4; one finds what has arrived."""

    __slots__ = ()

    wakes_all = True


class Thread:
    """A thread of the simulated machine; made by `Machine.spawn`."""

    __slots__ = (
        "acts",
        "alone",
        "caught_up_ns",
        "core",
        "cpu_ns",
        "debt_ns",
        "entity",
        "frames",
        "generator",
        "involuntary",
        "kernel",
        "last_run_queue_ns",
        "last_wake_up_ns",
        "memory",
        "migrations",
        "name",
        "number",
        "off_core",
        "pace",
        "pending",
        "segments",
        "since_ns",
        "state",
        "timer",
        "touched_bytes",
        "value",
        "voluntary",
        "waits_on",
        "woken_ns",
        "working_set_bytes",
    )

    kernel: "Kernel"
    core: "Core"
    generator: Program
    memory: tuple[str, int]
    """What its memory is used for, and how much that is."""

    def __init__(self, number: int, name: str, working_set_bytes: int) -> None:
        self.number = number
        self.name = name
        self.state = RUNNABLE
        # What it runs after its present program has ended, next first.
        self.acts: list[Callable[[], Program]] = []
        # The value that the program's current `yield` will give back.
        self.value: Any = None
        # What is owed, oldest first; `debt_ns` is its sum.
        self.segments: list[Segment] = []
        self.debt_ns = 0
        # When it last had others act before it without working off what it owes.
        self.caught_up_ns = -1
        # Ns of its core that each ns of what it owes stands for already (`Core.pace`).
        self.pace = 1.0
        # Interrupted programs below a signal handler, with what they owed.
        self.frames: list[tuple[Program, list[Segment], int, Any]] = []
        # Handlers to run at the next return to user mode.
        self.pending: list[Callable[[], Program]] = []
        self.waits_on: WaitQueue | None = None
        # Where it sleeps when it waits for time to pass or for a signal.
        self.alone = WaitQueue("a timer or signal")
        self.timer: Alarm | None = None
        # The scheduler's own data on this thread.
        self.entity: Any = None
        # Since when it is in its present state.
        self.since_ns = 0
        self.woken_ns = 0
        # Sums over the thread's life, and of its last wake-up.
        self.cpu_ns = 0
        # (run queue, wake-up, lock): a new tuple each time, so that "has it been off the
        # core since?" is a comparison of identities.
        self.off_core = (0, 0, 0)
        self.last_run_queue_ns = 0
        self.last_wake_up_ns = 0
        self.voluntary = 0
        self.involuntary = 0
        self.migrations = 0
        # The core's cache clock when this thread last left it.
        self.touched_bytes = -1
        self.working_set_bytes = working_set_bytes

    def charge(self, cause: int, ns: int, label: str) -> None:
        """Owe `ns` of CPU time more. Plain call; the time passes when the debt is run.

        Only the thread that is running may be charged: its core's account is debited
        at once, and credited for what remains when the thread is descheduled.
        """
        if ns:
            self.segments.append((cause, ns, label))
            self.debt_ns += ns
            self.core.cpu_ns[cause] += ns
        else:
            self.core.count_step(self, self.core.machine.env._now)

    def __repr__(self) -> str:
        return f"<thread {self.name} {self.state}>"
