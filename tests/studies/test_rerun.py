"""Repeating results: the same to the bit, or what differs is found and named."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from handmade_results import document as by_hand
from handmade_results import model

import iosim
from iosim import documents
from iosim.errors import UsageError
from iosim.report.export import to_json
from iosim.report.rerun import answer
from iosim.report.study import to_csv, to_text
from iosim.scenario import from_data
from iosim.studies.rerunning import Rerun, Unlike, held_against, rerun

SMALL: dict[str, Any] = {
    "name": "small",
    "server": {"handler": [{"cpu": "20us"}]},
    "workload": {"open": {"rate": "20k/s", "connections": {"total": 16}}},
    "models": ["epoll", {"blocking": {"label": "threads"}}],
    "slo": ["p99 < 1ms"],
    "run": {"duration": "20ms", "replications": 2, "seed": 3},
}
REPLAYED = {
    "workload": {"trace": {"file": "arrivals.csv", "connections": {"total": 4}}},
    "server": {
        "handler": [{"cpu": {"empirical": {"file": "us.csv", "column": "t", "unit": "us"}}}]
    },
    "models": ["epoll"],
    "run": {"duration": "10ms", "replications": 2},
}


def written(results: iosim.Results, path: Path) -> Path:
    path.write_text(to_json(results))
    return path


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = iosim.simulate(
        from_data(SMALL), iosim.load_profile("reference", changes={"syscall": "150ns"})
    )
    return written(results, tmp_path_factory.mktemp("results") / "small.json")


def test_a_result_is_repeated_to_the_bit_with_its_own_costs(result: Path) -> None:
    found = rerun(result)
    assert (found.same, found.unlike, found.surroundings) == (True, (), ())
    assert found.figures > 300
    assert "The same to the bit" in to_text(answer(found))


def test_so_is_one_whose_models_were_replicated_until_they_were_precise(tmp_path: Path) -> None:
    results = iosim.simulate(from_data(SMALL), precision="10%@throughput_per_s")
    assert {len(model.records) for model in results} != {2}
    assert rerun(written(results, tmp_path / "precise.json")).same


def test_so_is_one_that_ended_in_an_error(tmp_path: Path) -> None:
    connections = {"open": {"rate": "5k/s", "connections": {"total": 1100}}}
    results = iosim.simulate(from_data({**SMALL, "models": ["select"], "workload": connections}))
    assert results["select"].error
    assert rerun(written(results, tmp_path / "error.json")).same


def set_mean(data: dict[str, Any]) -> None:
    data["models"][1]["metrics"]["throughput_per_s"]["mean"] += 1


def set_a_value(data: dict[str, Any]) -> None:
    data["models"][0]["metrics"]["syscalls_per_request"]["values"][1] *= 1 + 1e-15


def set_costs(data: dict[str, Any]) -> None:
    data["provenance"]["costs"]["syscall_ns"] += 1


def set_seed(data: dict[str, Any]) -> None:
    data["scenario"]["run"]["seed"] = 4


def drop_a_model(data: dict[str, Any]) -> None:
    del data["models"][0]


@pytest.mark.parametrize(
    ("edit", "figure", "else_is"),
    [
        (set_mean, "threads: throughput_per_s: mean", []),
        (set_a_value, "epoll: syscalls_per_request: values[1]", []),
        (set_costs, "epoll: cpu_time_per_request_ns: mean", []),
        (set_seed, "epoll: throughput_per_s: mean", ["scenario's sha256", "seed"]),
        (drop_a_model, "epoll: throughput_per_s", []),
    ],
)
def test_what_was_edited_shows(
    result: Path, edit: Callable[[dict[str, Any]], None], figure: str, else_is: list[str]
) -> None:
    data = json.loads(result.read_text())
    before = copy.deepcopy(data)
    edit(data)
    assert data != before
    edited = documents.Document("edited", "simulated", (), data)
    found = rerun(edited)
    assert not found.same
    assert figure in {each.where for each in found.unlike}
    assert [each.where for each in found.surroundings] == else_is
    text = to_text(answer(found))
    assert max(map(len, text.splitlines())) <= 80
    assert ("Nothing else is different" in text) == (not else_is)


def test_other_versions_and_other_code_are_told(result: Path) -> None:
    data = json.loads(result.read_text())
    data["iosim_version"] = "0.0.9"
    data["provenance"] |= {"numpy": "1.0", "code_sha256": "0" * 64}
    found = rerun(documents.Document("older", "simulated", (), data))
    assert found.same
    assert [each.where for each in found.surroundings] == ["iosim", "code_sha256", "numpy"]
    assert "0.0.9" in to_csv(answer(found))


@pytest.fixture
def replayed(tmp_path: Path) -> Path:
    """A result whose scenario names two files."""
    (tmp_path / "arrivals.csv").write_text("time_s,connection\n0.001,0\n0.002,1\n0.004,2\n")
    (tmp_path / "us.csv").write_text("t\n10\n20\n")
    scenario = from_data(REPLAYED, folder=tmp_path)
    return written(iosim.simulate(scenario), tmp_path / "replayed.json")


def test_the_files_that_a_scenario_names_are_read_again(replayed: Path) -> None:
    assert rerun(replayed).same
    recorded = json.loads(replayed.read_text())["provenance"]["files"]
    assert set(recorded) == {"arrivals.csv", "us.csv"}


def test_a_changed_file_is_named(replayed: Path) -> None:
    replayed.with_name("us.csv").write_text("t\n10\n30\n")
    found = rerun(replayed)
    assert not found.same
    assert [each.where for each in found.surroundings] == ["us.csv's sha256"]
    assert "us.csv's sha256" in to_text(answer(found))


def test_a_missing_file_is_asked_for(replayed: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("arrivals.csv", "us.csv"):
        replayed.with_name(name).rename(moved / name)
    with pytest.raises(UsageError, match=r"arrivals.csv, which its scenario names.*--folder"):
        rerun(replayed)
    assert rerun(replayed, folder=moved).same


def test_costs_of_another_version_are_refused(result: Path) -> None:
    data = json.loads(result.read_text())
    data["provenance"]["costs"]["telepathy_ns"] = data["provenance"]["costs"].pop("syscall_ns")
    with pytest.raises(UsageError, match="lacks syscall_ns; has telepathy_ns"):
        rerun(documents.Document("older", "simulated", (), data))


def test_a_scenario_of_another_version_is_refused(result: Path) -> None:
    data = json.loads(result.read_text())
    data["scenario"]["machine"]["sockets"] = 2
    with pytest.raises(UsageError, match="its scenario cannot be run here:\n.*machine.sockets"):
        rerun(documents.Document("newer", "simulated", (), data))


# ------------------------------------------------------------------------------ measured


def measured_again(factor: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A measured result, and what a machine that is slower by `factor` gives now."""
    results = iosim.simulate(from_data({**SMALL, "models": ["epoll"]}))
    placed = {"server_cores": [0], "client_cores": [1], "load": "native"}
    told: dict[str, Any] = {}

    def measure(scenario: iosim.Scenario, **how: Any) -> iosim.Results:
        told.update(how)
        return replace(results, source="measured", machine=placed)

    monkeypatch.setattr("iosim.measurement.measure", measure)
    values = {
        metric: [value / factor for value in results["epoll"].values[metric] if value is not None]
        for metric in ("response_time_mean_ns", "cpu_time_per_request_ns")
    }
    data = {**results.to_document(), "source": "measured", "machine": placed}
    then = by_hand(model("epoll", values), source="measured")
    found = rerun(documents.Document("then", "measured", then.models, data))
    assert told["server_cores"] == [0] and told["load"] == "native"
    return found


def test_a_measured_result_is_measured_again_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured_again(1.0, monkeypatch)
    assert found.same
    assert "no difference shown" in to_text(answer(found))


def test_a_machine_that_is_slower_now_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured_again(1e6, monkeypatch)
    assert {each.where for each in found.unlike} >= {"epoll: cpu_time_per_request_ns"}
    assert "differs beyond the intervals" in to_text(answer(found))


def held(then: documents.ModelDocument, now: iosim.Results) -> Rerun:
    return held_against(by_hand(then, source="measured"), now)


def results(replications: int) -> iosim.Results:
    run = {**SMALL["run"], "replications": replications}
    return iosim.simulate(from_data({**SMALL, "models": ["epoll"], "run": run}))


def test_of_single_runs_nothing_can_be_said() -> None:
    once = results(1)
    found = held(model("epoll", once["epoll"].values), once)
    assert (found.same, found.unlike) == (False, ())
    assert found.undecided == ("epoll: every figure",)
    told = " ".join(to_text(answer(found)).split())
    assert "Nothing can be said of epoll: every figure" in told
    assert "no difference" not in told.partition("Nothing")[2]
    assert found.to_document()["undecided"]


def test_an_error_now_and_fewer_replications_are_no_repetition() -> None:
    twice = results(2)
    then = model("epoll", twice["epoll"].values)
    died = replace(twice, models=(replace(twice["epoll"], records=(), values={}, metrics={}),))
    died = replace(died, models=(replace(died["epoll"], error="it died"),))
    found = held(then, died)
    assert [each.where for each in found.unlike] == ["epoll: error", "epoll: replications"]
    assert "epoll: error: none before, it died now" in " ".join(to_text(answer(found)).split())
    more = {name: (*values, *values) for name, values in twice["epoll"].values.items()}
    assert [each.where for each in held(model("epoll", more), twice).unlike] == [
        "epoll: replications"
    ]


def test_the_command_tells_them_apart_by_its_exit_code(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iosim.cli.rerun import rerun as command

    for found, code in (
        (Rerun("x", "measured", 10, (), ()), 0),
        (Rerun("x", "measured", 10, (), (), undecided=("epoll: every figure",)), 4),
        (Rerun("x", "measured", 10, (Unlike("epoll: error", None, "died"),), ()), 3),
    ):
        monkeypatch.setattr("iosim.studies.rerunning.rerun", lambda *_, found=found: found)
        with pytest.raises(typer.Exit) as ended:
            command(str(result), quiet=True)  # type: ignore[call-arg]
        assert ended.value.exit_code == code
