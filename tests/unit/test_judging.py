"""Objectives held against replications: what shows nothing, is lost, or is still under way."""

import pytest
from handmade import histogram, record

from iosim.judging import estimated, held, judge, too_few_without
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import simulate
from iosim.slo import Slo, Verdict, parse_slo

MS = 1_000_000


def quick(answered: int = 2_000, **changes: object) -> Record:
    """A replication in which so many are answered within 1 ms."""
    plain: dict[str, object] = {
        "answered": answered,
        "responses": histogram(*[1 * MS] * answered),
        "refused_in_window": 0,
        "timed_out_in_window": 0,
        "failed_in_window": 0,
        "under_way_after": histogram(),
    }
    return record(**{**plain, **changes})


def verdict(line: str, *records: Record) -> Verdict:
    return judge(parse_slo(line), records)[0]


def slo_of_shares(slo: Slo, records: list[Record]) -> Verdict:
    """By the share of later requests alone."""
    asked, found = held(slo, records)
    return asked.judge(found)


class TestNoError:
    """None in N requests leaves 3.7 / N."""

    @pytest.mark.parametrize(
        ("line", "requests", "expected"),
        [
            ("errors < 0.1%", 3_600, "inconclusive"),
            ("errors < 0.1%", 3_700, "pass"),
            ("failed_fraction < 0.1%", 3_600, "inconclusive"),
            ("failed_fraction < 0.1%", 3_700, "pass"),
            ("errors <= 0%", 3_700, "inconclusive"),
            ("errors > 0.2%", 3_700, "fail"),
        ],
    )
    def test_the_requests_of_all_replications_decide(
        self, line: str, requests: int, expected: Verdict
    ) -> None:
        assert verdict(line, *[quick(requests // 4)] * 4) == expected

    def test_it_says_how_many_would_do(self) -> None:
        slo = parse_slo("errors < 0.1%")
        few = [quick(900)] * 4
        assert too_few_without(slo, few) == (3_600, 3_689)
        told = "none in 3,600 requests does not show it: it needs 3,689"
        assert judge(slo, few) == ("inconclusive", told)
        assert judge(slo, [quick(950)] * 4) == ("pass", None)
        assert too_few_without(slo, [quick(900, refused_in_window=1)]) is None
        assert too_few_without(parse_slo("p99 < 1s"), few) is None

    def test_one_replication_decides_nothing(self) -> None:
        assert verdict("errors < 1%", quick(100_000)) == "inconclusive"

    def test_a_share_of_time_is_no_share_of_requests(self) -> None:
        found = estimated("cpu_stolen_fraction", [0.0, 0.0], [quick(), quick()])
        assert (found.low, found.high) == (0, 0)


class TestInFlight:
    def test_longer_under_way_than_allowed_is_late(self) -> None:
        stuck = quick(under_way_after=histogram(*[900 * MS] * 40))
        assert verdict("p99 < 10ms", stuck, stuck) == "fail"
        assert verdict("p97 < 10ms", stuck, stuck) == "pass"
        assert verdict("p99 > 10ms", stuck, stuck) == "pass"

    def test_who_may_yet_keep_it_counts_for_nothing(self) -> None:
        young = quick(under_way_after=histogram(*[900 * MS] * 40))
        assert verdict("p99 < 1s", young, young) == "pass"

    def test_who_was_late_before_the_window_is_not_late_in_it(self) -> None:
        """As many come into the window late as leave it so: those answered are a fair sample."""
        steady = quick(
            under_way_before=histogram(*[500 * MS] * 40),
            responses=histogram(*[1 * MS] * 2_000, *[600 * MS] * 15),
            under_way_after=histogram(*[500 * MS] * 40),
        )
        assert verdict("p99 < 10ms", steady, steady) == "pass"
        slower = quick(
            under_way_before=histogram(*[500 * MS] * 40),
            responses=histogram(*[1 * MS] * 2_000, *[600 * MS] * 15),
            under_way_after=histogram(*[500 * MS] * 60),
        )
        assert verdict("p99 < 10ms", slower, slower) == "fail"

    def test_nobody_answered_yet_says_nothing(self) -> None:
        waiting = quick(0, under_way_after=histogram(*[900 * MS] * 40))
        for line in ("p99 < 1s", "mean < 1s", "p99 > 1s"):
            assert verdict(line, waiting, waiting) == "inconclusive"
        for line in ("p99 < 800ms", "mean < 800ms"):
            assert verdict(line, waiting, waiting) == "fail"

    def test_calls_that_outlast_the_run_break_the_promise(self) -> None:
        """2% of the calls take ten seconds, in runs of two: nobody lives to see one answered."""
        latency = {"bimodal": {"low": "1ms", "high": "10s", "high_fraction": "2%"}}
        made = from_data(
            {
                "server": {"handler": [{"call": "far"}]},
                "devices": {"far": {"remote": {"latency": latency}}},
                "workload": {"open": {"rate": "1k/s", "connections": {"total": 5_000}}},
                "models": ["epoll"],
                "slo": ["p99 < 10ms", "p95 < 10ms"],
                "run": {"duration": "2s", "replications": 2},
            }
        )
        (model,) = simulate(made).models
        assert model.verdicts == {"p99 < 10ms": "fail", "p95 < 10ms": "pass"}
        assert model.metrics["response_time_p99_ns"].high < 2 * MS  # type: ignore[operator]


class TestInfinite:
    """Where too many got no answer, their share is judged against what a percentile allows."""

    def test_one_replication_decides_nothing(self) -> None:
        lost = quick(timed_out_in_window=1_000)
        for line in ("p99 < 10ms", "p99 > 10ms", "p50 < 10ms"):
            assert verdict(line, lost) == "inconclusive"
        silent = quick(0, timed_out_in_window=1_000)
        for line in ("p99 < 10ms", "mean < 10ms"):
            assert verdict(line, silent) == "inconclusive"
            assert verdict(line, silent, silent) == "fail"

    def test_the_share_of_the_lost_has_an_interval(self) -> None:
        clear = [quick(timed_out_in_window=lost) for lost in (100, 110, 105)]
        assert verdict("p99 < 10ms", *clear) == "fail"
        assert verdict("p99 > 10ms", *clear) == "pass"
        # 1.05% to 3.4%, of which three replications cannot tell that it is more than 1%.
        near = [quick(timed_out_in_window=lost) for lost in (21, 70, 30)]
        slo = parse_slo("p99 < 10ms")
        assert judge(slo, near) == ("inconclusive", "too many got no answer, or a later one")
        asked, found = held(slo, near)
        assert (asked.comparison, asked.limit, found.n) == ("<=", pytest.approx(0.01), 3)
        assert found.mean == pytest.approx((21 / 2_021 + 70 / 2_070 + 30 / 2_030) / 3)

    def test_a_few_lost_by_chance_prove_less_than_their_interval(self) -> None:
        """11 of 1,011 twice: Student's interval has no width, 22 of 2,022 has 0.7% to 1.6%."""
        same = quick(1_000, timed_out_in_window=11)
        assert verdict("p99 < 10ms", same, same) == "inconclusive"

    def test_the_longest_answers_may_be_too_late_themselves(self) -> None:
        """Where the load is more than is carried, so varied is the share that three cannot tell."""
        slow = histogram(*[1 * MS] * 1_900, *[150 * MS] * 100)
        varied = [quick(responses=slow, timed_out_in_window=lost) for lost in (2, 900, 3_000)]
        slo = parse_slo("p99 < 100ms")
        assert slo_of_shares(slo, varied) == "inconclusive"
        assert judge(slo, varied)[0] == "fail"
        assert verdict("p99 > 100ms", *varied) == "pass"
        assert verdict("p99 < 200ms", *varied) == "inconclusive"

    def test_some_replications_without_an_answer_in_time(self) -> None:
        few = [quick(timed_out_in_window=lost) for lost in (2, 3, 21, 1, 2, 3)]
        assert judge(parse_slo("p99 < 10ms"), few) == ("pass", None)
        more = [quick(timed_out_in_window=lost) for lost in (2, 3, 90)]
        told = "too many got no answer, or a later one, in 1 of 3 replications"
        assert judge(parse_slo("p99 < 10ms"), more) == ("inconclusive", told)
        # Those answered too late count as well.
        slow = histogram(*[1 * MS] * 1_900, *[20 * MS] * 100)
        both = [quick(responses=slow, timed_out_in_window=lost) for lost in (21, 1, 2)]
        assert verdict("p99 < 10ms", *both) == "fail"
        assert verdict("p90 < 10ms", *both) == "pass"
