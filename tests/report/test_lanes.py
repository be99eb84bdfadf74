"""A moment as a picture: time, lanes and steps."""

import re
from functools import cache

import pytest

from iosim.machine.costs import Costs
from iosim.profile import load as load_profile
from iosim.report.html.clock import GAP, NAMES, clock_of, pixels_per_us
from iosim.report.html.lanes import story
from iosim.report.story import MOST_LINES, steps, sums_of
from iosim.report.timeline import Moment, Span, observe
from iosim.scenario import from_data

SCENARIO = {
    "machine": {"cores": 2},
    "server": {"handler": [{"cpu": "20us"}, {"call": "db"}]},
    "devices": {"db": {"remote": {"latency": "200us"}}},
    "workload": {"open": {"rate": "5k/s", "connections": {"total": 16}}},
    "models": ["epoll", "blocking"],
    "run": {"duration": "50ms"},
}


@cache
def moment(index: int, busy: bool = False) -> Moment:
    scenario = from_data(SCENARIO)
    costs: Costs = load_profile("reference").costs
    return observe(scenario, scenario.models[index], costs, busy)


def handmade(*spans: tuple[int, int, str]) -> Moment:
    made = tuple(Span("main", 0, cause, "x", a, b) for a, b, cause in spans)
    return Moment("m", 1, 0, 100_000, (), made, (), "request", 0)


def test_work_is_to_scale_and_gaps_are_not() -> None:
    clock = clock_of(handmade((10_000, 20_000, "user"), (90_000, 95_000, "syscall")), 10)
    assert clock(0) == NAMES
    assert clock(20_000) - clock(10_000) == pytest.approx(100)
    assert clock(95_000) - clock(90_000) == pytest.approx(50)
    assert clock(90_000) - clock(20_000) == GAP
    assert clock(55_000) - clock(20_000) == pytest.approx(GAP / 2)
    assert len(clock.cut) == 3  # before, between, after


def test_asking_in_vain_is_a_gap() -> None:
    clock = clock_of(handmade((0, 10_000, "user"), (10_000, 100_000, "spin")), 10)
    assert clock(100_000) - clock(10_000) == GAP


def test_work_that_overlaps_is_one_stretch() -> None:
    clock = clock_of(handmade((0, 60_000, "user"), (30_000, 100_000, "user")), 1)
    assert not clock.cut
    assert clock(100_000) == pytest.approx(NAMES + 100)


def test_the_scale_is_one_at_which_all_fit() -> None:
    long, short = moment(0, True), moment(0)
    scale = pixels_per_us([long, short], 900)
    assert clock_of(long, scale).at_px[-1] <= 900
    assert clock_of(short, scale).at_px[-1] <= 900


def test_there_is_a_lane_for_each_request_core_and_thread() -> None:
    drawn = story(moment(1, True), 1.0, 900, "blocking")
    lanes = re.findall(r'class="lane">([^<]+)<', drawn)
    cores = [lane for lane in lanes if lane.startswith("core")]
    requests = [lane for lane in lanes if lane.startswith("request")]
    threads = lanes[len(requests) + len(cores) :]
    assert cores == ["core 0", "core 1"]
    assert len(requests) == len(moment(1, True).lives)
    assert len(threads) >= 2
    assert all(lane.startswith("connection") for lane in threads)


def test_each_switch_and_each_wake_up_is_marked() -> None:
    for index in (0, 1):
        seen = moment(index)
        drawn = story(seen, 1.0, 500, "x")
        assert drawn.count('class="slept"') == seen.count("slept") > 0
        assert drawn.count('class="woke"') == seen.count("woke") > 0


def test_who_works_does_not_wait_for_its_core() -> None:
    seen = moment(0, True)
    clock = clock_of(seen, 1.0)
    drawn = story(seen, 1.0, 900, "epoll")
    waits = re.findall(r'class="ready" d="M([\d.]+) [\d.]+H([\d.]+)"', drawn)
    works = [(clock(s.from_ns), clock(s.to_ns)) for s in seen.spans if s.thread == "main"]
    assert waits and len(works) > 10
    for start, stop in waits:
        assert not any(a < float(stop) - 0.01 and b > float(start) + 0.01 for a, b in works)


def test_each_step_is_told_and_has_its_place() -> None:
    seen = moment(0)
    drawn = story(seen, 2.0, 500, "epoll")
    items = re.findall(r"<li[^>]*data-from=\"([\d.]+)\" data-to=\"([\d.]+)\"", drawn)
    assert len(items) == len(steps(seen)) < MOST_LINES
    starts = [float(start) for start, _ in items]
    assert starts == sorted(starts)
    assert all(float(start) <= float(stop) for start, stop in items)
    for sentence in sums_of(seen):
        assert sentence in drawn.replace("&#x27;", "'")
