"""Mutexes and condition variables, as protocols on futexes.

What it models: glibc's. A mutex is free (0), held (1) or held with waiters (2);
uncontended it never enters the kernel. A thread that finds it held marks it contended
and sleeps in FUTEX_WAIT; unlocking a contended one frees it and then wakes a waiter, so
that another thread may take it in between. A condition variable's waiter that re-locks
its mutex marks it contended whether it is or not. Each step may be preempted.

A thread about to sleep for a lock follows the chain of owners; if it comes back to
itself that is a deadlock, and the run ends with the cycle.

A signal is for the thread whose wait began first, even if it is not asleep yet.

Not modelled: adaptive spinning, robust and priority-inheriting mutexes, recursive
locking, requeueing, reader-writer locks; glibc hands a signal to a group of waiters, of
whom any may take it: here it is the oldest.
Source: futex(2); glibc 2.36 nptl/lowlevellock.c, pthread_mutex_lock.c,
pthread_cond_wait.c.
Validated by: tests/timeline/test_locks.py
"""

from collections import deque
from collections.abc import Generator
from typing import Any, Protocol

from iosim.errors import Deadlock
from iosim.machine.calls import TIMED_OUT, Calls
from iosim.machine.thread import ENTRY, RUN, USER, Thread, WaitQueue

FREE, HELD, CONTENDED = range(3)


class Lock(Protocol):
    """What a thread may have to wait for because another thread has it."""

    name: str

    @property
    def owner(self) -> Thread | None:
        """Who has it."""


class Mutex:
    """A pthread mutex of the default kind."""

    __slots__ = ("name", "owner", "state", "wait_queue")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = FREE
        self.owner: Thread | None = None
        self.wait_queue = WaitQueue(name, lock=self)


class Futex:
    """A word in user space, and who sleeps until it changes."""

    __slots__ = ("value", "wait_queue")

    def __init__(self, name: str) -> None:
        self.value = 0
        self.wait_queue = WaitQueue(name)


class Waiter:
    """A thread's wait on a condition variable."""

    __slots__ = ("signalled", "thread")

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.signalled = False


class Condition:
    """A pthread condition variable."""

    __slots__ = ("name", "wait_queue", "waiters")

    def __init__(self, name: str, lock: Any = None) -> None:
        self.name = name
        # Not yet signalled, asleep or on their way to sleep, in the order of their calls.
        self.waiters: deque[Waiter] = deque()
        self.wait_queue = WaitQueue(name, lock)


def find_deadlock(thread: Thread, lock: Lock) -> list[tuple[Thread, Lock]]:
    """The cycle that closes if `thread` waits for `lock`: (waiter, lock) pairs, or none."""
    cycle = [(thread, lock)]
    seen = {thread}
    owner = lock.owner
    while owner is not None and owner is not thread:
        wanted = owner.waits_on.lock if owner.waits_on is not None else None
        if wanted is None or owner in seen:
            return []
        seen.add(owner)
        cycle.append((owner, wanted))
        owner = wanted.owner
    return cycle if owner is thread else []


class LockCalls(Calls):
    """pthread_mutex_*, pthread_cond_* and futex(2) itself."""

    __slots__ = ()

    def trylock(self, mutex: Mutex) -> Generator[Any, Any, bool]:
        """Take the mutex if it is free; True if so."""
        thread = self.thread
        thread.charge(USER, self.costs.lock_ns, "lock")
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        if mutex.state != FREE:
            return False
        mutex.state = HELD
        mutex.owner = thread
        return True

    def lock(self, mutex: Mutex) -> Generator[Any, Any, None]:
        """Take the mutex; sleep while another thread holds it. Raises Deadlock."""
        if not (yield from self.trylock(mutex)):
            yield from self._lock_contended(mutex)

    def _lock_contended(self, mutex: Mutex) -> Generator[Any, Any, None]:
        thread = self.thread
        while True:
            was, mutex.state = mutex.state, CONTENDED
            if was == FREE:
                mutex.owner = thread
                return
            self._enter_futex()
            if thread.debt_ns:
                yield RUN
            if mutex.state == CONTENDED:
                cycle = find_deadlock(thread, mutex)
                if cycle:
                    raise Deadlock(
                        self.machine.model,
                        self.env._now,
                        tuple((waiter.name, lock.name) for waiter, lock in cycle),
                    )
                yield mutex.wait_queue

    def _enter_futex(self) -> None:
        self.syscalls["futex"] += 1
        self.thread.charge(ENTRY, self.costs.syscall_ns + self.costs.futex_ns, "futex")

    def futex_wait(
        self, futex: Futex, value: int, timeout_ns: int | None = None
    ) -> Generator[Any, Any, None]:
        """Sleep until woken or `timeout_ns` are over, unless the word is not `value`."""
        self._enter_futex()
        if self.thread.debt_ns:
            yield RUN
        if futex.value == value:
            yield from self.sleep_on(futex.wait_queue, timeout_ns)

    def futex_wake(self, futex: Futex) -> Generator[Any, Any, None]:
        """Wake whoever has slept longest, if anybody sleeps."""
        yield from self._futex_wake(futex.wait_queue)

    def unlock(self, mutex: Mutex) -> Generator[Any, Any, None]:
        """Free the mutex and wake a thread that waits for it."""
        thread = self.thread
        thread.charge(USER, self.costs.lock_ns, "unlock")
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        was, mutex.state = mutex.state, FREE
        mutex.owner = None
        if was == CONTENDED:
            yield from self._futex_wake(mutex.wait_queue)

    def _futex_wake(
        self, wait_queue: WaitQueue, thread: Thread | None = None
    ) -> Generator[Any, Any, None]:
        """Wake `thread`, or whoever has slept longest, from `wait_queue`, if it is there."""
        own = self.thread
        self._enter_futex()
        if own.debt_ns and not self.undisturbed():
            yield RUN
        sleepers = wait_queue.sleepers
        if sleepers and (thread is None or thread in sleepers):
            if own.debt_ns:
                yield RUN
            self.wake(wait_queue, "futex", thread)
            yield from self.return_to_user()

    def cond_wait(
        self, condition: Condition, mutex: Mutex, timeout_ns: int | None = None
    ) -> Generator[Any, Any, bool]:
        """Give up `mutex`, sleep until signalled, take it again; False if time was up."""
        waiter = yield from self.start_wait(condition, mutex)
        yield from self.await_signal(condition, waiter, timeout_ns)
        # glibc re-locks as if there were other waiters.
        self.thread.charge(USER, self.costs.lock_ns, "lock")
        if self.thread.debt_ns and not self.undisturbed():
            yield RUN
        yield from self._lock_contended(mutex)
        return waiter.signalled

    def start_wait(self, condition: Condition, mutex: Mutex) -> Generator[Any, Any, Waiter]:
        """Be among those who wait on `condition`, and give up `mutex`."""
        waiter = Waiter(self.thread)
        condition.waiters.append(waiter)
        self.thread.charge(USER, self.costs.condition_wait_ns, "wait")
        yield from self.unlock(mutex)
        return waiter

    def await_signal(
        self, condition: Condition, waiter: Waiter, timeout_ns: int | None
    ) -> Generator[Any, Any, None]:
        """Sleep until `waiter` is signalled, or time is up."""
        thread = self.thread
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        while not waiter.signalled:
            self._enter_futex()
            if thread.debt_ns:
                yield RUN
            if waiter.signalled:
                break
            value = yield from self.sleep_on(condition.wait_queue, timeout_ns)
            if value is TIMED_OUT and not waiter.signalled:
                condition.waiters.remove(waiter)
                break

    def cond_signal(self, condition: Condition) -> Generator[Any, Any, None]:
        """Wake the thread that has waited longest on the condition, if there is one."""
        thread = self.thread
        thread.charge(USER, self.costs.lock_ns, "signal")
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        if condition.waiters:
            waiter = condition.waiters.popleft()
            waiter.signalled = True
            yield from self._futex_wake(condition.wait_queue, waiter.thread)
