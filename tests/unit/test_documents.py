"""Results, written and read again."""

import json
from pathlib import Path

import pytest

import iosim
from iosim import documents
from iosim.errors import UsageError
from iosim.machine.costs import Costs
from iosim.report.export import to_json
from iosim.scenario import from_data

SMALL = {
    "name": "small",
    "machine": {"cores": 1},
    "server": {"handler": [{"cpu": "20us"}]},
    "workload": {"open": {"rate": "5k/s", "connections": {"total": 16}}},
    "models": ["epoll", {"blocking": {"label": "threads"}}],
    "slo": ["p99 < 1ms"],
    "run": {"duration": "100ms", "replications": 2},
}


@pytest.fixture(scope="module")
def results() -> iosim.Results:
    return iosim.simulate(from_data(SMALL))


def test_a_file_says_what_the_results_said(results: iosim.Results, tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text(to_json(results))
    document = documents.read(path)
    assert document == documents.of(results, str(path))
    assert [model.label for model in document] == ["epoll", "threads"]
    for model in results:
        assert document[model.label].metrics == model.metrics
        assert document[model.label].values == model.values
        assert document[model.label].verdicts == model.verdicts
    assert document.scenario().digest == results.scenario.digest


def test_values_are_what_the_mean_is_of(results: iosim.Results) -> None:
    for model in documents.of(results):
        values = model.values["throughput_per_s"]
        assert len(values) == 2
        assert sum(value or 0 for value in values) / 2 == model.mean("throughput_per_s")


def test_the_distribution_rises_and_stops_where_ten_lie_beyond(results: iosim.Results) -> None:
    for model in documents.of(results):
        percents, times_ns = zip(*model.distribution_ns, strict=True)
        assert list(times_ns) == sorted(times_ns)
        assert percents[0] == 0
        assert 95 < percents[-1] < 99.5  # of some 900 requests


def test_costs_survive(results: iosim.Results) -> None:
    data = json.loads(to_json(results))
    assert Costs.from_data(data["provenance"]["costs"]) == results.costs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "expected a result of iosim in JSON"),
        ("[1, 2]", "expected a result, as `iosim run --export"),
        ('{"schema_version": 99}', "expected version"),
        (
            f'{{"schema_version": {documents.SCHEMA_VERSION}}}',
            "expected a whole result of iosim, found no 'source'",
        ),
        ('{"schema_version": 1, "over": {}}', "found those of a sweep"),
    ],
)
def test_what_is_no_result_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        documents.read(path)


def test_a_folder_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a file, .* found a folder"):
        documents.read(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(UsageError, match=r"found those of a sweep.*--set PATH=VALUE --export"):
        documents.read(tmp_path)


def test_an_unknown_model_is_told_with_the_near_match(results: iosim.Results) -> None:
    with pytest.raises(UsageError, match="did you mean 'epoll'"):
        documents.of(results).select("epol")
