"""What replications say together: intervals, common random numbers, warm-up.

Law, "Simulation Modeling and Analysis", 5th ed.: coverage 9.4.1, common random numbers
11.2, warm-up 9.5.1.
"""

from statistics import fmean
from typing import Any

from agreement import CONFIDENCE, FREE, Load, assert_agrees, mean_response_ns, replicate
from formulas import mg1_wait

from iosim.profile import load as load_profile
from iosim.recording import cut_warm_up
from iosim.scenario import from_data
from iosim.simulation import observe
from iosim.statistics import paired_difference, student_t

SERVICE_NS = 100_000
EXPONENTIAL: list[Any] = [{"cpu": {"exponential": "100us"}}]


def test_nineteen_of_twenty_intervals_hold_the_exact_mean() -> None:
    """Coverage over independent experiments of five short replications of M/D/1.

    The number of hits is binomial(n, 0.95); it must lie within that law's central 99.9%.
    """
    from scipy import stats

    experiments, replications = 120, 5
    load = Load(SERVICE_NS, 0.3)
    scenario = load.scenario([{"cpu": "100us"}], 120, connections=10)
    exact = SERVICE_NS + mg1_wait(load.rate_per_ns, SERVICE_NS, SERVICE_NS**2)
    means = [mean_response_ns(r) for r in replicate(scenario, experiments * replications)]
    hits = 0
    for first in range(0, len(means), replications):
        estimate = student_t(means[first : first + replications])
        assert estimate.low is not None and estimate.high is not None
        hits += estimate.low <= exact <= estimate.high
    fewest, most = stats.binom.interval(CONFIDENCE, experiments, 0.95)
    assert fewest <= hits <= most


def test_common_random_numbers_pair_the_models() -> None:
    """On one machine with real costs, two models' means rise and fall together.

    The paired difference is then known far better than from independent runs: its
    interval is less than half as wide as what independence would give.
    """
    import numpy as np

    load = Load(SERVICE_NS, 0.75)
    reference = load_profile("reference").costs
    means = {
        model: [
            mean_response_ns(record)
            for record in replicate(
                load.scenario(EXPONENTIAL, 2_000, model=model, connections=100), 10, reference
            )
        ]
        for model in ("epoll", "blocking", "coroutine")
    }
    for other in ("blocking", "coroutine"):
        a, b = means["epoll"], means[other]
        assert np.corrcoef(a, b)[0, 1] > 0.8
        paired = np.std(np.subtract(a, b), ddof=1)
        assert paired < 0.5 * np.hypot(np.std(a, ddof=1), np.std(b, ddof=1))


def test_replications_are_independent() -> None:
    """Neighbours are no more alike than strangers: lag-one correlation of their means."""
    from scipy import stats

    load = Load(SERVICE_NS, 0.3)
    scenario = load.scenario(EXPONENTIAL, 100, connections=10)
    means = [mean_response_ns(r) for r in replicate(scenario, 150)]
    assert len(set(means)) == len(means)
    assert stats.pearsonr(means[:-1], means[1:]).pvalue > 0.001


def test_an_automatic_warm_up_does_not_bias_the_mean() -> None:
    """M/M/1 at rho 0.9 from empty: its start biases the mean low, by a few percent.

    A truncation must not make that worse. MSER in each replication by itself does, by
    10%: it cuts off the rare busy spells that happen to lie in the first half.
    """
    load = Load(SERVICE_NS, 0.9)
    scenario = load.scenario(EXPONENTIAL, 2_000, connections=1, warm_up=False)
    automatic, whole = [], []
    for first in range(0, 110, 10):
        runs = [
            observe(scenario, scenario.models[0], FREE, number)
            for number in range(first, first + 10)
        ]
        automatic += [mean_response_ns(record) for record in cut_warm_up(runs, "auto")]
        whole += [mean_response_ns(record) for record in cut_warm_up(runs, "none")]
    assert_agrees(automatic, SERVICE_NS / 0.1, 0.25)
    worse = paired_difference(automatic, whole, CONFIDENCE)
    assert worse.high is not None and worse.high > 0


def test_a_start_that_is_not_steady_is_cut_off() -> None:
    """200 users who all begin at once meet a service that takes its time.

    The first round finds the core with 200 in its queue: their mean response is 100
    services, where the steady one is that of the closed network, about one.
    """
    users = 200
    scenario = from_data(
        {
            "server": {"handler": EXPONENTIAL},
            "workload": {
                "closed": {
                    "users": users,
                    "think": {"uniform": {"low": "50ms", "high": "54ms"}},
                    "connections": {"total": users},
                }
            },
            "models": ["epoll"],
            "run": {"duration": "2s"},
        }
    )
    runs = [observe(scenario, scenario.models[0], FREE, number) for number in range(5)]
    whole, cut = (cut_warm_up(runs, warm_up) for warm_up in ("none", "auto"))
    assert all(record.warm_up_ns >= 54_000_000 for record in cut)
    assert fmean(map(mean_response_ns, cut)) < fmean(map(mean_response_ns, whole))
