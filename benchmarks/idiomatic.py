"""The benchmark's model in idiomatic SimPy, for comparison.

What it models: the same server, clients and costs as iosim's on one core with loopback
clients: Poisson arrivals over n connections, a clients' core that sends and receives one
message at a time, a server core with idle exit, cold execution, context switches and
cache refill, and recvfrom, computing, sendto, epoll_wait. It tells the response times, the
switches, the syscalls by name and the core's time by cause; on these both simulators must
agree (benchmarks/speed.py prints some of both).

Written as SimPy's documentation teaches: a process for each thread, each message on its
way and the source, a Resource for each core, a Store for each socket or ready list, a
timeout for each cost that has a name. Costs come from iosim's profile.

Not modelled (iosim does all of this at the same time): time slices and preemption,
parts of the response time, threads' own accounts, warm-up, connection set-up.
"""

import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from iosim.machine.costs import Costs

Process = Generator[simpy.Event, Any, None]

REQUEST_BYTES = 128
REPLY_BYTES = 1024


@dataclass
class Request:
    """A request: when it was sent, and how much it asks for."""

    sent_ns: int
    demand_ns: int


@dataclass
class Outcome:
    """What a run has shown."""

    responses_ns: list[int] = field(default_factory=list)
    switches: int = 0
    syscalls: Counter[str] = field(default_factory=Counter)
    cpu_ns: Counter[str] = field(default_factory=Counter)
    events: int = 0


class Model:
    """One server with its clients."""

    def __init__(self, costs: Costs, connections: int) -> None:
        self.env = simpy.Environment()
        self.costs = costs
        self.connections = connections
        self.rng = random.Random(1)
        self.outcome = Outcome()
        self.core = simpy.Resource(self.env)
        self.client_core = simpy.Resource(self.env)
        self.idle_since_ns = 0
        distance = connections * costs.connection_bytes
        self.connection_refill_ns = costs.refill(distance, costs.connection_bytes)
        distance += connections * costs.thread_working_set_bytes
        self.thread_refill_ns = costs.refill(distance, costs.thread_working_set_bytes)

    def source(self, inboxes: list[simpy.Store], rate_per_s: float, demand_ns: int) -> Process:
        """Send requests on random connections, with exponential gaps."""
        while True:
            yield self.env.timeout(round(self.rng.expovariate(rate_per_s / 1e9)))
            request = Request(int(self.env.now), demand_ns)
            self.env.process(self.send(self.rng.choice(inboxes), request))

    def send(self, inbox: simpy.Store, request: Request) -> Process:
        """A request: the clients' core sends it, then it is in the socket."""
        with self.client_core.request() as turn:
            yield turn
            costs = self.costs
            yield self.env.timeout(costs.syscall_ns + costs.sendto_ns + costs.receive_softirq_ns)
        yield inbox.put(request)

    def receive(self, request: Request) -> Process:
        """An answer: the clients' core receives it."""
        with self.client_core.request() as turn:
            yield turn
            yield self.env.timeout(self.costs.syscall_ns + self.costs.recvfrom_ns)
        self.outcome.responses_ns.append(int(self.env.now) - request.sent_ns)

    def spend(self, cause: str, ns: int) -> simpy.Event:
        """Let the server's core be busy for `ns`."""
        self.outcome.cpu_ns[cause] += ns
        return self.env.timeout(ns)

    def syscall(self, name: str, ns: int) -> simpy.Event:
        """Enter the kernel and be busy there for `ns`."""
        self.outcome.syscalls[name] += 1
        return self.spend("syscall", self.costs.syscall_ns + ns)

    def wake_up(self) -> Process:
        """The core leaves idle for the thread that has just got it."""
        latency_ns, charged_ns, cold_ns = self.costs.leave_idle(
            int(self.env.now) - self.idle_since_ns
        )
        yield self.env.timeout(latency_ns - charged_ns)
        yield self.spend("switch", charged_ns)
        yield self.spend("refill", cold_ns)

    def serve(self, request: Request) -> Process:
        """Read, compute, answer."""
        costs = self.costs
        copy_ns = REQUEST_BYTES * costs.recvfrom_per_kib_ns >> 10
        yield self.syscall("recvfrom", costs.recvfrom_ns + copy_ns)
        yield self.spend("refill", self.connection_refill_ns)
        yield self.spend("user", request.demand_ns + costs.message_ns)
        copy_ns = REPLY_BYTES * costs.sendto_per_kib_ns >> 10
        yield self.syscall("sendto", costs.sendto_ns + copy_ns)
        yield self.spend("softirq", costs.receive_softirq_ns)
        self.env.process(self.receive(request))

    def connection_thread(self, inbox: simpy.Store) -> Process:
        """Blocking: a thread that sleeps on its socket."""
        while True:
            request = yield inbox.get()
            idle = self.core.count == 0
            with self.core.request() as turn:
                yield turn
                if idle:
                    yield from self.wake_up()
                yield self.spend("switch", self.costs.context_switch_ns)
                yield self.spend("refill", self.thread_refill_ns)
                yield from self.serve(request)
                yield self.syscall("recvfrom", 0)  # finds nothing, and sleeps
                self.outcome.switches += 1
                self.idle_since_ns = int(self.env.now)

    def event_loop(self, ready: simpy.Store, switch_ns: int) -> Process:
        """epoll, or coroutines over it: one thread takes all that is ready."""
        costs = self.costs
        reported = 0
        while True:
            asleep = not ready.items
            batch = [(yield ready.get())]
            with self.core.request() as turn:
                yield turn
                if asleep:
                    self.outcome.switches += 1
                    yield from self.wake_up()
                while ready.items:
                    batch.append((yield ready.get()))
                looked_at = len(batch) + (0 if asleep else reported)
                ns = costs.epoll_wait_ns + costs.epoll_wait_per_event_ns * looked_at
                yield self.syscall("epoll_wait", ns)
                for request in batch:
                    if switch_ns:
                        yield self.spend("user", switch_ns)
                    yield from self.serve(request)
                reported = len(batch)
                if not ready.items:
                    # It looks once more, finds nothing, and falls asleep.
                    ns = costs.epoll_wait_ns + costs.epoll_wait_per_event_ns * reported
                    yield self.syscall("epoll_wait", ns)
                self.idle_since_ns = int(self.env.now)


def run(
    model: str,
    costs: Costs,
    connections: int,
    rate_per_s: float,
    demand_ns: int,
    duration_ns: int,
) -> Outcome:
    """Simulate `model` (blocking, epoll, coroutine) and return what it has shown."""
    world = Model(costs, connections)
    env = world.env
    if model == "blocking":
        inboxes = [simpy.Store(env) for _ in range(connections)]
        for inbox in inboxes:
            env.process(world.connection_thread(inbox))
    else:
        inboxes = [simpy.Store(env)]
        switch_ns = costs.coroutine_switch_ns if model == "coroutine" else 0
        env.process(world.event_loop(inboxes[0], switch_ns))
    env.process(world.source(inboxes, rate_per_s, demand_ns))
    env.run(until=duration_ns)
    world.outcome.events = next(env._eid)
    return world.outcome
