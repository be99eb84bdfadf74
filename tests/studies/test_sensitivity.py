"""Sensitivity: the cost that matters in a scenario built so is found, and so is an upset order."""

from dataclasses import replace
from typing import Any

import pytest

from iosim.errors import UsageError
from iosim.profile import COST_NAMES, Profile
from iosim.profile import load as load_profile
from iosim.report.sensitivity import answer
from iosim.report.study import to_csv, to_text
from iosim.scenario import Scenario, from_data
from iosim.studies.screening import touched, with_level
from iosim.studies.sensitivity import Sensitivity, sensitivity

FREE = load_profile("free")


def profile(**spreads: tuple[float, float]) -> Profile:
    """Nothing costs anything, but some costs may: at most the high end of their spread."""
    entries = dict(FREE.entries)
    costs = {}
    for name, (low, high) in spreads.items():
        middle = round((low + high) / 2)
        entries[name] = replace(entries[name], value=middle, spread=(low, high))
        costs[f"{name}_{entries[name].unit}"] = middle
    return replace(FREE, costs=replace(FREE.costs, **costs), entries=entries)  # type: ignore[arg-type]


def scenario(*models: Any, **changes: Any) -> Scenario:
    return from_data(
        {
            "name": "small",
            "server": {"handler": [{"cpu": {"exponential": "20us"}}]},
            "workload": {"open": {"rate": "10k/s", "connections": {"total": 32}}},
            "models": list(models or ["epoll", "blocking"]),
            "run": {"duration": "5ms", "replications": 4, "warm_up": "none"},
            **changes,
        }
    )


UPSET = {"epoll_wait": (0, 4_000), "context_switch": (500, 1_500), "recvfrom": (900, 1_100)}
"""Between nothing and much: an epoll_wait may cost less than a thread's switches, or more."""


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    return sensitivity(scenario(), "cpu_time_per_request_ns", profile(**UPSET))


def test_of_all_costs_only_the_touched_ones_are_found() -> None:
    costs = profile(epoll_wait=(0, 1_000), poll=(0, 1_000), fork=(0, 1_000))
    paid = touched(scenario("epoll"), costs)
    assert {"epoll_wait", "recvfrom", "sendto", "syscall", "epoll_ctl_add"} <= set(paid)
    strangers = {"fork", "poll", "io_uring_enter", "cpython_call", "goroutine_switch", "pread64"}
    assert not strangers & set(paid)


def test_memory_counts_if_it_is_asked_for() -> None:
    brief = scenario("epoll", run={"duration": "1ms", "replications": 1, "warm_up": "none"})
    assert "socket_memory" not in touched(brief, FREE)
    assert "socket_memory" in touched(brief, FREE, memory=True)


def test_whether_a_cost_is_touched_is_exact() -> None:
    """Each cost by itself says the same as the groups did."""
    small = scenario("epoll", run={"duration": "2ms", "replications": 1, "warm_up": "none"})
    costs = load_profile("reference")
    some = COST_NAMES[::15]
    paid = set(touched(small, costs))
    from iosim.studies.variants import Variant, simulated

    raised = [Variant(small, with_level(costs, {n: _raised(costs, n)})) for n in some]
    baseline, *others = simulated([Variant(small, costs), *raised])
    for name, results in zip(some, others, strict=True):
        records = [
            replace(run["epoll"].records[0], memory_bytes={}, memory_peak_bytes=0)
            for run in (baseline, results)
        ]
        assert (records[0] != records[1]) == (name in paid), name


def _raised(costs: Profile, name: str) -> float:
    value = costs.entries[name].value
    return 1.5 if isinstance(value, tuple) else 1.5 * value + 1


def test_the_one_cost_that_matters_comes_first(found: Sensitivity) -> None:
    assert found.swings["epoll"][0].cost == "epoll_wait"
    assert found.swings["epoll"][0].matters
    assert found.swings["blocking"][0].cost == "context_switch"
    # A thread's connection is never waited for by epoll.
    untouched = {swing.cost: swing for swing in found.swings["blocking"]}["epoll_wait"]
    assert (untouched.size, untouched.matters) == (0, False)


def test_a_swing_is_what_the_arithmetic_says(found: Sensitivity) -> None:
    """A request is received once: what recvfrom costs more, a request costs more."""
    swing = {each.cost: each for each in found.swings["blocking"]}["recvfrom"]
    assert swing.whole.difference.mean == pytest.approx(200, rel=0.05)
    assert (swing.low, swing.high) == (900, 1_100)


def test_costs_without_a_spread_are_named(found: Sensitivity) -> None:
    assert "sendto" in found.without_spread
    assert not set(UPSET) & set(found.without_spread)


def test_an_overturned_order_is_found(found: Sensitivity) -> None:
    certain = {(each.cost, each.level) for each in found.overturns if each.certain}
    assert ("epoll_wait", found.swings["epoll"][0].high) in certain or (
        "epoll_wait",
        found.swings["epoll"][0].low,
    ) in certain
    assert not any(each.cost == "recvfrom" for each in found.overturns)
    told = to_text(answer(found))
    assert "the order is overturned" in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 80
    assert len(to_csv(answer(found)).splitlines()) == 1 + 2 * 3


def test_an_order_that_holds_is_said_to_hold() -> None:
    costs = profile(recvfrom=(900, 1_100), context_switch=(4_000, 4_100))
    found = sensitivity(scenario(), "cpu_time_per_request_ns", costs)
    assert (found.pairs, found.overturns) == (1, ())
    told = " ".join(to_text(answer(found)).split())
    assert "No single cost, within its spread, changes the order of the models" in told


def test_a_metric_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        sensitivity(scenario(), "mea")
    with pytest.raises(UsageError, match=r"epoll has no response_time_p99_9_ns: undefined"):
        sensitivity(scenario("epoll"), "p99.9", profile(syscall=(0, 10)))


def test_interrupted_it_shows_what_has_finished() -> None:
    def interrupt(done: int, total: int) -> None:
        if total == 6 * 8 and done == 3 * 8 + 1:
            raise KeyboardInterrupt

    found = sensitivity(scenario(), "mean", profile(**UPSET), progress=interrupt)
    assert found.interrupted
    assert [len(swings) for swings in found.swings.values()] == [1, 1]
    told = " ".join(to_text(answer(found)).split())
    assert "3 costs are paid by these models; 1 of them, then interrupted, was set" in told
    assert "Of the costs that had not been tried nothing is known." in told
    assert "No single cost, within" not in told


def test_of_one_replication_nothing_is_said_to_move_little() -> None:
    once = {"duration": "5ms", "replications": 1, "warm_up": "none"}
    told = to_text(answer(sensitivity(scenario("epoll", run=once), "mean", profile(**UPSET))))
    assert "not shown whether they move it by 1%: " in " ".join(told.split())
    assert "less than 1%" not in told


def test_less_is_claimed_where_the_interval_lies_within(found: Sensitivity) -> None:
    told = " ".join(to_text(answer(found)).split())
    mean = found.baseline["blocking"].metrics[found.metric].mean or 0.0
    untouched = {swing.cost: swing for swing in found.swings["blocking"]}["epoll_wait"]
    assert untouched.within(0.01 * mean)
    assert "less than 1%, as the whole interval says: 1." in told
