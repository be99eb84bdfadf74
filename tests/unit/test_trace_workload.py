"""A trace: what is read, what is refused and where, and what reaches the server."""

import tracemalloc
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from iosim import simulate
from iosim.csv_source import LONGEST_LINE
from iosim.errors import ScenarioError
from iosim.profile import load as load_profile
from iosim.scenario import check_files, load
from iosim.simulation import run_once
from iosim.visitors import Visitors
from iosim.workloads.trace import Options, Request, rows

HEAD = "time_s,connection\n"


def read(folder: Path, text: str | bytes) -> list[Request]:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "trace.csv").write_bytes(data)
    chosen = {"file": "trace.csv", "connections": {"total": 10}}
    return list(rows(Options.model_validate(chosen), folder))


def test_times_are_exact_and_sizes_may_be_left_out(tmp_path: Path) -> None:
    text = "time_s,connection,reply_bytes\n0,0,5\n0.000000001, 9 ,\n\n1e-3,3,7\n"
    found = read(tmp_path, text)
    assert found == [(0, 0, None, 5), (1, 9, None, None), (1_000_000, 3, None, 7)]


def test_columns_come_in_any_order_after_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffconnection,request_bytes,time_s\r\n1,2,3\r\n"
    assert read(tmp_path, text) == [(3_000_000_000, 1, 2, None)]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", ":1:1:", "expected a first line that names the columns"),
        (HEAD, ":", "expected a request in a line of its own, found none"),
        ("time_s\n1\n", ":1:1:", "expected a column 'connection', found time_s"),
        ("time_s,conection\n", ":1:1:", "did you mean 'connection'?"),
        ("time_s,connection,time_s\n", ":1:1:", "expected each column once"),
        (HEAD + "2,0\n1.5,0\n", ":3:1:", "so at least 2 here, found 1.5"),
        (HEAD + "x,0\n", ":2:1:", "expected seconds from 0 to 864,000, found 'x'"),
        (HEAD + "nan,0\n", ":2:1:", "expected seconds"),
        (HEAD + "snan,0\n", ":2:1:", "expected seconds"),
        (HEAD + "-1,0\n", ":2:1:", "expected seconds"),
        (HEAD + "1e999999999,0\n", ":2:1:", "expected seconds"),
        (HEAD + "0,0\n0.5,10\n", ":3:5:", "expected a whole number from 0 to 9, found '10'"),
        (HEAD + "0,-1\n", ":2:3:", "expected a whole number from 0 to 9"),
        (HEAD + "0,\n", ":2:3:", "expected a whole number from 0 to 9, found ''"),
        ("time_s,connection,request_bytes\n0,0,0\n", ":2:5:", "from 1 to"),
        (HEAD + "0\n", ":2:1:", "expected 2 values, found 1"),
        (HEAD + '0,"0\n', ":2:1:", "expected a line of comma-separated values"),
        (HEAD.encode() + b"0,0\n\xff\xfe\n", ":3:1:", "expected text, found binary data"),
        (b"\x7fELF\0\0", ":1:1:", "expected text, found binary data"),
        ("x" * (LONGEST_LINE + 1), ":1:1:", "expected a line of at most 4,096 bytes"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, text: str | bytes, where: str, what: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'trace.csv'}{where} ")
    assert what in str(error.value)


@pytest.mark.parametrize("name", ["missing.csv", ".", "a\0b"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match="expected a readable file"):
        list(rows(Options.model_validate({"file": name}), tmp_path))


def test_the_file_is_read_as_far_as_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "0,0\n1,1\nwrong\n")
    found = rows(Options.model_validate({"file": "t.csv"}), tmp_path)
    assert [next(found)[0], next(found)[0]] == [0, 1_000_000_000]
    with pytest.raises(ScenarioError):
        next(found)


SCENARIO = """
workload: {trace: {file: trace.csv, connections: {total: 2}}}
models: [epoll]
run: {duration: 1ms, warm_up: none, replications: 2}
"""


def test_requests_are_sent_at_their_times_on_their_connections(tmp_path: Path) -> None:
    """The path counts from the scenario's folder."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    text = "time_s,connection,request_bytes,reply_bytes\n1e-4,1,300,9\n1e-4,0,100000,8\n5e-4,1,1,\n"
    (tmp_path / "trace.csv").write_text(text)
    scenario = load(tmp_path / "scenario.yaml")
    record = run_once(scenario, scenario.models[0], load_profile("free").costs, 0)
    asked = sorted(record.requests, key=lambda request: request.number)
    assert record.offered == record.completed == 3
    first_ns = asked[0].intended_ns
    assert [request.intended_ns - first_ns for request in asked] == [0, 0, 400_000]
    results = simulate(scenario, jobs=2)
    assert [record.offered for record in results.models[0].records] == [3, 3]


def test_a_mistake_is_found_before_anything_is_simulated(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "trace.csv").write_text(HEAD + "0,0\n5,2\n")
    with pytest.raises(ScenarioError, match=r"trace\.csv:3:3: expected a whole number"):
        simulate(load(tmp_path / "scenario.yaml"), jobs=2)


def test_sizes_left_out_are_the_workloads_or_the_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = "server: {classes: {one: {request: 64B, handler: [{cpu: 1us}]}}}"
    (tmp_path / "scenario.yaml").write_text(SCENARIO + classes)
    text = "time_s,connection,request_bytes,reply_bytes\n0,0,,\n1e-4,1,300,9\n"
    (tmp_path / "trace.csv").write_text(text)
    scenario = load(tmp_path / "scenario.yaml")
    sent: list[Any] = []
    transmit = Visitors.transmit

    def kept(self: Visitors, client: Any, request: Any) -> None:
        sent.append(request)
        transmit(self, client, request)

    monkeypatch.setattr(Visitors, "transmit", kept)
    run_once(scenario, scenario.models[0], load_profile("free").costs, 0)
    first, second = sent
    assert (first.bytes, first.reply_bytes, first.class_name) == (64, 1_024, "one")
    assert (second.bytes, second.reply_bytes) == (300, 9)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ("0 0.0006 0.0011", ()),
        (
            "0.0015 0.002",
            ("its first request, at 1.50 ms, comes after the run of 1ms",),
        ),
        ("0 0.0009 0.0021", ("the run of 1ms replays the first 2 of its 3 requests, which last",)),
        ("0 0.0004", ("its last request comes at 400 us, then the run of 1ms goes on without",)),
    ],
)
def test_a_trace_of_another_length_than_the_run_is_told(
    tmp_path: Path, times: str, expected: tuple[str, ...]
) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    lines = [f"{time_s},0" for time_s in times.split()]
    (tmp_path / "trace.csv").write_text("\n".join([HEAD.strip(), *lines, ""]))
    results = simulate(load(tmp_path / "scenario.yaml"))
    assert len(results.warnings) == len(expected)
    assert all(part in found for part, found in zip(expected, results.warnings, strict=True))
    assert results.to_document()["warnings"] == list(results.warnings)


def test_a_million_lines_take_no_memory(tmp_path: Path) -> None:
    """All of them are checked, a few are replayed; a line, kept, would take 100 bytes."""
    lines = 1_000_000
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    with (tmp_path / "trace.csv").open("w") as file:
        file.write(HEAD)
        file.writelines(f"{n}e-6,{n & 1}\n" for n in range(lines))
    scenario = load(tmp_path / "scenario.yaml")
    (warning,) = check_files(scenario)
    assert "replays the first 1,001 of its 1,000,000 requests" in warning
    record = run_once(scenario, scenario.models[0], load_profile("free").costs, 0)
    assert record.offered == 1_001
    with (tmp_path / "trace.csv").open("w") as file:
        file.write(HEAD)
        file.writelines(repeat("0,0\n", 100_000))
    tracemalloc.start()
    try:
        check_files(scenario)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 500_000
