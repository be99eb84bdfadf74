"""Operational laws that hold exactly: Little's, utilization, throughput."""

from typing import Any

import pytest
from grounds import CASES, ITEMS, Case, serving, traced

from iosim.clients import Client, Clients
from iosim.machine.request import ANSWERED
from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once

NETWORK_NS = 30_000


class Population:
    """How many requests the server's side has under way, integrated over time."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.integral_ns = 0
        self._count = 0
        self._since_ns = 0
        self.ended = 0
        offer, receive = Clients.offer, Client.receive

        def offered(clients: Clients, *args: Any) -> None:
            before = clients.offered - clients.refused
            offer(clients, *args)
            self._change(clients._env._now, clients.offered - clients.refused - before)

        def received(client: Client, socket: Any, message: Any, at_ns: int) -> None:
            receive(client, socket, message, at_ns)
            if message.state == ANSWERED:
                self._change(at_ns, -1)
                self.ended += 1

        patch.setattr(Clients, "offer", offered)
        patch.setattr(Client, "receive", received)

    def _change(self, at_ns: int, by: int) -> None:
        assert at_ns >= self._since_ns
        self.integral_ns += self._count * (at_ns - self._since_ns)
        self._since_ns = at_ns
        self._count += by

    @property
    def under_way(self) -> int:
        return self._count


@pytest.mark.parametrize("model", serving("requests"))
@pytest.mark.parametrize("cores", [1, 2])
def test_littles_law_holds_exactly(model: str, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A card, so that each way takes 30 us: a request is at the server from its arrival there
    # to its answer's leaving, the response time less two ways. The integral of their number
    # over time is then the sum of those times, of a run that begins and ends with none.
    population = Population(monkeypatch)
    scenario = from_data(
        {
            "machine": {"cores": cores, "network": {"nic": {"latency": "30us"}}},
            "server": {"handler": [{"cpu": {"exponential": "20us"}}, {"sleep": "100us"}]},
            "workload": {
                "open": {"rate": "10k/s", "connections": {"total": 30}},
            },
            "models": [model],
            "run": {"duration": "40ms", "warm_up": "none"},
        }
    )
    record = run_once(scenario, scenario.models[0], load("reference").costs, 0)
    assert population.ended == record.completed > 200
    # Those still under way at the end are in the integral, and not among the answered.
    unanswered = record.in_flight
    assert population.under_way == unanswered
    at_server_ns = record.responses.total_ns - 2 * NETWORK_NS * record.completed
    excess_ns = population.integral_ns - at_server_ns
    if unanswered == 0:
        assert excess_ns == 0
    else:
        assert 0 <= excess_ns <= unanswered * record.duration_ns


@pytest.mark.parametrize("model", serving("requests"))
@pytest.mark.parametrize("rate", [1_000, 5_000, 8_000])
def test_utilization_is_throughput_times_demand(model: str, rate: int) -> None:
    # Deterministic arrivals and demands, no costs, and a window of whole periods: each
    # request is served where it came.
    scenario = from_data(
        {
            "server": {"handler": [{"cpu": "100us"}]},
            "workload": {
                "open": {"rate": rate, "arrivals": "deterministic", "connections": {"total": 100}}
            }
            | {"open": {"rate": f"{rate}/s", "arrivals": "deterministic"}},
            "models": [model],
            "run": {"duration": "100ms", "warm_up": "none"},
        }
    )
    record = run_once(scenario, scenario.models[0], load("free").costs, 0)
    user_ns = record.cores_ns[0]["user"]
    # All but perhaps the last, which comes when the run ends.
    assert abs(record.completed - rate // 10) <= 1
    assert user_ns == pytest.approx(record.completed * 100_000, abs=100_000)
    assert record.responses.total_ns == pytest.approx(record.completed * 100_000, rel=0.001)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.situation == "overloaded"], ids=str
)
def test_no_core_computes_more_than_it_can(case: Case) -> None:
    record = traced(case).record
    # 90,000 a second of 20 us each is 1.8 cores' worth: the one core is busy all the time ...
    core = record.cores_ns[0]
    assert core["idle"] < 0.05 * record.window_ns
    # ... and still gets no more done than there is time.
    assert record.completed * 20_000 < 1.25 * record.window_ns
    assert record.timed_out + record.refused > 0


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.situation in ITEMS and case.profile == "free"], ids=str
)
def test_items_are_used_as_fast_as_they_can_be(case: Case) -> None:
    record = traced(case).record
    total_ns = sum(core["user"] for core in record.cores_ns)
    assert total_ns <= record.window_ns * len(record.cores_ns)
    # One thread at least is always busy: nobody waits for what nobody makes.
    assert total_ns >= record.window_ns - 200_000
