"""R1: what a call costs against the descriptors it watches.

Kerrisk, "The Linux Programming Interface", linux.conf.au 2006 and table 63-9: 100,000
calls with one random descriptor ready, in seconds (10 us a call for each second):

    descriptors    poll  select  epoll
    10             1.12    1.28   0.65
    100             6.8     7.1   0.68
    1,000           157     151   0.89
    10,000         1750    1087   0.97

The hardware differs, so slopes are compared: from 100 on, the cost of poll and select
grows with the descriptors at least in proportion (log-log slope 1) and, where caches
overflow, faster; no slope may lie outside those published for poll and select. epoll's
largest cost is less than twice its smallest.
"""

from functools import cache
from math import log10

import pytest
from watched_descriptors import call_ns

from iosim.errors import DescriptorLimit

PUBLISHED = {
    "poll": {10: 1.12, 100: 6.8, 1_000: 157.0, 10_000: 1750.0},
    "select": {10: 1.28, 100: 7.1, 1_000: 151.0, 10_000: 1087.0},
    "epoll_wait": {10: 0.65, 100: 0.68, 1_000: 0.89, 10_000: 0.97},
}
HIGHEST_SELECTABLE = 1_000
"""Of the sizes in the table: select cannot name descriptors from 1,024 on."""

simulated = cache(call_ns)


def slope(costs: dict[int, float], fewer: int, more: int) -> float:
    """By how many decades the cost grows for each decade of descriptors."""
    return log10(costs[more] / costs[fewer]) / log10(more / fewer)


PUBLISHED_SLOPES = [
    slope(PUBLISHED[call], fewer, 10 * fewer)
    for call in ("poll", "select")
    for fewer in (100, 1_000)
]


def costs_of(call: str) -> dict[int, float]:
    return {
        n: simulated(call, n)
        for n in PUBLISHED[call]
        if call != "select" or n <= HIGHEST_SELECTABLE
    }


@pytest.mark.parametrize(("call", "fewer"), [("poll", 100), ("poll", 1_000), ("select", 100)])
def test_select_and_poll_grow_with_the_descriptors(call: str, fewer: int) -> None:
    grown = slope(costs_of(call), fewer, 10 * fewer)
    assert min(PUBLISHED_SLOPES) <= grown <= max(PUBLISHED_SLOPES)


def test_poll_grows_faster_where_caches_overflow() -> None:
    costs = costs_of("poll")
    assert costs[10_000] / costs[100] > 100
    assert costs[10_000] / costs[1_000] > costs[1_000] / costs[100]


def test_poll_and_select_cost_the_same() -> None:
    """Up to 1,000 descriptors the published two differ by at most 14%."""
    published = max(
        abs(log10(PUBLISHED["poll"][n] / PUBLISHED["select"][n])) for n in (10, 100, 1_000)
    )
    for n in (10, 100, 1_000):
        assert abs(log10(simulated("poll", n) / simulated("select", n))) <= published


def test_epoll_is_flat() -> None:
    costs = costs_of("epoll_wait")
    assert max(costs.values()) < 2 * min(costs.values())


def test_epoll_wins_by_more_the_more_is_watched() -> None:
    """At 10 by little, at 10,000 by three orders of magnitude (published: 1,800)."""
    ratios = [simulated("poll", n) / simulated("epoll_wait", n) for n in (10, 100, 1_000, 10_000)]
    assert ratios == sorted(ratios)
    assert ratios[0] > 1
    assert ratios[-1] > 1_000


@pytest.mark.parametrize("descriptors", [1_022, 5_000])
def test_select_ends_at_1024(descriptors: int) -> None:
    """Descriptors count from 3, so the 1,022nd is 1,024."""
    with pytest.raises(DescriptorLimit) as told:
        call_ns("select", descriptors, 1)
    assert told.value.limit == 1_024
    assert str(told.value.descriptor).isdigit() and f"{descriptors + 2:,}" in str(told.value)


def test_select_takes_the_last_descriptor_below() -> None:
    assert call_ns("select", 1_021, 1) > 0
