"""Differences and ratios of two metrics, against arithmetic, scipy and each other."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.histogram import RELATIVE_ERROR
from iosim.metrics import Metric, describe
from iosim.plugins import kinds
from iosim.statistics import t_quantile
from iosim.studies.differences import better, difference

EXACT = Metric("ns", "of no resolution of its own")
T_2 = 4.302652729911275
"""Student's t at 95 % with two degrees of freedom."""

values = st.lists(st.floats(1, 1000), min_size=3, max_size=8)


def test_paired_replications_keep_what_they_share_out_of_the_interval() -> None:
    found = difference("mean", [100, 200, 300], [111, 212, 313], paired=True, described=EXACT)
    assert found.difference.mean == 12
    assert found.difference.high == pytest.approx(12 + T_2 * 1 / sqrt(3))
    assert found.shown
    apart = difference("mean", [100, 200, 300], [111, 212, 313], paired=False, described=EXACT)
    assert apart.difference.mean == 12
    assert not apart.shown


def test_welchs_interval_is_scipys_but_for_whole_degrees_of_freedom() -> None:
    from scipy import stats

    a, b = [10.0, 12.0, 11.0, 14.0], [20.0, 29.0, 24.0]
    found = difference("mean", a, b, paired=False, described=EXACT).difference
    theirs = stats.ttest_ind(b, a, equal_var=False)
    scale = t_quantile(int(theirs.df), 0.95) / stats.t.ppf(0.975, theirs.df)
    low, high = theirs.confidence_interval(0.95)
    middle = (low + high) / 2
    assert scale > 1
    assert found.mean == pytest.approx(middle)
    assert found.high == pytest.approx(middle + scale * (high - middle))
    assert found.low == pytest.approx(middle + scale * (low - middle))


@given(values, values, st.booleans())
def test_the_ratio_leaves_out_one_where_the_difference_leaves_out_zero(
    a: list[float], b: list[float], paired: bool
) -> None:
    n = min(len(a), len(b))
    found = difference("mean", a[:n], b[:n], paired, described=EXACT)
    if found.ratio is None or found.ratio.low is None or found.ratio.high is None:
        return
    distance = min(abs(found.difference.low or 0), abs(found.difference.high or 0))
    if distance > 1e-4:  # what rounding cannot have brought about
        assert found.shown == (not found.ratio.low <= 1 <= found.ratio.high)


def test_fiellers_ends_are_where_the_scaled_difference_touches_zero() -> None:
    a, b = [10.0, 11.0, 12.5, 9.0, 10.2], [5.0, 5.6, 6.0, 4.4, 5.3]
    ratio = difference("mean", a, b, paired=True, described=EXACT).ratio
    assert ratio is not None and ratio.low is not None and ratio.high is not None
    for end in (ratio.low, ratio.high):
        scaled = [end * value for value in a]
        found = difference("mean", scaled, b, paired=True, described=EXACT).difference
        assert min(abs(found.low or 0), abs(found.high or 0)) < 1e-9


def test_there_is_no_ratio_to_what_may_be_nothing() -> None:
    assert difference("refused", [0, 0, 0], [1, 2, 3], paired=True).ratio is None
    assert difference("refused", [0, 0, 9], [1, 2, 3], paired=True).ratio is None


def test_a_percentile_differs_by_no_less_than_it_can_be_off() -> None:
    a = [1_000_000.0] * 3
    for apart, shown in ((0.5, False), (2, True)):
        b = [value * (1 + apart * RELATIVE_ERROR) for value in a]
        found = difference("response_time_p99_ns", a, b, paired=True)
        assert found.shown is shown
        assert found.ratio is not None and found.ratio.low is not None
        assert (found.ratio.low > 1) is shown


def test_a_replication_without_a_value_is_left_out_with_its_partner() -> None:
    found = difference("response_time_p99_ns", [100, None, 300, 400], [90, 1, None, 390], True)
    assert (found.a.n, found.b.n, found.difference.n) == (2, 2, 2)
    assert found.difference.mean == -10


def test_one_replication_alone_tells_nothing() -> None:
    found = difference("throughput_per_s", [100], [200], paired=True)
    assert (found.difference.mean, found.difference.low) == (100, None)
    assert (found.verdict, found.shown) == ("unknown", False)
    assert difference("throughput_per_s", [None], [200], paired=False).verdict == "unknown"


@pytest.mark.parametrize(
    ("metric", "more_is"),
    [
        ("throughput_per_s", "better"),
        ("class_short_throughput_per_s", "better"),
        ("response_time_p99_ns", "worse"),
        ("class_short_response_time_p99_ns", "worse"),
        ("cpu_time_per_request_ns", "worse"),
        ("voluntary_switches_per_request", "worse"),
        ("memory_bytes", "worse"),
        ("error_fraction", "worse"),
        ("cpu_utilization", "differs"),
        ("offered", "differs"),
    ],
)
def test_whether_more_is_better_is_the_metrics_to_say(metric: str, more_is: str) -> None:
    assert difference(metric, [1, 2, 3], [11, 12, 13], paired=True).verdict == more_is
    less_is = {"better": "worse", "worse": "better", "differs": "differs"}[more_is]
    assert difference(metric, [11, 12, 13], [1, 2, 3], paired=True).verdict == less_is


def test_every_name_with_a_direction_is_a_metric() -> None:
    names = [name for family in kinds("metrics").values() for name in family.NAMES]
    assert {better(name) for name in names} == {"less", "more", None}
    for name in ("completed", "in_flight", "connections_opened", "events_per_wait"):
        assert describe(name) and better(name) is None


def test_a_p99_that_only_some_replications_know_has_no_verdict() -> None:
    """Those with fewer answers know none: what is left is the busier ones."""
    p99 = "response_time_p99_ns"
    found = difference(p99, [100, 101, 102, None], [200, 201, 202, 203], paired=False)
    assert (found.verdict, found.shown, found.judged) == ("unknown", False, False)
    assert found.missing == "known in 3 of 4 and 4 of 4 replications"
    both = difference(p99, [100, 101, 102, None], [200, 201, 202, 203], paired=True)
    assert (both.verdict, both.missing) == ("unknown", "known in 3 of 4 replications")
    assert difference(p99, [100, 101, 102], [200, 201, 202], paired=True).missing is None


def test_within_is_what_the_whole_interval_says() -> None:
    near = difference("mean", [100, 200, 300], [100.5, 200.4, 300.6], True, described=EXACT)
    assert near.within(1) and not near.within(0.5)
    assert not difference("mean", [100], [100], True, described=EXACT).within(1)
