"""The kernel as a thread of a native program sees it: every syscall there is.

The families live in files of their own; here are the few that fit in none: creating
threads and processes, connecting to a device, epoll by a ring, eventfd, and the user-space costs
that depend on the runtime.

Scope: the calls that the shipped I/O models make.
Not modelled: directories, memory management; a forked process has the address space of
its own only in memory: switching to it costs what switching to a thread does, descriptors
are one table for all, and pages that it comes to write later are not counted.
Source: clone(2), fork(2), connect(2), eventfd(2).
Validated by: tests/timeline
"""

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

from iosim.machine.files import FileCalls
from iosim.machine.locks import LockCalls
from iosim.machine.readiness import Epoll, ReadinessCalls
from iosim.machine.reuseport import ListenCalls
from iosim.machine.signals import SignalCalls
from iosim.machine.sockets import Socket, SocketCalls
from iosim.machine.thread import ENTRY, RUN, SYSCALL, USER, Program, Thread
from iosim.machine.uring import Uring, UringCalls

SWAPCONTEXT_CALLS: Final = 2
"""Of rt_sigprocmask(2): one there, one back."""


class Kernel(
    UringCalls, SocketCalls, ListenCalls, FileCalls, ReadinessCalls, LockCalls, SignalCalls
):
    """What a thread can ask of its kernel."""

    __slots__ = ()

    # ------------------------------------------------------------------------ threads

    def spawn(
        self, name: str, program: Callable[["Kernel"], Program], native: bool = False
    ) -> Generator[Any, Any, Thread]:
        """Start a thread that runs `program(kernel)`; `native`: outside the interpreter."""
        thread, costs = self.thread, self.costs
        self.syscalls["clone3"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.thread_create_ns, "clone3")
        if thread.debt_ns:
            yield RUN
        spawned = self.machine.spawn(name, program, native)
        yield from self.return_to_user()
        return spawned

    def fork(
        self, name: str, program: Callable[["Kernel"], Program]
    ) -> Generator[Any, Any, Thread]:
        """Start a process whose one thread runs `program(kernel)`; all sockets are shared."""
        thread, costs = self.thread, self.costs
        self.syscalls["clone"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.fork_ns, "clone")
        if thread.debt_ns:
            yield RUN
        forked = self.machine.spawn(name, program, parent=self)
        yield from self.return_to_user()
        return forked

    def in_child(self, thread: Thread) -> "Kernel":
        """The kernel as the one thread of a forked process sees it."""
        return Kernel(thread, self.machine)

    def enlist(self) -> None:
        """Be one of the workers among which requests are shared out. Plain call."""
        self.machine.workers.append(self.thread)

    def acts(self, program: Callable[["Kernel"], Program]) -> list[Callable[[], Program]]:
        """A thread's program with what starting and ending it adds, in order."""
        return [lambda: program(self), self.exit]

    def exit(self) -> Generator[Any, Any, None]:
        """The end of a thread."""
        self.thread.charge(SYSCALL, self.costs.thread_exit_ns, "exit")
        if self.thread.debt_ns:
            yield RUN

    # ------------------------------------------------------------------------ devices

    def connect(self, device: Any) -> Generator[Any, Any, Socket]:
        """A new connection to `device`."""
        thread, costs = self.thread, self.costs
        self.syscalls["connect"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.connect_ns, "connect")
        socket = Socket(device.name, device)
        self.machine.open_descriptor(socket)
        return socket
        yield

    # ---------------------------------------------------------------- epoll by a ring

    def io_uring_epoll_ctl(
        self, uring: Uring, epoll: Epoll, changes: Iterable[tuple[Socket, str]]
    ) -> Generator[Any, Any, None]:
        """Wait for these events in these sockets from now on: an SQE each (IORING_OP_EPOLL_CTL).

        All of them go by one io_uring_enter, which returns when they are done; there must be room.
        """
        thread, costs = self.thread, self.costs
        changes = tuple(changes)
        assert len(changes) <= uring.entries
        thread.charge(USER, len(changes) * costs.io_uring_fill_ns, "fill an SQE")
        self.syscalls["io_uring_enter"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.io_uring_enter_ns, "io_uring_enter")
        for socket, events in changes:
            watched = socket in epoll.interest
            ns = costs.epoll_ctl_mod_ns if watched else costs.epoll_ctl_add_ns
            thread.charge(SYSCALL, costs.io_uring_per_sqe_ns + ns, "issue an SQE")
            thread.charge(SYSCALL, costs.io_uring_per_cqe_ns, "post CQEs")
            if watched:
                yield from self._watch_for(epoll, socket, events)
            else:
                yield from self._watch(epoll, socket, events=events)

    # ------------------------------------------------------------------------ eventfd

    def eventfd(self) -> Generator[Any, Any, Socket]:
        """A counter that can be watched: readable while it is not zero."""
        self.syscalls["eventfd2"] += 1
        self.thread.charge(ENTRY, self.costs.syscall_ns, "eventfd2")
        eventfd = Socket("eventfd", None)
        self.machine.open_descriptor(eventfd)
        return eventfd
        yield

    def eventfd_write(self, eventfd: Socket) -> Generator[Any, Any, None]:
        """Add one to the counter, and wake who watches it."""
        thread, costs = self.thread, self.costs
        self.syscalls["write"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.eventfd_write_ns, "write")
        if thread.debt_ns:
            yield RUN
        if not eventfd.received:
            with self.paying_for_wake_ups("write"):
                self.machine.arrive(eventfd, True)
            yield from self.return_to_user()

    def eventfd_read(self, eventfd: Socket) -> Generator[Any, Any, None]:
        """Reset the counter."""
        thread, costs = self.thread, self.costs
        self.syscalls["read"] += 1
        thread.charge(ENTRY, costs.syscall_ns + costs.eventfd_read_ns, "read")
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        eventfd.received.clear()

    # ---------------------------------------------------------------------- libraries

    def call_library(
        self, function: Callable[["Kernel"], Generator[Any, Any, Any]]
    ) -> Generator[Any, Any, Any]:
        """Call a C function that makes syscalls of its own, `function(kernel)`."""
        return function(self)

    def of_extension(self) -> "Kernel":
        """The kernel as C code sees it that the program calls, and that keeps whatever lock the
        runtime has; what the program does for a message is not in its calls."""
        kernel = Kernel(self.thread, self.machine)
        kernel.message_ns = 0
        return kernel

    def without_lock(self, call: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Make a call of `of_extension`, and let others have the runtime's lock meanwhile."""
        return call

    # --------------------------------------------------------------------- user space

    @property
    def coroutine_switch_ns(self) -> int:
        """From one coroutine to another, in user space."""
        return self.costs.coroutine_switch_ns

    @property
    def coroutine_switch_calls(self) -> int:
        """Calls of rt_sigprocmask(2) in that: natively it is by swapcontext(3)."""
        return SWAPCONTEXT_CALLS

    @property
    def queue_operation_ns(self) -> int:
        """Putting an item in a queue in user space, or taking one out."""
        return self.costs.queue_operation_ns

    @property
    def coroutine_memory_bytes(self) -> int:
        """A coroutine's stack or frame."""
        return self.costs.coroutine_memory_bytes

    @property
    def thread_memory_bytes(self) -> int:
        """What a thread of this runtime keeps in memory."""
        return self.costs.thread_memory_bytes

    @property
    def forked_process_memory_bytes(self) -> int:
        """What a forked process of this runtime has in memory for itself alone."""
        return self.costs.forked_process_memory_bytes

    def switch_coroutine(self, ns: int | None = None, calls: int = 0) -> None:
        """Owe a switch to a coroutine and back: `ns`, with `calls` of rt_sigprocmask(2) in it.

        Without `ns` it is a switch of the runtime's own. Plain call.
        """
        self.machine.coroutine_switches += 1
        if ns is None:
            ns, calls = self.coroutine_switch_ns, self.coroutine_switch_calls
        if calls:
            self.syscalls["rt_sigprocmask"] += calls
        self.thread.charge(USER, ns, "coroutine switch")

    def map_buffer(self, ns: int) -> None:
        """Owe a buffer so large that malloc(3) maps it, and that is cut when it is filled.

        `ns` is for all three calls, and for the page that is touched. Plain call.
        """
        for call in ("mmap", "mremap", "munmap"):
            self.syscalls[call] += 1
        self.thread.charge(ENTRY, ns, "mmap")

    def operate_queue(self) -> None:
        """Owe putting into or taking from a user-space queue. Plain call."""
        self.thread.charge(USER, self.queue_operation_ns, "queue")
