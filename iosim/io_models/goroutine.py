"""Goroutines: many coroutines over a few threads, each written as if it could block.

    goroutine n:  read (others run) -> compute -> call a device (others run) -> write -> ...
    worker 1:     | go 7 | go 3 |  find: own queue, global queue, poller, steal  | go 12 | ...
    worker 2:     | go 9 |  steal half of worker 1's queue | go 4 | go 11 | ...
    worker 3:     in a blocking call; sysmon has given its processor to worker 4
    idle:         one worker in epoll_wait, the others in futex(2)

A *goroutine* reads like the blocking model's thread. A *worker* is a thread; it needs one of
the *processors* (GOMAXPROCS) to run goroutines. A processor has a queue of 256 and a place for
the one that is to run next; what overflows goes to a global queue, looked at every 61st turn
and when the own queue is empty. A worker with nothing to do polls the network, then steals
half of another's queue; of the workers no more than half as many as are busy search at a
time. One that finds nothing gives its processor back and sleeps: the first in epoll_wait, the
others on futexes. Whoever makes a goroutine runnable wakes a worker for an idle processor,
unless one is searching already.

A socket is tried first and parked on when there is nothing: it is watched edge-triggered, and
what becomes readable between trying and parking is noted, so that no wake-up is lost. A write
that the send buffer has no room for parks until there is. A call
that blocks keeps its worker; a thread of its own, *sysmon*, looks every 20 us to 10 ms and
takes the processor away from who is in a syscall for longer than one look, preempts (by a
signal) who computes for 10 ms, and polls the network if nobody has for 10 ms. It sleeps
while all processors are idle.

Under `runtime: cpython` the workers take turns under the interpreter lock: it runs, and shows
what the lock would cost, but there is no such program.

Not modelled: garbage collection, channels, growing stacks, waiting for the scheduler's own
lock, a heap of timers for each processor (there is one for all), random victims (they come
in turn). A computation of less than 1 ms is preempted at its end. Go watches a socket for data
and room at once; here it is told by epoll_ctl when it turns from one to the other, and the
poller does not report data while room is waited for.
Source: Go 1.22 runtime/proc.go (findRunnable, stealWork, wakep, handoffp, entersyscall,
exitsyscall, sysmon, retake), netpoll.go, netpoll_epoll.go; Vyukov, "Scalable Go Scheduler
Design Doc", 2012.
Validated by: tests/timeline/test_goroutines.py, tests/conformance
"""

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.handler import CPU, Query, Server, call
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Futex
from iosim.machine.readiness import EPOLLIN, EPOLLOUT, is_ready
from iosim.machine.request import Request
from iosim.machine.signals import Signals
from iosim.machine.sockets import EAGAIN, EOF, PARTIAL, Socket
from iosim.machine.thread import USER, Program
from iosim.units import Count, Size

QUEUE_SLOTS: Final = 256
GLOBAL_QUEUE_TURN: Final = 61
"""Every so-many-th turn of a processor takes from the global queue first."""
STEAL_ROUNDS: Final = 4
BACK_OFF_NS: Final = 3_000
"""Before a thief takes what a running processor would run next."""
MOST_EVENTS: Final = 128
"""How many sockets one epoll_wait reports."""
SHORTEST_LOOK_NS: Final = 20_000
LONGEST_LOOK_NS: Final = 10_000_000
LOOKS_IN_VAIN: Final = 50
"""After so many sysmon's pauses double."""
SLICE_NS: Final = 10_000_000
"""A goroutine may run for so long, and the network go unpolled."""
PREEMPTIBLE_NS: Final = 1_000_000
"""A shorter computation ends before it would matter."""


class Options(BaseOptions):
    """Goroutines: synchronous style, over several threads with work stealing."""

    processors: Count = Field(
        default=0,
        description="How many goroutines may run at once (GOMAXPROCS); 0: one for each core.",
    )
    stack: Size = Field(
        default="0B",
        validate_default=True,
        description="Memory of one goroutine; 0B: what the profile has, a stack of 2 KiB and more.",
    )
    own_work_goroutine: bool = Field(
        default=False,
        description="Do the server's own work in a goroutine of its own; otherwise it is not done. "
        "On one processor the network is then polled by sysmon alone, every 10 ms.",
    )
    sysmon: bool = Field(
        default=True,
        description="Go's monitor thread. Without it a worker in a blocking call keeps its "
        "processor, and nobody is preempted.",
    )


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """Run the accepting goroutine, and what it starts."""
    return Runtime(kernel, server, options).run(kernel, accept)


# ------------------------------------------------------- what the programmer writes


def accept(go: "Goroutine") -> Program:
    """Accept each connection and give it a goroutine."""
    server = go.runtime.server
    if go.runtime.works:
        yield from go.start(work)
    yield from go.watch(server.listener)
    while True:
        connection = yield from go.accept(server.listener)
        yield from go.start(partial(converse, connection=connection))


def converse(go: "Goroutine", connection: Socket) -> Program:
    """Serve one connection to its end."""
    yield from go.watch(connection)
    while True:
        request = yield from go.read(connection)
        if request is EOF:
            break
        yield from handle(go, request)
        yield from go.write(connection, request, request.reply_bytes)
    yield from go.close(connection)


def handle(go: "Goroutine", request: Request) -> Program:
    """Go through all steps of `request`; others run while one blocks."""
    server = go.runtime.server
    for (kind, device), amount in zip(request.steps, request.amounts, strict=True):
        if server.cancel and (yield from server.gave_up(go.kernel, request)):
            return
        if kind is CPU:
            yield from go.compute(amount)
        elif device is None:
            yield from go.sleep(request, amount)
        elif device.interface == "blocking":
            yield from go.syscall(call(go.kernel, server, device, Query(request, amount)))
        else:
            socket = yield from go.connect(device)
            query = Query(request, amount)
            while True:
                yield from go.write(socket, query, query.bytes)
                yield from go.read(socket)
                if not query.try_again():
                    break
            server.release(device, socket)
        if request.failed:
            break


def work(go: "Goroutine") -> Program:
    """The server's own work, for ever."""
    while True:
        yield from go.runtime.server.own_work.do_chunk(go.kernel)
        yield from go.let_preempt()


# ------------------------------------------------------- what makes it work


class Stop:
    """Why a goroutine stops running: what it yields to its worker; all else is for the core."""


PARK: Final = Stop()
"""It waits, and somebody knows that it does."""
SLEEP: Final = Stop()
"""It waits until its `until_ns`."""
PREEMPTED: Final = Stop()
"""It could go on, and lets others."""
NO_PROCESSOR: Final = Stop()
"""It could go on, but its worker has lost its processor meanwhile."""


class Readiness:
    """What the poller knows of one socket (Go's pollDesc)."""

    __slots__ = ("events", "noted", "parked")

    def __init__(self) -> None:
        # What the poller reports: data, or room in the send buffer.
        self.events = EPOLLIN
        # It has become ready, and nobody was parked on it.
        self.noted = False
        self.parked: Goroutine | None = None


class Goroutine:
    """G: a flow of control, and what it may call."""

    __slots__ = ("computing", "left_ns", "program", "runtime", "until_ns", "worker", "working_on")

    worker: "Worker"
    """Who runs it."""

    def __init__(self, runtime: "Runtime", program: Callable[["Goroutine"], Program]) -> None:
        self.runtime = runtime
        self.program = program(self)
        # The message that it has received and not yet answered.
        self.working_on: Any = None
        self.until_ns = 0
        # In a computation that may be cut short, and what was cut off.
        self.computing = False
        self.left_ns = 0

    @property
    def kernel(self) -> Kernel:
        """The kernel of the thread that it runs on: another one after each wait."""
        return self.worker.kernel

    def start(self, program: Callable[["Goroutine"], Program]) -> Program:
        """Start a goroutine: the go statement."""
        return self.runtime.start(self.worker, program)

    # -------------------------------------------------------------------------- sockets

    def watch(self, socket: Socket) -> Program:
        """Let goroutines wait for `socket`."""
        socket.nonblocking = True
        socket.user_data = Readiness()
        yield from self.kernel.epoll_ctl_add(self.runtime.epoll, socket, edge=True)

    def accept(self, listener: Socket) -> Generator[Any, Any, Socket]:
        """The next connection; others run until there is one."""
        listener.user_data.noted = False
        while True:
            accepted = yield from self.syscall(self.kernel.accept4(listener))
            if accepted is not EAGAIN:
                connection: Socket = accepted
                return connection
            yield from self.park_on(listener, EPOLLIN)

    def read(self, socket: Socket) -> Generator[Any, Any, Any]:
        """The next message; others run until there is one."""
        while True:
            socket.user_data.noted = False
            message = yield from self.syscall(self.receive(socket))
            while message is EAGAIN:
                yield from self.park_on(socket, EPOLLIN)
                message = yield from self.syscall(self.receive(socket))
            if message is not PARTIAL:
                return message

    def receive(self, socket: Socket) -> Generator[Any, Any, Any]:
        """A message if there is one, else EAGAIN; PARTIAL if its last bytes are to come."""
        message = yield from self.kernel.recvfrom(socket)
        if message is not EAGAIN and message is not PARTIAL and message is not EOF:
            self.working_on = message
        return message

    def park_on(self, socket: Socket, events: str) -> Generator[Any, Any, None]:
        """Wait until the poller reports `events` of the socket, unless it just has."""
        readiness: Readiness = socket.user_data
        if readiness.events is not events:
            # What has been noted was of the other kind; what is there now is reported anew.
            readiness.noted = False
            readiness.events = events
            yield from self.kernel.epoll_ctl_mod(self.runtime.epoll, socket, events)
        yield from self.kernel.catch_up()
        if readiness.noted:
            readiness.noted = False
        else:
            readiness.parked = self
            yield PARK

    def write(self, socket: Socket, message: Any, size_bytes: int) -> Program:
        """Send `message`; others run while there is no room for the rest of it."""
        self.working_on = None
        socket.user_data.noted = False
        left_bytes = size_bytes
        left_bytes -= yield from self.syscall(self.kernel.sendto(socket, message, left_bytes))
        while left_bytes:
            yield from self.park_on(socket, EPOLLOUT)
            message.begin(self.kernel.thread, self.kernel.now_ns)
            left_bytes -= yield from self.syscall(self.kernel.sendto(socket, message, left_bytes))

    def connect(self, device: Any) -> Generator[Any, Any, Socket]:
        """A connection to `device` that no other call is using."""
        server = self.runtime.server
        opened = yield from self.syscall(server.connection_to(self.kernel, device))
        socket: Socket = opened[0]
        if opened[1]:
            yield from self.watch(socket)
        return socket

    def close(self, socket: Socket) -> Program:
        """Close a connection."""
        yield from self.syscall(self.kernel.close(socket))

    # ------------------------------------------------------------------ syscalls and time

    def syscall(self, blocking: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Make a call in which sysmon may take the processor away."""
        runtime = self.runtime
        yield from runtime.enter_syscall(self.worker)
        result = yield from blocking
        if not (yield from runtime.exit_syscall(self.worker)):
            yield from self.stop_running(NO_PROCESSOR)
        return result

    def compute(self, ns: int) -> Program:
        """Burn `ns` of CPU time, perhaps in several turns."""
        if ns < PREEMPTIBLE_NS:
            yield from self.kernel.compute(ns)
        while ns >= PREEMPTIBLE_NS:
            yield from self.kernel.settle()
            self.computing = True
            yield from self.kernel.compute(ns)
            yield from self.kernel.settle()
            self.computing = False
            ns, self.left_ns = self.left_ns, 0
            yield from self.let_preempt()
        yield from self.let_preempt()

    def let_preempt(self) -> Program:
        """Let others run if sysmon has asked for it."""
        processor = self.worker.processor
        assert processor is not None
        if processor.preempt:
            yield from self.stop_running(PREEMPTED)

    def stop_running(self, why: Stop) -> Generator[Any, Any, None]:
        """Stop in the middle of a request, and go on with it when somebody runs this again."""
        yield from self.kernel.settle()
        if self.working_on is not None:
            self.working_on.pause(self.kernel.now_ns)
        yield why
        if self.working_on is not None:
            self.working_on.begin(self.kernel.thread, self.kernel.now_ns)

    def sleep(self, request: Request, ns: int) -> Generator[Any, Any, None]:
        """Let others run for `ns`."""
        yield from self.kernel.settle()
        request.pause(self.kernel.now_ns)
        self.until_ns = until_ns = self.kernel.now_ns + ns
        yield SLEEP
        now_ns = self.kernel.now_ns
        request.device_done(min(until_ns + self.kernel.costs.timer_slack_ns, now_ns))
        request.begin(self.kernel.thread, now_ns)


IDLE, GIVEN, RUNNING, IN_SYSCALL = range(4)
"""A processor is in the idle list; on its way to a worker; with one; with one in a syscall."""


class Processor:
    """P: the right to run goroutines, and a queue of them."""

    __slots__ = (
        "next", "number", "preempt", "queue", "seen", "seen_syscall", "status", "syscalls",
        "turns", "worker",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.status = IDLE
        self.worker: Worker | None = None
        self.queue: deque[Goroutine] = deque()
        self.next: Goroutine | None = None
        # Asked to let another goroutine run.
        self.preempt = False
        # Counted, for sysmon to see whether anything has moved since (how many, when).
        self.turns = 0
        self.syscalls = 0
        self.seen = (-1, 0)
        self.seen_syscall = (-1, 0)

    @property
    def has_work(self) -> bool:
        return self.next is not None or bool(self.queue)


class Worker:
    """M: a thread that runs goroutines, one at a time, while it has a processor."""

    __slots__ = ("given", "kernel", "note", "processor", "running", "signals", "spinning")

    signals: Signals

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.processor: Processor | None = None
        self.running: Goroutine | None = None
        # It searches for work, or is being woken to do so.
        self.spinning = False
        # Where it sleeps, and the processor that it finds when it is woken.
        self.note = Futex("work for a worker")
        self.given: Processor | None = None

    def on_preempt(self, _: Any) -> Program:
        """The signal handler: cut the goroutine's computation short, wherever it is."""
        running = self.running
        if running is not None and running.computing and len(self.kernel.thread.frames) == 1:
            running.left_ns += self.kernel.cut_short()
        return
        yield


class Runtime:
    """All processors and workers, the global queue, the poller, and sysmon."""

    def __init__(self, kernel: Kernel, server: Server, options: Options) -> None:
        self.server = server
        self.costs = kernel.costs
        self._memory = kernel.machine.memory
        self._stack_bytes = options.stack or kernel.costs.goroutine_memory_bytes
        self._sysmon = options.sysmon
        self.works = options.own_work_goroutine and server.own_work.wanted
        count = options.processors or len(kernel.machine.cores)
        self.processors = [Processor(number) for number in range(count)]
        # Taken from the end.
        self.idle = self.processors[:0:-1]
        self.parked: list[Worker] = []
        self._workers = 0
        self.queue: deque[Goroutine] = deque()
        # How many workers search; and that one was wanted where there was no processor for it.
        self.spinning = 0
        self.need_spinning = False
        # The poller: since when nobody is in it (None: somebody is), and when who is will stop.
        self.epoll: Any = None
        self._breaker: Any = None
        self.polled_ns: int | None = 0
        self.poll_until_ns: int | None = None
        self._timers: list[tuple[int, int, Goroutine]] = []
        self._timer_count = 0
        self._victim = 0
        # Where sysmon sleeps while all processors are idle; 0: it does.
        self._sysmon_note = Futex("a syscall, for sysmon")
        self._sysmon_note.value = 1

    # ------------------------------------------------------------------------- starting

    def run(self, kernel: Kernel, program: Callable[[Goroutine], Program]) -> Program:
        """What the first thread does: start everything, and be the first worker."""
        self.epoll = yield from kernel.epoll_create1()
        self._breaker = yield from kernel.eventfd()
        yield from kernel.epoll_ctl_add(self.epoll, self._breaker)
        if self._sysmon:
            yield from kernel.spawn("sysmon", self.watch, native=True)
        first = self.processors[0]
        self._memory.take("coroutines", self._stack_bytes)
        first.queue.append(Goroutine(self, program))
        yield from self.work(kernel, first, spinning=False)

    def start(self, worker: Worker, program: Callable[[Goroutine], Program]) -> Program:
        """Make a goroutine, to run next on this processor."""
        kernel = worker.kernel
        kernel.thread.charge(USER, self.costs.goroutine_create_ns, "go statement")
        self._memory.take("coroutines", self._stack_bytes)
        yield from self.make_ready(worker, Goroutine(self, program))

    def work(self, kernel: Kernel, processor: Processor, spinning: bool) -> Program:
        """What a worker does: run one goroutine after the other."""
        worker = Worker(kernel)
        worker.spinning = spinning
        worker.signals = yield from kernel.sigaction(worker.on_preempt)
        self.acquire(worker, processor)
        while True:
            goroutine, inherits = yield from self.find_runnable(worker)
            if worker.spinning:
                worker.spinning = False
                self.spinning -= 1
                yield from self.wake_processor(kernel)
            why = yield from self.execute(worker, goroutine, inherits)
            if why is SLEEP:
                yield from self.set_timer(worker, goroutine)
            elif why is PREEMPTED:
                self.queue.append(goroutine)
                yield from self.wake_processor(kernel)
            elif why is NO_PROCESSOR:
                self.queue.append(goroutine)
                yield from self.sleep_parked(worker)

    def execute(
        self, worker: Worker, goroutine: Goroutine, inherits: bool
    ) -> Generator[Any, Any, Stop | None]:
        """Run `goroutine` until it stops, and tell why; None: it has ended."""
        processor = worker.processor
        assert processor is not None
        processor.preempt = False
        if not inherits:
            processor.turns += 1
        worker.kernel.switch_coroutine(self.costs.goroutine_switch_ns)
        worker.running = goroutine
        goroutine.worker = worker
        value = None
        try:
            while True:
                wanted: Any = goroutine.program.send(value)
                if isinstance(wanted, Stop):
                    return wanted
                value = yield wanted
        except StopIteration:
            self._memory.give_back("coroutines", self._stack_bytes)
            return None
        finally:
            worker.running = None

    # -------------------------------------------------------------------- finding work

    def find_runnable(self, worker: Worker) -> Generator[Any, Any, tuple[Goroutine, bool]]:
        """A goroutine to run, and whether it inherits its forerunner's time; sleep until then."""
        kernel = worker.kernel
        while True:
            processor = worker.processor
            assert processor is not None
            if self._timers:
                yield from self.run_timers(worker)
            yield from kernel.catch_up()
            if self.queue and processor.turns % GLOBAL_QUEUE_TURN == 0:
                return self.queue.popleft(), False
            if processor.next is not None:
                goroutine, processor.next = processor.next, None
                return goroutine, True
            if processor.queue:
                return processor.queue.popleft(), False
            if self.queue:
                return self.take_global(processor), False
            if self.polled_ns is not None:
                found = yield from self.poll(kernel, 0)
                if found:
                    yield from self.inject(kernel, processor, found[1:])
                    return found[0], False
            if worker.spinning or 2 * self.spinning < len(self.processors) - len(self.idle):
                self.spin(worker)
                stolen = yield from self.steal(worker)
                if stolen is not None:
                    return stolen, False
            yield from kernel.catch_up()
            if self.queue:
                return self.take_global(processor), False
            if not worker.spinning and self.need_spinning:
                self.spin(worker)
                continue
            was_spinning = worker.spinning
            self.release(worker)
            if was_spinning:
                worker.spinning = False
                self.spinning -= 1
                # Whoever made work ready meanwhile has woken nobody, as this one was
                # searching: look once more, now that it is not.
                if self.queue or any(other.has_work for other in self.processors):
                    self.acquire(worker, self.take_idle())
                    self.spin(worker)
                    continue
            if self.polled_ns is None:
                yield from self.break_poll(kernel)
                yield from self.sleep_parked(worker)
                continue
            found = yield from self.poll_idle(worker)
            if self.idle:
                self.acquire(worker, self.take_idle())
                if found:
                    yield from self.inject(kernel, worker.processor, found[1:])
                    return found[0], False
                if was_spinning:
                    self.spin(worker)
            else:
                self.need_spinning = True
                yield from self.inject(kernel, None, found)
                yield from self.sleep_parked(worker)

    def take_global(self, processor: Processor) -> Goroutine:
        """This processor's share of the global queue: one to run, the rest for its own."""
        queue = self.queue
        share = min(len(queue), len(queue) // len(self.processors) + 1, QUEUE_SLOTS // 2)
        goroutine = queue.popleft()
        for _ in range(share - 1):
            processor.queue.append(queue.popleft())
        return goroutine

    def steal(self, worker: Worker) -> Generator[Any, Any, Goroutine | None]:
        """Half of another processor's queue: one to run, the rest for the own."""
        kernel, own = worker.kernel, worker.processor
        assert own is not None
        count = len(self.processors)
        for attempt in range(STEAL_ROUNDS):
            self._victim += 1
            for step in range(count):
                victim = self.processors[(self._victim + step) % count]
                if victim is own or victim.status is IDLE:
                    continue
                kernel.thread.charge(USER, self.costs.processor_look_ns, "look for work")
                yield from kernel.catch_up()
                if victim.queue:
                    half = len(victim.queue) - len(victim.queue) // 2
                    for _ in range(half - 1):
                        own.queue.append(victim.queue.popleft())
                    return victim.queue.popleft()
                coming = victim.next
                if coming is not None and attempt == STEAL_ROUNDS - 1:
                    if victim.status is RUNNING:  # which is about to run it
                        yield from kernel.nanosleep(BACK_OFF_NS)
                    if victim.next is coming:
                        victim.next = None
                        return coming
        return None

    def spin(self, worker: Worker) -> None:
        """From now on `worker` searches."""
        if not worker.spinning:
            worker.spinning = True
            self.spinning += 1
            self.need_spinning = False

    # ---------------------------------------------------------- making goroutines runnable

    def make_ready(self, worker: Worker, goroutine: Goroutine) -> Program:
        """Have `goroutine` run next on this processor, or on one that is idle."""
        yield from worker.kernel.catch_up()
        processor = worker.processor
        assert processor is not None
        displaced, processor.next = processor.next, goroutine
        if displaced is not None:
            self.put(processor, displaced)
        yield from self.wake_processor(worker.kernel)

    def put(self, processor: Processor, goroutine: Goroutine) -> None:
        """Queue `goroutine`; half of a full queue goes to the global one."""
        queue = processor.queue
        if len(queue) < QUEUE_SLOTS:
            queue.append(goroutine)
            return
        for _ in range(QUEUE_SLOTS // 2):
            self.queue.append(queue.popleft())
        self.queue.append(goroutine)

    def inject(
        self, kernel: Kernel, processor: Processor | None, goroutines: list[Goroutine]
    ) -> Program:
        """Make many runnable: one for each idle processor, the rest on the own queue."""
        if not goroutines:
            return
        yield from kernel.catch_up()
        to_idle = len(goroutines)
        if processor is not None:
            to_idle = min(to_idle, len(self.idle))
            for goroutine in goroutines[to_idle:]:
                self.put(processor, goroutine)
        self.queue.extend(goroutines[:to_idle])
        for _ in range(to_idle):
            if not self.idle:
                self.need_spinning = True
                break
            yield from self.start_worker(kernel, self.take_idle(), spinning=False)

    def wake_processor(self, kernel: Kernel) -> Program:
        """Have a worker search for work, unless one does or no processor is idle."""
        if self.spinning:
            return
        if not self.idle:
            self.need_spinning = True
            return
        self.spinning += 1
        yield from self.start_worker(kernel, self.take_idle(), spinning=True)

    # ------------------------------------------------------------- workers and processors

    def acquire(self, worker: Worker, processor: Processor) -> None:
        """Let `worker` run goroutines on `processor`."""
        processor.status = RUNNING
        processor.worker = worker
        worker.processor = processor

    def release(self, worker: Worker) -> None:
        """Put the processor of `worker` on the idle list."""
        processor = worker.processor
        assert processor is not None
        worker.processor = None
        self.put_idle(processor)

    def put_idle(self, processor: Processor) -> None:
        """Nobody needs `processor`."""
        processor.status = IDLE
        processor.worker = None
        self.idle.append(processor)

    def take_idle(self) -> Processor:
        """An idle processor, to be given to a worker."""
        processor = self.idle.pop()
        processor.status = GIVEN
        self.need_spinning = False
        return processor

    def start_worker(self, kernel: Kernel, processor: Processor, spinning: bool) -> Program:
        """Wake a worker for `processor`, or make one."""
        if self.parked:
            worker = self.parked.pop()
            worker.given = processor
            worker.spinning = spinning
            yield from kernel.catch_up()
            worker.note.value = 1
            yield from kernel.futex_wake(worker.note)
        else:
            self._workers += 1
            program = partial(self.work, processor=processor, spinning=spinning)
            yield from kernel.spawn(f"worker {self._workers}", program)

    def sleep_parked(self, worker: Worker) -> Program:
        """Sleep until somebody comes with a processor."""
        self.parked.append(worker)
        while not worker.note.value:
            yield from worker.kernel.futex_wait(worker.note, 0)
        worker.note.value = 0
        assert worker.given is not None
        self.acquire(worker, worker.given)

    def enter_syscall(self, worker: Worker) -> Program:
        """From now on sysmon may take the processor of `worker`."""
        kernel, processor = worker.kernel, worker.processor
        kernel.thread.charge(USER, self.costs.goroutine_syscall_ns, "enter and leave a syscall")
        if not self._sysmon_note.value:
            yield from self.wake_sysmon(kernel)
        yield from kernel.catch_up()
        assert processor is not None
        processor.status = IN_SYSCALL

    def exit_syscall(self, worker: Worker) -> Generator[Any, Any, bool]:
        """Go on with the same processor, or an idle one; False if there is none."""
        processor = worker.processor
        assert processor is not None
        if processor.worker is worker:
            processor.status = RUNNING
            processor.syscalls += 1
            return True
        yield from worker.kernel.catch_up()
        worker.processor = None
        if not self.idle:
            return False
        self.acquire(worker, self.take_idle())
        if not self._sysmon_note.value:
            yield from self.wake_sysmon(worker.kernel)
        return True

    def hand_off(self, kernel: Kernel, processor: Processor) -> Program:
        """Give a processor that was taken from its worker to another, if there is use for it."""
        nobody_looks = not self.spinning and not self.idle
        if processor.has_work or self.queue:
            yield from self.start_worker(kernel, processor, spinning=False)
        elif nobody_looks:
            self.spinning += 1
            yield from self.start_worker(kernel, processor, spinning=True)
        elif len(self.idle) == len(self.processors) - 1 and self.polled_ns is not None:
            # The last one: somebody has to wait for the network.
            yield from self.start_worker(kernel, processor, spinning=False)
        else:
            self.put_idle(processor)

    # ------------------------------------------------------------------ poller and timers

    def poll(self, kernel: Kernel, timeout_ns: int | None) -> Generator[Any, Any, list[Goroutine]]:
        """The goroutines whose sockets have become ready."""
        found = []
        for socket in (yield from kernel.epoll_wait(self.epoll, MOST_EVENTS, timeout_ns)):
            if socket is self._breaker:
                if timeout_ns != 0:
                    yield from kernel.eventfd_read(socket)
                continue
            readiness = socket.user_data
            if readiness.events is EPOLLOUT and not is_ready(socket, EPOLLOUT):
                continue  # it was reported for data, before room was waited for
            if readiness.parked is None:
                readiness.noted = True
            else:
                found.append(readiness.parked)
                readiness.parked = None
        return found

    def poll_idle(self, worker: Worker) -> Generator[Any, Any, list[Goroutine]]:
        """Sleep in the poller, until something is readable or a timer is due."""
        kernel = worker.kernel
        self.polled_ns = None
        timeout_ns = self.poll_until_ns = None
        if self._timers:
            self.poll_until_ns = self._timers[0][0]
            timeout_ns = self.poll_until_ns - kernel.now_ns
            # In whole milliseconds, as Go asks for.
            timeout_ns = max(timeout_ns // 1_000_000, int(timeout_ns > 0)) * 1_000_000
        found = yield from self.poll(kernel, timeout_ns)
        yield from kernel.catch_up()
        self.poll_until_ns = None
        self.polled_ns = kernel.now_ns
        return found

    def break_poll(self, kernel: Kernel) -> Program:
        """Have who sleeps in the poller look at the timers, if one comes before it would."""
        until_ns = self.poll_until_ns
        if self._timers and (until_ns is None or self._timers[0][0] < until_ns):
            yield from kernel.eventfd_write(self._breaker)

    def set_timer(self, worker: Worker, goroutine: Goroutine) -> Program:
        """Have `goroutine` run again at its `until_ns`."""
        self._timer_count += 1
        heappush(self._timers, (goroutine.until_ns, self._timer_count, goroutine))
        if self._timers[0][2] is goroutine:
            if self.polled_ns is None:
                yield from self.break_poll(worker.kernel)
            else:
                yield from self.wake_processor(worker.kernel)

    def run_timers(self, worker: Worker) -> Program:
        """Make those runnable whose time has come."""
        timers = self._timers
        while timers and timers[0][0] <= worker.kernel.now_ns:
            yield from self.make_ready(worker, heappop(timers)[2])

    # --------------------------------------------------------------------------- sysmon

    def watch(self, kernel: Kernel) -> Program:
        """The monitor: a thread that needs no processor."""
        looks = 0
        pause_ns = SHORTEST_LOOK_NS
        while True:
            if looks == 0:
                pause_ns = SHORTEST_LOOK_NS
            elif looks > LOOKS_IN_VAIN:
                pause_ns = min(2 * pause_ns, LONGEST_LOOK_NS)
            yield from kernel.nanosleep(pause_ns)
            if len(self.idle) == len(self.processors) and (yield from self.doze(kernel)):
                looks = 0
                pause_ns = SHORTEST_LOOK_NS
            yield from kernel.catch_up()
            now_ns = kernel.now_ns
            if self.polled_ns is not None and self.polled_ns + SLICE_NS < now_ns:
                self.polled_ns = now_ns
                found = yield from self.poll(kernel, 0)
                yield from self.inject(kernel, None, found)
            looks = 0 if (yield from self.retake(kernel)) else looks + 1

    def doze(self, kernel: Kernel) -> Generator[Any, Any, bool]:
        """Sleep while all processors are idle; True if a syscall ended it, not a timer."""
        timeout_ns = None
        if self._timers:
            timeout_ns = self._timers[0][0] - kernel.now_ns
            if timeout_ns <= 0:
                return False
        note = self._sysmon_note
        note.value = 0
        yield from kernel.futex_wait(note, 0, timeout_ns)
        woken = bool(note.value)
        note.value = 1
        return woken

    def wake_sysmon(self, kernel: Kernel) -> Program:
        """Somebody runs again."""
        yield from kernel.catch_up()
        if not self._sysmon_note.value:
            self._sysmon_note.value = 1
            yield from kernel.futex_wake(self._sysmon_note)

    def retake(self, kernel: Kernel) -> Generator[Any, Any, bool]:
        """Take processors from workers in long syscalls; preempt goroutines that run long."""
        taken = False
        for processor in self.processors:
            if processor.status not in (RUNNING, IN_SYSCALL):
                continue
            kernel.thread.charge(USER, self.costs.processor_look_ns, "look at a processor")
            yield from kernel.catch_up()
            now_ns = kernel.now_ns
            turns, since_ns = processor.seen
            too_long = False
            if turns != processor.turns:
                processor.seen = (processor.turns, now_ns)
            elif since_ns + SLICE_NS <= now_ns:
                too_long = True
                if processor.status is RUNNING and not processor.preempt:
                    yield from self.preempt(kernel, processor)
            if processor.status is not IN_SYSCALL:
                continue
            syscalls, since_ns = processor.seen_syscall
            if not too_long and syscalls != processor.syscalls:
                processor.seen_syscall = (processor.syscalls, now_ns)
                continue
            others_look = self.spinning or self.idle
            if not processor.has_work and others_look and since_ns + SLICE_NS > now_ns:
                continue
            processor.status = GIVEN
            processor.worker = None
            processor.syscalls += 1
            yield from self.hand_off(kernel, processor)
            taken = True
        return taken

    def preempt(self, kernel: Kernel, processor: Processor) -> Program:
        """Have the goroutine that runs on `processor` stop as soon as it can."""
        worker = processor.worker
        assert worker is not None
        processor.preempt = True
        yield from kernel.tgkill(worker.kernel.thread, worker.signals)
