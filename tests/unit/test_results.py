"""Results: intervals over replications, a document that is JSON, frames with their columns."""

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from handmade import NOTHING_ANSWERED, RECORD, record

import iosim
from iosim.metrics import describe, measure_all
from iosim.record import Record
from iosim.results import ModelResult, Results, model_result
from iosim.scenario import Scenario, from_data

T_1 = 12.706204736432095
"""Student's t at 95 % with one degree of freedom: tan(0.475 pi)."""


def scenario(**changes: Any) -> Scenario:
    return from_data(
        {
            "name": "by hand",
            "workload": {"open": {"rate": "1k/s"}},
            "models": ["epoll", {"poll": {"label": "scan"}}],
            **changes,
        }
    )


def replications(*records: Record) -> tuple[Record, ...]:
    return tuple(replace(each, replication=number) for number, each in enumerate(records))


def results(*models: ModelResult, **changes: Any) -> Results:
    return Results(scenario(**changes), "reference", "0" * 64, models)


OTHER = record(voluntary_switches=10, syscalls={"read": 4, "sendto": 4}, offered=14)
TWO = model_result(scenario(), "epoll", "epoll", replications(RECORD, OTHER))
ONE = model_result(scenario(), "poll", "scan", replications(RECORD))
NONE_ANSWERED = model_result(scenario(), "poll", "scan", replications(*[NOTHING_ANSWERED] * 2))
FAILED = model_result(scenario(), "poll", "scan", (), "scan, at 3 ns: stalled")


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


class TestContainer:
    def test_it_holds_models_by_label(self) -> None:
        both = results(TWO, ONE)
        assert [model.label for model in both] == ["epoll", "scan"]
        assert len(both) == 2
        assert "scan" in both and "poll" not in both
        assert both["scan"] is ONE

    def test_equal_are_those_of_equal_runs(self) -> None:
        small = scenario(run={"duration": "10ms", "replications": 2})
        assert iosim.simulate(small) == iosim.simulate(small)
        other = small.model_copy(update={"run": small.run.model_copy(update={"seed": 2})})
        assert iosim.simulate(other) != iosim.simulate(small)

    def test_the_summary_is_of_numbers_even_without_intervals(self) -> None:
        summary = results(ONE).summary
        assert [str(summary[key].dtype) for key in ("mean", "low", "high")] == ["float64"] * 3


class TestModels:
    def test_a_mean_and_its_interval_by_hand(self) -> None:
        # 6 / 4 and 10 / 4 switches a request: mean 2, half width t (0.5 sqrt 2) / sqrt 2.
        estimate = TWO.metrics["voluntary_switches_per_request"]
        assert estimate.n == 2
        assert estimate.mean == 2.0
        assert estimate.low == pytest.approx(2 - T_1 * 0.5)
        assert estimate.high == pytest.approx(2 + T_1 * 0.5)

    def test_what_does_not_vary_has_no_width(self) -> None:
        estimate = TWO.metrics["response_time_p99_ns"]
        assert (estimate.mean, estimate.low, estimate.high) == (400, 400, 400)

    def test_one_replication_has_no_interval(self) -> None:
        for name, estimate in ONE.metrics.items():
            assert estimate.mean == pytest.approx(measure_all(RECORD)[name])
            assert (estimate.low, estimate.high, estimate.n) == (None, None, 1)

    def test_a_syscall_that_only_one_made_was_made_no_times_by_the_other(self) -> None:
        assert TWO.metrics["syscalls_read_per_request"].mean == 0.5
        assert TWO.metrics["syscalls_recvfrom_per_request"].mean == 1.0
        assert TWO.metrics["syscalls_sendto_per_request"].mean == 1.0
        assert {e.n for e in TWO.metrics.values()} == {2}
        late = model_result(scenario(), "epoll", "epoll", replications(RECORD, RECORD, OTHER))
        assert late.metrics["syscalls_read_per_request"].mean == pytest.approx(1 / 3)
        assert {e.n for e in late.metrics.values()} == {3}

    def test_undefined_values_are_left_out(self) -> None:
        mixed = model_result(
            scenario(), "epoll", "epoll", replications(RECORD, NOTHING_ANSWERED, RECORD)
        )
        assert mixed.metrics["response_time_p50_ns"].n == 2
        assert mixed.metrics["response_time_p50_ns"].mean == 200
        assert mixed.metrics["completed"].n == 3

    def test_records_are_in_the_order_of_their_replications(self) -> None:
        first, second = replications(RECORD, OTHER)
        shuffled = model_result(scenario(), "epoll", "epoll", [second, first])
        assert shuffled == TWO
        assert [each.replication for each in shuffled.records] == [0, 1]

    def test_each_warning_is_told_once(self) -> None:
        warned = [record(warm_up_warning=text) for text in ("long", None, "short", "long")]
        model = model_result(scenario(), "epoll", "epoll", replications(*warned))
        assert model.warnings == ("long", "short")

    def test_objectives_are_judged(self) -> None:
        judged = scenario(slo=["p99 < 1us", "p99 < 100ns", "switches < 5/s", "events_per_wait > 2"])
        verdicts = model_result(judged, "epoll", "epoll", replications(RECORD, OTHER)).verdicts
        assert verdicts == {
            "p99 < 1us": "pass",
            "p99 < 100ns": "fail",
            "switches < 5/s": "inconclusive",
            "events_per_wait > 2": "pass",
        }

    def test_a_model_that_failed_meets_no_objective(self) -> None:
        judged = scenario(slo=["p99 < 1us", "errors < 100%"])
        for records in ((), replications(RECORD, OTHER)):
            model = model_result(judged, "epoll", "epoll", records, "deadlock")
            assert set(model.verdicts.values()) == {"fail"}
            assert model.error == "deadlock"

    def test_nothing_finished_is_inconclusive(self) -> None:
        model = model_result(scenario(slo=["p99 < 1us"]), "epoll", "epoll", ())
        assert (model.metrics, model.verdicts) == ({}, {"p99 < 1us": "inconclusive"})


class TestDocument:
    def test_it_is_json_without_nan(self) -> None:
        document = results(TWO, NONE_ANSWERED, FAILED).to_document()
        assert strict(json.dumps(document, allow_nan=False)) == document

    def test_what_it_says_of_the_run(self) -> None:
        made = results(TWO, run={"seed": 42}, name="<x>")
        document = made.to_document()
        assert list(document) == [
            "schema_version",
            "iosim_version",
            "source",
            "interrupted",
            "scenario",
            "scenario_sha256",
            "seed",
            "profile",
            "profile_sha256",
            "models",
        ]
        assert document["schema_version"] == 1
        assert document["iosim_version"] == iosim.__version__
        assert document["source"] == "simulated"
        assert document["interrupted"] is False
        assert document["seed"] == 42
        assert document["profile"] == "reference"
        assert document["scenario_sha256"] == made.scenario.digest
        assert from_data(document["scenario"]) == made.scenario
        assert replace(made, interrupted=True).to_document()["interrupted"] is True
        assert replace(made, source="measured").to_document()["source"] == "measured"

    def test_what_it_says_of_a_model(self) -> None:
        pipeline = model_result(
            scenario(slo=["p99 < 1us"]),
            "epoll",
            "epoll",
            replications(record(order="PC", warm_up_warning="long"), record(order="PP")),
        )
        (model,) = results(pipeline).to_document()["models"]
        metrics = model.pop("metrics")
        assert model == {
            "model": "epoll",
            "label": "epoll",
            "error": None,
            "warnings": ["long"],
            "slo": {"p99 < 1us": "pass"},
            "replications": 2,
            "order": ["PC", "PP"],
        }
        assert list(metrics) == list(pipeline.metrics)
        for name, metric in metrics.items():
            estimate = pipeline.metrics[name]
            assert metric == {
                "mean": estimate.mean,
                "ci95": [estimate.low, estimate.high],
                "unit": describe(name).unit,
            }

    def test_what_does_not_exist_is_null(self) -> None:
        document = results(NONE_ANSWERED, FAILED).to_document()
        silent, failed = document["models"]
        nothing = {"mean": None, "ci95": [None, None], "unit": "ns"}
        assert silent["metrics"]["response_time_p99_ns"] == nothing
        assert silent["metrics"]["throughput_per_s"]["ci95"] == [0, 0]
        assert (failed["metrics"], failed["replications"]) == ({}, 0)
        assert failed["error"] == "scan, at 3 ns: stalled"

    def test_a_model_is_found_by_its_label(self) -> None:
        made = results(TWO, ONE)
        assert made["epoll"] is TWO
        assert made["scan"] is ONE
        with pytest.raises(KeyError, match="poll"):
            made["poll"]


REQUEST_COLUMNS = [
    "model",
    "replication",
    "number",
    "intended_ns",
    "response_ns",
    "network_ns",
    "queue_ns",
    "wake_up_ns",
    "run_queue_ns",
    "cpu_ns",
    "lock_ns",
    "device_ns",
]
THREAD_COLUMNS = [
    "model",
    "replication",
    "name",
    "voluntary_switches",
    "involuntary_switches",
    "migrations",
    "cpu_ns",
    "run_queue_ns",
    "wake_up_ns",
    "lock_ns",
]


class TestFrames:
    def test_the_summary_has_a_row_for_each_metric_of_each_model(self) -> None:
        frame = results(TWO, ONE, FAILED).summary
        assert list(frame.columns) == ["mean", "low", "high", "unit", "replications"]
        assert list(frame.index.names) == ["model", "metric"]
        assert len(frame) == len(TWO.metrics) + len(ONE.metrics)
        rows = {
            (row["model"], row["metric"]): row for row in frame.reset_index().to_dict("records")
        }
        row = rows["epoll", "voluntary_switches_per_request"]
        assert (row["mean"], row["unit"], row["replications"]) == (2.0, "1/request", 2)
        assert row["high"] - row["low"] == pytest.approx(T_1)
        assert math.isnan(rows["scan", "voluntary_switches_per_request"]["low"])
        # As the README shows it.
        assert list(frame.loc["scan"].index) == list(ONE.metrics)

    def test_requests_and_threads_have_a_row_each(self) -> None:
        made = results(TWO, ONE)
        assert list(made.requests.columns) == REQUEST_COLUMNS
        assert made.requests[["model", "replication"]].to_numpy().tolist() == [
            ["epoll", 0],
            ["epoll", 1],
            ["scan", 0],
        ]
        first = made.requests.iloc[0].to_dict()
        assert {name: first[name] for name in vars(RECORD.requests[0])} == vars(RECORD.requests[0])
        assert list(made.threads.columns) == THREAD_COLUMNS
        assert len(made.threads) == 3
        assert made.threads.iloc[2]["name"] == "main"

    def test_frames_without_rows_have_their_columns(self) -> None:
        for made in (results(NONE_ANSWERED), results(FAILED), results()):
            assert (len(made.requests), list(made.requests.columns)) == (0, REQUEST_COLUMNS)
            assert (len(made.threads), list(made.threads.columns)) == (0, THREAD_COLUMNS)
        assert list(results().summary.columns) == ["mean", "low", "high", "unit", "replications"]


class Cells(HTMLParser):
    """The text in each cell of a table, and the tags in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.caption = ""
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._tag = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._tag in ("th", "td"):
            self.rows[-1][-1] += data
        elif self._tag == "caption":
            self.caption += data


class TestHtml:
    def test_a_notebook_shows_a_table(self) -> None:
        cells = Cells(results(TWO, ONE)._repr_html_())
        assert cells.caption == "by hand"
        head, two, one = cells.rows
        assert head[0] == "model"
        assert len(head) == len(two) == len(one)
        assert (two[0], one[0]) == ("epoll", "scan")
        # Two replications give an interval, one does not.
        column = head.index("voluntary switches/request")
        assert two[column].split() == ["2.00", "±318%"]
        assert one[column] == "1.50"

    def test_names_are_text_and_no_markup(self) -> None:
        hostile = "<script>alert('&amp;')</script>"
        model = model_result(scenario(), "epoll", hostile, replications(RECORD))
        html = results(model, name=hostile)._repr_html_()
        cells = Cells(html)
        assert cells.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert cells.caption == hostile
        assert cells.rows[1][0] == hostile
        assert "<script" not in html

    def test_a_model_that_failed_has_a_row_of_nothing(self) -> None:
        row = Cells(results(FAILED)._repr_html_()).rows[1]
        assert row[0] == "scan"
        assert set(row[1:]) == {"-"}
