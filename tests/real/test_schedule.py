"""What is asked of real servers is what is asked of simulated ones."""

from typing import Any

import pytest

from iosim.clients import Clients
from iosim.errors import UsageError
from iosim.profile import load as load_profile
from iosim.real.plan import THINK_TIMES
from iosim.scenario import Scenario, from_data
from iosim.schedule import schedule_of
from iosim.simulation import observe

MS = 1_000_000

HANDLER = [
    {"cpu": {"exponential": "20us"}},
    {"call": "db"},
    {"sleep": {"uniform": {"low": "1us", "high": "9us"}}},
]


def scenario(workload: dict[str, Any], **device: Any) -> Scenario:
    return from_data(
        {
            "server": {"handler": HANDLER},
            "devices": {"db": {"remote": {"latency": {"exponential": "100us"}, **device}}},
            "workload": workload,
            "models": ["epoll"],
            "run": {"duration": "50ms", "warm_up": "none"},
        }
    )


OPEN = {"open": {"rate": "20k/s", "connections": {"total": 30, "active": "50%"}}}


@pytest.mark.parametrize(
    "workload",
    [
        OPEN,
        {"open": {"rate": "20k/s", "arrivals": "deterministic"}},
        {"on_off": {"rate": "20k/s", "on": {"exponential": "5ms"}, "off": {"exponential": "5ms"}}},
    ],
    ids=["open", "deterministic", "on_off"],
)
@pytest.mark.parametrize("replication", [0, 3])
def test_the_same_requests_as_simulated(
    workload: dict[str, Any], replication: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = scenario(workload)
    seen = []
    make = Clients._new

    def kept(clients: Clients, *args: Any) -> Any:
        request = make(clients, *args)
        seen.append((request.intended_ns, request.client.number, request.amounts))
        return request

    monkeypatch.setattr(Clients, "_new", kept)
    observe(wanted, wanted.models[0], load_profile("free").costs, replication)
    start_ns = seen[0][0]
    simulated = [(ns - start_ns, client, amounts) for ns, client, amounts in seen]
    schedule = schedule_of(wanted, replication)
    rows = [
        schedule.table[first : first + schedule.columns]
        for first in range(0, len(schedule.table), schedule.columns)
    ]
    first_ns = rows[0][0]
    table = [
        (ns - first_ns, client, (cpu, call // 2, nap)) for ns, client, _, _, cpu, call, nap in rows
    ]
    assert len(table) > 300
    assert table[: len(simulated)] == simulated[: len(table)]
    assert all(bytes_ == [128, 1024] for bytes_ in (list(row[2:4]) for row in rows))


def test_calls_that_fail_have_a_column_for_each_attempt() -> None:
    wanted = scenario(OPEN, error_rate="30%")
    data = wanted.to_data()
    data["server"]["handler"][1] |= {"on_error": "retry", "attempts": 3}
    schedule = schedule_of(from_data(data), 0)
    assert schedule.columns == 4 + 1 + 3 + 1
    failed = [amount & 1 for amount in schedule.column(6)]
    assert 0.2 < sum(failed) / len(failed) < 0.4


def test_users_have_their_own_think_times() -> None:
    wanted = scenario({"closed": {"users": 4, "think": {"exponential": "1ms"}}})
    schedule = schedule_of(wanted, 0)
    assert schedule.think is not None
    assert len(schedule.think) == 4 * THINK_TIMES
    assert set(schedule.column(0)) == {-1}
    more = schedule_of(scenario({"closed": {"users": 5, "think": {"exponential": "1ms"}}}), 0)
    assert more.think is not None
    assert more.think[: 4 * THINK_TIMES] == schedule.think


def test_too_many_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iosim.schedule.MOST_ROWS", 100)
    with pytest.raises(UsageError, match="more than 100 requests"):
        schedule_of(scenario(OPEN), 0)
