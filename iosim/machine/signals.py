"""Signals: queued, delivered at the return to user mode, handled on top of the program.

What it models: real-time signals with a value to one thread. The handler interrupts
whatever the thread does in user mode; a call that sleeps is ended by it. While a handler
runs further signals wait, and are handled before the program goes on.

And signals of I/O (O_ASYNC, F_SETSIG) that a thread has blocked and waits for: each
arrival queues one that names the socket, as long as fewer than the limit are queued; then
SIGIO says that some have got lost. It is taken first, for its number is the lowest.

    arrival:   queue (connection 7)  queue (connection 3)  ... full: SIGIO
    program:   sigtimedwait -> connection 7, sigtimedwait -> connection 3 ... -> SIGIO

Not modelled: several signal numbers, default actions, a limit on signals that have a
handler; the interrupt's time to queue a signal of I/O.
Source: signal(7), sigqueue(3), sigreturn(2), sigtimedwait(2), fcntl(2); Linux 6.18
fs/fcntl.c, send_sigio_to_task.
Validated by: tests/timeline/test_signals.py, tests/timeline/test_signal_driven.py
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Final

from iosim.machine.calls import TIMED_OUT, Calls
from iosim.machine.sockets import Sentinel, Socket
from iosim.machine.thread import ENTRY, INTERRUPTED, RUN, SYSCALL, Program, Thread, WaitQueue

SIGIO: Final = Sentinel("SIGIO")
"""Arrivals were not told of one by one: the queue was full."""

F_SETOWN: Final = "F_SETOWN"
F_SETSIG: Final = "F_SETSIG"
F_SETFL: Final = "F_SETFL"
"""Commands of fcntl(2) that, in this order, have a socket's arrivals signalled."""


class Signals:
    """The signals of one thread and its handler."""

    __slots__ = ("handler", "handling", "queue")

    def __init__(self, handler: Callable[[Any], Program]) -> None:
        self.handler = handler
        self.queue: deque[Any] = deque()
        self.handling = False


class IoSignals:
    """The blocked signals of I/O of one thread: of which sockets, and whether some got lost."""

    __slots__ = ("limit", "lost", "machine", "queue", "wait_queue")

    def __init__(self, machine: Any, limit: int) -> None:
        self.machine = machine
        self.limit = limit
        self.queue: deque[Socket] = deque()
        # SIGIO is pending: an ordinary signal, which is so once or not at all.
        self.lost = False
        self.wait_queue = WaitQueue("sigtimedwait")

    def on_readable(self, socket: Socket) -> None:
        self._signal(socket)

    def on_writable(self, socket: Socket) -> None:
        self._signal(socket)

    def _signal(self, socket: Socket) -> None:
        if len(self.queue) < self.limit:
            self.queue.append(socket)
        else:
            self.lost = True
        if self.wait_queue.sleepers:
            self.machine.wake_one(self.wait_queue)

    def on_closed(self, socket: Socket) -> None:
        # What is queued stays, as it does in Linux.
        socket.watchers.remove(self)

    @property
    def pending(self) -> bool:
        """True if there is a signal to take."""
        return self.lost or bool(self.queue)


class SignalCalls(Calls):
    """sigaction, sigqueue, timer_settime, pause; sigprocmask, fcntl, sigtimedwait."""

    __slots__ = ()

    # ------------------------------------------------------------------- signals of I/O

    def sigprocmask(self, limit: int) -> Generator[Any, Any, IoSignals]:
        """Block the signals of I/O, of which `limit` can be queued."""
        self.syscalls["rt_sigprocmask"] += 1
        costs = self.costs
        self.thread.charge(ENTRY, costs.syscall_ns + costs.sigprocmask_ns, "rt_sigprocmask")
        return IoSignals(self.machine, limit)
        yield

    def fcntl(self, socket: Socket, command: str, signals: IoSignals) -> Generator[Any, Any, None]:
        """Set the owner, the signal, or O_ASYNC: from then on arrivals are signalled."""
        thread, costs = self.thread, self.costs
        self.syscalls["fcntl"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.fcntl_ns, "fcntl")
        if command is F_SETFL:
            if thread.debt_ns and not self.undisturbed():
                yield RUN
            socket.watchers.append(signals)

    def sigtimedwait(
        self, signals: IoSignals, timeout_ns: int | None = None
    ) -> Generator[Any, Any, Any]:
        """The socket that the next signal names, or SIGIO; None when the time is over."""
        thread, costs = self.thread, self.costs
        self.syscalls["rt_sigtimedwait"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.sigtimedwait_ns, "rt_sigtimedwait")
        if thread.debt_ns and not (signals.pending and self.undisturbed()):
            yield RUN
        while not signals.pending:
            if timeout_ns == 0:
                yield RUN  # even where nothing costs anything the core sees it
                return None
            value = yield from self.sleep_on(signals.wait_queue, timeout_ns)
            if (value is TIMED_OUT or value is INTERRUPTED) and not signals.pending:
                return None
        thread.charge(SYSCALL, costs.signal_take_ns, "rt_sigtimedwait")
        if signals.lost:
            signals.lost = False
            return SIGIO
        return signals.queue.popleft()

    def discard_signals(self, signals: IoSignals) -> Generator[Any, Any, None]:
        """Throw away what is queued: ignore the signal, and set it back."""
        thread, costs = self.thread, self.costs
        self.syscalls["rt_sigaction"] += 2
        ns = costs.syscall_ns + costs.sigprocmask_ns
        thread.charge(ENTRY, ns, "rt_sigaction")
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        signals.queue.clear()
        thread.charge(ENTRY, ns, "rt_sigaction")

    # ------------------------------------------------------------- signals with a handler

    def sigaction(self, handler: Callable[[Any], Program]) -> Generator[Any, Any, Signals]:
        """Handle this thread's signals by `handler(value)`; return where to send them."""
        self.syscalls["rt_sigaction"] += 1
        costs = self.costs
        self.thread.charge(ENTRY, costs.syscall_ns + costs.sigprocmask_ns, "rt_sigaction")
        return Signals(handler)
        yield

    def sigqueue(self, thread: Thread, signals: Signals, value: Any) -> Generator[Any, Any, None]:
        """Send a signal with `value` to `thread`; sigqueue(3) says who it is from."""
        return self._raise_by(("getpid", "getuid", "rt_sigqueueinfo"), thread, signals, value)

    def tgkill(self, thread: Thread, signals: Signals) -> Generator[Any, Any, None]:
        """Send a signal to `thread` of this process."""
        return self._raise_by(("getpid", "tgkill"), thread, signals, None)

    def _raise_by(
        self, calls: tuple[str, ...], thread: Thread, signals: Signals, value: Any
    ) -> Generator[Any, Any, None]:
        costs, own = self.costs, self.thread
        *before, sending = calls
        for call in before:
            self.syscalls[call] += 1
            own.charge(ENTRY, costs.syscall_ns, call)
        self.syscalls[sending] += 1
        own.charge(ENTRY, costs.syscall_ns + costs.signal_send_ns, sending)
        if own.debt_ns:
            yield RUN
        with self.paying_for_wake_ups(sending):
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
