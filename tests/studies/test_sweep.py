"""Sweeps: the same table whatever happens on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from small_sweeps import SMALL, written

import iosim
from iosim.errors import UsageError
from iosim.scenario import load
from iosim.studies import running
from iosim.studies.points import Base, point
from iosim.studies.sweep import default_folder
from iosim.studies.swept import Standing, Sweep

ROOT = Path(__file__).parents[2]
OVER = ["workload.open.rate=2k/s..8k/s:linear 4", "machine.cores=1,2"]
POINTS = 8


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep that nothing happened to."""
    folder = tmp_path_factory.mktemp("sweep")
    return iosim.sweep(written(folder), OVER, jobs=1, folder=folder / "out")


def in_a_process(folder: Path, on_progress: str) -> int:
    """The same sweep in a process that does something itself as points are done; its exit code."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import iosim\n"
        "def workers():\n"
        "    return Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()\n"
        "def progress(now):\n"
        f"    {on_progress}\n"
        "scenario, out, *over = sys.argv[1:]\n"
        "iosim.sweep(scenario, over, jobs=2, folder=out, progress=progress)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, written(folder), folder / "out", *OVER],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    return done.returncode


KILL_A_WORKER = "now.done == 2 and os.kill(int(workers()[0]), signal.SIGKILL)"
THEN_ITSELF = "now.done == 4 and os.kill(os.getpid(), signal.SIGKILL)"


class TestTables:
    def test_a_point_is_what_running_its_scenario_gives(self, whole: Sweep, tmp_path: Path) -> None:
        changes = {"workload.open.rate": "8k/s", "machine.cores": "2"}
        expected = iosim.simulate(load(written(tmp_path), changes)).summary
        table = whole.table
        at = table[(table["workload.open.rate"] == 8_000) & (table["machine.cores"] == 2)]
        assert at["model"].tolist() == ["blocking", "coro"]
        for _, row in at.iterrows():
            for metric, estimate in expected.loc[row["model"]].iterrows():
                for column, key in (("", "mean"), ("_low", "low"), ("_high", "high")):
                    found, there = row[f"{metric}{column}"], estimate[key]
                    assert found == there or (pd.isna(found) and pd.isna(there)), metric

    def test_rows_are_in_the_order_of_points_and_models(self, whole: Sweep) -> None:
        table = whole.table
        assert table["number"].tolist() == [n for n in range(POINTS) for _ in range(2)]
        assert table["machine.cores"].tolist() == [1, 1, 2, 2] * 4
        assert table["workload.open.rate"].unique().tolist() == [2_000, 4_000, 6_000, 8_000]
        assert (table["error"] == "").all()
        assert not whole.estimates.duplicated(["number", "model", "metric"]).any()

    def test_values_that_are_no_numbers_stay_texts(self, tmp_path: Path) -> None:
        swept = iosim.sweep(written(tmp_path), {"machine.runtime": ["native", "cpython"]}, jobs=1)
        assert swept.table["machine.runtime"].tolist() == ["native"] * 2 + ["cpython"] * 2

    def test_without_a_folder_it_stays_as_long_as_what_is_returned(self, tmp_path: Path) -> None:
        swept = iosim.sweep(load(written(tmp_path)), "machine.cores=1", jobs=1)
        folder = swept.folder
        assert len(swept.table) == 2
        del swept
        assert not folder.exists()

    def test_it_says_what_was_asked_for(self, whole: Sweep) -> None:
        told = json.loads((whole.folder / "sweep.json").read_text())
        assert told["over"] == dict(each.split("=") for each in OVER)
        assert told["points"] == POINTS
        assert told["scenario"] == whole.scenario.to_data()


class TestGoingOn:
    def test_a_worker_that_is_killed_costs_its_point_some_time(
        self, whole: Sweep, tmp_path: Path
    ) -> None:
        assert in_a_process(tmp_path, KILL_A_WORKER) == 0
        again = iosim.sweep(tmp_path / "small.yaml", OVER, jobs=1, folder=tmp_path / "out")
        assert again.standing == Standing(done=0, failed=0, kept=POINTS, left=0)
        assert_frame_equal(again.table, whole.table, check_exact=True)

    def test_killed_half_way_it_goes_on_to_the_same_table(
        self, whole: Sweep, tmp_path: Path
    ) -> None:
        assert in_a_process(tmp_path, f"{KILL_A_WORKER}; {THEN_ITSELF}") == -9
        again = iosim.sweep(tmp_path / "small.yaml", OVER, jobs=1, folder=tmp_path / "out")
        assert again.standing == Standing(done=POINTS - 4, failed=0, kept=4, left=0)
        assert_frame_equal(again.table, whole.table, check_exact=True)
        assert_frame_equal(again.estimates, whole.estimates, check_exact=True)

    def test_a_changed_point_is_run_alone(self, tmp_path: Path) -> None:
        scenario = load(written(tmp_path))

        def standing(*over: str) -> Standing:
            return iosim.sweep(scenario, over, jobs=1, folder=tmp_path / "out").standing

        assert standing("machine.cores=1,2,3") == Standing(done=3, failed=0, kept=0, left=0)
        assert standing("machine.cores=1,5,3") == Standing(done=1, failed=0, kept=2, left=0)
        # Another way to write what was run before.
        assert standing("machine.cores=2", "workload.open.rate=600k/min") == Standing(0, 0, 1, 0)
        swept = iosim.sweep(scenario, "machine.cores=5,1", jobs=1, folder=tmp_path / "out")
        assert swept.table["machine.cores"].tolist() == [5, 5, 1, 1]

    def test_interrupted_it_returns_what_has_finished(self, tmp_path: Path) -> None:
        def progress(now: Standing) -> None:
            if now.done == 2:
                raise KeyboardInterrupt

        swept = iosim.sweep(
            written(tmp_path), OVER, jobs=1, folder=tmp_path / "out", progress=progress
        )
        assert swept.interrupted
        assert swept.standing == Standing(done=2, failed=0, kept=0, left=POINTS - 2)
        assert swept.table["number"].tolist() == [0, 0, 1, 1]


class TestFailures:
    def test_a_point_that_fails_is_recorded_and_the_others_go_on(self, tmp_path: Path) -> None:
        scenario, told = written(tmp_path), list[Standing]()
        over = {"machine.cores": [1, 0, 2]}
        swept = iosim.sweep(scenario, over, jobs=1, folder=tmp_path / "out", progress=told.append)
        assert swept.standing == told[-1] == Standing(done=3, failed=1, kept=0, left=0)
        errors = swept.table.set_index(["machine.cores", "model"])["error"]
        assert errors[0, ""].startswith("machine.cores: expected a count")
        assert errors[1, "coro"] == errors[2, "coro"] == ""
        # So it would be each time.
        again = iosim.sweep(scenario, over, jobs=1, folder=tmp_path / "out")
        assert again.standing == Standing(done=0, failed=1, kept=3, left=0)

    def test_a_model_that_fails_leaves_the_others_their_rows(self, tmp_path: Path) -> None:
        text = SMALL.replace("{total: 8}", "{total: 1100}").replace("blocking", "select")
        swept = iosim.sweep(
            written(tmp_path, text), "workload.open.connections.total=8,1100", jobs=1
        )
        assert swept.standing.failed == 1
        rows = swept.table.set_index(["workload.open.connections.total", "model"])
        assert "descriptors below 1,024" in rows.loc[(1100, "select"), "error"]
        assert rows["throughput_per_s"].isna().tolist() == [False, False, True, False]

    def test_a_plug_ins_mistake_is_a_failure_of_its_points(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("of mine")

        monkeypatch.setattr(running, "simulate", broken)
        at = point(Base(load(written(tmp_path))), 0, ())
        assert running.attempt(at) == running.Outcome("failed", "ZeroDivisionError: of mine", ())

    def test_points_of_one_content_are_run_once(self, tmp_path: Path) -> None:
        swept = iosim.sweep(written(tmp_path), "workload.open.rate=1k/s,1000/s,2k/s", jobs=1)
        assert swept.standing.done == 2
        assert swept.warnings == ("1 of 3 points are the same as others and are left out",)

    @pytest.mark.parametrize(
        ("over", "message"),
        [
            (
                ["machine.coers=1,2"],
                "--over machine.coers=1: machine.coers: .*did you mean 'cores'",
            ),
            (["models.epol.x=1"], "models.epol.x: expected an entry of 'models'"),
            (["machine.cores=0,-1"], "--over machine.cores=0: machine.cores: expected a count"),
            (["machine.cores"], "expected path=values"),
            ([], "expected a path to vary"),
        ],
    )
    def test_what_makes_sense_nowhere_is_refused_and_nothing_is_written(
        self, tmp_path: Path, over: list[str], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            iosim.sweep(written(tmp_path), over, folder=tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_arguments_that_make_no_sense(self, tmp_path: Path) -> None:
        scenario = load(written(tmp_path))
        with pytest.raises(UsageError, match="jobs: expected at least 1"):
            iosim.sweep(scenario, "machine.cores=1", jobs=0)
        with pytest.raises(UsageError, match="jobs on this machine or a Dask cluster, found both"):
            iosim.sweep(scenario, "machine.cores=1", jobs=2, dask="tcp://nowhere:1")
        dear = iosim.load_profile("reference", changes={"context_switch": "5us"})
        with pytest.raises(
            UsageError, match=r"--over machine.profile: expected no change of costs"
        ):
            iosim.sweep(scenario, "machine.profile=free,reference", profile=dear)


def test_a_folder_is_named_after_the_scenario(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, f"name: ../a/b c\n{SMALL}"))
    assert default_folder(scenario) == Path("a_b_c.sweep")
    assert default_folder(load(written(tmp_path))) == Path("small.sweep")


def test_a_sample_is_swept(tmp_path: Path) -> None:
    swept = iosim.sweep(
        written(tmp_path),
        ["workload.open.rate=1k/s..64k/s", "machine.cores=1,2"],
        sample=4,
        method="sobol",
        jobs=1,
    )
    assert swept.standing.done == 4
    rates = swept.table["workload.open.rate"]
    assert rates.between(1_000, 64_000).all()
    assert rates.nunique() == 4
