"""What all syscalls share: a thread's view of its kernel, and computing.

A call is a generator because simulated time may pass in it: write
`x = yield from kernel.recvfrom(s)`. A forgotten `yield from` does nothing at all; the
conformance suite looks for it.

A call *owes* the CPU time that it costs (`Thread.charge`) and lets the core work it off
(`yield RUN`) only before something that depends on the exact moment:

- before it acts on the world outside its thread: a message leaves, a thread is woken;
- before it looks at what the world may still change: has nothing arrived? is it locked?
  Unless nothing can come between (`undisturbed`): then looking now is looking then.

Scope: costs common to all syscalls.
Not modelled: seccomp, auditing, restarting beyond EINTR.
Validated by: tests/timeline, tests/conformance
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from iosim.machine.alarm import Alarm, act_ahead
from iosim.machine.thread import ENTRY, INTERRUPTED, RUN, SYSCALL, USER, Thread, WaitQueue

if TYPE_CHECKING:
    from iosim.machine.machine import Machine

OWED: Final[tuple[()]] = ()
"""What a call gives to `yield from` that only owes time: nothing to wait for now."""

STEP: Final = (RUN,)
"""The same for a call that owes nothing: the core sees it, and so a loop without end."""

AHEAD_MOST_NS: Final = 1_000_000
"""A thread that owes more lets others go on first: what it owes must not pile up."""

TIMED_OUT: Final = "ETIMEDOUT"
"""What sleeping gives back when its time was up."""


def expire(machine: "Machine", thread: Thread) -> None:
    """Wake a thread whose timer has run out, if it still sleeps.

    It leaves its wait queue only when it runs: until then it may still be the one whom a
    wake-up finds, and then it was not too late.
    """
    if thread.waits_on is not None:
        machine.wake(thread, TIMED_OUT)


class Calls:
    """A thread's access to the machine; the base of every family of syscalls."""

    __slots__ = (
        "costs",
        "env",
        "machine",
        "message_ns",
        "syscalls",
        "thread",
        "woken_for",
    )

    def __init__(self, thread: Thread, machine: "Machine") -> None:
        self.thread = thread
        self.machine = machine
        self.env = machine.env
        self.costs = machine.costs
        # What sendto charges of `message`; CPython's programs have done theirs before they call it.
        self.message_ns = machine.costs.message_ns
        self.syscalls = machine.syscalls
        # What epoll_wait has reported to the thread when it was last woken in it.
        self.woken_for: list[Any] = []

    @property
    def now_ns(self) -> int:
        """The thread's own time: the clock plus what it owes."""
        return self.env._now + self.thread.debt_ns

    def compute(self, ns: int, label: str = "compute") -> Iterable[Any]:
        """Burn `ns` of CPU time in user mode."""
        if not ns:
            return STEP
        thread = self.thread
        thread.segments.append((USER, ns, label))
        thread.debt_ns += ns
        thread.core.cpu_ns[USER] += ns
        return OWED

    def work_on_message(self) -> None:
        """What the program does for a message: whose it is, what to answer. Plain call."""
        self.thread.charge(USER, self.message_ns, "message")

    def settle(self) -> Generator[Any, Any, None]:
        """Work off what is owed: from here on the clock shows the thread's own time."""
        yield RUN

    def catch_up(self) -> Generator[Any, Any, None]:
        """Settle before looking at what others may change, unless nothing can come between."""
        if self.thread.debt_ns and not self.undisturbed():
            yield RUN

    def undisturbed(self) -> bool:
        """True if no event can come before the thread has worked off what it owes.

        What only arrives in the meantime, with no other thread to be woken by it, is no
        disturbance: when this returns it has arrived.
        """
        thread, env = self.thread, self.env
        core, debt_ns = thread.core, thread.debt_ns
        if core.run_queue.rivals or thread.pending or core.pace != 1.0:
            return False  # at another pace it takes longer than it owes
        heap = env._queue
        until_ns = env._now + debt_ns
        if not heap or heap[0][0] > until_ns or until_ns == thread.caught_up_ns:
            return True
        # Of several threads another might be woken.
        if debt_ns > AHEAD_MOST_NS or len(self.machine.threads) > 1:
            return False
        if not act_ahead(env, until_ns):
            return False
        # What happens at this same instant from now on comes after the thread, as it would
        # had the thread worked off what it owes.
        thread.caught_up_ns = until_ns
        return True

    def sleep_on(
        self, wait_queue: WaitQueue, timeout_ns: int | None = None
    ) -> Generator[Any, Any, Any]:
        """Sleep until woken from `wait_queue`; give back the waker's value.

        After `timeout_ns`, and the timer's slack, the value is `TIMED_OUT`; a signal
        makes it `INTERRUPTED`. Nothing may be owed.
        """
        if timeout_ns is None:
            return (yield wait_queue)
        thread, machine = self.thread, self.machine
        timer = thread.timer
        if timer is None:
            thread.timer = timer = Alarm(self.env, lambda: expire(machine, thread))
        timer.set(self.env._now + timeout_ns + self.costs.timer_slack_ns)
        value = yield wait_queue  # whoever wakes the thread cancels the timer
        if value is TIMED_OUT:
            wait_queue.sleepers.remove(thread)
        return value

    def nanosleep(self, ns: int) -> Generator[Any, Any, None]:
        """Sleep for `ns`; late by the timer's slack and the wake-up."""
        thread = self.thread
        self.syscalls["nanosleep"] += 1
        thread.charge(ENTRY, self.costs.syscall_ns + self.costs.timer_set_ns, "nanosleep")
        if thread.debt_ns:
            yield RUN
        until_ns = self.env._now + ns
        while (left_ns := until_ns - self.env._now) >= 0:
            if (yield from self.sleep_on(thread.alone, left_ns)) is not INTERRUPTED:
                break

    def wake(self, wait_queue: WaitQueue, label: str, thread: Thread | None = None) -> None:
        """Wake a sleeper, the first or `thread`, and owe what waking costs. Plain call."""
        machine, costs = self.machine, self.costs
        core = machine.place(thread or wait_queue.sleepers[0])
        ns = costs.wake_up_ns
        if core.is_idle:
            ns += costs.wake_up_idle_core_ns
        if thread is None:
            machine.wake_one(wait_queue)
        else:
            machine.wake_from(wait_queue, thread)
        self.thread.charge(SYSCALL, ns, label)

    @contextmanager
    def paying_for_wake_ups(self, label: str) -> Iterator[None]:
        """Owe what waking costs for each thread that is woken by what is done meanwhile."""
        machine, costs = self.machine, self.costs
        woken, idle = machine.wakeups, machine.idle_cores_woken
        yield
        ns = (machine.wakeups - woken) * costs.wake_up_ns
        ns += (machine.idle_cores_woken - idle) * costs.wake_up_idle_core_ns
        if ns:
            self.thread.charge(SYSCALL, ns, label)

    def return_to_user(self) -> Generator[Any, Any, None]:
        """Let whoever was woken preempt, before the program's next step."""
        if self.thread.core.wants_attention:
            yield RUN
