"""Files: the page cache, and a thread that sleeps until the block device is done.

    pread64:  in the page cache: copy
              not in it:         submit -> (asleep) -> interrupt, wake-up -> copy
    pwrite64: copy into the page cache
    fsync:    submit -> (asleep) -> interrupt, wake-up

What it models: a regular file is always "ready", so nothing can watch it; a call that
needs the device sleeps, and no signal ends that sleep. The device's interrupt comes to
the core from which the thread submitted.

Scope: one access at a time on one open file.
Not modelled: open(2), readahead, which pages are cached, dirty pages written back later
or throttled, O_DIRECT, locks on the inode; an access larger than the device takes at
once is one request all the same.
Source: pread(2), pwrite(2), fsync(2); Linux 6.18 mm/filemap.c, block/blk-mq.c.
Validated by: tests/timeline/test_files.py
"""

from collections.abc import Callable, Generator
from typing import Any, Protocol

from iosim.machine.calls import Calls
from iosim.machine.sockets import Message
from iosim.machine.thread import ENTRY, RUN, SYSCALL, WaitQueue


class UninterruptibleQueue(WaitQueue):
    """Where threads sleep that no signal wakes: state D in ps(1)."""

    __slots__ = ()
    interruptible = False


class Storage(Protocol):
    """The device under a file."""

    def access(self, ns: int, at_ns: int, done: Callable[[], None]) -> None:
        """Serve an access of `ns` that is submitted at `at_ns`; at its end call `done`."""


class File:
    """An open file."""

    __slots__ = ("name", "storage", "wait_queue")

    def __init__(self, name: str, storage: Storage) -> None:
        self.name = name
        self.storage = storage
        self.wait_queue = UninterruptibleQueue(name)


class FileCalls(Calls):
    """Syscalls on files. `message` is whom the access is for."""

    __slots__ = ()

    def pread64(
        self, file: File, size_bytes: int, device_ns: int, message: Message
    ) -> Generator[Any, Any, None]:
        """Read `size_bytes`; `device_ns` is the device's time, 0: they are in the page cache."""
        costs = self.costs
        self.syscalls["pread64"] += 1
        self.thread.charge(ENTRY, costs.syscall_ns + costs.pread64_ns, "pread64")
        if device_ns:
            yield from self._sleep_for(file, device_ns, message, "pread64")
        self.thread.charge(SYSCALL, costs.file_copy(size_bytes), "pread64")

    def pread64_of_socket(self) -> Generator[Any, Any, None]:
        """Try to read from a place in a socket: it has none (ESPIPE)."""
        self.syscalls["pread64"] += 1
        self.thread.charge(ENTRY, self.costs.syscall_ns, "pread64")
        return
        yield

    def pwrite64(self, file: File, size_bytes: int) -> Generator[Any, Any, None]:
        """Write `size_bytes` into the page cache."""
        costs = self.costs
        self.syscalls["pwrite64"] += 1
        ns = costs.syscall_ns + costs.pwrite64_ns + costs.file_copy(size_bytes)
        self.thread.charge(ENTRY, ns, "pwrite64")
        return
        yield

    def fsync(self, file: File, device_ns: int, message: Message) -> Generator[Any, Any, None]:
        """Sleep until what was written is on the device, which takes `device_ns`."""
        costs = self.costs
        self.syscalls["fsync"] += 1
        self.thread.charge(ENTRY, costs.syscall_ns + costs.fsync_ns, "fsync")
        yield from self._sleep_for(file, device_ns, message, "fsync")

    def _sleep_for(
        self, file: File, device_ns: int, message: Message, label: str
    ) -> Generator[Any, Any, None]:
        thread, env = self.thread, self.env
        thread.charge(SYSCALL, self.costs.block_submit_ns, label)
        if thread.debt_ns:
            yield RUN
        core, ns = thread.core, self.costs.block_interrupt_ns

        def done() -> None:
            core.interrupt(ns, completed)

        def completed() -> None:
            message.delivered(env._now)
            self.machine.wake_from(file.wait_queue, thread)

        message.pause(env._now)
        file.storage.access(device_ns, env._now, done)
        yield file.wait_queue
        message.begin(thread, env._now)
