"""Work that is given up leaves nothing behind, whatever the model.

Clients give up and close their connections, in all that a server may be doing for them: computing,
a call, a sleep, an answer for which there is no room, a request of which only a part has come.
When all have gone, the machine is as it was before they came.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from grounds import OPTIONS, Data, Seen, serving
from worlds import Driven, at_intervals

from iosim.machine.core import Core
from iosim.machine.thread import Segment, Thread
from iosim.profile import load
from iosim.scenario import from_data

KINDS = [
    (model, number)
    for model in serving("requests")
    for number in range(1 + len(OPTIONS.get(model, [])))
]

every_kind = pytest.mark.parametrize(
    ("model", "number"), KINDS, ids=[f"{model}+{number}" for model, number in KINDS]
)

CLIENTS = 6

SITUATIONS: dict[str, Data] = {
    "calls and sleeps": {
        "handler": [{"cpu": "20us"}, {"call": "db"}, {"sleep": "200us"}, {"cpu": "20us"}],
        "workload": {"timeout": "250us"},
    },
    "calls that block": {
        "handler": [{"call": "file"}, {"cpu": "10us"}, {"call": "driver"}, {"call": "names"}],
        "workload": {"timeout": "300us"},
    },
    "large answers, slow readers": {
        "handler": [{"cpu": "20us"}],
        "workload": {"timeout": "600us", "reply": "100KiB", "request": "100KiB"},
        "connections": {"receive_rate": "100MB/s"},
    },
    "sleeps, then large answers": {
        "handler": [{"sleep": "280us"}],
        "workload": {"timeout": "300us", "reply": "100KiB"},
        "connections": {"receive_rate": "100MB/s"},
    },
    "parts of requests": {
        "handler": [{"cpu": "20us"}],
        "workload": {"timeout": "200us", "request": "1KiB"},
        "connections": {"slow": {"share": "50%", "piece": "300B", "gap": "60us"}},
    },
}

DEVICES: Data = {
    "db": {"remote": {"latency": "200us", "concurrency": 3}},
    "driver": {"remote": {"latency": "100us", "interface": "blocking"}},
    "file": {"disk": {"latency": "100us"}},
    "names": {"dns": {"latency": "100us"}},
}


KEEP_THREADS = {"aio", "goroutine", "io_uring", "thread_pool_callbacks"}
"""Those that start threads when there is work for them."""


@dataclass
class Labels(Seen):
    """A trace that counts what threads did, by label."""

    ns: Counter[str] = field(default_factory=Counter)

    def ran(
        self, thread: Thread, core: Core, from_ns: int, to_ns: int, segments: list[Segment]
    ) -> None:
        left_ns = to_ns - from_ns
        for _, ns, label in segments:
            self.ns[label] += min(ns, left_ns)
            left_ns -= min(ns, left_ns)


def driven(
    model: str, number: int, situation: Data, cancel: bool, seen: Seen | None = None, **more: Any
) -> Driven:
    options = [{}, *OPTIONS.get(model, [])][number]
    connections = {"total": CLIENTS, "lifetime": 4, **situation.get("connections", {})}
    workload = {"on_timeout": "close", **situation["workload"], "connections": connections}
    called = {step["call"] for step in situation["handler"] if "call" in step}
    scenario = from_data(
        {
            "machine": {"cores": 2, "network": {"nic": {"latency": "20us"}}, **more},
            "server": {"handler": situation["handler"], "cancel": cancel},
            "devices": {name: device for name, device in DEVICES.items() if name in called},
            "workload": {"open": {"rate": "1k/s", **workload}},
            "models": [{model: options}],
        }
    )
    return Driven(scenario, load("reference").costs, seen)


@every_kind
@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_nothing_is_left_of_clients_that_have_gone(
    model: str, number: int, situation: str, cancel: bool
) -> None:
    seen = Labels()
    world = driven(model, number, SITUATIONS[situation], cancel, seen, send_buffer="16KiB")
    machine = world.machine
    before = dict(machine.memory.in_use)
    descriptors = machine.open_descriptors
    world.send(*at_intervals(60, 90_000, CLIENTS))
    world.run(30_000_000)
    fates = world.fates()
    assert fates["in_flight"] == 0
    assert fates["timed_out"] > 0
    assert fates["offered"] == 60

    world.hang_up()
    world.run(60_000_000)
    to_devices = world.device_sockets()
    computed_ns = seen.ns["compute"]
    # No connection, and all of those to devices are free for the next call.
    assert machine.open_descriptors == descriptors + to_devices
    # No timer, no signal to come.
    assert not len(machine.timers)
    assert not any(thread.pending for thread in machine.threads)
    # No memory, but for those connections, and threads that wait for the next.
    costs, after = machine.costs, machine.memory.in_use
    kept = {
        "sockets": to_devices * costs.socket_memory_bytes,
        "epoll items": to_devices * costs.epoll_item_memory_bytes,
        "poll entries": to_devices * costs.poll_entry_memory_bytes,
        "threads": after["threads"] if model in KEEP_THREADS else 0,
    }
    for what in {*before, *after}:
        assert 0 <= after[what] - before.get(what, 0) <= kept.get(what, 0), what
    # Nobody works.
    world.run(70_000_000)
    assert seen.ns["compute"] == computed_ns
    assert world.fates() == fates


STEPS, STEP_NS = 10, 100_000


@every_kind
def test_a_request_that_is_given_up_is_not_worked_on(model: str, number: int) -> None:
    situation: Data = {"handler": [{"cpu": "100us"}] * STEPS, "workload": {"timeout": "350us"}}
    computed_ns = {}
    for cancel in (True, False):
        seen = Labels()
        world = driven(model, number, situation, cancel, seen)
        world.send(*at_intervals(10, 2_500_000, CLIENTS))
        world.run(40_000_000)
        assert world.fates()["timed_out"] == 10
        computed_ns[cancel] = seen.ns["compute"]
    assert computed_ns[False] == 10 * STEPS * STEP_NS
    # The client closes after 350 us; that takes 20 us, and the step under way is finished.
    assert 0 < computed_ns[True] <= 10 * 4 * STEP_NS


@every_kind
@pytest.mark.parametrize("lifetime", [None, 4])
def test_clients_that_have_closed_and_come_again_are_served(
    model: str, number: int, lifetime: int | None
) -> None:
    """Also more of them than there ever are connections at once."""
    situation: Data = {
        "handler": [{"cpu": "20us"}, {"sleep": "100us"}],
        "workload": {"timeout": "150us"},
        "connections": {"lifetime": lifetime},
    }
    world = driven(model, number, situation, cancel=True)
    # All at once, of whom many give up; then one after the other, with more patience.
    world.send(*at_intervals(CLIENTS * 4, 10_000, CLIENTS))
    world.run(10_000_000)
    given_up = world.fates()
    world.clients.timeout_ns = 5_000_000
    assert given_up["timed_out"] >= CLIENTS
    world.send(*[(10_000_000 + at_ns, who) for at_ns, who in at_intervals(20, 500_000, CLIENTS)])
    world.run(40_000_000)
    fates = world.fates()
    assert fates["connections_opened"] > CLIENTS
    assert fates["completed"] - given_up["completed"] == 20
