"""Shares of requests: intervals against SciPy, and how often they hold the truth."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.proportion import FEW, interval, no_narrower, requests_without
from iosim.statistics import Estimate, student_t

scipy_stats: Any = import_module("scipy.stats")  # it ships no types


@pytest.mark.parametrize("of", [1, 6, 100, 4_000, 5_000_000])
def test_where_there_is_none_the_interval_ends_where_none_would_be_rare(of: int) -> None:
    low, high = interval(0, of)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / of), rel=1e-9)
    assert interval(of, of) == (pytest.approx(1 - high, rel=1e-9), 1)


@given(events=st.integers(1, FEW - 1), more=st.integers(1, 1_000_000), most=st.booleans())
def test_of_few_it_is_that_of_clopper_and_pearson(events: int, more: int, most: bool) -> None:
    of = events + more
    events = more if most and events <= more else events
    low, high = interval(events, of)
    beta = scipy_stats.beta.ppf
    assert low == pytest.approx(beta(0.025, events, of - events + 1), rel=1e-6)
    assert high == pytest.approx(beta(0.975, events + 1, of - events), rel=1e-6)


def test_no_requests_say_nothing() -> None:
    assert interval(0, 0) == (0, 1)


@pytest.mark.parametrize("limit", [0.5, 0.01, 0.001, 1e-5])
def test_so_many_without_one_are_just_enough(limit: float) -> None:
    enough = requests_without(limit)
    assert interval(0, enough)[1] < limit <= interval(0, enough - 2)[1]


class TestWidening:
    def test_zero_in_every_replication_is_not_zero(self) -> None:
        found = no_narrower(student_t([0.0] * 5), 0, 5_000)
        assert (found.mean, found.low, found.n) == (0, 0, 5)
        assert found.high == pytest.approx(3.687 / 5_000, rel=1e-3)

    def test_an_error_more_does_not_make_it_surer(self) -> None:
        """By Student's interval alone it would, from twelve replications on."""
        none = no_narrower(student_t([0.0] * 20), 0, 20_000)
        one = no_narrower(student_t([0.0] * 19 + [0.001]), 1, 20_000)
        assert none.high is not None and one.high is not None
        assert none.high < one.high
        assert student_t([0.0] * 19 + [0.001]).high < none.high  # type: ignore[operator]

    def test_bursts_stay_as_wide_as_they_are(self) -> None:
        wide = student_t([0.0, 0.0, 0.02])
        assert no_narrower(wide, 20, 3_000) == wide

    def test_of_many_students_is_taken_for_what_it_is(self) -> None:
        sure = Estimate(0.03, 0.0299, 0.0301, 3)
        assert no_narrower(sure, FEW, 1_000) == sure
        assert no_narrower(sure, FEW - 1, 1_000) != sure

    def test_what_has_no_interval_gets_none(self) -> None:
        for estimate in (student_t([0.0]), student_t([])):
            assert no_narrower(estimate, 0, 1_000) == estimate

    @pytest.mark.parametrize(("events", "of"), [(-1, 3), (4, 3)])
    def test_more_than_all_is_refused(self, events: int, of: int) -> None:
        with pytest.raises(ValueError, match=f"expected 0..{of}, found {events}"):
            no_narrower(student_t([0.0, 0.0]), events, of)


@pytest.mark.parametrize("share", [0.0005, 0.002, 0.01])
def test_it_holds_the_truth_as_often_as_it_says(share: float) -> None:
    """Student's interval alone holds 0.05% of 5 runs of 500 in seven of ten such experiments."""
    draws = np.random.default_rng(1).binomial(500, share, (1_000, 5))
    held = plain = 0
    for counts in draws.tolist():
        student = student_t([count / 500 for count in counts])
        wider = no_narrower(student, sum(counts), 2_500)
        assert student.high is not None and wider.low is not None and wider.high is not None
        plain += student.high >= share
        held += wider.low <= share <= wider.high
    assert held >= 950
    if share == 0.0005:
        assert plain < 800
