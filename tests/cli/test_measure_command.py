"""`iosim measure`: what it prints, writes and refuses, and how it ends."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from commandline import Outcome, iosim, start

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="server and clients each need a core"
)

SMALL = """\
machine: {runtime: cpython}
server:
  handler: [{cpu: 10us}]
workload:
  open: {rate: 500/s, connections: {total: 4}}
models: [epoll, blocking]
run: {duration: 100ms, replications: 1}
"""


def measure(*args: object, text: str = SMALL) -> Outcome:
    return iosim("measure", "-", "--load", "python", *args, stdin=text)


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs here: nothing is repeated."""
    monkeypatch.setattr("iosim.measurement.of_record", lambda record: {})


def test_it_prints_the_table_of_a_run_with_the_machine_under_it() -> None:
    found = measure()
    assert found.code == 0
    lines = found.out.splitlines()
    assert "machine   1 core, eevdf, loopback, cpython" in lines
    heads = next(line for line in lines if line.startswith("model "))
    assert "req/s" in heads and "CPU" not in heads
    assert "Measured on " in found.out
    assert f"Linux {os.uname().release}"[:20] in " ".join(found.out.split())
    assert "Where the time of a request goes" not in found.out
    assert "migrations" not in found.out


def test_quiet_it_is_the_main_table_alone() -> None:
    found = measure("--quiet", "--model", "epoll")
    assert found.code == 0
    assert "What became of" not in found.out and "blocking" not in found.out
    assert "Measured on " in found.out


def test_json_and_exports(tmp_path: Path) -> None:
    files = [tmp_path / f"x.{name}" for name in ("json", "csv", "md")]
    exports = [word for file in files for word in ("--export", file)]
    found = measure("--json", "--seed", 7, "--set", "workload.open.rate=400/s", *exports)
    assert found.code == 0
    document = found.document
    assert document == json.loads(files[0].read_text())
    assert (document["source"], document["profile"], document["seed"]) == ("measured", None, 7)
    assert document["machine"]["load"] == "python"
    assert "CPU/request" in files[2].read_text()
    assert files[1].read_text().startswith("model,metric,mean")


def test_objectives_are_judged() -> None:
    found = measure("--model", "epoll", "--replications", 2, text=SMALL + "slo: [memory < 1KiB]\n")
    assert found.code == 3
    assert "memory < 1KiB  fail: epoll" in found.out


def test_a_model_s_error_is_told_and_the_code_is_1() -> None:
    found = measure(text=SMALL.replace("blocking", "goroutine"))
    assert found.code == 1
    assert "No result: goroutine: there is no cpython server" in " ".join(found.out.split())


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--set", "profile.syscall=1us"), "a real run costs what it costs"),
        (("--server-cores", "0", "--client-cores", "0"), "either the server's or the clients'"),
        (("--set", "machine.cores=256"), "--set machine.cores="),
        (("--model", "epol"), "did you mean 'epoll'"),
        (("--export", "x.pdf"), "expected a file that ends in one of"),
        (("--trace", "/no/such/folder/x"), "--trace /no/such/folder/x: expected the folder"),
        (("--set", "machine.network={nic: {latency: 1us}}"), "machine.network=loopback"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    args: tuple[str, ...], told: str
) -> None:
    found = measure(*args)
    assert found.code == 2
    assert told in found.err
    assert found.out == ""


def test_saturation_with_the_rates_to_use() -> None:
    found = measure("--saturate", "--quiet", "--model", "epoll", "--set", "run.duration=200ms")
    assert found.code == 0
    assert "Requests per second at saturation" in found.out
    for share in ("at most", "20% of it", "50% of it", "80% of it"):
        assert share in found.out


def test_host_noise_is_told_to_be_simulated_alone() -> None:
    noisy = SMALL.replace("{runtime: cpython}", "{runtime: cpython, host_noise: {stolen: {}}}")
    found = measure("--model", "epoll", text=noisy)
    assert found.code == 0
    assert "machine.host_noise is only simulated" in found.err


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
def test_ended_it_writes_what_has_finished_and_leaves_nothing(
    end: signal.Signals, code: int, tmp_path: Path
) -> None:
    file, export = tmp_path / "small.yaml", tmp_path / "x.json"
    file.write_text(SMALL)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = start(
        *("measure", file, "--replications", 10_000, "--model", "epoll", "--load", "python"),
        *("--json", "--export", export),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"TMPDIR": str(temporary)},
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    plans: set[str] = set()
    while (
        len(plans) < 16 and time.monotonic() < deadline
    ):  # of which a replication has seven at most
        plans |= {path.name for path in temporary.glob("iosim-*")}
        time.sleep(0.05)
    children = descendants(process.pid)
    process.send_signal(end)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    document = json.loads(out)
    assert document["interrupted"] is True
    assert 0 < document["models"][0]["replications"] < 10_000
    assert json.loads(export.read_text()) == document
    assert not list(temporary.glob("iosim-*"))
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert tempfile.gettempdir() != str(temporary)


def descendants(pid: int) -> list[int]:
    from iosim.real.processes import family

    return family(pid)[1:]
