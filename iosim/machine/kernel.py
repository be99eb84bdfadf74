"""The kernel as a thread of a native program sees it: every syscall there is.

The families live in files of their own; here are the few that fit in none: creating
threads, connecting to a device, eventfd, and the user-space costs that depend on the
runtime.

Scope: the calls that the shipped I/O models make.
Not modelled: fork, directories, memory management.
Source: clone(2), connect(2), eventfd(2).
Validated by: tests/timeline
"""

from collections.abc import Callable, Generator
from typing import Any

from iosim.machine.files import FileCalls
from iosim.machine.locks import LockCalls
from iosim.machine.readiness import ReadinessCalls
from iosim.machine.signals import SignalCalls
from iosim.machine.sockets import Socket, SocketCalls
from iosim.machine.thread import ENTRY, RUN, SYSCALL, USER, Program, Thread


class Kernel(SocketCalls, FileCalls, ReadinessCalls, LockCalls, SignalCalls):
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

    # --------------------------------------------------------------------- user space

    @property
    def coroutine_switch_ns(self) -> int:
        """From one coroutine to another, in user space."""
        return self.costs.coroutine_switch_ns

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

    def switch_coroutine(self) -> None:
        """Owe a switch from one coroutine to another. Plain call."""
        self.machine.coroutine_switches += 1
        self.thread.charge(USER, self.coroutine_switch_ns, "coroutine switch")

    def operate_queue(self) -> None:
        """Owe putting into or taking from a user-space queue. Plain call."""
        self.thread.charge(USER, self.queue_operation_ns, "queue")
