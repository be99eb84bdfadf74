"""`iosim list`, `schema` and `init`: what there is to choose from, and where to start."""

import json
from pathlib import Path

import pytest
from commandline import iosim
from pydantic import BaseModel

from iosim.calibration.rows import read
from iosim.plugins import kinds
from iosim.profile import COST_NAMES, SHIPPED_FOLDER
from iosim.profile import load as load_profile
from iosim.report.catalogue import FOLDERS, listing, options
from iosim.report.costs import _meanings
from iosim.slo import known_metrics
from iosim.units import parse_duration, parse_size


@pytest.mark.parametrize("what", ["models", "devices", "workloads", "schedulers"])
def test_all_kinds_are_listed_with_a_line_each(what: str) -> None:
    outcome = iosim("list", what)
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    names = [line.split()[0] for line in outcome.out.splitlines() if not line.startswith(" ")]
    assert names == list(kinds(FOLDERS[what]))
    for line in outcome.out.splitlines():
        assert len(line.split()) > 1 or line.startswith(" ")


def test_without_a_word_it_says_what_there_is_to_list() -> None:
    outcome = iosim("list")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(FOLDERS)
    assert "blocking, coroutine, " in outcome.out
    assert "fifo" in outcome.out


def test_all_metrics_are_listed_with_their_units() -> None:
    lines = iosim("list", "metrics").out.splitlines()
    entries = {line.split()[0]: line.split()[1] for line in lines if not line.startswith(" ")}
    assert set(known_metrics()) <= set(entries)
    assert entries["response_time_p99_ns"] == "[ns]"
    assert entries["device_*_queue"] == "[calls]"


def test_profiles_and_the_costs_of_one() -> None:
    assert {"reference", "free"} <= {
        line.split()[0] for line in iosim("list", "profiles").out.splitlines()
    }
    text = iosim("list", "profiles", "reference").out
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    for name, entry in load_profile("reference").entries.items():
        (row,) = [i for i, line in enumerate(lines) if line.startswith(f"{name} ")]
        assert lines[row].endswith(entry.how)
        assert lines[row + 1].startswith("    ")  # what it is
        if isinstance(entry.value, int):
            parse = parse_duration if entry.unit == "ns" else parse_size
            _, value, low, _, high, _ = lines[row].split()
            assert entry.spread is not None
            assert (parse(value), parse(low), parse(high)) == (entry.value, *entry.spread)
    assert "10us: 12us, 15us: 25us" in text
    assert "x0.5 to x1.2" in text


def test_every_cost_says_what_it_is() -> None:
    meanings = _meanings()
    assert [name for name in COST_NAMES if not meanings.get(name, "").endswith(".")] == []


def test_all_that_is_known_of_one_cost() -> None:
    for name, entry in load_profile("reference").entries.items():
        outcome = iosim("list", "profiles", "reference", name)
        assert max(map(len, outcome.out.splitlines())) <= 80
        text = " ".join(outcome.out.split())
        assert " ".join(entry.source.split()) in text
        assert f"known {entry.how}" in text
        assert all(" ".join(row.split()) in text for row, _ in entry.rows)
    table = iosim("list", "profiles", "reference", "idle_exit").out
    assert "table   10us: 12us, 15us: 25us" in table
    wrong = iosim("list", "profiles", "reference", "idle_exi")
    assert wrong.code == 2
    assert "did you mean 'idle_exit'?" in wrong.err
    assert iosim("list", "models", "epoll", "trigger").code == 2


def test_rows_that_the_file_does_not_have_are_told(tmp_path: Path) -> None:
    absent = "(not in this file; iosim calibrate measures it)"
    reference = load_profile("reference")
    assert reference.measurements is not None
    measured = {row.key for row in read(SHIPPED_FOLDER / reference.measurements)}
    for command in (("list", "profiles"), ("profile", "show")):
        for cost in ("idle_exit", "epoll_wait", "cpython_call", "cache_refill_per_kib"):
            text = " ".join(iosim(*command, "reference", cost).out.split())
            rows = reference.entries[cost].rows
            missing = [row for row, _ in rows if row not in measured]
            assert text.count(absent) == len(missing)
            for row, total in rows:
                told = f"{row} = {' '.join(total.split())}"
                assert told in text
                assert (f"{told} {absent}" in text) == (row in missing)
            assert f"rows of {reference.measurements}" in text
    assert absent not in iosim("list", "profiles", "reference", "epoll_wait").out
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndescription: x\nextends: reference\nmeasurements: mine.csv\ncosts:\n"
        "  syscall: {value: 1us, how: measured, source: x, rows: {c a: syscall, c b: syscall}}\n"
    )
    nothing = iosim("list", "profiles", path, "syscall").out
    assert "row 1   c a = syscall\n" in nothing and "not in" not in nothing
    columns = "pass,lang,name,param,unit,median,q1,q3,min,p99,n"
    (tmp_path / "mine.csv").write_text(f"{columns}\n1,c,a,,ns,9,9,9,9,9,9\n")
    found = iosim("list", "profiles", path, "syscall").out
    assert "rows of mine.csv" in found and "row 1   c a = syscall\n" in found
    assert "row 2   c b = syscall (not in this file)\n" in found


def test_the_costs_of_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndescription: dear switches\nextends: reference\ncosts:\n"
        "  context_switch: {value: 5us, how: measured, source: lat_ctx}\n"
    )
    outcome = iosim("list", "profiles", path)
    assert outcome.code == 0
    row = next(line for line in outcome.out.splitlines() if line.startswith("context_switch "))
    assert row.split() == ["context_switch", "5us", "measured"]
    assert "lat_ctx" in iosim("list", "profiles", path, "context_switch").out
    missing = iosim("list", "profiles", tmp_path / "none.yaml")
    assert missing.code == 2
    assert "expected a profile" in missing.err


@pytest.mark.parametrize("what", ["models", "devices", "workloads", "schedulers"])
def test_the_options_of_every_kind(what: str) -> None:
    for name, module in kinds(FOLDERS[what]).items():
        text = options(what, name)
        assert max(map(len, text.splitlines())) <= 80
        for key, field in module.Options.model_fields.items():
            assert f"\n  {key}  (" in text or f"\n  {key}." in text, key
            assert "required" in text if field.is_required() else "default" in text


def test_options_say_type_and_default() -> None:
    assert "trigger  (level | edge | oneshot; default level)" in options("models", "epoll")
    assert "connections.total  (e.g. 10k; default 100)" in options("workloads", "open")
    assert "rate  (e.g. 10k/s; required)" in options("workloads", "open")
    assert "It has no options." in options("schedulers", "fifo")


def test_a_wrong_word_has_a_near_match() -> None:
    for args in (("modles",), ("models", "epol"), ("metrics", "throughput_per_sec")):
        outcome = iosim("list", *args)
        assert outcome.code == 2
        assert "did you mean" in outcome.err
        assert outcome.out == ""


def test_listing_reads_a_class_without_a_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    class Options(BaseModel):
        pass

    monkeypatch.setattr(kinds("schedulers")["fifo"], "Options", Options)
    assert "fifo         First in, first out: a thread keeps its core" in listing("schedulers")


def test_the_schema_is_one_of_scenarios() -> None:
    schema = json.loads(iosim("schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) >= {
        "machine",
        "server",
        "devices",
        "workload",
        "models",
        "run",
    }
    assert "epoll" in json.dumps(schema["properties"]["models"])


def test_the_schema_is_the_same_whatever_was_built_before() -> None:
    for folder in ("devices", "workloads", "schedulers", "io_models"):
        for module in kinds(folder).values():
            module.Options.model_rebuild()
    assert json.loads(iosim("schema").out) == json.loads(
        (SHIPPED_FOLDER.parent / "scenario.schema.json").read_text()
    )


def test_init_writes_a_scenario_that_is_right(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    assert iosim("init", path).code == 0
    assert path.read_text() == iosim("init").out
    assert iosim("check", path).code == 0
    outcome = iosim("run", path, "--jobs", 1, "--set", "run.duration=10ms", "--replications", 1)
    assert "epoll edge-triggered" in outcome.out


def test_init_overwrites_nothing_unasked(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("mine")
    outcome = iosim("init", path)
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert path.read_text() == "mine"
    assert iosim("init", path, "--force").code == 0
    assert path.read_text() != "mine"
    assert iosim("init", tmp_path / "no" / "folder.yaml").code == 2
