"""`iosim validate`: what it prints, writes and refuses, and how it ends."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commandline import Outcome, iosim

from iosim.profile import load as load_profile
from iosim.profile import with_costs
from iosim.scenario import Scenario
from iosim.validation import sides
from iosim.validation.sides import Side, simulated

SMALL = """\
name: small
machine: {cores: 1}
server: {handler: [{cpu: 20us}]}
workload:
  open: {rate: 5k/s, connections: {total: 4}}
models: [epoll]
run: {duration: 60ms, replications: 3}
"""

REFERENCE = load_profile("reference")


def validate(*args: object, text: str = SMALL) -> Outcome:
    return iosim("validate", "-", "--jobs", 1, *args, stdin=text)


def reality(monkeypatch: pytest.MonkeyPatch, **costs: str) -> None:
    """Real runs are simulated with other costs than the simulator knows."""
    profile = with_costs(REFERENCE, costs)

    def measured(scenario: Scenario, **how: Any) -> Side:
        about = {"machine": "a made-up machine", "date": "2026-11-23T00:00:00+00:00"}
        return replace(simulated(scenario, profile), about=about)

    monkeypatch.setattr(sides, "measured", measured)


def test_within_the_tolerance_the_code_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    reality(monkeypatch)
    found = validate("--loads", "50%")
    assert found.code == 0
    assert "small, epoll, saturation" in found.out and "small, epoll, 50% (" in found.out
    assert "Within the stated tolerance" in found.out
    assert "Measured on a made-up machine; 2026-11-23." in found.out


def test_outside_the_tolerance_the_code_is_5(monkeypatch: pytest.MonkeyPatch) -> None:
    reality(monkeypatch, recvfrom="x4", sendto="x4")
    found = validate("--explain", 1)
    assert found.code == 5
    told = " ".join(found.out.split())
    assert "Outside the stated tolerance." in told
    assert "syscalls x" in told  # what would explain it
    assert "NOT reached" in told


def test_where_nothing_can_be_scored_the_code_is_4(monkeypatch: pytest.MonkeyPatch) -> None:
    reality(monkeypatch)
    assert validate("--replications", 1).code == 4


def test_json_and_exports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reality(monkeypatch)
    files = [tmp_path / f"x.{name}" for name in ("json", "csv", "md")]
    exports = [word for file in files for word in ("--export", file)]
    found = validate("--json", "--set", "profile.syscall=x1.01", *exports)
    document = found.document
    assert document == json.loads(files[0].read_text())
    assert document["profile"] == "reference (syscall=x1.01)"
    assert [cell["load"] for cell in document["cells"]] == ["saturation", "own load"]
    assert files[1].read_text().startswith("scenario,runtime,model,load")
    assert "| metric | load |" in files[2].read_text()


def test_a_part_of_the_grid_with_a_budget_goes_on_where_it_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reality(monkeypatch)
    kept = tmp_path / "kept.jsonl"
    small = ("--part", "26/96", "--set", "run.duration=20ms", "--jobs", 1)
    args = ("--grid", *small, "--results", kept)
    found = iosim("validate", *args, "--budget", 0)
    assert found.code == 4 and not kept.exists()
    assert "0 of 4 cells were compared" in found.out
    found = iosim("validate", *args, "--json", "--explain", 0)
    assert [cell["load"] for cell in found.document["cells"]] == [
        *("saturation", "20%", "50%", "80%"),
    ]
    lines = kept.read_text()
    assert len(lines.splitlines()) == 8
    monkeypatch.setattr(sides, "measured", None)  # nothing is measured again
    again = iosim("validate", *args, "--json", "--explain", 0)
    assert again.document == found.document
    assert kept.read_text() == lines


def test_an_error_of_a_model_is_told_and_the_code_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(scenario: Scenario, **how: Any) -> Side:
        return Side({}, "epoll: no server of it here")

    monkeypatch.setattr(sides, "measured", measured)
    found = validate()
    assert found.code == 1
    assert "error: small, epoll, saturation: epoll: no server of it here" in found.err


def test_interrupted_it_shows_and_writes_what_has_finished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reality(monkeypatch)
    whole, calls = sides.measured, iter(range(9))

    def interrupted(scenario: Scenario, **how: Any) -> Side:
        if next(calls):
            raise KeyboardInterrupt
        return whole(scenario, **how)

    monkeypatch.setattr(sides, "measured", interrupted)
    file = tmp_path / "x.json"
    found = validate("--export", file)
    assert found.code == 130
    assert "1 of 2 cells were compared" in found.out
    assert json.loads(file.read_text())["interrupted"] is True


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("-", "--loads", "120%"), "expected shares of saturation"),
        (("-", "--model", "epol"), "did you mean 'epoll'"),
        (("-", "--export", "x.pdf"), "expected a file that ends in one of"),
        (("-", "--profile", "referense"), "did you mean 'reference'"),
        (("-", "--results", "/no/such/folder/x"), "expected the folder"),
        ((), "expected a scenario or more, or --grid"),
        (("-", "--grid"), "the grid has its own scenarios"),
        (("--grid", "--part", "3"), "such as 3/10"),
        (("--grid", "--part", "11/10"), "such as 3/10"),
        (("--grid", "--set", "machine.cores=2"), "the grid is as it is"),
        (("--grid", "--model", "epol"), "did you mean 'epoll'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    args: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sides, "measured", None)
    found = iosim("validate", *args, stdin=SMALL)
    assert found.code == 2
    assert told in found.err
    assert found.out == ""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="server and clients each need a core")
def test_a_real_validation_ends_with_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iosim.measurement.of_record", lambda record: {})
    found = validate(
        *("--load", "python", "--set", "machine.runtime=cpython"),
        *("--set", "workload.open.rate=500/s", "--set", "run.duration=300ms"),
        *("--replications", 1, "--explain", 0),
    )
    assert found.code == 4  # one replication: nothing can be scored
    assert "small, epoll, own load (500 req/s)" in found.out
    assert "Errors by metric" in found.out
