"""Building the simulated world: the only place where parts are wired together.

    build(scenario, model, profile, streams) -> World, ready to run

What it does: puts machine, network, devices, server or pipeline, the I/O model's program
and the workload's source on one SimPy environment.

Validated by: tests/conformance
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from iosim.choice import Chosen
from iosim.clients import Clients, Recorder
from iosim.distributions import Exponential
from iosim.handler import OwnWork, Server
from iosim.host_noise import Quantiles
from iosim.machine.clock import Clock
from iosim.machine.costs import Costs, Table
from iosim.machine.host import Sibling, Thief
from iosim.machine.interpreter import CPythonKernel, InterpreterLock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.request import Request
from iosim.machine.sockets import Socket
from iosim.machine.thread import Thread
from iosim.machine.trace import Trace
from iosim.pipeline import Pipeline
from iosim.plugins import kinds
from iosim.recording import Recording
from iosim.request_classes import requests
from iosim.scenario import HostNoise, Scenario, label_of
from iosim.streams import Streams, columns
from iosim.visitors import Visitors, habits_of


@dataclass
class World:
    """One I/O model on one machine under one workload, built and not yet run."""

    env: Clock
    machine: Machine
    recording: Recording
    connect: Callable[[Callable[[], None]], None]
    """Begin: call back when the server is ready for the load."""
    start: Callable[[], None]
    """Start the load."""
    fates: Callable[[], dict[str, int]]
    """What became of the requests so far."""
    order: Callable[[], str]


def build(
    scenario: Scenario,
    model: Chosen[Any],
    costs: Costs,
    streams: Streams,
    trace: Trace | None = None,
) -> World:
    """Wire up a world for one entry of the scenario's models."""
    env = Clock(initial_time=0)
    spec = scenario.machine
    if spec.runtime == "cpython":
        costs = _in_cpython(costs)
    scheduler = kinds("schedulers")[spec.scheduler.kind]
    machine = Machine(
        env,
        spec.cores,
        partial(scheduler.Queue, spec.scheduler.options),
        costs,
        _kernel(spec.runtime, costs),
        model=label_of(model),
        descriptor_limit=spec.descriptors,
        working_set_bytes=scenario.server.working_set,
        trace=trace,
        flow_hashes=flow_hashes(streams),
    )
    machine.memory.take(
        "process",
        costs.cpython_process_memory_bytes
        if spec.runtime == "cpython"
        else costs.process_memory_bytes,
    )
    if spec.host_noise is not None:
        _make_noise(spec.host_noise, machine, streams)
    program = kinds("io_models")[model.kind].main
    workload = kinds("workloads")[scenario.workload.kind]
    if workload.TRAFFIC == "items":
        return _pipeline(scenario, model, machine, streams, program)
    return _server(scenario, model, machine, streams, program, workload)


@cache
def _in_cpython(costs: Costs) -> Costs:
    """The costs where every thread is the interpreter's. They take ms to make."""
    return replace(costs, cold_execution_ns=costs.cpython_cold_execution_ns)


def _kernel(runtime: str, costs: Costs) -> Callable[[Thread, Machine, bool], Kernel]:
    if runtime == "native":
        return lambda thread, machine, native: Kernel(thread, machine)
    interpreter = InterpreterLock(costs.cpython_switch_interval_ns)

    def cpython(thread: Thread, machine: Machine, native: bool) -> Kernel:
        if native:
            return Kernel(thread, machine)
        return CPythonKernel(thread, machine, interpreter)

    return cpython


def _make_noise(noise: HostNoise, machine: Machine, streams: Streams) -> None:
    """Give each core a thief and a sibling, as far as there are to be any."""
    costs, stolen, sibling = machine.costs, noise.stolen, noise.sibling
    for core in machine.cores:
        draw = partial(_draw, streams, core.number)
        if stolen is not None:
            gaps = draw(
                "stolen gap", stolen.gap, costs.stolen_gap_ns, costs.stolen_gap_quantiles_ns
            )
            lengths = draw(
                "stolen length",
                stolen.length,
                costs.stolen_length_ns,
                costs.stolen_length_quantiles_ns,
            )
            Thief(core, columns(gaps, lengths))
        if sibling is not None and sibling.busy == 1:
            core.change_pace(sibling.slowdown)
        elif sibling is not None and sibling.busy > 0:
            busy = streams.generator("host: sibling", core.number).random() < sibling.busy
            spells = columns(draw("busy", sibling.spell), draw("idle", sibling.spell))
            Sibling(core, sibling.slowdown, _in_turn(spells, sibling.busy, busy), busy)


def _draw(
    streams: Streams,
    core: int,
    name: str,
    chosen: Chosen[Any] | None,
    mean_ns: int = 0,
    measured: Table = (),
) -> Callable[[int], Any]:
    """What draws durations for a core: from `chosen`, else as `measured`, else exponential ones."""
    options: Any
    if chosen is not None:
        options = chosen.options
    elif measured:
        options = Quantiles(measured)
    else:
        options = Exponential.model_construct(mean=mean_ns)
    return partial(options.sample, streams.generator(f"host: {name}", core))


def _in_turn(spells: Iterator[tuple[int, int]], busy: float, busy_first: bool) -> Iterator[int]:
    """How long a sibling stays as it is, time and again, so that it is busy that part of it."""
    for busy_ns, other_ns in spells:
        idle_ns = round(other_ns * (1 - busy) / busy)
        yield from (busy_ns, idle_ns) if busy_first else (idle_ns, busy_ns)


def _server(
    scenario: Scenario,
    model: Chosen[Any],
    machine: Machine,
    streams: Streams,
    program: Callable[..., Any],
    workload: Any,
) -> World:
    spec = scenario.machine
    network = kinds("devices")[spec.network.kind].Network(spec.network.options, machine, streams)
    devices = {
        name: kinds("devices")[device.kind].Device(name, device.options, machine, network, streams)
        for name, device in scenario.devices.items()
    }
    recording = Recording(machine, devices, tuple(scenario.server.classes))
    options = scenario.workload.options
    listener = Socket("listener", None, spec.backlog)
    machine.open_descriptor(listener)
    largest_bytes = max(
        options.largest_request,
        *(kind.request or 0 for kind in scenario.server.request_classes.values()),
    )
    habits = habits_of(options, spec.send_buffer, largest_bytes)
    come = Clients if habits is None else partial(Visitors, habits)
    request, amounts = requests(scenario, devices, streams, machine.trace)
    clients = come(
        machine,
        network,
        listener,
        options.connections.total,
        _recorder(recording, machine.trace),
        amounts=amounts,
        request_bytes=options.request,
        reply_bytes=options.reply,
        backlog=options.backlog,
        timeout_ns=options.timeout,
        request=request,
    )
    recording.watch(clients)
    own_work = scenario.server.own_work
    server = Server(
        listener=listener,
        own_work=OwnWork(own_work.chunk if own_work else 0),
        connections=None if options.connections.lifetime else options.connections.total,
        come_and_go=habits is not None and habits.come_and_go,
        cancel=scenario.server.cancel,
    )
    reads_files = hasattr(workload, "check_files")
    where = (scenario.folder,) if reads_files else ()
    source = workload.Source(options, clients, streams, *where)
    machine.spawn("main", lambda kernel: program(kernel, server, model.options))
    return World(
        machine.env,
        machine,
        recording,
        connect=clients.connect,
        start=source.start,
        fates=lambda: {
            "offered": clients.offered,
            "completed": clients.answered,
            "refused": clients.refused,
            "timed_out": clients.timed_out,
            "in_flight": clients.in_flight,
            "retries": clients.retries,
            "listen_overflows": clients.listen_overflows,
            "connections_opened": clients.connections_opened,
        },
        order=lambda: "",
    )


def _pipeline(
    scenario: Scenario,
    model: Chosen[Any],
    machine: Machine,
    streams: Streams,
    program: Callable[..., Any],
) -> World:
    options = scenario.workload.options
    recording = Recording(machine, {})
    produce, consume = streams.generator("produce"), streams.generator("consume")
    pipeline = Pipeline(
        machine,
        _recorder(recording, machine.trace),
        options.capacity,
        options.producers,
        options.consumers,
        columns(
            partial(options.produce.options.sample, produce),
            partial(options.consume.options.sample, consume),
        ),
    )
    recording.watch(pipeline)

    def start() -> None:
        machine.spawn("main", lambda kernel: program(kernel, pipeline, model.options))

    return World(
        machine.env,
        machine,
        recording,
        connect=lambda ready: ready(),
        start=start,
        fates=lambda: {
            "offered": pipeline.offered,
            "completed": pipeline.answered,
            "refused": 0,
            "timed_out": 0,
            "in_flight": len(pipeline.under_way),
        },
        order=lambda: pipeline.order,
    )


@dataclass(frozen=True)
class _Told:
    """A recorder; the trace is told of each completed request, too."""

    recording: Recording
    trace: Trace

    def completed(self, request: Request) -> None:
        self.trace.over(request, request.answered_ns)
        self.recording.completed(request)

    def count(self) -> None:
        self.recording.count()


def _recorder(recording: Recording, trace: Trace | None) -> Recorder:
    return recording if trace is None else _Told(recording, trace)


def flow_hashes(streams: Streams) -> Iterator[int]:
    """Endless hashes of 32 bits, one a connection."""
    rng = streams.generator("flow hash")
    while True:
        yield from rng.integers(0, 1 << 32, 1024).tolist()
