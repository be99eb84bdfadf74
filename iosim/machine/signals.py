"""Signals: queued, delivered at the return to user mode, handled on top of the program.

What it models: real-time signals with a value to one thread. The handler interrupts
whatever the thread does in user mode; a call that sleeps is ended by it. While a handler
runs further signals wait, and are handled before the program goes on.

Not modelled: masks, several signal numbers, default actions, the queue's limit.
Source: signal(7), sigqueue(3), sigreturn(2).
Validated by: tests/timeline/test_signals.py
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from iosim.machine.calls import Calls
from iosim.machine.thread import ENTRY, RUN, SYSCALL, Program, Thread


class Signals:
    """The signals of one thread and its handler."""

    __slots__ = ("handler", "handling", "queue")

    def __init__(self, handler: Callable[[Any], Program]) -> None:
        self.handler = handler
        self.queue: deque[Any] = deque()
        self.handling = False


class SignalCalls(Calls):
    """sigaction, sigqueue, timer_settime, pause."""

    __slots__ = ()

    def sigaction(self, handler: Callable[[Any], Program]) -> Generator[Any, Any, Signals]:
        """Handle this thread's signals by `handler(value)`; return where to send them."""
        self.syscalls["rt_sigaction"] += 1
        costs = self.costs
        self.thread.charge(ENTRY, costs.syscall_ns + costs.sigprocmask_ns, "rt_sigaction")
        return Signals(handler)
        yield

    def sigqueue(self, thread: Thread, signals: Signals, value: Any) -> Generator[Any, Any, None]:
        """Send a signal with `value` to `thread`."""
        costs = self.costs
        self.syscalls["rt_sigqueueinfo"] += 1
        own = self.thread
        own.charge(ENTRY, costs.syscall_ns + costs.signal_send_ns, "rt_sigqueueinfo")
        if own.debt_ns:
            yield RUN
        raise_signal(thread, signals, value)
        yield from self.return_to_user()

    def timer_settime(self, signals: Signals, ns: int, value: Any) -> Generator[Any, Any, None]:
        """Have this thread sent a signal with `value` in `ns`; late by the timer's slack."""
        thread, costs = self.thread, self.costs
        self.syscalls["timer_settime"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.timer_set_ns, "timer_settime")
        if thread.debt_ns:
            yield RUN
        self.machine.timers.at(
            self.env._now + ns + costs.timer_slack_ns, lambda: raise_signal(thread, signals, value)
        )

    def cut_short(self) -> int:
        """In a handler: let the program below owe its last segment no longer; the ns left.

        Plain call. It is as if the handler changed where the program goes on.
        """
        frames = self.thread.frames
        program, segments, debt_ns, value = frames[-1]
        ns = segments.pop()[1] if segments else 0
        frames[-1] = (program, segments, debt_ns - ns, value)
        return ns

    def pause(self) -> Generator[Any, Any, None]:
        """Sleep until a signal has been handled."""
        thread, costs = self.thread, self.costs
        self.syscalls["pause"] += 1
        thread.charge(ENTRY, costs.syscall_ns, "pause")
        if thread.debt_ns:
            yield RUN
        yield thread.alone


def raise_signal(thread: Thread, signals: Signals, value: Any) -> None:
    """Queue a signal for `thread`, now. Plain call."""
    signals.queue.append(value)
    if not signals.handling:
        signals.handling = True
        thread.core.machine.interrupt_thread(thread, lambda: _handle_all(thread, signals))


def _handle_all(thread: Thread, signals: Signals) -> Program:
    costs = thread.kernel.costs
    while signals.queue:
        value = signals.queue.popleft()
        thread.charge(SYSCALL, costs.signal_deliver_ns, "signal delivery")
        yield from signals.handler(value)
        thread.kernel.syscalls["rt_sigreturn"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.sigreturn_ns, "rt_sigreturn")
        if thread.debt_ns:
            yield RUN
    signals.handling = False
