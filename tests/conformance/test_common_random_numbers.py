"""All I/O models are asked for the same, at the same times."""

from typing import Any

import pytest
from grounds import Seen, serving

from iosim.machine.request import Request
from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once

MODELS = serving("requests")

HANDLER = [
    {"cpu": {"exponential": "20us"}},
    {"call": "db"},
    {"sleep": {"uniform": {"low": "10us", "high": "90us"}}},
]

LONGEST_NS = 50_000
"""A message's longest way."""

Asked = dict[int, tuple[int, Any, int | None]]
"""By number: intended time from the first one's, demands, how long its way to the server took.

None: it may have waited at its client for the connection.
"""


def asked(model: str, profile: str = "reference", **changes: Any) -> Asked:
    """What reached the server."""
    data = {
        "machine": {"network": changes.pop("network", "loopback")},
        "server": {
            "handler": changes.pop("handler", HANDLER),
        },
        "devices": {"db": {"remote": {"latency": {"exponential": "300us"}}}},
        "workload": changes.pop(
            "workload", {"open": {"rate": "20k/s", "connections": {"total": 100}}}
        ),
        "models": [model],
        "run": {"duration": "20ms", "warm_up": "none", "seed": 5, **changes},
    }
    scenario = from_data(data)
    seen = Seen()
    run_once(scenario, scenario.models[0], load(profile).costs, 0, trace=seen)
    requests = sorted(seen.delivered_requests.items())
    start_ns = requests[0][1].intended_ns
    arrivals = dict(seen.deliveries)

    def direct(request: Request) -> bool:
        """Whether nothing else was on its connection while it was on its way."""
        return all(
            getattr(other, "answered_ns", 10**18) <= request.intended_ns
            or other.intended_ns > request.intended_ns + LONGEST_NS
            for _, other in requests
            if other.client is request.client and other is not request
        )

    return {
        number: (
            request.intended_ns - start_ns,
            request.amounts,
            arrivals[number] - request.intended_ns if direct(request) else None,
        )
        for number, request in requests
    }


@pytest.fixture(scope="module")
def reference() -> Asked:
    return asked("epoll")


@pytest.mark.parametrize("model", MODELS)
def test_intended_times_and_demands_are_the_same_for_every_model(
    model: str, reference: Asked
) -> None:
    requests = asked(model)
    common = requests.keys() & reference.keys()
    assert len(common) > 200
    for number in common:
        assert requests[number][:2] == reference[number][:2]


def test_another_seed_asks_for_something_else(
    reference: Asked,
) -> None:
    other = asked("epoll", seed=6)
    assert all(other[number][:2] != reference[number][:2] for number in range(1, 100))


def test_a_step_more_does_not_change_the_others(
    reference: Asked,
) -> None:
    # The same two steps before it, and the same arrivals.
    steps = [{"cpu": {"exponential": "20us"}}, {"call": "db"}]
    fewer = asked("epoll", handler=steps)
    for number in fewer.keys() & reference.keys():
        assert fewer[number][0] == reference[number][0]
        assert fewer[number][1] == reference[number][1][:2]


@pytest.mark.parametrize("model", [model for model in MODELS if model != "epoll"])
def test_the_network_takes_the_same_time_for_a_request_of_every_model(model: str) -> None:
    # Few connections, so that requests have to wait at their clients, more in one model than
    # in another: that must not change the way of those that need not. No costs, so that an
    # interrupt takes no time.
    how: dict[str, Any] = {
        "profile": "free",
        "network": {"nic": {"latency": {"uniform": {"low": "1us", "high": "50us"}}}},
        "workload": {"open": {"rate": "10k/s", "connections": {"total": 20}}},
        "handler": [{"cpu": {"exponential": "70us"}}],
    }
    one, other = asked("epoll", **how), asked(model, **how)
    direct = [n for n in one.keys() & other.keys() if one[n][2] and other[n][2]]
    assert 50 < len(direct) < len(one)
    assert [one[n][2] for n in direct] == [other[n][2] for n in direct]


def test_users_think_alike_in_every_model() -> None:
    workload = {
        "closed": {
            "users": 10,
            "think": {"exponential": "500us"},
            "connections": {"total": 10},
        }
    }

    def thoughts(model: str) -> dict[int, list[int]]:
        data = {
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": workload,
            "models": [model],
            "run": {"duration": "20ms", "warm_up": "none"},
        }
        scenario = from_data(data)
        seen = Seen()
        run_once(scenario, scenario.models[0], load("reference").costs, 0, trace=seen)
        by_user: dict[int, list[int]] = {}
        for _, request in sorted(seen.delivered_requests.items()):
            user = by_user.setdefault(request.client.number, [])
            user.append(request.intended_ns)
            user.append(getattr(request, "answered_ns", 0))
        # From an answer to the next request.
        return {
            user: [times[i + 1] - times[i] for i in range(1, len(times) - 1, 2)]
            for user, times in by_user.items()
        }

    one, other = thoughts("epoll"), thoughts("blocking")
    assert one.keys() == other.keys() == set(range(10))
    for user in one:
        count = min(len(one[user]), len(other[user]))
        assert count > 10
        assert one[user][:count] == other[user][:count]
