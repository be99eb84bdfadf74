"""Arrivals: what an open workload sends is what it says.

Poisson arrivals have independent exponential gaps (Kolmogorov-Smirnov, lag-one
correlation), and counts whose variance is their mean (index of dispersion). Each p-value
must exceed 0.1%; the seeds are fixed.
"""

from itertools import pairwise
from typing import Any

import pytest
from agreement import FREE, Load, replicate

from iosim.machine.alarm import FAR_NS
from iosim.simulation import run_once
from iosim.streams import Streams
from iosim.workloads.open import Options, intended_times

SERVICE_NS = 100_000
RARE = 0.001


def intended_ns(arrivals: str) -> list[list[int]]:
    """Intended send times of some replications, from the first answered request on."""
    load = Load(SERVICE_NS, 0.3)
    scenario = load.scenario(
        [{"cpu": "10us"}], 1_800, connections=100, warm_up=False, arrivals=arrivals
    )
    records = replicate(scenario, 5)
    times = [sorted(request.intended_ns for request in record.requests) for record in records]
    assert all(len(t) > 1_500 for t in times)
    return times


def test_gaps_are_exponential_and_independent() -> None:
    import numpy as np
    from scipy import stats

    mean_ns = SERVICE_NS / 0.3
    gaps = np.concatenate([np.diff(times) for times in intended_ns("poisson")])
    assert stats.kstest(gaps, "expon", args=(0, mean_ns)).pvalue > RARE
    assert stats.pearsonr(gaps[:-1], gaps[1:]).pvalue > RARE
    squares = stats.pearsonr(gaps[:-1] ** 2, gaps[1:] ** 2)
    assert squares.pvalue > RARE


def test_counts_are_as_variable_as_they_are_large() -> None:
    import numpy as np
    from scipy import stats

    window_ns = 20 * SERVICE_NS / 0.3
    statistic, degrees = 0.0, 0
    for times in intended_ns("poisson"):
        edges = np.arange(times[0], times[-1], window_ns)
        counts = np.histogram(times, edges)[0]
        statistic += float(((counts - 20) ** 2).sum() / 20)
        degrees += len(counts)
    low, high = stats.chi2.interval(1 - RARE, degrees)
    assert low < statistic < high


def test_the_number_offered_is_the_rate_times_the_duration() -> None:
    """A Poisson count: (offered - mean)^2 / mean is chi-squared with one degree each."""
    from scipy import stats

    load = Load(SERVICE_NS, 0.3)
    scenario = load.scenario([], 400, connections=10, warm_up=False)
    records = replicate(scenario, 60)
    deviations = [(record.offered - 400) ** 2 / 400 for record in records]
    low, high = stats.chi2.interval(1 - RARE, len(records))
    assert low < sum(deviations) < high


def test_equal_gaps_are_equal() -> None:
    gap_ns = SERVICE_NS / 0.3
    for times in intended_ns("deterministic"):
        assert all(abs(b - a - gap_ns) < 1 for a, b in pairwise(times))


@pytest.mark.parametrize("other", ["blocking", "poll", {"epoll": {"trigger": "edge"}}])
def test_two_models_are_asked_for_the_same(other: Any) -> None:
    """The same instants and, with costs of zero, the same work done."""
    load = Load(SERVICE_NS, 0.5)
    epoll, others = (
        load.scenario([{"cpu": {"exponential": "100us"}}], 1_000, model=model, connections=100)
        for model in ("epoll", other)
    )
    for replication in range(3):
        a = run_once(epoll, epoll.models[0], FREE, replication)
        b = run_once(others, others.models[0], FREE, replication)
        asked = {request.number: request.intended_ns for request in a.requests}
        again = {request.number: request.intended_ns for request in b.requests}
        common = asked.keys() & again.keys()
        assert len(common) > 900
        assert [asked[n] for n in common] == [again[n] for n in common]
        assert a.offered == b.offered
        assert a.cores_ns == b.cores_ns


def test_a_request_in_thirty_years_overflows_nothing() -> None:
    options = Options.model_validate({"rate": "1e-9/s"})
    times = intended_times(options, Streams(1, 0), 0)
    first = [next(times) for _ in range(1000)]
    assert first == sorted(first)
    assert first[-1] == FAR_NS
