"""`--export`: three formats of one result, refused before a run rather than after it."""

import csv
import json
import os
from pathlib import Path

import pytest
from commandline import TINY, iosim, run

from iosim.errors import UsageError
from iosim.report.export import write_atomically


def test_json_is_the_document(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    outcome = run(TINY, "--json", "--export", path)
    assert path.read_text() == outcome.out
    assert list(tmp_path.iterdir()) == [path]


def test_csv_is_long(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    outcome = run(TINY, "--json", "--export", path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["model", "metric", "mean", "low", "high", "unit", "n"]
    for label in ("blocking", "epoll", "coro"):
        for name, metric in outcome.metrics(label).items():
            (row,) = [r for r in rows if (r["model"], r["metric"]) == (label, name)]
            assert row["unit"] == metric["unit"]
            assert int(row["n"]) == metric["n"]
            values = [metric["mean"], *metric["ci95"]]
            read = [float(row[key]) if row[key] else None for key in ("mean", "low", "high")]
            assert read == values


def test_markdown_is_the_terminals_tables(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    outcome = run(TINY.replace("label: coro", "label: a|b"), "--export", path)
    text = path.read_text()
    assert text.startswith("# ")
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("| model | requests/s | p50 | p99 |"))
    below = lines.index(head) + 1
    assert set(lines[below]) <= set("|:- ")
    columns = head.count(" | ")
    for line in lines[below + 1 : below + 4]:
        assert line.replace("\\|", "").count(" | ") == columns
    assert "a\\|b" in text
    # Each interval of the terminal's second lines stands behind its value here.
    row = next(i for i, line in enumerate(outcome.out.splitlines()) if line.startswith("epoll "))
    value = outcome.out.splitlines()[row].split()[1]
    interval = outcome.out.splitlines()[row + 1].split()[0]
    assert f"| epoll | {value} {interval} |" in text


def test_several_files_at_once(tmp_path: Path) -> None:
    args = [a for name in ("a.json", "b.CSV") for a in ("--export", tmp_path / name)]
    assert run(TINY, "--model", "epoll", *args).code == 0
    assert json.loads((tmp_path / "a.json").read_text())["models"]
    assert (tmp_path / "b.CSV").read_text().startswith("model,metric")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results.txt", "ends in one of .json, .csv, .md, found '.txt'"),
        ("results.jsn", "did you mean '.json'?"),
        ("results", "found ''"),
        ("no/folder.json", "to exist"),
        ("folder.json", "found a folder"),
        ("file/results.json", "Not a directory"),
        ("n" * 300 + ".json", "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()

    def no_run(*_: object, **__: object) -> None:
        raise AssertionError("simulated for nothing")

    monkeypatch.setattr("iosim.simulation.simulate", no_run)
    outcome = run(TINY, "--export", tmp_path / name)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.csv"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_atomically(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file/new.yaml", "n" * 300])
def test_what_init_cannot_write_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    outcome = iosim("init", tmp_path / name)
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".yaml")
    assert iosim("init", path).code == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_is_none_leaves_no_part_behind(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "f", "\udcff")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_written_through(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("before")
    link.symlink_to(real)
    assert run(TINY, "--model", "epoll", "--export", link).code == 0
    assert link.is_symlink()
    assert real.read_text().startswith("model,metric")


def test_a_link_to_nowhere_is_not_written_through_unasked(tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "real.yaml")
    assert "exists already" in iosim("init", link).err
    assert iosim("init", "--force", link).code == 0
    assert link.is_symlink() and link.is_file()


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    # A pipe of our own and never a device: should this fail, it would replace the machine's.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "x")
    assert pipe.is_fifo()
    assert os.read(reader, 10) == b"x"
    os.close(reader)


def test_a_table_has_been_printed_when_its_export_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    args = [a for name in ("a.json", "b.csv") for a in ("--export", tmp_path / name)]
    outcome = run(TINY, "--model", "epoll", *args)
    assert outcome.code == 2
    assert "epoll" in outcome.out
    assert [line.count("No space left") for line in outcome.err.splitlines()] == [1, 1]


def test_interrupted_before_anything_has_finished_it_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iosim.simulation.observe", interrupted)
    path = tmp_path / "results.json"
    path.write_text("before")
    outcome = run(TINY, "--export", path)
    assert outcome.code == 130
    assert path.read_text() == "before"


@pytest.mark.parametrize("label", ["=1+1", "+x", "-x", "@x"])
def test_a_csv_holds_no_formula(tmp_path: Path, label: str) -> None:
    path = tmp_path / "results.csv"
    run(TINY.replace("label: coro", f"label: '{label}'"), "--export", path)
    with path.open(newline="") as file:
        labels = {row["model"] for row in csv.DictReader(file)}
    assert labels == {"blocking", "epoll", f"'{label}"}


def test_a_failing_objective_is_exported_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert run(TINY, "--set", "slo=[mean < 1us]", "--export", path).code == 3
    assert json.loads(path.read_text())["models"][0]["slo"] == {"mean < 1us": "fail"}
