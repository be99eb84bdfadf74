"""CPython's interpreter lock, and syscalls as a Python program makes them.

What it models: the lock as the protocol it is. Taking it is a mutex, a flag and a timed
wait of one switch interval; whoever waits that long in vain asks the holder to drop it.
Dropping it signals one waiter; a holder that drops it because it was asked waits until
another thread has taken it. Every step may be preempted: the convoy is not scripted.

A call that may block is made outside the lock, whether it blocks or not. A Python lock
is first tried, and only a thread that must sleep for it drops the interpreter lock.

On top, Python's own time: the way to a syscall and back, the exception that carries
EAGAIN, the list that carries events. Time-outs of poll and epoll_wait are whole milliseconds.

Scope: CPython 3.11 to 3.13 with its lock; one interpreter a process.
Not modelled: free threading, sub-interpreters, the garbage collector; threading.Thread's
start-up handshake is one lump cost; signal handlers run as in C.
Source: CPython 3.11 Python/ceval_gil.h (take_gil, drop_gil), Modules/socketmodule.c,
Modules/selectmodule.c; Beazley, "Understanding the Python GIL", 2010.
Validated by: tests/shape/test_r9_interpreter_lock.py, tests/timeline/test_interpreter.py
"""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from iosim.machine.files import File
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Condition, Futex, Mutex
from iosim.machine.readiness import EPOLLIN, DescriptorSet, Epoll
from iosim.machine.signals import IoSignals
from iosim.machine.sockets import EAGAIN, Message, Socket
from iosim.machine.thread import RUN, USER, Program, Thread
from iosim.machine.uring import Cqe, Sqe, Uring

if TYPE_CHECKING:
    from iosim.machine.machine import Machine


MILLISECOND_NS: Final = 1_000_000


def whole_milliseconds(timeout_ns: int | None) -> int | None:
    """What epoll.poll and poll.poll make of a time-out: they round it up."""
    return None if timeout_ns is None else -(-timeout_ns // MILLISECOND_NS) * MILLISECOND_NS


class InterpreterLock:
    """The lock of one CPython process."""

    name = "interpreter lock"

    def __init__(self, switch_interval_ns: int) -> None:
        self.switch_interval_ns = switch_interval_ns
        self.locked = False
        self.holder: CPythonKernel | None = None
        self.last_holder: CPythonKernel | None = None
        self.switch_number = 0
        self.drop_requested = False
        self.threads = 0
        self.mutex = Mutex("interpreter lock's mutex")
        self.free = Condition("interpreter lock", lock=self)
        self.switch_mutex = Mutex("interpreter lock's switch mutex")
        self.switched = Condition("interpreter lock's hand-over", lock=self)
        # Since the start: times held, waits that have ended, and how long they were.
        self._held_ns = 0
        self._held_since_ns = 0
        self.waits = 0
        self.wait_ns = 0

    @property
    def owner(self) -> Thread | None:
        """The thread that holds it."""
        return self.holder.thread if self.holder is not None else None

    def held_ns(self, now: int) -> int:
        """How long it has been held up to `now`."""
        return self._held_ns + (now - self._held_since_ns if self.locked else 0)

    def take(self, kernel: "CPythonKernel") -> Generator[Any, Any, None]:
        """Become the holder."""
        if (yield from self._alone(kernel)):
            self._hold(kernel)
        else:
            yield from self._take_shared(kernel)
        kernel.in_python = True
        if self.drop_requested:  # asked for since it was taken
            kernel.post_hand_over()

    def _alone(self, kernel: "CPythonKernel") -> Generator[Any, Any, bool]:
        """Come to the lock; whether at that moment there is no other thread to want it."""
        kernel.thread.charge(USER, kernel.costs.cpython_lock_ns, "interpreter lock")
        if kernel.thread.debt_ns and not kernel.undisturbed():
            yield RUN
        return self.threads == 1

    def _hold(self, kernel: "CPythonKernel") -> None:
        # A signal handler may come while its thread has dropped the lock, and take it for both.
        if not self.locked:
            self._held_since_ns = kernel.own_time_ns()
        self.locked = True
        self.holder = kernel
        if self.last_holder is not kernel:
            self.last_holder = kernel
            self.switch_number += 1
        self.drop_requested = False

    def _free(self, kernel: "CPythonKernel") -> None:
        if self.locked:
            self._held_ns += kernel.own_time_ns() - self._held_since_ns
        self.locked = False
        self.holder = None

    def _take_shared(self, kernel: "CPythonKernel") -> Generator[Any, Any, None]:
        yield from Kernel.lock(kernel, self.mutex)
        came_ns = kernel.own_time_ns()
        waits = self.locked
        while self.locked:
            switch_number = self.switch_number
            signalled = yield from Kernel.cond_wait(
                kernel, self.free, self.mutex, self.switch_interval_ns
            )
            if not signalled and self.locked and self.switch_number == switch_number:
                self._request_drop()
        yield from Kernel.lock(kernel, self.switch_mutex)
        if waits:
            self.waits += 1
            self.wait_ns += kernel.own_time_ns() - came_ns
        self._hold(kernel)
        yield from Kernel.cond_signal(kernel, self.switched)
        yield from Kernel.unlock(kernel, self.switch_mutex)
        yield from Kernel.unlock(kernel, self.mutex)

    def _request_drop(self) -> None:
        self.drop_requested = True
        holder = self.holder
        if holder is not None and holder.in_python:
            holder.post_hand_over()

    def drop(self, kernel: "CPythonKernel") -> Generator[Any, Any, None]:
        """Let another thread hold it."""
        alone = yield from self._alone(kernel)
        kernel.in_python = False
        if alone:
            self._free(kernel)
            return
        yield from Kernel.lock(kernel, self.mutex)
        self._free(kernel)
        yield from Kernel.cond_signal(kernel, self.free)
        yield from Kernel.unlock(kernel, self.mutex)
        if self.drop_requested:
            yield from Kernel.lock(kernel, self.switch_mutex)
            if self.last_holder is kernel:
                self.drop_requested = False
                yield from Kernel.cond_wait(kernel, self.switched, self.switch_mutex)
            yield from Kernel.unlock(kernel, self.switch_mutex)


class CPythonKernel(Kernel):
    """The kernel as a thread of a CPython process sees it."""

    __slots__ = ("_handing_over", "in_python", "interpreter")

    def __init__(self, thread: Thread, machine: "Machine", interpreter: InterpreterLock) -> None:
        super().__init__(thread, machine)
        self.interpreter = interpreter
        # Holds the lock and is not about to drop it.
        self.in_python = False
        self._handing_over = False
        self.message_ns = 0
        machine.interpreters.setdefault(interpreter)

    def own_time_ns(self) -> int:
        """When the thread will have worked off what it owes, if nothing comes between."""
        return self.env._now + self.thread.debt_ns

    def post_hand_over(self) -> None:
        """Have the lock handed over when the program next computes. Plain call."""
        if not self._handing_over:
            self._handing_over = True
            self.thread.core.post(self.thread, self.hand_over)

    def hand_over(self) -> Program:
        """Drop the lock because another thread has asked for it, and take it again."""
        self._handing_over = False
        lock = self.interpreter
        if self.in_python and lock.holder is self and lock.drop_requested:
            yield from lock.drop(self)
            yield from lock.take(self)

    def _outside(self, call: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        self.thread.charge(USER, self.costs.cpython_call_ns, "call")
        yield from self.interpreter.drop(self)
        result = yield from call
        yield from self.interpreter.take(self)
        if result is EAGAIN:
            self.thread.charge(USER, self.costs.cpython_exception_ns, "exception")
        return result

    def _events(self, call: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        result = yield from self._outside(call)
        self.thread.charge(USER, len(result) * self.costs.cpython_event_ns, "events")
        return result

    def acts(self, program: Callable[[Kernel], Program]) -> list[Callable[[], Program]]:
        self.interpreter.threads += 1
        return [self._enter, lambda: program(self), self._leave, self.exit]

    def _enter(self) -> Program:
        yield from self.interpreter.take(self)

    def _leave(self) -> Program:
        yield from self.interpreter.drop(self)
        self.interpreter.threads -= 1

    def spawn(
        self, name: str, program: Callable[[Kernel], Program], native: bool = False
    ) -> Generator[Any, Any, Thread]:
        if not native:
            self.thread.charge(USER, self.costs.cpython_thread_start_ns, "Thread.start")
        return (yield from super().spawn(name, program, native))

    def fork(self, name: str, program: Callable[[Kernel], Program]) -> Generator[Any, Any, Thread]:
        self.thread.charge(USER, self.costs.cpython_fork_ns, "os.fork")
        return (yield from super().fork(name, program))

    def in_child(self, thread: Thread) -> Kernel:
        interpreter = InterpreterLock(self.interpreter.switch_interval_ns)
        return CPythonKernel(thread, self.machine, interpreter)

    def accept4(self, listener: Socket) -> Generator[Any, Any, Any]:
        return self._outside(super().accept4(listener))

    def connect(self, device: Any) -> Generator[Any, Any, Socket]:
        return self._outside(super().connect(device))

    def recvfrom(self, socket: Socket, name: str = "recvfrom") -> Generator[Any, Any, Any]:
        return self._outside(super().recvfrom(socket, name))

    def sendto(
        self, socket: Socket, message: Any, size_bytes: int, name: str = "sendto"
    ) -> Generator[Any, Any, int]:
        self.work_on_message()  # with the lock in hand
        return self._outside(super().sendto(socket, message, size_bytes, name))

    def work_on_message(self) -> None:
        self.thread.charge(USER, self.costs.cpython_message_ns, "message")

    def close(self, socket: Socket) -> Generator[Any, Any, None]:
        return self._outside(super().close(socket))

    def pread64(
        self, file: File, size_bytes: int, device_ns: int, message: Message
    ) -> Generator[Any, Any, None]:
        return self._outside(super().pread64(file, size_bytes, device_ns, message))

    def pwrite64(self, file: File, size_bytes: int) -> Generator[Any, Any, None]:
        return self._outside(super().pwrite64(file, size_bytes))

    def fsync(self, file: File, device_ns: int, message: Message) -> Generator[Any, Any, None]:
        return self._outside(super().fsync(file, device_ns, message))

    def call_library(
        self, function: Callable[[Kernel], Generator[Any, Any, Any]]
    ) -> Generator[Any, Any, Any]:
        # The lock is dropped once around all of it.
        return self._outside(function(Kernel(self.thread, self.machine)))

    def without_lock(self, call: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        yield from self.interpreter.drop(self)
        result = yield from call
        yield from self.interpreter.take(self)
        return result

    def eventfd_read(self, eventfd: Socket) -> Generator[Any, Any, None]:
        return self._outside(super().eventfd_read(eventfd))

    def eventfd_write(self, eventfd: Socket) -> Generator[Any, Any, None]:
        return self._outside(super().eventfd_write(eventfd))

    def epoll_ctl_add(
        self,
        epoll: Epoll,
        socket: Socket,
        edge: bool = False,
        oneshot: bool = False,
        exclusive: bool = False,
        events: str = EPOLLIN,
    ) -> Generator[Any, Any, None]:
        return self._outside(super().epoll_ctl_add(epoll, socket, edge, oneshot, exclusive, events))

    def epoll_ctl_mod(self, epoll: Epoll, socket: Socket, events: str) -> Generator[Any, Any, None]:
        return self._outside(super().epoll_ctl_mod(epoll, socket, events))

    def epoll_ctl_del(self, epoll: Epoll, socket: Socket) -> Generator[Any, Any, None]:
        return self._outside(super().epoll_ctl_del(epoll, socket))

    def epoll_wait(
        self, epoll: Epoll, max_events: int, timeout_ns: int | None = None
    ) -> Generator[Any, Any, list[Socket]]:
        return self._events(super().epoll_wait(epoll, max_events, whole_milliseconds(timeout_ns)))

    def select(
        self, descriptors: DescriptorSet, timeout_ns: int | None = None
    ) -> Generator[Any, Any, list[Socket]]:
        return self._events(super().select(descriptors, timeout_ns))

    def poll(
        self, descriptors: DescriptorSet, timeout_ns: int | None = None
    ) -> Generator[Any, Any, list[Socket]]:
        return self._events(super().poll(descriptors, whole_milliseconds(timeout_ns)))

    def fcntl(self, socket: Socket, command: str, signals: IoSignals) -> Generator[Any, Any, None]:
        return self._outside(super().fcntl(socket, command, signals))

    def sigtimedwait(
        self, signals: IoSignals, timeout_ns: int | None = None
    ) -> Generator[Any, Any, Any]:
        found = yield from self._outside(super().sigtimedwait(signals, timeout_ns))
        if found is not None:
            self.thread.charge(USER, self.costs.cpython_siginfo_ns, "siginfo")
        return found

    def io_uring_enter(
        self,
        uring: Uring,
        min_complete: int | None = None,
        wake_up: bool = False,
        wait_for_room: bool = False,
    ) -> Generator[Any, Any, None]:
        return self._outside(super().io_uring_enter(uring, min_complete, wake_up, wait_for_room))

    def io_uring_submit_and_wait(
        self, uring: Uring, wait_nr: int
    ) -> Generator[Any, Any, list[Cqe]]:
        cqes = yield from super().io_uring_submit_and_wait(uring, wait_nr)
        self.thread.charge(USER, len(cqes) * self.costs.cpython_uring_cqe_ns, "completions")
        return cqes

    def fill(self, uring: Uring, sqe: Sqe) -> None:
        self.thread.charge(USER, self.costs.cpython_uring_sqe_ns, "SQE")
        super().fill(uring, sqe)

    def nanosleep(self, ns: int) -> Generator[Any, Any, None]:
        return self._outside(super().nanosleep(ns))

    def pause(self) -> Generator[Any, Any, None]:
        return self._outside(super().pause())

    def lock(self, mutex: Mutex) -> Generator[Any, Any, None]:
        if not (yield from self.trylock(mutex)):
            yield from self._outside(super().lock(mutex))

    def futex_wait(
        self, futex: Futex, value: int, timeout_ns: int | None = None
    ) -> Generator[Any, Any, None]:
        return self._outside(super().futex_wait(futex, value, timeout_ns))

    def cond_wait(
        self, condition: Condition, mutex: Mutex, timeout_ns: int | None = None
    ) -> Generator[Any, Any, bool]:
        # As threading.Condition, which takes its lock again when it has the interpreter's: who
        # waited for the latter with the former in hand would make a convoy of them.
        self.thread.charge(USER, self.costs.cpython_condition_wait_ns, "wait")
        waiter = yield from self.start_wait(condition, mutex)
        yield from self._outside(self.await_signal(condition, waiter, timeout_ns))
        yield from self.lock(mutex)
        return waiter.signalled

    def cond_signal(self, condition: Condition) -> Generator[Any, Any, None]:
        if condition.waiters:
            self.thread.charge(USER, self.costs.cpython_condition_notify_ns, "notify")
        return super().cond_signal(condition)

    def ask_ns(self) -> int:
        costs = self.costs
        return (
            super().ask_ns()
            + costs.cpython_ask_ns
            + costs.cpython_call_ns
            + 2 * costs.cpython_lock_ns
            + costs.cpython_exception_ns
        )

    @property
    def coroutine_switch_ns(self) -> int:
        return self.costs.cpython_coroutine_switch_ns

    @property
    def coroutine_switch_calls(self) -> int:
        return 0

    @property
    def queue_operation_ns(self) -> int:
        return self.costs.cpython_queue_operation_ns

    @property
    def coroutine_memory_bytes(self) -> int:
        return self.costs.cpython_coroutine_memory_bytes

    @property
    def thread_memory_bytes(self) -> int:
        return self.costs.cpython_thread_memory_bytes

    @property
    def forked_process_memory_bytes(self) -> int:
        return self.costs.cpython_forked_process_memory_bytes
