"""The benchmark's reduced model in idiomatic SimPy, for comparison.

What it models: the same server, load and costs as iosim's on one core with loopback
clients: Poisson arrivals over n connections, a core that the clients' machine has and
one that the server has, wake-up, context switch, recvfrom, computing, sendto.

Written as SimPy's documentation teaches: a process for each thread and for the source, a
Resource for each core, a Store for each socket or ready list, a timeout for each piece
of time. It counts requests, switches and response times, and nothing else.

Not modelled (iosim does all of this at the same time): run queues and preemption, CPU
accounting by cause, parts of the response time, cache refill, syscall counts, warm-up,
connection set-up, histograms.
"""

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

IDLE_EXIT_NS = 30_000
CONTEXT_SWITCH_NS = 650
RECVFROM_NS = 2_000
SENDTO_NS = 2_100
CLIENT_SEND_NS = 2_100
EPOLL_WAIT_NS = 110
EPOLL_WAIT_PER_EVENT_NS = 90
COROUTINE_SWITCH_NS = 400

Process = Generator[simpy.Event, Any, None]


@dataclass
class Request:
    """A request: when it was sent, and how much it asks for."""

    sent_ns: int
    demand_ns: int


@dataclass
class Outcome:
    """What a run has shown."""

    completed: int = 0
    switches: int = 0
    response_ns: int = 0
    events: int = field(default=0)


def source(
    env: simpy.Environment,
    client_core: simpy.Resource,
    inboxes: list[simpy.Store],
    rate_per_s: float,
    demand_ns: int,
    rng: random.Random,
) -> Process:
    """Send requests on random connections, with exponential gaps."""
    while True:
        yield env.timeout(round(rng.expovariate(rate_per_s / 1e9)))
        inbox = rng.choice(inboxes)
        env.process(send(env, client_core, inbox, Request(int(env.now), demand_ns)))


def send(
    env: simpy.Environment, client_core: simpy.Resource, inbox: simpy.Store, request: Request
) -> Process:
    """One message: the clients' core is busy with it, then it is in the socket."""
    with client_core.request() as turn:
        yield turn
        yield env.timeout(CLIENT_SEND_NS)
    yield inbox.put(request)


def serve(env: simpy.Environment, request: Request, outcome: Outcome) -> Process:
    """Read, compute, answer."""
    yield env.timeout(RECVFROM_NS)
    yield env.timeout(request.demand_ns)
    yield env.timeout(SENDTO_NS)
    outcome.completed += 1
    outcome.response_ns += int(env.now) - request.sent_ns


def connection_thread(
    env: simpy.Environment, core: simpy.Resource, inbox: simpy.Store, outcome: Outcome
) -> Process:
    """Blocking: a thread that sleeps on its socket."""
    while True:
        request = yield inbox.get()
        outcome.switches += 1
        idle = core.count == 0
        with core.request() as turn:
            yield turn
            if idle:
                yield env.timeout(IDLE_EXIT_NS)
            yield env.timeout(CONTEXT_SWITCH_NS)
            yield from serve(env, request, outcome)


def event_loop(
    env: simpy.Environment,
    core: simpy.Resource,
    ready: simpy.Store,
    outcome: Outcome,
    switch_ns: int,
) -> Process:
    """epoll, or coroutines over it: one thread takes all that is ready."""
    while True:
        asleep = not ready.items
        batch = [(yield ready.get())]
        with core.request() as turn:
            yield turn
            if asleep:
                outcome.switches += 1
                yield env.timeout(IDLE_EXIT_NS)
            while ready.items:
                batch.append((yield ready.get()))
            yield env.timeout(EPOLL_WAIT_NS + EPOLL_WAIT_PER_EVENT_NS * len(batch))
            for request in batch:
                if switch_ns:
                    yield env.timeout(switch_ns)
                yield from serve(env, request, outcome)


def run(
    model: str, connections: int, rate_per_s: float, demand_ns: int, duration_ns: int
) -> Outcome:
    """Simulate `model` (blocking, epoll, coroutine) and return what it has shown."""
    env = simpy.Environment()
    rng = random.Random(1)
    outcome = Outcome()
    core = simpy.Resource(env)
    client_core = simpy.Resource(env)
    if model == "blocking":
        inboxes = [simpy.Store(env) for _ in range(connections)]
        for inbox in inboxes:
            env.process(connection_thread(env, core, inbox, outcome))
    else:
        inboxes = [simpy.Store(env)]
        switch_ns = COROUTINE_SWITCH_NS if model == "coroutine" else 0
        env.process(event_loop(env, core, inboxes[0], outcome, switch_ns))
    env.process(source(env, client_core, inboxes, rate_per_s, demand_ns, rng))
    env.run(until=duration_ns)
    outcome.events = next(env._eid)
    return outcome
