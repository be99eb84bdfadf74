"""`--export`: three formats of one result, refused before a run rather than after it."""

import csv
import json
from pathlib import Path

import pytest
from commandline import TINY, run

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
    assert list(rows[0]) == ["model", "metric", "mean", "low", "high", "unit"]
    for label in ("blocking", "epoll", "coro"):
        for name, metric in outcome.metrics(label).items():
            (row,) = [r for r in rows if (r["model"], r["metric"]) == (label, name)]
            assert row["unit"] == metric["unit"]
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
    ],
)
def test_what_cannot_be_written_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "folder.json").mkdir()

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


def test_a_failing_objective_is_exported_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert run(TINY, "--set", "slo=[mean < 1us]", "--export", path).code == 3
    assert json.loads(path.read_text())["models"][0]["slo"] == {"mean < 1us": "fail"}
