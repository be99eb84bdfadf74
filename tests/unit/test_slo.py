"""Objectives: read with their units, judged on both bounds of the interval."""

import pytest

from iosim.errors import Mismatch
from iosim.metrics import describe
from iosim.slo import SHORT_NAMES, known_metrics, parse_slo
from iosim.statistics import Estimate, student_t
from iosim.units import QuantityError

LIMITS = {"ns": "5ms", "1/s": "2k/s", "bytes": "1MiB"}


def limit_for(metric: str) -> str:
    """A limit in the unit that the metric is described with."""
    fraction = metric.endswith("_fraction") or "utilization" in metric
    return "3%" if fraction else LIMITS.get(describe(metric).unit, "2.5")


class TestReading:
    @pytest.mark.parametrize(
        ("line", "metric", "limit"),
        [
            ("p99 < 5ms", "response_time_p99_ns", 5e6),
            ("p99.9 < 1s", "response_time_p99_9_ns", 1e9),
            ("p50 < 20us", "response_time_p50_ns", 20_000.0),
            ("mean < 1.5ms", "response_time_mean_ns", 1_500_000.0),
            ("throughput > 2k/s", "throughput_per_s", 2000.0),
            ("utilization < 80%", "cpu_utilization", 0.8),
            ("cpu_utilization_busiest_thread < 80%", "cpu_utilization_busiest_thread", 0.8),
            ("errors < 0.1%", "error_fraction", 0.001),
            ("memory < 1MiB", "memory_bytes", 1024.0**2),
            ("switches < 10k/s", "context_switches_per_s", 10_000.0),
            ("response_time_p90_ns < 5ms", "response_time_p90_ns", 5e6),
            ("syscalls_per_request < 2.5", "syscalls_per_request", 2.5),
            ("refused < 1", "refused", 1.0),
            ("cpu_idle_fraction > 10%", "cpu_idle_fraction", 0.1),
            ("p97 < 5ms", "response_time_p97_ns", 5e6),
            ("p99.95 < 5ms", "response_time_p99_95_ns", 5e6),
            ("device_db_queue < 3", "device_db_queue", 3.0),
            ("device_db_utilization < 70%", "device_db_utilization", 0.7),
            ("class_report_response_time_p99_ns < 1s", "class_report_response_time_p99_ns", 1e9),
        ],
    )
    def test_the_limit_is_held_in_the_metrics_own_unit(
        self, line: str, metric: str, limit: float
    ) -> None:
        slo = parse_slo(line)
        assert (slo.text, slo.metric, slo.limit) == (line, metric, limit)

    @pytest.mark.parametrize("line", ["p99<5ms", "  p99   <   5ms  ", "p99 <5ms"])
    def test_spaces_do_not_matter(self, line: str) -> None:
        slo = parse_slo(line)
        assert (slo.text, slo.limit) == (line.strip(), 5e6)

    def test_every_short_name_is_of_a_metric(self) -> None:
        known = known_metrics()
        for name, metric in SHORT_NAMES.items():
            assert metric in known
            assert name not in known
            assert parse_slo(f"{name} < {limit_for(metric)}").metric == metric

    def test_every_metric_takes_a_limit_in_its_own_unit(self) -> None:
        known = known_metrics()
        assert len(known) > 30
        for metric in known:
            assert parse_slo(f"{metric} > {limit_for(metric)}").limit > 0

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "p99",
            "p99 <",
            "< 5ms",
            "p99 = 5ms",
            "p99 == 5ms",
            "5ms > p99",
            "p99 < 5ms\nx",
            "P99 < 5ms",
        ],
    )
    def test_what_is_no_objective(self, line: str) -> None:
        with pytest.raises(Mismatch, match="expected an objective such as 'p99 < 5ms'"):
            parse_slo(line)

    @pytest.mark.parametrize(
        ("line", "hint"),
        [
            ("p999 < 5ms", "did you mean 'p99.9'?"),
            ("p0 < 5ms", "did you mean 'p90'?"),
            ("troughput > 2k/s", "did you mean 'throughput'?"),
            ("cpu_utilisation < 1%", "did you mean 'cpu_utilization'?"),
            ("device_db_utilisation < 3%", "did you mean 'device_*_utilization'?"),
        ],
    )
    def test_a_metric_that_there_is_not(self, line: str, hint: str | None) -> None:
        with pytest.raises(Mismatch) as caught:
            parse_slo(line)
        assert caught.value.expected == "a metric (see `iosim list metrics`)"
        if hint is not None:
            assert caught.value.hint == hint

    @pytest.mark.parametrize(
        "line",
        [
            "p99 < 5",
            "p99 < 5ms or so",
            "p99 < -5ms",
            "throughput > 2000",
            "errors < 0.01",
            "errors < 101%",
            "memory < 64",
            "syscalls_per_request < few",
            "offered > nan",
            "offered < inf",
            "offered < -Infinity",
            "offered < 1e999",
        ],
    )
    def test_a_limit_that_is_none(self, line: str) -> None:
        with pytest.raises(Mismatch) as caught:
            parse_slo(line)
        # Its place is the line's; a unit's own error class would tell of none.
        assert not isinstance(caught.value, QuantityError)
        assert caught.value.found == repr(line.partition(line.split()[1])[2].strip())


class TestJudging:
    @pytest.mark.parametrize(
        ("low", "high", "below", "above"),
        [
            (1.0, 2.0, "pass", "fail"),
            (2.0, 4.0, "inconclusive", "inconclusive"),
            (4.0, 5.0, "fail", "pass"),
            (1.0, 3.0, "inconclusive", "fail"),
            (3.0, 5.0, "fail", "inconclusive"),
            (3.0, 3.0, "fail", "fail"),
        ],
    )
    def test_both_bounds_must_meet_it(
        self, low: float, high: float, below: str, above: str
    ) -> None:
        estimate = Estimate((low + high) / 2, low, high, 5)
        assert parse_slo("refused < 3").judge(estimate) == below
        assert parse_slo("refused > 3").judge(estimate) == above

    @pytest.mark.parametrize(
        ("low", "high", "below", "above"),
        [
            (1.0, 3.0, "pass", "inconclusive"),
            (3.0, 5.0, "inconclusive", "pass"),
            (3.0, 3.0, "pass", "pass"),
            (1.0, 2.0, "pass", "fail"),
            (4.0, 5.0, "fail", "pass"),
        ],
    )
    def test_or_equal(self, low: float, high: float, below: str, above: str) -> None:
        estimate = Estimate((low + high) / 2, low, high, 5)
        assert parse_slo("refused <= 3").judge(estimate) == below
        assert parse_slo("refused >= 3").judge(estimate) == above

    def test_the_mean_alone_decides_nothing(self) -> None:
        slo = parse_slo("mean < 1ms")
        assert slo.judge(student_t([900_000.0])) == "inconclusive"
        assert slo.judge(student_t([900_000.0, 990_000.0])) == "inconclusive"
        assert slo.judge(student_t([900_000.0, 900_100.0])) == "pass"

    def test_what_is_undefined_is_inconclusive(self) -> None:
        assert parse_slo("p99 < 5ms").judge(Estimate(None, None, None, 0)) == "inconclusive"
