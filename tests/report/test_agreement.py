"""Simulated held against measured: which pairs, and how far off."""

from pathlib import Path

import pytest
from made import EPOLL, THREADS, document, measured

from iosim.report.html.agreement import held, measured_against_simulated, pairs, sentences
from iosim.report.html.study import Study

FIGURES = {"response_time_p50_ns": 2e6, "throughput_per_s": 1_000.0}
TRUTH = {"response_time_p50_ns": 1e6, "throughput_per_s": 1_000.0}


def study(folder: Path) -> Study:
    return Study.of([
        document(folder, "5k/s", {EPOLL: FIGURES}),
        measured(folder, "5k/s", figures={EPOLL: TRUTH}),
    ])  # fmt: skip


def test_a_figure_twice_as_large_as_measured_is_100_percent_off(tmp_path: Path) -> None:
    by_name = {(one.who, one.metric): one for one in held(study(tmp_path))}
    assert by_name[EPOLL, "p50"].ratio == pytest.approx(2)
    assert by_name[EPOLL, "requests/s"].ratio == pytest.approx(1)
    assert by_name[THREADS, "p50"].ratio == 1  # the same run on both sides
    (told,) = sentences(study(tmp_path))
    assert told.endswith("furthest off: p50 of epoll, +100.0%.")
    assert "half are within 0%" in told


def test_only_runs_at_the_same_load_are_held_against_each_other(tmp_path: Path) -> None:
    found = Study.of([
        document(tmp_path, "5k/s"), document(tmp_path, "10k/s"), measured(tmp_path, "10k/s"),
    ])  # fmt: skip
    assert {load for _, _, load in pairs(found)} == {10_000}
    apart = Study.of([document(tmp_path, "5k/s"), measured(tmp_path, "10k/s")])
    assert pairs(apart) == []
    assert sentences(apart) == []
    assert measured_against_simulated(apart) is None


def test_what_was_not_measured_is_not_compared(tmp_path: Path) -> None:
    unknown = {EPOLL: {"syscalls_per_request": None}, THREADS: {"syscalls_per_request": 0.0}}
    found = Study.of([document(tmp_path), measured(tmp_path, figures=unknown)])
    ratios = {one.who: one.ratio for one in held(found) if one.metric == "syscalls/request"}
    assert ratios == {EPOLL: None, THREADS: None}
    figure = measured_against_simulated(found)
    assert figure is not None
    assert "syscalls/request:" not in figure  # no marker says anything of it
