"""`iosim sweep`: a table, files, progress, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import PIPELINE, TINY, iosim

from iosim.cli.points_done import in_words
from iosim.report.sweeping import heads
from iosim.studies.swept import Standing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("20ms", "5ms"))
    return tmp_path


def test_a_table_of_models_and_values_and_a_folder_to_go_on_in(tiny: Path) -> None:
    arguments = (
        "sweep",
        "tiny.yaml",
        "--over",
        "machine.cores=1,2",
        "--model",
        "epoll",
        "--jobs",
        1,
    )
    first = iosim(*arguments)
    assert first.code == 0
    lines = first.out.splitlines()
    assert lines[0] == "tiny: machine.cores=1,2"
    assert lines[3].split()[:4] == ["model", "cores", "req/s", "p99"]
    assert [line.split()[:2] for line in lines if line.startswith("epoll")] == [
        ["epoll", "1"],
        ["epoll", "2"],
    ]
    assert lines[-1] == "2 points: 2 run now."
    assert all(len(line) <= 80 for line in lines)
    assert first.err == "results: tiny.sweep\n"
    assert {path.name for path in Path("tiny.sweep").iterdir()} >= {
        "parts",
        "points.csv",
        "sweep.json",
    }
    again = iosim(*arguments, "--quiet")
    assert again.out.splitlines()[-1] == "2 points: 0 run now, 2 kept from before."
    assert again.out.splitlines()[:-1] == lines[:-1]
    assert again.err == ""


def test_documents_and_files(tiny: Path) -> None:
    ran = iosim(
        *(
            "sweep",
            "tiny.yaml",
            "--over",
            "workload.open.rate=2k/s,4k/s",
            "--over",
            "machine.cores=1,0",
        ),
        *(
            "--jobs",
            1,
            "-o",
            "out",
            "--json",
            "--export",
            "a.json",
            "--export",
            "a.csv",
            "--export",
            "a.md",
        ),
    )
    assert ran.code == 1  # some points failed
    document = ran.document
    assert json.loads(Path("a.json").read_text()) == document
    assert document["over"] == {"workload.open.rate": "2k/s,4k/s", "machine.cores": "1,0"}
    assert (document["failed"], document["left"]) == (2, 0)
    assert [point["values"]["machine.cores"] for point in document["points"]] == ["1", "0"] * 2
    good, bad = document["points"][:2]
    assert [model["label"] for model in good["models"]] == ["blocking", "epoll", "coro"]
    assert (good["state"], good["error"]) == ("done", None)
    throughput = good["models"][0]["metrics"]["throughput_per_s"]
    assert throughput["ci95"][0] < throughput["mean"] < throughput["ci95"][1]
    assert (bad["state"], bad["models"]) == ("failed", [])
    assert bad["error"].startswith("machine.cores: expected a count")
    head, *rows = Path("a.csv").read_text().splitlines()
    assert head.startswith("number,workload.open.rate,machine.cores,model,error,")
    assert len(rows) == 2 * (3 + 1)
    assert rows[0].startswith("0,2000.0,1,blocking,,")
    assert "| model | rate | cores | requests/s |" in Path("a.md").read_text()
    assert "No result: workload.open.rate=2k/s machine.cores=0:" in Path("a.md").read_text()


def test_a_change_of_costs_holds_at_every_point(tiny: Path) -> None:
    def switching(*more: str) -> float:
        ran = iosim(
            *(
                "sweep",
                "tiny.yaml",
                "--over",
                "machine.cores=1",
                "--model",
                "blocking",
                "--jobs",
                1,
            ),
            *("--json", *more),
        )
        (point,) = ran.document["points"]
        mean: float = point["models"][0]["metrics"]["cpu_switch_fraction"]["mean"]
        return mean

    assert switching("--set", "profile.context_switch=x20") > 2 * switching()


def test_a_pipeline_is_told_of_in_items(tiny: Path) -> None:
    Path("pipe.yaml").write_text(PIPELINE.replace("10ms", "2ms"))
    ran = iosim("sweep", "pipe.yaml", "--over", "machine.cores=1", "--jobs", 1)
    assert "item/s" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--over", "machine.coers=1,2"], "did you mean 'cores'?"),
        (["--over", "machine.cores=1..8:log"], "expected how many values, as in ':log 8'"),
        (["--over", "machine.cores=1", "--over", "machine.cores=2"], "expected each path once"),
        (
            ["--over", "machine.cores=1,2", "--sample", "2", "--method", "sobo"],
            "did you mean 'sobol'?",
        ),
        (["--over", "machine.cores=1", "--export", "a.jsn"], "did you mean '.json'?"),
        (
            ["--over", "machine.profile=free", "--set", "profile.context_switch=1us"],
            "--over machine.profile: expected no change of costs besides",
        ),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_run(
    tiny: Path, arguments: list[str], message: str
) -> None:
    refused = iosim("sweep", "tiny.yaml", *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert refused.out == ""
    assert [path.name for path in tiny.iterdir()] == ["tiny.yaml"]


def test_ctrl_c_shows_what_has_finished_and_the_same_command_goes_on(tiny: Path) -> None:
    command = [
        *(sys.executable, "-m", "iosim", "sweep", "tiny.yaml", "--jobs", "1", "--model", "epoll"),
        *("--over", "run.seed=1..400:linear 400"),
    ]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    recent = tiny / "tiny.sweep" / "recent.jsonl"
    deadline = time.monotonic() + 60
    while not recent.exists() or recent.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out.splitlines()[-1] == "Interrupted: the same command goes on from here."
    assert "Traceback" not in err
    left = iosim(
        *("sweep", "tiny.yaml", "--model", "epoll", "--over", "run.seed=1..2:linear 2", "--jobs", 1)
    )
    assert left.out.splitlines()[-1] == "2 points: 0 run now, 2 kept from before."


@pytest.mark.parametrize(
    ("standing", "passed_s", "told"),
    [
        (Standing(done=10, failed=0, kept=0, left=30), 60, "10 done, 30 left, about 3 min"),
        (
            Standing(done=2, failed=1, kept=1000, left=1),
            4,
            "1,002 done, 1 failed, 1 left, about 2 s",
        ),
        (Standing(done=2, failed=0, kept=0, left=0), 4, "2 done, 0 left"),
        (Standing(done=0, failed=0, kept=3, left=7), 0, "3 done, 7 left"),
        (Standing(done=1, failed=0, kept=0, left=9), 3600, "1 done, 9 left, about 9 h"),
    ],
)
def test_progress_in_words(standing: Standing, passed_s: float, told: str) -> None:
    assert in_words(standing, passed_s) == told


@pytest.mark.parametrize(
    ("paths", "short"),
    [
        (["machine.cores"], ["cores"]),
        (["machine.cores", "workload.open.rate"], ["cores", "rate"]),
        (["models.a.threads", "models.b.threads"], ["a.threads", "b.threads"]),
    ],
)
def test_a_paths_end_is_its_head_as_far_as_it_tells_it_from_others(
    paths: list[str], short: list[str]
) -> None:
    assert heads(paths) == short
