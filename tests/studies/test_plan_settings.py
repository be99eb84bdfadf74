"""Grids of settings: how they are written, and how the smallest that is enough is found."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from planned import EFFORT, made_up, scenario

from iosim.errors import UsageError
from iosim.scenario import Scenario
from iosim.slo import Verdict
from iosim.studies import settings
from iosim.studies.grid import parse_all
from iosim.studies.probing import Effort, Probe
from iosim.studies.settings import Grid, Sizing, axes_of, changed, smallest_setting

POOL = {"thread_pool": {"threads": 8}}


def over(*texts: str) -> Grid:
    return [(axis.path, axis.values) for axis in parse_all(texts)]


def test_a_path_into_models_concerns_that_model_alone() -> None:
    made = scenario("epoll", POOL)
    grid = over("models.thread_pool.threads=4..16", "machine.cores=1,2")
    assert [path for path, _ in axes_of(made, 0, grid)] == ["machine.cores"]
    assert len(axes_of(made, 1, grid)) == 2


def test_a_setting_is_checked_like_a_file() -> None:
    made = changed(scenario(POOL), {"models.thread_pool.threads": "32", "machine.cores": "2"})
    assert (made.models[0].options.threads, made.machine.cores) == (32, 2)
    for setting, told in (
        ({"machine.cores": "0"}, "machine.cores"),
        ({"models.thread_pol.threads": "4"}, "did you mean 'thread_pool'?"),
        ({"machine.coers": "4"}, "did you mean 'cores'?"),
        ({"profile.context_switch": "1us"}, "a cost is the profile's"),
    ):
        with pytest.raises(UsageError) as caught:
            changed(scenario(POOL), setting)
        assert str(caught.value).startswith("--over ")
        assert told in str(caught.value)


def sized(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[[Scenario], Verdict], grid: Grid
) -> Sizing:
    def probe(at: Scenario, effort: Effort) -> Generator[Any, Any, Probe]:
        return made_up(10_000.0, judge(at))
        yield  # a generator

    monkeypatch.setattr(settings, "probe", probe)
    try:
        next(smallest_setting(scenario(POOL), 0, grid, EFFORT))
    except StopIteration as stop:
        found: Sizing = stop.value
        return found
    raise AssertionError("nothing was to be simulated")


def threads(made: Scenario) -> int:
    found: int = made.models[0].options.threads
    return found


THREADS = over("models.thread_pool.threads=4..256")


def test_the_smallest_is_found_by_bisection(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sized(monkeypatch, lambda at: "pass" if threads(at) >= 30 else "fail", THREADS)
    assert [dict(each.setting) for each in found.enough] == [{"models.thread_pool.threads": "32"}]
    assert len(found.tried) <= 4  # of 7


def test_the_first_may_be_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sized(monkeypatch, lambda at: "pass", THREADS)
    assert [dict(each.setting) for each in found.enough] == [{"models.thread_pool.threads": "4"}]


def test_where_the_largest_fails_all_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sized(monkeypatch, lambda at: "pass" if 10 < threads(at) < 100 else "fail", THREADS)
    assert [threads_of for each in found.enough for threads_of in each.setting.values()] == ["16"]
    assert len(found.tried) == 7


def test_where_none_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sized(monkeypatch, lambda at: "inconclusive", THREADS)
    assert (found.enough, len(found.tried)) == ((), 7)


def test_each_value_of_another_path_has_its_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(at: Scenario) -> Verdict:
        return "pass" if threads(at) * at.machine.cores >= 64 else "fail"

    grid = [*THREADS, *over("machine.cores=1,4")]
    found = sized(monkeypatch, judge, grid)
    assert [tuple(each.setting[path] for path, _ in grid) for each in found.enough] == [
        ("64", "1"),
        ("16", "4"),
    ]


def test_words_are_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(at: Scenario) -> Verdict:
        return "pass" if at.machine.scheduler.kind == "fifo" else "fail"

    found = sized(monkeypatch, judge, over("machine.scheduler=eevdf,fifo,round_robin"))
    assert [dict(each.setting) for each in found.enough] == [{"machine.scheduler": "fifo"}]
    assert len(found.tried) == 3
