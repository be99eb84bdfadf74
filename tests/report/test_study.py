"""Results sorted into settings and loads."""

from pathlib import Path

import pytest
from made import EPOLL, THREADS, document, measured

from iosim.report.html.study import Study, answered_part, estimate_of, load_of, meets


def test_results_that_differ_by_load_are_one_setting(tmp_path: Path) -> None:
    study = Study.of([document(tmp_path, "20k/s"), document(tmp_path, "5k/s")])
    (setting,) = study.settings
    assert setting.loads == study.loads == [5_000, 20_000]
    assert [one.name for one in study.candidates] == [EPOLL, THREADS]
    assert list(study.candidates[0].at) == [5_000, 20_000]


def test_another_machine_is_another_setting_and_looks_otherwise(tmp_path: Path) -> None:
    small = document(tmp_path)
    folder = tmp_path / "large"
    folder.mkdir()
    scenario = {**small.data["scenario"], "machine": {"cores": 4}}
    study = Study.of([small, document(folder, "9k/s", scenario=_at(scenario, "9k/s"))])
    assert [setting.name for setting in study.settings] == ["simulated 5k s", "simulated 9k s"]
    assert len({one.look.index for one in study.candidates}) == 4
    assert study.candidates[0].name == f"{EPOLL} (simulated 5k s)"


def _at(scenario: dict[str, object], rate: str) -> dict[str, object]:
    return {**scenario, "workload": {"open": {"rate": rate}}}


def test_measured_runs_look_like_the_simulated_ones_of_their_model(tmp_path: Path) -> None:
    study = Study.of([measured(tmp_path), document(tmp_path)])
    assert [setting.name for setting in study.settings] == ["measured", "simulated"]
    looks = {one.name: one.look for one in study.candidates}
    assert looks["epoll (measured)"].index == looks["epoll (simulated)"].index
    assert looks["epoll (measured)"].hollow
    assert not looks["epoll (simulated)"].hollow
    assert study.first.source == "simulated"


def test_what_is_looked_at_is_the_highest_load_up_to_which_all_do_well(tmp_path: Path) -> None:
    failing = {"verdicts": {EPOLL: "fail"}}
    found = [
        document(tmp_path, "5k/s"),
        document(tmp_path, "10k/s"),
        document(tmp_path, "15k/s", **failing),
        document(tmp_path, "20k/s"),
    ]
    study = Study.of(found)
    assert load_of(study.focus(study.settings[0])) == 10_000
    behind = {EPOLL: {"offered": 100.0, "refused": 50.0}}
    study = Study.of([
        document(tmp_path, "5k/s", **failing),
        document(tmp_path, "10k/s", **failing),
        document(tmp_path, "15k/s", behind),
    ])  # fmt: skip
    assert load_of(study.focus(study.settings[0])) == 10_000
    study = Study.of([document(tmp_path, "5k/s", behind), document(tmp_path, "10k/s", behind)])
    assert load_of(study.focus(study.settings[0])) == 5_000


def test_the_part_answered_in_time(tmp_path: Path) -> None:
    lost = {EPOLL: {"offered": 100.0, "refused": 3.0, "timed_out": 4.0, "in_flight": 5.0}}
    found = document(tmp_path, figures=lost)
    assert answered_part(found, found[EPOLL]) == pytest.approx(0.88)
    assert not meets(found, found[EPOLL])


def test_users_always_wait_for_something(tmp_path: Path) -> None:
    closed = document(tmp_path, figures={EPOLL: {"offered": 100.0, "in_flight": 50.0}})
    closed.data["scenario"]["workload"] = {"closed": {"users": 40}}
    assert load_of(closed) == 40
    assert answered_part(closed, closed[EPOLL]) == 1
    assert Study.of([closed]).by_users


def test_a_load_without_a_rate_is_what_was_offered(tmp_path: Path) -> None:
    found = document(tmp_path, figures={EPOLL: {"offered": 700.0}, THREADS: {"offered": 700.0}})
    del found.data["scenario"]["workload"]["open"]["rate"]
    assert load_of(found) == 7_000  # in 100 ms


def test_switches_are_both_kinds_by_replication(tmp_path: Path) -> None:
    both = {"voluntary_switches_per_request": 2.0, "involuntary_switches_per_request": 1.0}
    found = document(tmp_path, figures={EPOLL: both})
    estimate = estimate_of(found[EPOLL], "switches")
    assert estimate is not None and estimate.mean == pytest.approx(3)
    assert estimate.low is not None and 2 < estimate.low < 3


def test_without_results_there_is_nothing_to_study() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Study.of([])
