"""The bench on which timelines are checked: a machine of round costs, and all that happens on it.

Every cost is zero unless a test names it, so a timeline is what its comment adds up to.
"""

from collections.abc import Callable, Generator
from dataclasses import MISSING, dataclass, fields
from functools import cache, partial
from typing import Any

from iosim.machine.clock import Clock
from iosim.machine.core import Core
from iosim.machine.costs import Costs
from iosim.machine.interpreter import CPythonKernel, InterpreterLock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.request import Request
from iosim.machine.sockets import Socket
from iosim.machine.thread import CAUSES, ENTRY, SYSCALL, Segment, Thread, WaitQueue
from iosim.machine.trace import Trace
from iosim.schedulers import eevdf, fifo, round_robin

Program = Callable[[Kernel], Generator[Any, Any, Any]]

TABLES = (
    "idle_exit_ns",
    "idle_exit_charged_ns",
    "cold_execution_ns",
    "cpython_cold_execution_ns",
    "cache_refill_per_kib_ns",
    "poll_per_descriptor_ns",
    "file_copy_per_kib_ns",
)


@cache
def round_costs(**given: Any) -> Costs:
    """Costs of zero but for those given; a table given as a number is flat."""
    values: dict[str, Any] = {
        field.name: ((0, 0),) if field.name in TABLES else 0
        for field in fields(Costs)
        if field.init and field.default is MISSING
    }
    values |= {"cache_bytes": 1, "cpython_switch_interval_ns": 5_000_000}
    for name, value in given.items():
        assert name in values, name
        values[name] = ((0, value),) if name in TABLES and isinstance(value, int) else value
    return Costs(**values)


def rr(slice_: str) -> Callable[[], round_robin.Queue]:
    """Round-robin queues."""
    return partial(round_robin.Queue, round_robin.Options.model_validate({"slice": slice_}))


def fair(slice_: str = "100ns", tick: str = "0s") -> Callable[[], eevdf.Queue]:
    """EEVDF queues."""
    return partial(eevdf.Queue, eevdf.Options.model_validate({"slice": slice_, "tick": tick}))


def in_turn() -> fifo.Queue:
    """A FIFO queue."""
    return fifo.Queue(fifo.Options())


Moment = tuple[int, str, str]
"""(ns, what happened, to which thread)."""


class Watch(Trace):
    """A trace that writes down everything."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.runs: list[tuple[str, int, int, int]] = []
        """(thread, core, from, to)."""
        self.work: list[tuple[str, int, int, str, str]] = []
        """(thread, from, to, cause, label)."""

    def spawned(self, thread: Thread, at_ns: int) -> None:
        self.moments.append((at_ns, "spawned", thread.name))

    def dispatched(self, thread: Thread, core: Core, at_ns: int, runs_ns: int) -> None:
        self.moments.append((at_ns, "dispatched", thread.name))

    def ran(
        self, thread: Thread, core: Core, from_ns: int, to_ns: int, segments: list[Segment]
    ) -> None:
        if from_ns < to_ns:
            self.runs.append((thread.name, core.number, from_ns, to_ns))
        for cause, ns, label in segments:
            if from_ns >= to_ns:
                break
            end_ns = min(from_ns + ns, to_ns)
            name = CAUSES[SYSCALL if cause == ENTRY else cause]
            if ns:
                self.work.append((thread.name, from_ns, end_ns, name, label))
            from_ns = end_ns

    def preempted(self, thread: Thread, core: Core, at_ns: int, by: Thread) -> None:
        self.moments.append((at_ns, "preempted", thread.name))

    def slept(self, thread: Thread, core: Core, at_ns: int, on: WaitQueue) -> None:
        self.moments.append((at_ns, "slept", thread.name))

    def woke(self, thread: Thread, at_ns: int) -> None:
        self.moments.append((at_ns, "woke", thread.name))

    def ended(self, thread: Thread, core: Core, at_ns: int) -> None:
        self.moments.append((at_ns, "ended", thread.name))

    def interrupted(self, core: Core, at_ns: int, ns: int) -> None:
        self.moments.append((at_ns, "interrupted", f"core {core.number}"))

    def stolen(self, core: Core, at_ns: int, ns: int) -> None:
        self.moments.append((at_ns, "stolen", f"core {core.number}"))

    def delivered(self, request: Request, at_ns: int) -> None:
        self.moments.append((at_ns, "delivered", str(request.number)))

    def begun(self, request: Request, thread: Thread, at_ns: int) -> None:
        self.moments.append((at_ns, "begun", str(request.number)))

    def paused(self, request: Request, at_ns: int) -> None:
        self.moments.append((at_ns, "paused", str(request.number)))

    def resumable(self, request: Request, at_ns: int) -> None:
        self.moments.append((at_ns, "resumable", str(request.number)))


class Bench:
    """A machine, what its programs note down, and a watch on it."""

    def __init__(
        self,
        cores: int = 1,
        queue: Callable[[], Any] = in_turn,
        cpython: bool = False,
        descriptors: int = 20_000,
        **costs: Any,
    ) -> None:
        self.env = Clock(initial_time=0)
        self.watch = Watch()
        self.log: list[tuple[int, str]] = []
        self.interpreter = InterpreterLock(round_costs(**costs).cpython_switch_interval_ns)

        def kernel(thread: Thread, machine: Machine, native: bool) -> Kernel:
            if cpython and not native:
                return CPythonKernel(thread, machine, self.interpreter)
            return Kernel(thread, machine)

        self.machine = Machine(
            self.env,
            cores,
            queue,
            round_costs(**costs),
            kernel,
            model="bench",
            descriptor_limit=descriptors,
            trace=self.watch,
        )

    # ------------------------------------------------------------------------ what to do

    def spawn(self, name: str, program: Program, native: bool = False) -> Thread:
        """Start a thread now."""
        return self.machine.spawn(name, program, native)

    def at(self, ns: int, action: Callable[[], Any]) -> None:
        """Do something at an instant, from outside the machine."""
        timeout = self.env.timeout(ns - self.env.now)
        assert timeout.callbacks is not None
        timeout.callbacks.append(lambda _: action())

    def interrupt(self, at_ns: int, ns: int, core: int = 0, then: str = "") -> None:
        """Let softirq work of `ns` come to a core at an instant, and note its end."""

        def end() -> None:
            if then:
                self.note(then)

        self.at(at_ns, partial(self.machine.cores[core].interrupt, ns, end))

    def arrive(self, at_ns: int, socket: Socket) -> None:
        """Let a letter arrive at an instant."""
        self.at(at_ns, partial(self.machine.arrive, socket, Letter()))

    def run(self, until: int) -> list[tuple[int, str]]:
        """Let time pass; give back the log."""
        self.env.run(until=until)
        return self.log

    def note(self, text: str) -> None:
        """Write down what happens now."""
        self.log.append((self.env._now, text))

    # ------------------------------------------------------------------- small programs

    def computes(self, *amounts_ns: int, name: str = "done") -> Program:
        """Compute, and note the end."""

        def program(kernel: Kernel) -> Generator[Any, Any, None]:
            for ns in amounts_ns:
                yield from kernel.compute(ns)
            yield from kernel.settle()
            self.note(name)

        return program

    def socket(self, name: str = "socket", *received: Any, nonblocking: bool = False) -> Socket:
        """A connected socket with a descriptor."""
        socket = Socket(name, Outside(self))
        socket.nonblocking = nonblocking
        socket.received.extend(received)
        self.machine.open_descriptor(socket)
        return socket

    # ------------------------------------------------------------------- what happened

    def moments(self, *kinds: str) -> list[Moment]:
        """What the watch saw of these kinds."""
        return [moment for moment in self.watch.moments if moment[1] in kinds]

    def cpu(self, core: int = 0) -> dict[str, int]:
        """A core's CPU time by cause, of those that are not zero."""
        account = self.machine.cores[core].account()
        return {cause: ns for cause, ns in zip(CAUSES, account, strict=True) if ns}

    def calls(self) -> dict[str, int]:
        """Syscalls made, by name."""
        return {name: count for name, count in self.machine.syscalls.items() if count}


@dataclass(eq=False)
class Letter:
    """A message: what happens to it is noted."""

    bench: Bench | None = None
    text: str = "letter"
    bytes: int = 0

    def _note(self, what: str, now: int) -> None:
        if self.bench is not None:
            self.bench.log.append((now, f"{self.text} {what}"))

    def delivered(self, now: int) -> None:
        self._note("delivered", now)

    def begin(self, thread: Thread, now: int) -> None:
        self._note(f"begun by {thread.name}", now)

    def pause(self, now: int) -> None:
        self._note("paused", now)


class Outside:
    """The other end of a connection."""

    def __init__(self, bench: Bench, softirq_on_sender: bool = False) -> None:
        self.bench = bench
        self.softirq_on_sender = softirq_on_sender

    def accepted(self, socket: Socket, at_ns: int) -> None:
        self.bench.log.append((at_ns, f"{socket.name} accepted"))

    def receive(self, socket: Socket, message: Any, at_ns: int) -> None:
        self.bench.log.append((at_ns, f"{socket.name} sent"))

    def closed(self, socket: Socket) -> None:
        self.bench.note(f"{socket.name} closed")
