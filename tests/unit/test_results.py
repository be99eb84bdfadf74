"""Results: intervals over replications, a document that is JSON, frames with their columns."""

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from handmade import NOTHING_ANSWERED, RECORD, histogram, record

import iosim
from iosim.metrics import describe, measure_all
from iosim.record import Record
from iosim.results import ModelResult, Results, model_result
from iosim.scenario import Scenario, from_data
from iosim.statistics import relative_half_width

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


NOBODY_CAME = replace(
    NOTHING_ANSWERED,
    offered=0,
    refused=0,
    timed_out=0,
    in_flight=0,
    refused_in_window=0,
    timed_out_in_window=0,
    under_way_after=histogram(),
)
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
        assert 2 - T_1 * 0.5 < 0  # which no number of switches can be
        assert estimate.low == 0
        assert estimate.high == pytest.approx(2 + T_1 * 0.5)

    def test_what_does_not_vary_has_no_width(self) -> None:
        estimate = TWO.metrics["response_time_max_ns"]
        assert (estimate.mean, estimate.low, estimate.high) == (400, 400, 400)

    def test_no_bound_is_negative(self) -> None:
        slow = record(responses=histogram(*[10**9] * 4))
        wide = model_result(scenario(), "epoll", "epoll", replications(RECORD, slow))
        mean = wide.metrics["response_time_mean_ns"]
        assert mean.low == 0
        assert mean.mean is not None and mean.high is not None
        # The half width shown is still Student's, not that of what is left.
        assert relative_half_width(mean) == pytest.approx(T_1, rel=1e-6)
        for model in (TWO, wide):
            assert all(e.low is None or e.low >= 0 for e in model.metrics.values())

    def test_a_percentile_is_no_finer_than_its_bucket(self) -> None:
        same = record(responses=histogram(*[1_000_000] * 50))
        model = model_result(scenario(), "epoll", "epoll", replications(same, same))
        p50, mean = (model.metrics[f"response_time_{name}_ns"] for name in ("p50", "mean"))
        assert p50.mean is not None and p50.low is not None and p50.high is not None
        # 1,000,000 has 20 bits, of which 10 tell its bucket.
        assert p50.high - p50.low >= 2**10
        assert p50.high - p50.low < 2**11
        assert (mean.low, mean.high) == (1_000_000, 1_000_000)

    def test_one_replication_has_no_interval(self) -> None:
        for name, estimate in ONE.metrics.items():
            value = measure_all(RECORD)[name]
            assert estimate.mean == (None if value is None else pytest.approx(value))
            assert (estimate.low, estimate.high) == (None, None)
            assert estimate.n == (0 if value is None else 1)

    def test_a_syscall_that_only_one_made_was_made_no_times_by_the_other(self) -> None:
        assert TWO.metrics["syscalls_read_per_request"].mean == 0.5
        assert TWO.metrics["syscalls_recvfrom_per_request"].mean == 1.0
        assert TWO.metrics["syscalls_sendto_per_request"].mean == 1.0
        assert {e.n for e in TWO.metrics.values() if e.mean is not None} == {2}
        late = model_result(scenario(), "epoll", "epoll", replications(RECORD, RECORD, OTHER))
        assert late.metrics["syscalls_read_per_request"].mean == pytest.approx(1 / 3)
        assert {e.n for e in late.metrics.values() if e.mean is not None} == {3}

    def test_where_nothing_was_answered_there_is_no_number_of_syscalls_per_request(self) -> None:
        for order in ((RECORD, NOTHING_ANSWERED), (NOTHING_ANSWERED, RECORD)):
            mixed = model_result(scenario(), "epoll", "epoll", replications(*order))
            for name in ("syscalls_recvfrom_per_request", "syscalls_per_request"):
                assert mixed.metrics[name].n == 1
            assert mixed.metrics["syscalls_recvfrom_per_request"].mean == 2.0

    def test_undefined_values_are_left_out(self) -> None:
        mixed = model_result(
            scenario(), "epoll", "epoll", replications(RECORD, NOTHING_ANSWERED, RECORD)
        )
        assert mixed.metrics["response_time_mean_ns"].n == 2
        assert mixed.metrics["response_time_mean_ns"].mean == 250
        assert mixed.metrics["completed"].n == 3

    def test_records_are_in_the_order_of_their_replications(self) -> None:
        first, second = replications(RECORD, OTHER)
        shuffled = model_result(scenario(), "epoll", "epoll", [second, first])
        assert shuffled == TWO
        assert [each.replication for each in shuffled.records] == [0, 1]

    def test_each_warning_is_told_once(self) -> None:
        texts = ("long, 1.5 of 3", None, "short", "long, 20 of 3")
        warned = [record(warm_up_warning=text) for text in texts]
        model = model_result(scenario(), "epoll", "epoll", replications(*warned))
        assert model.warnings == (
            "long, 1.5 of 3 (in 2 of 4 replications)",
            "short (in 1 of 4 replications)",
        )

    def test_objectives_are_judged(self) -> None:
        judged = scenario(
            slo=["mean < 1us", "mean < 100ns", "switches < 5/s", "events_per_wait > 2"]
        )
        verdicts = model_result(judged, "epoll", "epoll", replications(RECORD, OTHER)).verdicts
        assert verdicts == {
            "mean < 1us": "pass",
            "mean < 100ns": "fail",
            "switches < 5/s": "inconclusive",
            "events_per_wait > 2": "pass",
        }

    def test_one_undefined_replication_leaves_an_objective_open_and_is_told(self) -> None:
        judged = scenario(slo=["syscalls_per_request < 9", "offered < 99"])
        mixed = replications(RECORD, RECORD, NOBODY_CAME)
        model = model_result(judged, "epoll", "epoll", mixed)
        assert model.verdicts["syscalls_per_request < 9"] == "inconclusive"
        reason = "undefined in 1 of 3 replications: nothing was answered"
        assert model.reasons["syscalls_per_request < 9"] == reason
        assert model.verdicts["offered < 99"] == "pass"
        assert "offered < 99" not in model.reasons
        (document,) = results(model).to_document()["models"]
        assert document["metrics"]["syscalls_per_request"]["n"] == 2
        assert document["metrics"]["offered"]["n"] == 3
        assert document["slo_reasons"] == dict(model.reasons)
        assert results(model).summary.loc[("epoll", "syscalls_per_request"), "n"] == 2

    def test_requests_without_an_answer_are_later_than_any(self) -> None:
        judged = scenario(slo=["p99 < 21ms", "p90 < 21ms", "p99 > 21ms", "p50 < 21ms"])
        fast = record(responses=histogram(*[1_000] * 2_000), refused_in_window=0)

        def verdicts(*timed_out: int) -> ModelResult:
            records = [replace(fast, timed_out_in_window=count) for count in timed_out]
            return model_result(judged, "epoll", "epoll", replications(*records))

        assert set(verdicts(0, 0).verdicts.values()) == {"pass", "fail"}
        assert verdicts(0, 0).verdicts["p99 < 21ms"] == "pass"
        # Of 2,000 answered in the window and 20 that were not, the 2,000th is the last answered.
        few = verdicts(20, 20)
        assert few.verdicts["p99 < 21ms"] == "pass"
        some = verdicts(21, 0)
        assert some.verdicts["p99 < 21ms"] == "inconclusive"
        assert some.reasons["p99 < 21ms"] == (
            "too many got no answer, or a later one, in 1 of 2 replications"
        )
        most = verdicts(18_000, 18_000)
        assert most.verdicts == {
            "p99 < 21ms": "fail",
            "p90 < 21ms": "fail",
            "p99 > 21ms": "pass",
            "p50 < 21ms": "fail",
        }
        # What is shown are the times of those that were answered.
        assert most.metrics["response_time_p99_ns"].mean == 1_000
        assert verdicts(500, 500).verdicts["p50 < 21ms"] == "pass"

    def test_nothing_answered_breaks_a_promise_of_response_times(self) -> None:
        judged = scenario(slo=["p99 < 1h", "mean < 1h", "p99.9 < 1h", "offered < 99"])
        silent = model_result(judged, "epoll", "epoll", replications(*[NOTHING_ANSWERED] * 2))
        assert list(silent.verdicts.values()) == ["fail", "fail", "fail", "pass"]
        assert silent.reasons["mean < 1h"] == "too many got no answer, or a later one"
        empty = model_result(judged, "epoll", "epoll", replications(NOBODY_CAME, NOBODY_CAME))
        assert list(empty.verdicts.values()) == ["inconclusive"] * 3 + ["pass"]

    def test_too_few_requests_prove_nothing_even_if_one_was_lost(self) -> None:
        judged = scenario(slo=["p99 < 1h"])
        one = record(responses=histogram(*[1_000] * 49), refused_in_window=0, timed_out_in_window=1)
        model = model_result(judged, "epoll", "epoll", replications(one, one))
        assert model.verdicts == {"p99 < 1h": "inconclusive"}
        assert "it needs 1,000 responses in each replication" in model.reasons["p99 < 1h"]

    def test_a_model_that_failed_meets_no_objective(self) -> None:
        judged = scenario(slo=["mean < 1us", "errors < 100%"])
        for records in ((), replications(RECORD, OTHER)):
            model = model_result(judged, "epoll", "epoll", records, "deadlock")
            assert set(model.verdicts.values()) == {"fail"}
            assert model.error == "deadlock"

    def test_nothing_finished_is_inconclusive(self) -> None:
        model = model_result(scenario(slo=["mean < 1us"]), "epoll", "epoll", ())
        assert (model.metrics, model.verdicts) == ({}, {"mean < 1us": "inconclusive"})


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
            "warnings",
            "scenario",
            "scenario_sha256",
            "seed",
            "profile",
            "profile_sha256",
            "provenance",
            "models",
        ]
        assert document["schema_version"] == 2
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
            scenario(slo=["mean < 1us"]),
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
            "warnings": ["long (in 1 of 2 replications)"],
            "slo": {"mean < 1us": "pass"},
            "slo_reasons": {},
            "replications": 2,
            "order": ["PC", "PP"],
            "response_time_distribution_ns": [],
        }
        assert list(metrics) == list(pipeline.metrics)
        for name, metric in metrics.items():
            estimate = pipeline.metrics[name]
            assert metric == {
                "mean": estimate.mean,
                "ci95": [estimate.low, estimate.high],
                "n": estimate.n,
                "unit": describe(name).unit,
                "values": list(pipeline.values[name]),
            }

    def test_what_does_not_exist_is_null(self) -> None:
        document = results(NONE_ANSWERED, FAILED).to_document()
        silent, failed = document["models"]
        nothing = {
            "mean": None,
            "ci95": [None, None],
            "n": 0,
            "unit": "ns",
            "values": [None, None],
        }
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
    "client_ns",
    "network_ns",
    "queue_ns",
    "wake_up_ns",
    "run_queue_ns",
    "cpu_ns",
    "lock_ns",
    "device_ns",
    "class_name",
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
        assert list(frame.columns) == ["mean", "low", "high", "unit", "n"]
        assert list(frame.index.names) == ["model", "metric"]
        assert len(frame) == len(TWO.metrics) + len(ONE.metrics)
        rows = {
            (row["model"], row["metric"]): row for row in frame.reset_index().to_dict("records")
        }
        row = rows["epoll", "voluntary_switches_per_request"]
        assert (row["mean"], row["unit"], row["n"]) == (2.0, "1/request", 2)
        assert row["high"] - row["mean"] == pytest.approx(T_1 / 2)
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
        assert list(results().summary.columns) == ["mean", "low", "high", "unit", "n"]


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
