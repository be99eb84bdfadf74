"""`iosim calibrate` and `iosim profile`: what they print, write and refuse."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from commandline import iosim

from iosim.calibration import calibrating
from iosim.calibration.calibrating import Calibration, fitted
from iosim.calibration.rows import Row
from iosim.profile import load


def rows() -> list[Row]:
    """Two passes of a machine twice as slow as the reference at the system call."""
    told = {"c null_syscall getppid": 200.0, "c tcp_lo_send 64B": 2_100.0}
    return [
        Row(number, *key.split(" ", 2), "ns", pace * ns, 0.99 * ns, 1.02 * ns, ns, 2 * ns, 400)
        for key, ns in told.items()
        for number, pace in ((1, 0.99), (2, 1.01))
    ]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `calibrate` finds, without measuring; and how it was asked."""
    asked: dict[str, Any] = {"interrupted": False}

    def calibrate(quick: bool, progress: Any) -> Calibration:
        asked["quick"] = quick
        found = fitted(rows())
        return Calibration(
            found.profile,
            found.rows,
            found.solved,
            found.in_situ,
            skipped={"c io_uring_nop": "no io_uring here"},
            warnings=("the cores run at two speeds",),
            interrupted=asked["interrupted"],
        )

    monkeypatch.setattr(calibrating, "calibrate", calibrate)
    return asked


class TestCalibrate:
    def test_writes_a_profile_and_says_what_it_found(
        self, measured: dict[str, Any], tmp_path: Path
    ) -> None:
        done = iosim("calibrate", "-o", tmp_path / "here.yaml", "--quick")
        assert done.code == 0
        assert measured["quick"]
        lines = done.out.splitlines()
        (syscall,) = [line.split() for line in lines if line.startswith("syscall ")]
        assert 180 < float(syscall[1].removesuffix("ns")) < 220
        assert syscall[3:] == ["100ns", "identified"]
        assert "in a sum" in done.out
        assert "No row here tells of " in done.out
        assert "warning: the cores run at two speeds" in done.err
        assert "skipped c io_uring_nop: no io_uring here" in done.err
        assert load(tmp_path / "here.yaml").entries["syscall"].how == "fitted"
        assert (tmp_path / "here-measurements.csv").read_text().startswith("pass,lang,name")

    def test_as_a_document(self, measured: dict[str, Any], tmp_path: Path) -> None:
        done = iosim("calibrate", "-o", tmp_path / "here.yaml", "--json")
        assert not measured["quick"]
        assert done.document["costs"]["syscall"]["known"] == "identified"
        assert done.document["skipped"] == {"c io_uring_nop": "no io_uring here"}
        assert done.document["host_noise"] is None

    def test_leaves_a_file_alone_unless_told(
        self, measured: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / "here.yaml"
        path.write_text("mine")
        done = iosim("calibrate", "-o", path)
        assert (done.code, measured.get("quick")) == (2, None)
        assert "exists already (--force overwrites it)" in done.err
        assert path.read_text() == "mine"
        assert iosim("calibrate", "-o", path, "--force").code == 0
        assert load(path).name == "here"

    def test_does_not_measure_for_a_file_that_cannot_be_written(
        self, measured: dict[str, Any], tmp_path: Path
    ) -> None:
        done = iosim("calibrate", "-o", tmp_path / "nowhere" / "here.yaml")
        assert (done.code, measured.get("quick")) == (2, None)
        assert "expected the folder" in done.err

    def test_interrupted_it_writes_what_there_is(
        self, measured: dict[str, Any], tmp_path: Path
    ) -> None:
        measured["interrupted"] = True
        done = iosim("calibrate", "-o", tmp_path / "here.yaml")
        assert done.code == 128 + signal.SIGINT
        assert (tmp_path / "here.yaml").exists()


class TestProfile:
    def test_show_is_what_list_shows(self) -> None:
        assert iosim("profile", "show", "free").out == iosim("list", "profiles", "free").out
        shown = iosim("profile", "show", "reference", "idle_exit").out
        assert "c wake_random_gap_latency gap=100us" in shown

    def test_show_tells_noise_and_runs(self, measured: dict[str, Any], tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(
            "name: mine\ndescription: x\nextends: reference\ncosts: {}\n"
            "fitted_on: [{model: epoll, runtime: native, connections: 16, demand: 20us, "
            "rate: 5k/s}]\n"
            "host_noise: {length: [[0%, 1us], [100%, 9us]], gap: [[0%, 1ms], [100%, 3ms]], "
            "stolen: 0.25%, stationary: false}\n"
        )
        shown = " ".join(iosim("profile", "show", path).out.split())
        assert "host: takes 0.25% of the time away, in intervals of 1us to 9us" in shown
        assert "it changed while it was measured" in shown
        assert "fitted on: epoll (native, 16 connections, 20us, 5k/s)" in shown
        path.write_text(path.read_text().replace("stationary: false", "stationary: unknown"))
        shown = " ".join(iosim("profile", "show", path).out.split())
        assert "too little to tell whether it stays so" in shown

    def test_diff(self) -> None:
        done = iosim("profile", "diff", "reference", "bare_metal")
        assert done.code == 0
        (row,) = [line for line in done.out.splitlines() if line.startswith("wake_up_idle_core")]
        assert row.split() == ["wake_up_idle_core", "6.80us", "700ns", "x0.10", "yes"]
        assert "are the same" in done.out

    def test_diff_in_a_scenario(self, tmp_path: Path) -> None:
        path = tmp_path / "light.yaml"
        path.write_text(
            "server: {handler: [{cpu: 20us}]}\nmodels: [epoll]\nrun: {duration: 40ms}\n"
            "workload: {open: {rate: 5k/s, connections: {total: 16}}}\n"
        )
        done = iosim("profile", "diff", "reference", "bare_metal", "--scenario", path)
        assert "light: change from reference to bare_metal" in done.out
        document = json.loads(
            iosim("profile", "diff", "reference", "free", "--scenario", path, "--json").out
        )
        assert {one["metric"] for one in document["effects"]} >= {"response_time_p50_ns"}
        assert [one["name"] for one in document["profiles"]] == ["reference", "free"]
        assert len(document["costs"]) > 50

    def test_what_is_no_profile_is_refused(self) -> None:
        done = iosim("profile", "diff", "refrence", "free")
        assert (done.code, done.out) == (2, "")
        assert "did you mean 'reference'?" in done.err
