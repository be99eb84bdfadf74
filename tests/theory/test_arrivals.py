"""Arrivals: what an open workload sends is what it says.

Poisson arrivals have independent exponential gaps (Kolmogorov-Smirnov, lag-one
correlation), and counts whose variance is their mean (index of dispersion). Each p-value
must exceed 0.1%; the seeds are fixed.
"""

from itertools import pairwise, takewhile
from typing import Any

import pytest
from agreement import FREE, Load, assert_agrees, replicate

from iosim.machine.alarm import FAR_NS
from iosim.simulation import run_once
from iosim.streams import Streams
from iosim.workloads import on_off, varying
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


def counts(module: Any, options: dict[str, Any], duration_ns: int) -> list[int]:
    """Arrivals within a duration, in each of 200 replications."""
    chosen = module.Options.model_validate(options)
    return [
        sum(1 for _ in takewhile(duration_ns.__gt__, module.intended_times(chosen, streams, 0)))
        for streams in (Streams(1, number) for number in range(200))
    ]


def test_bursts_have_the_mean_rate_that_their_spells_give() -> None:
    """Spells of fixed lengths: 30 cycles of 10 ms, 4 of them on at 25k/s, are 3,000 arrivals."""
    options = {"rate": "25k/s", "on": "4ms", "off": "6ms"}
    assert on_off.Options.model_validate(options).requests_per_s == pytest.approx(10_000)
    assert_agrees(counts(on_off, options, 300_000_000), 3_000, 0.01)


def test_random_spells_make_counts_more_variable() -> None:
    """The interrupted Poisson process: with on and off spells of one mean m, begun on.

    The load is on at t with probability (1 + exp(-2t/m)) / 2, so that by T there are
    rate * (T/2 + m/4) arrivals on average, once T is long after m.
    """
    import numpy as np

    spell = {"exponential": "1ms"}
    found = counts(on_off, {"rate": "40k/s", "on": spell, "off": spell}, 100_000_000)
    assert_agrees(found, 40_000 * (0.05 + 0.00025), 0.03)
    assert np.var(found) > 5 * np.mean(found)


def test_a_varying_rate_has_its_means_piece_by_piece() -> None:
    """Poisson counts in each piece, at the first time round and at the fourth."""
    from scipy import stats

    pieces = [(7, 2_000), (2, 50_000), (1, 10_000)]  # ms, per second
    rates = [{"for": f"{ms}ms", "rate": f"{rate}/s"} for ms, rate in pieces]
    options = varying.Options.model_validate({"rates": rates})
    assert options.requests_per_s == pytest.approx(12_400)
    assert_agrees(counts(varying, {"rates": rates}, 100_000_000), 1_240, 0.01)
    for begin_ms in (0, 30):
        edges, expected = [begin_ms * 1_000_000], []
        for ms, rate in pieces:
            edges.append(edges[-1] + ms * 1_000_000)
            expected.append(ms * rate / 1_000)
        statistic = 0.0
        for number in range(100):
            times = varying.intended_times(options, Streams(1, number), 0)
            found = [0] * len(pieces)
            for at_ns in takewhile(edges[-1].__gt__, times):
                if at_ns >= edges[0]:
                    found[sum(at_ns >= edge for edge in edges) - 1] += 1
            statistic += sum((f - e) ** 2 / e for f, e in zip(found, expected, strict=True))
        low, high = stats.chi2.interval(1 - RARE, 100 * len(pieces))
        assert low < statistic < high
