"""Morris and Sobol over the costs' spreads: what they say of an answer known beforehand."""

import pytest
from test_sensitivity import profile, scenario

from iosim.errors import UsageError
from iosim.report.designs import answer
from iosim.report.study import to_text
from iosim.studies.designs import explore

pytest.importorskip("SALib")

COSTS = profile(recvfrom=(1_000, 3_000), sendto=(1_000, 2_000), syscall=(0, 10))
ONCE = {"duration": "5ms", "replications": 1, "warm_up": "none"}


def test_morris_finds_what_each_cost_adds_to_a_request() -> None:
    """A request is one recvfrom and one sendto: its CPU time is linear in both."""
    found = explore(scenario("epoll", run=ONCE), "cpu_time_per_request_ns", "morris", 3, COSTS)
    assert found.points == 3 * (3 + 1)
    indices = found.indices["epoll"]
    assert indices["recvfrom"]["mu_star"] == pytest.approx(2_000, rel=0.1)
    assert indices["sendto"]["mu_star"] == pytest.approx(1_000, rel=0.1)
    text = to_text(answer(found))
    assert text.index("recvfrom") < text.index("sendto") < text.index("syscall")
    assert max(map(len, text.splitlines())) <= 80


def test_sobol_parts_the_variance() -> None:
    """Of a sum of two uniform costs with widths 2 and 1, the variance is as 4 to 1."""
    found = explore(scenario("epoll", run=ONCE), "cpu_time_per_request_ns", "sobol", 32, COSTS)
    total = {cost: each["ST"] or 0 for cost, each in found.indices["epoll"].items()}
    assert total["recvfrom"] == pytest.approx(0.8, abs=0.2)
    assert total["sendto"] == pytest.approx(0.2, abs=0.1)
    assert total["syscall"] < 0.01


def test_pairs_that_change_places_are_counted() -> None:
    upset = profile(epoll_wait=(0, 4_000), context_switch=(500, 1_500))
    found = explore(scenario(), "cpu_time_per_request_ns", "morris", 3, upset)
    ((_, count),) = found.reversed_at.items()
    assert 0 < count < found.points
    assert f"at {count} of {found.points} points" in to_text(answer(found))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'morris'"):
        explore(scenario("epoll"), method="moris", profile=COSTS)
    with pytest.raises(UsageError, match="power of two"):
        explore(scenario("epoll"), method="sobol", samples=12, profile=COSTS)
    with pytest.raises(UsageError, match="two costs or more"):
        explore(scenario("epoll"), "mean", profile=profile(recvfrom=(1, 2)))
