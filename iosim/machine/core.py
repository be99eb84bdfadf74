"""A core: runs one thread at a time, is interrupted, falls idle, and accounts for it all.

What it models: dispatching from a run queue, time slices, preemption at the return to
user mode (as a kernel built with PREEMPT_NONE does it), the direct cost of a context
switch and the cache refill after it, interrupts that push the running thread aside,
and the latency and cost of leaving idle.

The core is plain calls on one re-armed alarm. A *burst* is what the current thread
owes, run in one go:

    burst_start_ns                  now                       burst_end_ns
    |--- switch --- refill --- user ---|--- syscall --- user ------|

Nothing inside a burst touches the world, so it needs no event of its own; an interrupt
shifts the burst, a preemption cuts it in two. The host may take the core away
(`steal`), which shifts burst and interrupts alike; and the core may work more slowly
(`change_pace`), which stretches what is left of the burst.

All time is accounted: `cpu_ns`, by cause, is debited when a thread takes on a debt and
credited with what remains when it is cut off, so that at any instant the causes add up
to the time since the start, exactly (`account`).

Scope: see `Not modelled` in docs/topics/machine.md.
Not modelled: frequency scaling, timer-tick cost, NUMA.
Source: Linux 6.18 kernel/sched/core.c, fair.c; costs from the profile.
Validated by: tests/timeline/test_core.py, tests/conformance, tests/theory
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from iosim.errors import Livelock
from iosim.machine.alarm import NEVER, Alarm
from iosim.machine.thread import (
    ASLEEP,
    ENDED,
    ENTRY,
    IDLE,
    INTERRUPTED,
    REFILL,
    RUNNABLE,
    RUNNING,
    SOFTIRQ,
    SPIN,
    STOLEN,
    SWITCH,
    SYSCALL,
    USER_MODE,
    Program,
    Thread,
    WaitQueue,
)

if TYPE_CHECKING:
    from iosim.machine.machine import Machine
    from iosim.schedulers import RunQueue

LIVELOCK_STEPS = 1_000_000
"""So many steps on one core without simulated time passing are called a livelock."""


class Core:
    """One core of the simulated machine."""

    __slots__ = (
        "_alarm",
        "_costs",
        "_env",
        "_in_burst",
        "_interrupt_alarm",
        "_interrupt_exit_ns",
        "_interrupts",
        "_ran_ns",
        "_resched",
        "_slice_end_ns",
        "_softirq_owed_ns",
        "_step_ns",
        "_steps",
        "_stop_ns",
        "_synced_ns",
        "burst_end_ns",
        "burst_start_ns",
        "cpu_ns",
        "current",
        "held_until_ns",
        "idle_since_ns",
        "last_thread",
        "machine",
        "number",
        "pace",
        "run_queue",
        "stolen_until_ns",
        "switches",
        "touched_bytes",
    )

    def __init__(self, machine: "Machine", number: int, run_queue: "RunQueue") -> None:
        self.machine = machine
        self.number = number
        self.run_queue = run_queue
        self._env = machine.env
        self._costs = machine.costs
        self._alarm = Alarm(machine.env, self._on_alarm)
        self._interrupt_alarm = Alarm(machine.env, self._on_interrupt_done)
        self._interrupts: deque[tuple[int, int, Callable[[], None]]] = deque()
        self.current: Thread | None = None
        self.last_thread: Thread | None = None
        # By cause, with one more for `ENTRY`.
        self.cpu_ns = [0] * 9
        self.idle_since_ns = 0
        self.burst_start_ns = 0
        self.burst_end_ns = 0
        # Before this instant no thread runs: interrupts have the core, or the host has.
        self.held_until_ns = 0
        # Before this instant the host has the core; an idle one does not notice.
        self.stolen_until_ns = 0
        # Ns that each ns of work takes: more than one while a sibling hyper-thread is busy.
        self.pace = 1.0
        self._softirq_owed_ns = 0
        # The way out of idle before an interrupt: (charged, cold), booked at its start.
        self._interrupt_exit_ns = (0, 0)
        self._steps = 0
        self._step_ns = -1
        self._synced_ns = 0
        # Run in completed bursts that the scheduler has not been told of.
        self._ran_ns = 0
        self._in_burst = False
        self._stop_ns = NEVER
        self._slice_end_ns = NEVER
        self._resched = False
        # From one thread to another; to and from idle not counted.
        self.switches = 0
        # The cache's clock: bytes touched on this core since the start.
        self.touched_bytes = 0

    # ------------------------------------------------------------ waking and dispatching

    @property
    def is_idle(self) -> bool:
        """True while no thread has the core or waits for it."""
        return self.current is None and not self.run_queue.waiting

    @property
    def wants_attention(self) -> bool:
        """True if the current thread is to be preempted or to run a handler."""
        return self._resched or bool(self.current and self.current.pending)

    def accept(self, thread: Thread) -> None:
        """Take in a thread that has become runnable; preempt the current one if due."""
        now = self._env._now
        current = self.current
        run_queue = self.run_queue
        if current is None:
            run_queue.enqueue(thread, None)
            if not self._interrupts:
                self._leave_idle(now)
            # else: the interrupt goes on first, and dispatches at its end.
            return
        self._sync(now)
        run_queue.enqueue(thread, current)
        if run_queue.preempts(thread, current):
            self._resched = True
            self._attend(now)
        elif self._slice_end_ns == NEVER and self._in_burst:
            self._slice_end_ns = run_queue.slice_end_ns(
                current, max(now, self.held_until_ns, self.burst_start_ns)
            )
        if self._in_burst:
            self._set_alarm()

    def _leave_idle(self, now: int) -> None:
        idle_ns = now - self.idle_since_ns
        self.cpu_ns[IDLE] += idle_ns
        thread = self.run_queue.pick()
        assert thread is not None
        self._dispatch(thread, now, idle_ns)

    def _dispatch(self, thread: Thread, now: int, idle_ns: int = -1) -> None:
        """Put `thread` on the core, which has been idle for `idle_ns` (-1: not idle)."""
        costs = self._costs
        last = self.last_thread
        prefix_ns = 0
        start_ns = now
        prefix = []
        if idle_ns >= 0:
            latency_ns, charged_ns, cold_ns = costs.leave_idle(idle_ns)
            if self.stolen_until_ns > now:
                start_ns = self._wait_for_host(now)
            start_ns += latency_ns - charged_ns
            self.cpu_ns[IDLE] += latency_ns - charged_ns
            if charged_ns:
                prefix.append((SWITCH, charged_ns, "idle exit"))
            if cold_ns:
                prefix.append((REFILL, cold_ns, "cold execution"))
            prefix_ns = charged_ns + cold_ns
        # Whoever had the core before, be it the idle task.
        ns = costs.context_switch_ns
        if ns:
            prefix.append((SWITCH, ns, "context switch"))
            prefix_ns += ns
        if thread.core is not self:
            self.machine.migrations += 1
            thread.migrations += 1
            thread.core = self
            thread.touched_bytes = -1
        if thread is not last:
            if last is not None:
                self.switches += 1
            self.last_thread = thread
            size = thread.working_set_bytes
            if size:
                touched_bytes = thread.touched_bytes
                if touched_bytes < 0:  # new, or from another core: nothing is in the cache
                    ns = costs.refill(costs.cache_bytes, size)
                else:
                    ns = costs.refill(self.touched_bytes - touched_bytes, size)
                if ns:
                    prefix.append((REFILL, ns, "cache refill"))
                    prefix_ns += ns
                self.touched_bytes += size
        self.current = thread
        thread.state = RUNNING
        waited_ns = now - thread.since_ns
        thread.last_run_queue_ns = waited_ns
        thread.last_wake_up_ns = wake_up_ns = start_ns - now + prefix_ns
        before = thread.off_core
        thread.off_core = (before[0] + waited_ns, before[1] + wake_up_ns, before[2])
        if prefix:
            cpu_ns = self.cpu_ns
            for cause, ns, _ in prefix:
                cpu_ns[cause] += ns
            thread.segments[:0] = prefix
        # What it still owed when it was cut off is debited to this core now.
        if thread.debt_ns:
            self._debit(thread.segments[len(prefix) :], 1)
        thread.debt_ns += prefix_ns
        self._resched = False
        trace = self.machine.trace
        if trace is not None:
            trace.dispatched(thread, self, now, start_ns)
        if not thread.debt_ns and start_ns == now:
            self.count_step(thread, now)
        # Even an empty burst goes through the heap: or threads that owe nothing would run
        # inside one another's calls, level upon level.
        self._begin_burst(thread, start_ns, now)

    def _debit(self, segments: list[tuple[int, int, str]], sign: int) -> None:
        cpu_ns = self.cpu_ns
        for cause, ns, _ in segments:
            cpu_ns[cause] += sign * ns

    # ------------------------------------------------------------------------- bursts

    def _begin_burst(self, thread: Thread, start_ns: int, now: int) -> None:
        if thread.pace != self.pace:
            self._stretch(thread, self.pace)
        if start_ns < self.held_until_ns:
            start_ns = self.held_until_ns
        self._in_burst = True
        self.burst_start_ns = self._synced_ns = start_ns
        due_ns = self.burst_end_ns = start_ns + thread.debt_ns
        self._stop_ns = NEVER
        self._slice_end_ns = NEVER
        if self._resched or thread.pending:
            self._attend(now)
        if self.run_queue.rivals:
            self._sync(now)
            self._slice_end_ns = self.run_queue.slice_end_ns(thread, start_ns)
            due_ns = min(due_ns, self._stop_ns, self._slice_end_ns)
        elif self._stop_ns < due_ns:
            due_ns = self._stop_ns
        self._alarm.set(due_ns)

    def _set_alarm(self) -> None:
        self._alarm.set(min(self.burst_end_ns, self._stop_ns, self._slice_end_ns))

    def _sync(self, now: int) -> None:
        """Tell the scheduler how long the current thread has run since it was last told."""
        ran_ns = self._ran_ns
        if self._in_burst and now > self._synced_ns:
            ran_ns += now - self._synced_ns
            self._synced_ns = now
        if ran_ns:
            self._ran_ns = 0
            thread = self.current
            assert thread is not None
            thread.cpu_ns += ran_ns
            self.run_queue.ran(thread, ran_ns)

    def _on_alarm(self) -> None:
        now = self._env._now
        thread = self.current
        assert thread is not None
        if now < self.burst_end_ns:
            self._sync(now)
            self._stop_early(thread, now)
            return
        self._in_burst = False
        self._ran_ns += now - self._synced_ns
        if now >= self._slice_end_ns and self.run_queue.rivals:
            self._resched = True
        trace = self.machine.trace
        if trace is not None:
            trace.ran(thread, self, self.burst_start_ns, now, thread.segments)
        thread.segments.clear()
        thread.debt_ns = 0
        thread.pace = 1.0
        self._resume(thread)

    def _resume(self, thread: Thread) -> None:
        """Let the program go on until it owes time, sleeps or ends."""
        if thread.pending and thread.value is INTERRUPTED:
            self._enter_handler(thread)
        while True:
            try:
                wanted = thread.generator.send(thread.value)
            except StopIteration:
                if not thread.frames:
                    if thread.acts:
                        thread.generator = thread.acts.pop(0)()
                        thread.value = None
                        continue
                    self._end(thread)
                    return
                self._return_from_handler(thread)
                if thread.debt_ns:
                    self._begin_burst(thread, self._env._now, self._env._now)
                    return
                continue
            thread.value = None
            if wanted is not None:
                self._sleep(thread, wanted)
                return
            if thread.debt_ns:
                now = self._env._now
                self._begin_burst(thread, now, now)
                return
            if self._resched:
                self._deschedule(thread, self._env._now)
                return
            if thread.pending:
                self._enter_handler(thread)
            self.count_step(thread, self._env._now)

    def count_step(self, thread: Thread, now: int) -> None:
        """A program goes on without time passing: raises Livelock if that has no end."""
        if now != self._step_ns:
            self._step_ns = now
            self._steps = 0
        self._steps += 1
        if self._steps > LIVELOCK_STEPS:
            raise Livelock(self.machine.model, now, thread.name, self._steps)

    # ------------------------------------------------------- return to user mode, slices

    def _attend(self, now: int) -> None:
        """Stop the current burst where its thread next is in user mode.

        There it may be preempted or run a handler. If that lies beyond the burst, or no
        burst is under way, the next one begins by attending.
        """
        if not self._in_burst:
            return
        thread = self.current
        assert thread is not None
        at_ns = self.burst_start_ns
        if now < self.held_until_ns:
            now = self.held_until_ns
        for cause, ns, _ in thread.segments:
            from_ns = at_ns
            at_ns += ns
            if (cause in USER_MODE and at_ns > now) or (cause == ENTRY and from_ns >= now):
                self._stop_ns = min(self._stop_ns, max(now, from_ns))
                return

    def _stop_early(self, thread: Thread, now: int) -> None:
        """The alarm went off inside a burst: the slice is over, or attention is due."""
        if now >= self._slice_end_ns:
            self._slice_end_ns = NEVER
            if self.run_queue.rivals:
                self._resched = True
                self._attend(now)
        if now < self._stop_ns:
            self._set_alarm()
            return
        self._cut(thread, now)
        if self._resched:
            self._deschedule(thread, now)
        elif thread.pending:
            self._enter_handler(thread)
            self._resume(thread)
        else:
            self._begin_burst(thread, now, now)

    def _cut(self, thread: Thread, now: int) -> None:
        """Leave in the thread's account only what it has not yet run of its burst."""
        done_ns = now - self.burst_start_ns
        segments = thread.segments
        trace = self.machine.trace
        if trace is not None:
            trace.ran(thread, self, self.burst_start_ns, now, segments)
        index = 0
        while done_ns > 0 and index < len(segments):
            cause, ns, label = segments[index]
            if ns > done_ns:
                segments[index] = (cause, ns - done_ns, label)
                thread.debt_ns -= done_ns
                break
            done_ns -= ns
            thread.debt_ns -= ns
            index += 1
        del segments[:index]
        self._in_burst = False

    def _deschedule(self, thread: Thread, now: int) -> None:
        """Preempt the current thread, which leaves the core runnable."""
        run_queue = self.run_queue
        self._sync(now)
        self._resched = False
        self._stretch(thread, 1.0)
        run_queue.put_back(thread)
        picked = run_queue.pick()
        assert picked is not None
        if picked is thread:
            if thread.debt_ns:
                self._begin_burst(thread, now, now)
            else:
                self._resume(thread)
            return
        self._debit(thread.segments, -1)
        thread.involuntary += 1
        self.machine.involuntary += 1
        thread.state = RUNNABLE
        thread.since_ns = now
        thread.touched_bytes = self.touched_bytes
        trace = self.machine.trace
        if trace is not None:
            trace.preempted(thread, self, now, picked)
        self._dispatch(picked, now)

    # --------------------------------------------------------------- sleeping and ending

    def _sleep(self, thread: Thread, wait_queue: WaitQueue) -> None:
        if thread.debt_ns:
            raise AssertionError(f"{thread.name} sleeps while it owes {thread.debt_ns} ns")
        if thread.pending and wait_queue.interruptible:  # a signal came on the way: do not sleep
            self._enter_handler(thread, interrupted=True)
            self._resume(thread)
            return
        now = self._env._now
        wait_queue.sleepers.append(thread)
        thread.waits_on = wait_queue
        thread.state = ASLEEP
        thread.since_ns = now
        thread.voluntary += 1
        self.machine.voluntary += 1
        trace = self.machine.trace
        if trace is not None:
            trace.slept(thread, self, now, wait_queue)
        self._leave(thread, now)

    def _end(self, thread: Thread) -> None:
        now = self._env._now
        thread.state = ENDED
        trace = self.machine.trace
        if trace is not None:
            trace.ended(thread, self, now)
        self._leave(thread, now)
        self.machine.ended(thread)

    def _leave(self, thread: Thread, now: int) -> None:
        """The current thread stops being runnable: run another, or fall idle."""
        self._sync(now)
        self.run_queue.remove_current(thread)
        thread.touched_bytes = self.touched_bytes
        self.current = None
        self._slice_end_ns = NEVER
        self._resched = False
        self._alarm.cancel()
        picked = self.run_queue.pick()
        if picked is None:
            picked = self.machine.pull(self)
        if picked is not None:
            self._dispatch(picked, now)
        elif self._interrupts:
            pass  # at its end it dispatches, or the core falls idle
        else:
            self.idle_since_ns = now

    # ------------------------------------------------------------------- signal handlers

    def post(self, thread: Thread, handler: Callable[[], Program]) -> None:
        """Run `handler` on top of the thread's program at its next return to user mode."""
        thread.pending.append(handler)
        if thread is self.current:
            now = self._env._now
            self._sync(now)
            self._attend(now)
            if self._in_burst:
                self._set_alarm()

    def _enter_handler(self, thread: Thread, interrupted: bool = False) -> None:
        handler = thread.pending.pop(0)
        value = INTERRUPTED if interrupted else thread.value
        self._stretch(thread, 1.0)
        thread.frames.append((thread.generator, thread.segments[:], thread.debt_ns, value))
        self._debit(thread.segments, -1)
        thread.segments.clear()
        thread.debt_ns = 0
        thread.generator = handler()
        thread.value = None

    def _return_from_handler(self, thread: Thread) -> None:
        owed = thread.segments[:]
        generator, segments, debt_ns, value = thread.frames.pop()
        thread.generator = generator
        thread.value = value
        self._debit(segments, 1)
        thread.segments[:] = owed + segments
        thread.debt_ns += debt_ns

    # ------------------------------------------------------------------------ interrupts

    def interrupt(self, ns: int, action: Callable[[], None]) -> None:
        """Run `ns` of softirq on this core as soon as it can, then call `action`."""
        now = self._env._now
        start_ns = max(now, self.held_until_ns)
        if self.pace != 1.0:
            ns = round(ns * self.pace)
        if self.current is None and not self._interrupts:
            idle_ns = now - self.idle_since_ns
            latency_ns, charged_ns, cold_ns = self._costs.leave_idle(idle_ns)
            self.cpu_ns[IDLE] += idle_ns + latency_ns - charged_ns
            self.cpu_ns[SWITCH] += charged_ns
            self.cpu_ns[REFILL] += cold_ns
            self._interrupt_exit_ns = (charged_ns, cold_ns)
            start_ns = self._wait_for_host(now) + latency_ns + cold_ns
        self.cpu_ns[SOFTIRQ] += ns
        self.held_until_ns = end_ns = start_ns + ns
        self._push_aside(now, ns)
        self._softirq_owed_ns += ns
        self._interrupts.append((end_ns, ns, action))
        trace = self.machine.trace
        if trace is not None:
            trace.interrupted(self, start_ns, ns)
        if len(self._interrupts) == 1:
            self._interrupt_alarm.set(end_ns)

    def _push_aside(self, now: int, ns: int) -> None:
        """The current burst, if there is one, goes on `ns` later than it would have."""
        thread = self.current
        if thread is None or not self._in_burst:
            return
        self._sync(now)
        self.burst_start_ns += ns
        self.burst_end_ns += ns
        self._synced_ns += ns
        if self._stop_ns != NEVER:
            self._stop_ns += ns
        if self._slice_end_ns != NEVER:
            self._slice_end_ns = self.run_queue.slice_end_ns(
                thread, max(self.held_until_ns, self.burst_start_ns)
            )
        self._set_alarm()

    def _on_interrupt_done(self) -> None:
        # It stays in the list while it acts: the core is awake, whatever it wakes.
        at_ns, ns, action = self._interrupts[0]
        self._softirq_owed_ns -= ns
        trace = self.machine.trace
        if trace is not None:
            trace.interrupt_done(self, at_ns, ns)
        action()
        self._interrupts.popleft()
        if self._interrupts:
            self._interrupt_alarm.set(self._interrupts[0][0])
        elif self.current is None:
            now = self._env._now
            picked = self.run_queue.pick() or self.machine.pull(self)
            if picked is None:
                self.idle_since_ns = now
            else:
                self._dispatch(picked, now)

    # ------------------------------------------------------------------------------ host

    def steal(self, ns: int) -> None:
        """The host takes the core away for `ns` (> 0): whatever it does goes on afterwards."""
        now = self._env._now
        self.stolen_until_ns = now + ns
        if self.current is None and not self._interrupts:
            return
        self._count_stolen(now, ns)
        self.held_until_ns = max(now, self.held_until_ns) + ns
        if self._interrupts:
            self._interrupts = deque(
                (end_ns + ns, own_ns, action) for end_ns, own_ns, action in self._interrupts
            )
            self._interrupt_alarm.set(self._interrupts[0][0])
        self._push_aside(now, ns)

    def _wait_for_host(self, now: int) -> int:
        """An idle core is wanted: from when on it has it, if the host has just taken it."""
        if self.stolen_until_ns > now:
            self._count_stolen(now, self.stolen_until_ns - now)
            now = self.held_until_ns = self.stolen_until_ns
        return now

    def _count_stolen(self, now: int, ns: int) -> None:
        self.cpu_ns[STOLEN] += ns
        trace = self.machine.trace
        if trace is not None:
            trace.stolen(self, now, ns)

    def change_pace(self, pace: float) -> None:
        """From now on each ns of work takes `pace` ns. Not while the core is held."""
        now = self._env._now
        assert now >= self.held_until_ns
        self.pace = pace
        thread = self.current
        if thread is None or not self._in_burst:
            return
        self._sync(now)
        start_ns = self.burst_start_ns
        if now > start_ns:
            self._cut(thread, now)
            start_ns = now
        self._begin_burst(thread, start_ns, now)

    def _stretch(self, thread: Thread, pace: float) -> None:
        """Write what the current thread owes for a core of this pace; asking in vain aside."""
        if thread.pace == pace:
            return
        factor = pace / thread.pace
        thread.pace = pace
        for index, (cause, ns, label) in enumerate(thread.segments):
            if cause != SPIN:
                more_ns = round(ns * factor) - ns
                thread.segments[index] = (cause, ns + more_ns, label)
                thread.debt_ns += more_ns
                self.cpu_ns[cause] += more_ns

    # ------------------------------------------------------------------------ accounting

    def remaining_ns(self, thread: Thread) -> int:
        """CPU time that `thread` has yet to run of what it owes."""
        if thread is self.current:
            return self.burst_end_ns - max(self._env._now, self.held_until_ns, self.burst_start_ns)
        return thread.debt_ns

    def trim(self, thread: Thread, ns: int) -> None:
        """Take `ns` off the end of the last segment that `thread` owes."""
        cause, owed_ns, label = thread.segments[-1]
        thread.segments[-1] = (cause, owed_ns - ns, label)
        thread.debt_ns -= ns
        if thread is self.current:
            self.cpu_ns[cause] -= ns
            self.burst_end_ns -= ns
            self._set_alarm()

    def sync(self) -> None:
        """Bring `cpu_ns` of the current thread up to now."""
        if self.current is not None:
            self._sync(self._env._now)

    def account(self) -> list[int]:
        """CPU time since the start by cause, in ns; adds up to now, exactly."""
        now = self._env._now
        cpu_ns = self.cpu_ns[:]
        thread = self.current
        if thread is None and not self._interrupts:
            cpu_ns[IDLE] += now - self.idle_since_ns
            return _by_cause(cpu_ns)
        # What was debited and has not happened yet: first what the host keeps, then
        # interrupts, and the way out of idle before them ...
        if self.stolen_until_ns > now:
            cpu_ns[STOLEN] -= self.stolen_until_ns - now
            now = self.stolen_until_ns
        from_ns = max(now, self.held_until_ns)
        ahead_ns = from_ns - now
        charged_ns, cold_ns = self._interrupt_exit_ns
        for cause, ns in (
            (SOFTIRQ, self._softirq_owed_ns),
            (REFILL, cold_ns),
            (SWITCH, charged_ns),
            (IDLE, ahead_ns),
        ):
            part_ns = min(ahead_ns, ns)
            cpu_ns[cause] -= part_ns
            ahead_ns -= part_ns
        if thread is None:
            return _by_cause(cpu_ns)
        # ... then the way out of idle, then the burst, from its end backwards.
        if self.burst_start_ns > from_ns:
            cpu_ns[IDLE] -= self.burst_start_ns - from_ns
            from_ns = self.burst_start_ns
        left_ns = self.burst_end_ns - from_ns
        for cause, ns, _ in reversed(thread.segments):
            if left_ns <= 0:
                break
            part_ns = min(ns, left_ns)
            cpu_ns[cause] -= part_ns
            left_ns -= part_ns
        return _by_cause(cpu_ns)


def _by_cause(cpu_ns: list[int]) -> list[int]:
    *by_cause, entry_ns = cpu_ns
    by_cause[SYSCALL] += entry_ns
    return by_cause
