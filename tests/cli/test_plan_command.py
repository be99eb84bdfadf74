"""`iosim plan`: what it prints, writes and refuses, and how it ends."""

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commandline import Outcome, iosim, start

SERVICE = """\
machine: {cores: 2}
server:
  handler: [{cpu: 50us}]
workload:
  open: {rate: 2k/s, connections: {total: 50}}
models: [epoll, {thread_pool: {threads: 8, label: pool}}]
run: {duration: 20ms, replications: 3}
slo: [p50 < 1ms]
"""


def plan(*args: object, text: str = SERVICE) -> Outcome:
    return iosim("plan", "-", "--jobs", 1, "--budget", 5, *args, stdin=text)


def test_it_prints_what_each_model_carries_and_ends_with_the_answer() -> None:
    found = plan("--growth", "10%/month", "--cost", "core=25/month", "--over", "machine.cores=1..2")
    assert found.code == 0
    for line in found.out.splitlines():
        assert len(line) <= 80, line
    text = " ".join(found.out.split())
    assert "The highest load, under p50 < 1ms" in text
    assert "p50 against load: a epoll, b pool; a capital: the highest it carries" in text
    assert "epoll needs cores=1 to carry today's 2.00k/s, without any margin." in text
    assert "What carries today's 2.00k/s, the cheapest first" in text
    last = found.out.strip().split("\n\n")[-1].replace("\n ", "")
    assert " under p50 < 1ms (" in last
    assert " stops at " in last


def test_quiet_it_leaves_out_the_chart() -> None:
    found = plan("-q", "--model", "epoll", "--set", "run.duration=100ms")
    assert "against load" not in found.out
    assert found.err == ""
    assert "today" in found.out.splitlines()[1]


def test_one_json_document() -> None:
    document = plan("--json", "--model", "epoll", "--slo", "p50<2ms").document
    assert [model["label"] for model in document["models"]] == ["epoll"]
    assert document["slo"] == ["p50<2ms"]


def test_files(tmp_path: Path) -> None:
    files = {kind: tmp_path / f"plan.{kind}" for kind in ("json", "csv", "md", "svg", "png")}
    exports = [arg for file in files.values() for arg in ("--export", file)]
    found = plan("--model", "epoll", "--json", *exports)
    assert files["json"].read_text() == found.out
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert {row["model"] for row in rows} == {"epoll"}
    assert {"pass", "fail"} <= {row["verdict"] for row in rows}
    assert files["md"].read_text().startswith("# ")
    assert "| epoll | pass |" in files["md"].read_text()
    assert files["svg"].read_text().lstrip().startswith("<?xml")
    assert files["png"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--slo", "p99<"], "an objective such as"),
        (["--slo", "troughput>1k/s"], "did you mean 'throughput'?"),
        (["--over", "models.pol.threads=1,2"], "did you mean 'pool'?"),
        (["--over", "machine.cores=4..1"], "a range from less to more"),
        (["--growth", "10%/moth"], "did you mean 'month'?"),
        (["--cost", "cpu=3/month"], "core and GiB"),
        (["--export", "plan.txt"], "ends in one of .json, .csv, .md, .png, .svg"),
        (["--model", "epol"], "did you mean 'epoll'?"),
        (["--budget", "1"], "budget: expected at least 3"),
    ],
)
def test_what_it_refuses(args: list[str], told: str) -> None:
    found = plan(*args)
    assert (found.code, found.out) == (2, "")
    assert told in found.err


def test_without_objectives_there_is_nothing_to_plan() -> None:
    found = plan(text=SERVICE.replace("slo: [p50 < 1ms]\n", ""))
    assert found.code == 2
    assert "a plan needs an objective: --slo 'p99<5ms'" in found.err


def test_a_load_that_is_too_much_today_fails() -> None:
    found = plan("--model", "epoll", "--set", "workload.open.rate=40k/s", "-q")
    assert found.code == 3
    assert "-" in found.out.splitlines()[2]


def test_interrupted_it_ends_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(SERVICE.replace("20ms", "100s"))
    process = start(
        "plan", file, "--jobs", 2, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not children.read_text().split():  # its workers
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Interrupted; models that had been finished: none." in out


def test_runs_without_a_steady_state_are_warned_of() -> None:
    found = plan("-q", "--model", "epoll")
    assert "epoll at 2.00k/s: warm-up unknown: " in " ".join(found.err.split())
