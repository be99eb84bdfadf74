"""No wake-up is lost: a request may come at any instant, also while the server goes to sleep.

A first request is served alone under a trace, which says when anything begins or ends in the
server. Then the run is repeated with a second request that arrives at each of these instants, and
a nanosecond before: on the same connection or another. Each must be answered, however the program
was just about to sleep: in epoll_wait, on a futex, for completions.

Costs are a few ns each, all different, so that each step of a call is an instant of its own.
"""

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import pytest
from grounds import CALL, OPTIONS, Data, Seen, serving

from iosim.clients import Clients
from iosim.machine.core import Core
from iosim.machine.costs import Costs
from iosim.machine.request import ANSWERED, Request
from iosim.machine.thread import Segment, Thread, WaitQueue
from iosim.scenario import Scenario, from_data
from iosim.streams import Streams
from iosim.world import build

TABLES = (
    "idle_exit_ns",
    "idle_exit_charged_ns",
    "cold_execution_ns",
    "cpython_cold_execution_ns",
    "file_copy_per_kib_ns",
)
MOST_INSTANTS = 120
"""What polls for ever has no end of them."""

SETTLING_NS = 20_000
"""From the last accepted connection to the load: enough at these costs."""

CALM_NS = 2_000
"""After an answer; by then the server is asleep, or begins over and over."""

HORIZON_NS = 5_000_000
"""Who has not been answered by then will never be."""


@cache
def small_costs() -> Costs:
    """Each step takes a few ns, no two the same if they may follow each other."""
    values: Data = {}
    for index, each in enumerate(fields(Costs)):
        name = each.name
        if not each.init:
            continue
        if name.endswith("_bytes") or "per_kib" in name or name.startswith("stolen"):
            values[name] = 0
        elif name.endswith("_ns"):
            values[name] = 3 + index * 7 % 23
    values |= dict.fromkeys(TABLES, ((0, 0),))
    values |= {"cache_refill_per_kib_ns": ((0, 0),), "poll_per_descriptor_ns": ((0, 2),)}
    values |= {"idle_exit_ns": ((0, 11),), "cache_bytes": 1}
    values |= {"cpython_switch_interval_ns": 2_000, "timer_slack_ns": 50, "receive_softirq_ns": 0}
    return Costs(**values)


@dataclass
class Instants(Seen):
    """A trace that keeps when anything begins or ends in the server."""

    at_ns: set[int] = field(default_factory=set)

    def dispatched(self, thread: Thread, core: Core, at_ns: int, runs_ns: int) -> None:
        self.at_ns |= {at_ns, runs_ns}

    def ran(
        self, thread: Thread, core: Core, from_ns: int, to_ns: int, segments: list[Segment]
    ) -> None:
        for _, ns, _ in segments:
            self.at_ns.add(from_ns)
            from_ns += ns
            if from_ns > to_ns:
                break
        self.at_ns.add(to_ns)

    def slept(self, thread: Thread, core: Core, at_ns: int, on: WaitQueue) -> None:
        self.at_ns.add(at_ns)

    def woke(self, thread: Thread, at_ns: int) -> None:
        self.at_ns.add(at_ns)


SCHEDULER: Data = {"eevdf": {"slice": "1us", "tick": "0s"}}


class Race:
    """A scenario in which requests arrive when they are told to."""

    def __init__(self, model: str, options: Data, handler: list[Data], **more: Any) -> None:
        server = {"handler": handler, **more.get("server", {})}
        more = {key: value for key, value in more.items() if key != "server"}
        network = {"nic": {"latency": "1us"}}
        self.scenario: Scenario = from_data(
            {
                "machine": {"network": network, "scheduler": SCHEDULER, **more},
                "server": server,
                "devices": self._devices(handler),
                "workload": {"open": {"rate": "1/s", "connections": {"total": 2, "pipeline": 2}}},
                "models": [{model: options}],
                "run": {"duration": "1s", "warm_up": "none"},
            }
        )

    @staticmethod
    def _devices(handler: list[Data]) -> Data:
        if {"call": "disk"} in handler:
            return {"disk": {"disk": {"latency": "300ns"}}}
        latency = {"remote": {"latency": "300ns", "concurrency": 4}}
        return {"db": latency} if CALL in handler else {}

    def run(self, *arrivals: tuple[int, int], calm_ns: int = 0) -> tuple[list[Request], list[int]]:
        """The requests, of which (when, connection) is given from the start of the load; instants.

        Instants, too, count from there. The run ends `calm_ns` after the last answer.
        """
        instants = Instants()
        world = build(
            self.scenario, self.scenario.models[0], small_costs(), Streams(1, 0), trace=instants
        )
        clients: Clients = world.connect.__self__  # type: ignore[attr-defined]
        starts: list[int] = []

        def start() -> None:
            starts.append(world.env._now)
            world.recording.boundary()
            for at_ns, connection in arrivals:
                sent_ns = starts[0] + at_ns - 1_000  # the way to the server
                clients.offer_later(sent_ns, clients.clients[connection])

        ended = world.env.event()
        left = len(arrivals)

        def on_ended(request: Request, at_ns: int) -> None:
            nonlocal left
            left -= 1
            if not left:
                until_ns = max(0, at_ns - world.env._now) + calm_ns
                world.env.timeout(until_ns).callbacks.append(lambda _: ended.succeed())

        clients.on_ended = on_ended
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("iosim.clients.SETTLING_NS", SETTLING_NS)
            world.connect(start)
            world.env.run(until=ended | world.env.timeout(HORIZON_NS))
        (start_ns,) = starts
        requests = [
            instants.delivered_requests[number] for number in sorted(instants.delivered_requests)
        ]
        return requests, sorted(at_ns - start_ns for at_ns in instants.at_ns if at_ns >= start_ns)


HANDLERS: dict[str, list[Data]] = {
    "echo": [],
    "call": [{"cpu": "20ns"}, CALL],
    "sleep": [{"sleep": "150ns"}],
    "file": [{"call": "disk"}],
}

MACHINES: dict[str, tuple[Data, list[str]]] = {
    "one core": ({}, list(HANDLERS)),
    "two cores": ({"cores": 2}, ["echo", "call"]),
    "cpython": ({"cores": 2, "runtime": "cpython"}, ["echo", "call"]),
    "own work": ({"server": {"own_work": {"chunk": "150ns"}}}, ["echo"]),
}

KINDS = [
    (model, number)
    for model in serving("requests")
    for number in range(1 + len(OPTIONS.get(model, [])))
]

CASES = [
    (model, number, machine, handler)
    for model, number in KINDS
    for machine, (_, handlers) in MACHINES.items()
    for handler in handlers
]


@pytest.mark.parametrize(
    ("model", "number", "machine", "handler"),
    CASES,
    ids=[f"{model}+{number}, {machine}, {handler}" for model, number, machine, handler in CASES],
)
def test_a_request_that_comes_at_any_instant_is_answered(
    model: str, number: int, machine: str, handler: str
) -> None:
    options = [{}, *OPTIONS.get(model, [])][number]
    if "sqpoll" in options:  # by default it spins for a second before it sleeps
        options = {**options, "sq_thread_idle": "2us"}
    race = Race(model, options, HANDLERS[handler], **MACHINES[machine][0])
    first_ns = 5_000
    alone, instants = race.run((first_ns, 0), calm_ns=CALM_NS)
    assert [request.state for request in alone] == [ANSWERED]
    near = sorted({at_ns - by_ns for at_ns in instants for by_ns in (0, 1) if at_ns > first_ns})
    for second_ns in near[:MOST_INSTANTS]:
        for connection in (0, 1):
            requests, _ = race.run((first_ns, 0), (second_ns, connection))
            states = [request.state for request in requests]
            assert states == [ANSWERED, ANSWERED], (second_ns, connection)
