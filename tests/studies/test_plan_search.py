"""The search for the highest load: it ends where it should, in few steps, whatever it meets."""

from math import ceil, log

import pytest
from planned import made_up, scenario, searched

from iosim.slo import Verdict
from iosim.studies.capacity import Capacity


def up_to(most: float) -> "object":
    def judge(load: float) -> Verdict:
        return "pass" if load <= most else "fail"

    return judge


@pytest.mark.parametrize("most", [2_000.0, 2_010.0, 13_700.0, 81_234.0, 1_000.0, 12.0])
def test_it_finds_the_last_load_that_passes(monkeypatch: pytest.MonkeyPatch, most: float) -> None:
    found = searched(monkeypatch, up_to(most))  # type: ignore[arg-type]
    assert found.carries is not None
    assert found.fails is not None
    assert most / 1.01 <= found.carries.load <= most < found.fails.load
    assert found.fails.load / found.carries.load <= 1.01 + 1e-9


@pytest.mark.parametrize("most", [13_700.0, 81_234.0, 1_000.0])
def test_it_takes_at_most_a_third_of_a_grid(monkeypatch: pytest.MonkeyPatch, most: float) -> None:
    found = searched(monkeypatch, up_to(most))  # type: ignore[arg-type]
    ends = found.probes[-1].load / found.probes[0].load
    assert len(found.probes) <= (ceil(log(ends) / log(1.01)) + 1) / 3


def test_a_finer_answer_takes_a_few_more(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse, fine = (
        len(searched(monkeypatch, up_to(13_700.0), resolution=r).probes)  # type: ignore[arg-type]
        for r in (0.01, 0.0001)
    )
    assert coarse < fine <= coarse + 7


def test_where_nothing_passes_there_is_no_highest_load(monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(monkeypatch, lambda load: "fail")
    assert (found.carries, found.headroom) == (None, None)
    assert len(found.probes) == 5


def test_where_everything_passes_it_ends_at_what_can_be_simulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = searched(monkeypatch, lambda load: "pass")
    assert found.carries is found.probes[-1]
    assert (found.fails, found.limit) == (None, None)


def test_what_is_left_open_is_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(load: float) -> Verdict:
        return "pass" if load < 15_000 else "inconclusive" if load < 18_000 else "fail"

    found = searched(monkeypatch, judge)
    assert found.carries is not None and found.open_from is not None and found.fails is not None
    assert found.carries.load < 15_000 <= found.open_from.load <= 15_150
    assert found.fails.load >= 18_000


def test_an_objective_that_more_load_satisfies_is_looked_for_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def judge(load: float) -> Verdict:
        return "pass" if 30_000 < load < 70_000 else "fail"

    found = searched(monkeypatch, judge, lines=("throughput > 30k/s",))
    assert found.carries is not None
    assert 69_000 < found.carries.load < 70_000


def test_users_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {"closed": {"users": 10, "think": "1ms", "connections": {"total": 20}}}
    start = scenario(workload=closed)
    found = searched(monkeypatch, up_to(13.0), start)  # type: ignore[arg-type]
    assert [probe.load for probe in found.probes] == [10.0, 12.0, 13.0, 14.0, 20.0]
    assert found.carries is not None
    assert found.carries.load == 13.0
    assert found.headroom == pytest.approx(0.3)


def test_headroom_is_relative_to_today() -> None:
    today, carried = made_up(10_000.0, "pass"), made_up(25_000.0, "pass")
    assert Capacity("epoll", today, (today, carried), 0.01).headroom == 1.5
    lower = made_up(5_000.0, "pass")
    failing = made_up(10_000.0, "fail")
    assert Capacity("epoll", failing, (lower, failing), 0.01).headroom == -0.5
