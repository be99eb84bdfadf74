"""One connection that always has something more to say does not keep the others from being served.

A pipelined client sends so fast that its socket is never found empty; the others ask now and then.
With an edge-triggered epoll the program reads on until EAGAIN, and so could stay with the one for
ever; with one-shot items and signals it could forget to look again.
"""

import pytest
from grounds import OPTIONS, Data, Seen, serving
from worlds import Driven

from iosim.machine.request import ANSWERED
from iosim.profile import load
from iosim.scenario import from_data

KINDS = [
    (model, options) for model in serving("requests") for options in [{}, *OPTIONS.get(model, [])]
]

MANY = 3_000
"""Requests of the one that does not stop: they take 40 ms and more."""

LATEST_NS = 40_000_000
"""Others are answered before that: a goroutine is preempted after 10 ms, as it is that long until
the network is asked on a processor that is never idle."""

COOPERATIVE = [("asyncio", {"api": "sockets"}), ("goroutine", {"sysmon": False})]
"""Who goes on while there is something to read, and whom nobody stops: these do starve others, as
CPython 3.11's `sock_recv`, which does not await where it need not, and Go without preemption."""


@pytest.mark.parametrize(("model", "options"), KINDS, ids=str)
def test_others_are_served_beside_a_connection_that_is_never_idle(
    model: str, options: Data
) -> None:
    scenario = from_data(
        {
            "server": {"handler": [{"cpu": "10us"}]},
            "workload": {
                "open": {"rate": "1k/s", "connections": {"total": 4, "pipeline": 16}},
            },
            "models": [{model: options}],
        }
    )
    seen = Seen()
    world = Driven(scenario, load("reference").costs, seen)
    world.send(*[(0, 0)] * MANY)
    others = [(1_000_000 + 100_000 * number, number) for number in (1, 2, 3)]
    world.send(*others)
    world.finish(2_000_000_000)
    requests = seen.delivered_requests.values()
    assert [request.state for request in requests] == [ANSWERED] * (MANY + 3)
    insatiable = [r.answered_ns for r in requests if r.client.number == 0]
    for request in requests:
        if request.client.number and (model, options) not in COOPERATIVE:
            assert request.answered_ns < max(insatiable)
            assert request.answered_ns - request.intended_ns < LATEST_NS, request
