"""The machine: cores, threads, and who wakes whom where.

What it models: creation of threads, wake-up placement (the previous core if idle, else
another idle one, else the previous one), and pulling a waiting thread when a core would
fall idle. Counts what happens to the machine as a whole.

Scope: identical cores that share the last cache level.
Not modelled: periodic load balancing, wake affinity to the waker's core, NUMA.
Source: Linux 6.18 kernel/sched/fair.c, select_idle_sibling and sched_balance_newidle.
Validated by: tests/timeline/test_machine.py, tests/theory
"""

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import repeat
from typing import TYPE_CHECKING, Any

from iosim.errors import DescriptorLimit
from iosim.machine.agenda import Agenda
from iosim.machine.clock import Clock
from iosim.machine.core import Core
from iosim.machine.thread import ASLEEP, INTERRUPTED, RUNNABLE, Program, Thread, WaitQueue

if TYPE_CHECKING:
    from iosim.machine.costs import Costs
    from iosim.machine.interpreter import InterpreterLock
    from iosim.machine.kernel import Kernel
    from iosim.machine.readiness import Ring
    from iosim.machine.sockets import Socket
    from iosim.machine.trace import Trace
    from iosim.schedulers import RunQueue

SYSCALLS = (
    "accept4",
    "bind",
    "clone",
    "clone3",
    "close",
    "connect",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "eventfd2",
    "fcntl",
    "fsync",
    "futex",
    "getpeername",
    "getpid",
    "getsockname",
    "getuid",
    "io_uring_enter",
    "io_uring_setup",
    "listen",
    "mmap",
    "mremap",
    "munmap",
    "nanosleep",
    "pause",
    "poll",
    "pread64",
    "pwrite64",
    "read",
    "recvfrom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "select",
    "sendto",
    "setsockopt",
    "socket",
    "tgkill",
    "timer_settime",
    "write",
)
"""Every syscall that the simulated kernel has, by its man-page name."""

FIRST_DESCRIPTOR = 3
"""0, 1 and 2 are standard input, output and error."""


class Memory:
    """Bytes in use by what they are used for, and the most that was in use at once."""

    def __init__(self) -> None:
        self.in_use: Counter[str] = Counter()
        self._total = 0
        self.peak_bytes = 0
        self.peak: dict[str, int] = {}

    def take(self, what: str, size_bytes: int) -> None:
        """Use `size_bytes` more."""
        self.in_use[what] += size_bytes
        self.peak[what] = max(self.in_use[what], self.peak.get(what, 0))
        self._total += size_bytes
        self.peak_bytes = max(self._total, self.peak_bytes)

    def give_back(self, what: str, size_bytes: int) -> None:
        """Use `size_bytes` less."""
        self.in_use[what] -= size_bytes
        self._total -= size_bytes


class Machine:
    """Cores and threads on one SimPy environment."""

    def __init__(
        self,
        env: Clock,
        cores: int,
        run_queue: Callable[[], "RunQueue"],
        costs: "Costs",
        kernel: Callable[[Thread, "Machine", bool], "Kernel"],
        model: str = "",
        descriptor_limit: int = 20_000,
        working_set_bytes: int = 0,
        trace: "Trace | None" = None,
        flow_hashes: Iterator[int] | None = None,
    ) -> None:
        self.env = env
        self.costs = costs
        self.model = model
        self.trace = trace
        self._kernel = kernel
        self._working_set_bytes = costs.thread_working_set_bytes + working_set_bytes
        self.threads: list[Thread] = []
        self.cores = [Core(self, number, run_queue()) for number in range(cores)]
        # 32 bits for each new connection's addresses and ports, drawn where they are needed.
        self.flow_hashes = repeat(0) if flow_hashes is None else flow_hashes
        # Alarms that go off for ever and wake nobody.
        self.background_alarms = 0
        # Counted since the start.
        self.syscalls = dict.fromkeys(SYSCALLS, 0)
        self.voluntary = 0
        self.involuntary = 0
        self.migrations = 0
        self.wakeups = 0
        self.idle_cores_woken = 0
        self.coroutine_switches = 0
        self.waits = 0
        self.wait_events = 0
        self.wasted_polls = 0
        self.spurious_wakeups = 0
        self.own_work_ns = 0
        self.ended_threads = 0
        # Threads among which a program shares out its requests, if it has said so.
        self.workers: list[Thread] = []
        self.memory = Memory()
        # One-shot timers that call back.
        # Who polls in user space, for counting what it has done so far.
        self.rings: list[Ring] = []
        # Those of the runtime's processes, if it has such locks: a dict for its order.
        self.interpreters: dict[InterpreterLock, None] = {}
        self.timers = Agenda(env, lambda expired: expired())
        self.descriptor_limit = descriptor_limit
        self._next_descriptor = FIRST_DESCRIPTOR
        self._free_descriptors: list[int] = []

    # ----------------------------------------------------------------------- threads

    def spawn(
        self,
        name: str,
        program: Callable[["Kernel"], Program],
        native: bool = False,
        parent: "Kernel | None" = None,
    ) -> Thread:
        """Start a thread that runs `program(kernel)`. Plain call; costs are the caller's.

        `native`: it runs outside the runtime's interpreter, if there is one. `parent`: it is
        the only thread of a new process, forked by that one.
        """
        number = len(self.threads) + self.ended_threads
        thread = Thread(number, name, self._working_set_bytes)
        if parent is None:
            thread.kernel = kernel = self._kernel(thread, self, native)
            thread.memory = ("threads", kernel.thread_memory_bytes)
        else:
            thread.kernel = kernel = parent.in_child(thread)
            thread.memory = ("processes", kernel.forked_process_memory_bytes)
        thread.acts = kernel.acts(program)
        thread.generator = thread.acts.pop(0)()
        thread.core = core = self._emptiest()
        thread.entity = core.run_queue.entity()
        thread.since_ns = thread.woken_ns = self.env._now
        self.threads.append(thread)
        self.memory.take(*thread.memory)
        if self.trace is not None:
            self.trace.spawned(thread, self.env._now)
        core.accept(thread)
        return thread

    def _emptiest(self) -> Core:
        return min(
            self.cores,
            key=lambda core: (not core.is_idle, core.run_queue.waiting, core.number),
        )

    def ended(self, thread: Thread) -> None:
        """Forget an ended thread."""
        self.threads.remove(thread)
        self.memory.give_back(*thread.memory)
        self.ended_threads += 1

    # ----------------------------------------------------------------------- waking

    def arrive(self, socket: "Socket", message: Any) -> None:
        """`message` is in the socket now: wake who sleeps there, tell who watches it."""
        socket.received.append(message)
        if socket.wait_queue.sleepers:
            self.wake_one(socket.wait_queue)
            while socket.wait_queue.wakes_all and socket.wait_queue.sleepers:
                self.wake_one(socket.wait_queue)
        for watcher in socket.watchers:
            watcher.on_readable(socket)

    def wake_one(self, wait_queue: WaitQueue, value: Any = None) -> Thread | None:
        """Wake the thread that has slept longest on `wait_queue`, if any; return it."""
        if not wait_queue.sleepers:
            return None
        thread = wait_queue.sleepers[0]
        self.wake_from(wait_queue, thread, value)
        return thread

    def wake_from(self, wait_queue: WaitQueue, thread: Thread, value: Any = None) -> None:
        """Wake `thread`, which sleeps on `wait_queue`, out of its turn."""
        wait_queue.sleepers.remove(thread)
        if thread.state is ASLEEP:
            self.wake(thread, value)
        else:  # its time was up, but it has not run since: it is woken after all
            thread.value = value

    def wake(self, thread: Thread, value: Any) -> None:
        """Make a sleeping thread runnable; who has it in a wait queue takes it out."""
        now = self.env._now
        self.wakeups += 1
        slept_on = thread.waits_on
        assert slept_on is not None
        if slept_on.lock is not None:
            run_queue_ns, wake_up_ns, lock_ns = thread.off_core
            thread.off_core = (run_queue_ns, wake_up_ns, lock_ns + now - thread.since_ns)
        if thread.timer is not None:
            thread.timer.cancel()
        thread.waits_on = None
        thread.value = value
        thread.state = RUNNABLE
        thread.since_ns = thread.woken_ns = now
        if self.trace is not None:
            self.trace.woke(thread, now)
        core = self.place(thread)
        if core.is_idle:
            self.idle_cores_woken += 1
        core.accept(thread)

    def place(self, thread: Thread) -> Core:
        """The core on which a woken thread will be queued."""
        previous = thread.core
        if len(self.cores) == 1 or previous.is_idle or previous.run_queue.holds(thread):
            return previous
        for core in self.cores:
            if core.is_idle:
                return core
        return previous

    def pull(self, idle: Core) -> Thread | None:
        """A waiting thread from the longest run queue, for a core that would fall idle."""
        if len(self.cores) == 1:
            return None
        busiest = max(self.cores, key=lambda core: core.run_queue.waiting)
        if not busiest.run_queue.waiting:
            return None
        thread = busiest.run_queue.steal()
        idle.run_queue.adopt(thread)
        return thread

    def interrupt_thread(self, thread: Thread, program: Callable[[], Program]) -> None:
        """Run `program` on top of what the thread runs, at its next return to user mode.

        A thread asleep in anything but a lock or a file is woken, and its call ends early.
        """
        thread.core.post(thread, program)
        slept_on = thread.waits_on
        if thread.state is not ASLEEP or slept_on is None or slept_on.lock is not None:
            return
        if slept_on.interruptible:
            self.wake_from(slept_on, thread, INTERRUPTED)

    # ------------------------------------------------------------------- descriptors

    @property
    def open_descriptors(self) -> int:
        """How many sockets have a descriptor."""
        return self._next_descriptor - FIRST_DESCRIPTOR - len(self._free_descriptors)

    def open_descriptor(self, socket: "Socket") -> None:
        """Give `socket` the lowest free descriptor, as open(2) does."""
        self.memory.take("sockets", self.costs.socket_memory_bytes)
        if self._free_descriptors:
            socket.descriptor = heappop(self._free_descriptors)
            return
        if self._next_descriptor >= self.descriptor_limit:
            raise DescriptorLimit(
                self.model, self.env._now, "open", self._next_descriptor, self.descriptor_limit
            )
        socket.descriptor = self._next_descriptor
        self._next_descriptor += 1

    def close_descriptor(self, socket: "Socket") -> None:
        """Free the descriptor of `socket`."""
        self.memory.give_back("sockets", self.costs.socket_memory_bytes)
        heappush(self._free_descriptors, socket.descriptor)
        socket.descriptor = -1
