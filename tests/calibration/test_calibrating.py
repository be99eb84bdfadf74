"""From rows and runs to a profile and its file, without measuring anything."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import machine, rows

from iosim.calibration import calibrating, light_runs, macro, noise, probing
from iosim.calibration.calibrating import STEPS, Calibration, calibrate, fitted, replayable
from iosim.calibration.light_runs import LightRuns
from iosim.calibration.macro import FLOORS, Factor, Observed
from iosim.calibration.rows import read
from iosim.errors import UsageError
from iosim.host_noise import MILLION, HostNoise
from iosim.profile import COST_NAMES, HOW, FittedOn, Profile, load
from iosim.simulation import simulate

NOISE = HostNoise(((0, 1_000), (1_000_000, 9_000)), ((0, 5), (1_000_000, 2_005)), 0.832, False)


def observed() -> list[Observed]:
    """Runs of a machine whose wake-ups take half as long again."""
    slow = macro.scaled(load("reference"), macro.PARAMETERS[:1], [np.log(1.5)])
    found = []
    for model in ("epoll", "blocking"):
        cell = light_runs.cell(model, "native", 0.2, 5_000.0, 100, seed=1)
        (run,) = simulate(cell, slow).models
        values = {metric: (float(run.metrics[metric].mean or 0),) * 2 for metric in FLOORS}
        found.append(Observed(cell, values, FittedOn(model, "native", 16, 20_000, 5_000.0)))
    return found


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    reference = load("reference")
    rng = np.random.default_rng(4)
    values = {name: entry.value for name, entry in reference.entries.items()}
    values["syscall"] = 250
    return fitted(rows(reference, values, rng), observed(), NOISE)


@pytest.fixture
def written(calibration: Calibration, tmp_path: Path) -> Profile:
    calibration.write(tmp_path / "here.yaml")
    return load(tmp_path / "here.yaml")


class TestWriting:
    def test_it_is_read_back_as_it_was(self, calibration: Calibration, written: Profile) -> None:
        told = replace(
            written, name=calibration.profile.name, measurements=None, file="", sha256=""
        )
        assert told == replace(calibration.profile, sha256="")
        assert (written.name, written.measurements) == ("here", "here-measurements.csv")

    def test_the_rows_stand_beside_it(self, calibration: Calibration, written: Profile) -> None:
        assert written.measurements is not None
        beside = read(Path(written.file).with_name(written.measurements))
        assert [row.key for row in beside] == [row.key for row in calibration.rows]

    def test_every_cost_says_how_it_is_known(self, written: Profile) -> None:
        assert tuple(written.entries) == COST_NAMES
        for name, entry in written.entries.items():
            assert entry.how in HOW, name
            assert len(entry.source) > 30, name

    def test_what_is_identified_is_fitted_on_its_rows(self, written: Profile) -> None:
        syscall = written.entries["syscall"]
        assert syscall.how == "fitted"
        assert syscall.value == pytest.approx(250, rel=0.1)
        assert "c null_syscall getppid" in syscall.source
        assert "5 passes" in syscall.source
        assert "Standard error" in syscall.source
        assert syscall.rows == (("c null_syscall getppid", "syscall"),)
        low, high = syscall.spread or (0, 0)
        assert 0.8 * 250 < low < syscall.value < high < 1.25 * 250  # type: ignore[operator]

    def test_what_is_not_is_the_references_and_says_so(self, written: Profile) -> None:
        reference = load("reference").entries
        for name, words in (
            ("poll", "Not identified here: the reference's. "),
            ("fork", "Not measured here: the reference's. "),
        ):
            entry = written.entries[name]
            assert (entry.value, entry.how) == (reference[name].value, reference[name].how)
            assert entry.source == words + reference[name].source
            assert entry.spread == reference[name].spread

    def test_factors_of_whole_runs_are_in_the_costs(self, written: Profile) -> None:
        reference = load("reference").costs.idle_exit_ns
        idle_exit = written.entries["idle_exit"]
        assert isinstance(idle_exit.value, tuple)
        assert idle_exit.how == "fitted"
        for (x, ns), (same, was) in zip(idle_exit.value, reference, strict=True):
            assert x == same
            assert ns / was == pytest.approx(1.5, rel=0.15)
        assert "fitted on 2 runs of servers, 2 times each" in idle_exit.source

    def test_the_runs_are_listed_so_that_nobody_scores_them(self, written: Profile) -> None:
        assert written.fitted_on == (
            FittedOn("epoll", "native", 16, 20_000, 5_000.0),
            FittedOn("blocking", "native", 16, 20_000, 5_000.0),
        )

    def test_the_hosts_noise_is_in_it(self, written: Profile) -> None:
        assert written.noise == NOISE
        assert written.costs.stolen_length_ns == 5_000
        assert written.entries["stolen_gap"].how == "measured"

    def test_a_simulation_runs_with_it(self, written: Profile) -> None:
        cell = light_runs.cell("epoll", "cpython", 0.2, 2_000.0, 20, seed=1)
        (model,) = simulate(cell, written).models
        assert model.error is None


class TestWarnings:
    def test_rows_that_contradict_each_other_are_told(self) -> None:
        reference = load("reference")
        rng = np.random.default_rng(1)
        good = rows(reference, machine(reference, rng), rng, between=0.01)
        bad = [
            replace(row, median=3 * row.median) if row.key == "c epoll_wait n=100;k=1" else row
            for row in good
        ]
        told = fitted(bad).warnings
        assert any("contradict" in text and "epoll_wait n=" in text for text in told)
        assert not any("contradict" in text for text in fitted(good).warnings)

    def test_factors_that_nobody_would_believe_are_told(self, calibration: Calibration) -> None:
        for factor, told in ((5.0, True), (2.0, False)):
            found = Factor(macro.PARAMETERS[0], factor, 0.1, True, ())
            in_situ = replace(calibration.in_situ, factors=(found,))
            texts = calibrating.doubts(calibration.solved, in_situ)
            assert any("is not to be believed" in text for text in texts) == told

    def test_a_machine_on_which_no_server_ran_is_told(self, calibration: Calibration) -> None:
        texts = calibrating.doubts(calibration.solved, macro.InSitu())
        assert any("no real server was run" in text for text in texts)

    def test_rows_that_nobody_knows_are_refused(self) -> None:
        rng = np.random.default_rng(1)
        known = rows(load("reference"), machine(load("reference"), rng), rng)
        with pytest.raises(UsageError, match="none of 1 measured rows"):
            fitted([replace(known[0], name="other")])


def test_quantiles_are_replayed_from_end_to_end() -> None:
    assert replayable([(0.1, 5), (0.1 + 1e-9, 6), (0.9, 8)]) == (
        (0, 6), (100_000, 6), (900_000, 8), (MILLION, 8)
    )  # fmt: skip


def test_all_is_measured_and_progress_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = load("reference")
    values = {name: entry.value for name, entry in reference.entries.items()}

    def probe(quick: bool, progress: Any) -> Any:
        assert quick
        for done in (1, 2):
            progress(done, 2)
        found = rows(reference, values, np.random.default_rng(2), passes=2)
        return SimpleNamespace(
            rows=tuple(found), skipped={"c io_uring": "not here"}, warnings=("two speeds",)
        )

    def observe(effort: Any, progress: Any) -> LightRuns:
        progress()
        runs = LightRuns(observed(), interrupted=True)
        runs.skipped["blocking, cpython"] = "no compiler"
        return runs

    heard = SimpleNamespace(
        lengths_ns=((0.0, 100), (1.0, 300)), gaps_ns=((0.0, 50), (1.0, 950)), share=0.3,
        stationary=False,
    )  # fmt: skip
    monkeypatch.setattr(probing, "probe", probe)
    monkeypatch.setattr(noise, "record", lambda quick: heard)
    monkeypatch.setattr(noise, "warnings", lambda found: ["it changed"])
    monkeypatch.setattr(calibrating.light_runs, "observe", observe)
    told: list[tuple[int, int]] = []
    found = calibrate(quick=True, progress=lambda done, total: told.append((done, total)))
    assert found.interrupted
    assert found.skipped == {"c io_uring": "not here", "blocking, cpython": "no compiler"}
    assert {"two speeds", "it changed"} <= {*found.warnings}
    assert found.profile.noise == HostNoise(
        ((0, 100), (MILLION, 300)), ((0, 50), (MILLION, 950)), 0.3, False
    )
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {STEPS}
    assert told[-1][0] > 0.9 * STEPS
