"""M/G/1 with set-up: the line on the back of an envelope that a simulator has to beat.

One thread serves requests at rate L, each for S; when none is left it sleeps, and the first one
after that waits for a wake-up D. A cycle is 1/L idle, the set-up, and the busy period of all who
came meanwhile; it lasts (1/L + D) / (1 - LS) and holds one sleep, so that a request comes to

    (1 - LS) / (1 + LD)                                      sleeps, and
    S + L E[S^2] / (2 (1 - LS)) + D (2 + LD) / (2 (1 + LD))  from its arrival to its answer.

S comes from the measured saturation (1 / throughput), which the simulator is not given; D, the
wake-up's latency and the slow execution after it, and the CPU time that a sleep costs are the
profile's, after an idle time of 1/L. A request that calls
devices comes that many times more, for so much shorter.

Scope: rates, without request classes. Services and set-ups of constant length.
Not done: more threads than one; that is why its errors are told by model, too.
Source: Welch, "On a generalized M/G/1 queuing process in which the first customer of each busy
period receives exceptional service", Operations Research 12(5), 1964.
Validated by: tests/validation/test_formula.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from iosim.machine.costs import Costs
from iosim.scenario import Scenario
from iosim.validation.cells import SATURATION
from iosim.validation.doubts import FEWEST, NOISE
from iosim.validation.scoring import BOUNDS, Bound, Figure, Scored

PREDICTED = (
    "voluntary_switches_per_request",
    "cpu_time_per_request_ns",
    "response_time_mean_ns",
)


def sleeps(rate: float, service: float, set_up: float) -> float:
    """Times that the thread sleeps for each request; 0 if it is never idle."""
    return max(0.0, 1 - rate * service) / (1 + rate * set_up)


def response(rate: float, service: float, set_up: float) -> float | None:
    """Mean time from arrival to answer, in the unit of the arguments; None: there is none."""
    if rate * service >= 1:
        return None
    waiting = rate * service**2 / (2 * (1 - rate * service))
    return service + waiting + set_up * (2 + rate * set_up) / (2 * (1 + rate * set_up))


def predicted(scenario: Scenario, saturation_per_s: float, costs: Costs) -> dict[str, float]:
    """What the formula says of the metrics of `PREDICTED`, as far as it says anything."""
    rate_per_s = getattr(scenario.workload.options, "rate", None)
    if rate_per_s is None or scenario.server.classes:
        return {}
    calls = sum(hasattr(step, "call") for step in scenario.server.handler)
    visits = 1 + calls
    rate_per_ns = visits * rate_per_s / 1e9
    service_ns = 1e9 / saturation_per_s / visits
    latency_ns, charged_ns, cold_ns = costs.leave_idle(round(1 / rate_per_ns))
    set_up_ns = latency_ns + cold_ns
    slept = visits * sleeps(rate_per_ns, service_ns, set_up_ns)
    found = {
        "voluntary_switches_per_request": slept,
        "cpu_time_per_request_ns": visits * service_ns + slept * (charged_ns + cold_ns),
    }
    mean_ns = response(rate_per_ns, service_ns, set_up_ns)
    if mean_ns is not None and not calls:  # what a call takes is not the formula's
        found["response_time_mean_ns"] = mean_ns
    return found


@dataclass(frozen=True)
class Contest:
    """Median errors of both on the same figures of one metric, 0 to 1 and above."""

    metric: str
    figures: int
    simulated: float
    formula: float

    @property
    def is_won(self) -> bool:
        """Whether the simulator is nearer."""
        return self.simulated < self.formula


def contests(scored: Scored, figures: Iterable[Figure] | None = None) -> list[Contest]:
    """Simulator against formula on the same figures (by default all), by metric.

    Errors are relative to what was measured, or to a bound's absolute part where that is more.
    """
    errors: Mapping[str, list[tuple[float, float]]] = {metric: [] for metric in PREDICTED}
    for figure in scored.figures if figures is None else figures:
        pair = _errors(scored, figure)
        if pair is not None:
            errors[figure.metric].append(pair)
    return [
        Contest(metric, len(pairs), *(median(each) for each in zip(*pairs, strict=True)))
        for metric, pairs in errors.items()
        if pairs
    ]


def _errors(scored: Scored, figure: Figure) -> tuple[float, float] | None:
    comparison, error = figure.comparison, figure.error
    measured = figure.measured
    if (
        figure.metric not in PREDICTED
        or comparison.cell.load == SATURATION
        or figure.unscored not in (None, NOISE)
        or measured.n < FEWEST
        or error is None
    ):
        return None
    at_most = scored.validation.saturation_of(comparison.cell)
    most_per_s = at_most.measured.estimate("throughput_per_s").mean if at_most else None
    if not most_per_s:
        return None
    told = predicted(comparison.scenario, most_per_s, scored.validation.profile.costs)
    assert measured.mean is not None
    scale = max(measured.mean, BOUNDS.get(figure.metric, Bound(0)).absolute)
    if figure.metric not in told or not scale:
        return None
    return abs(error) / scale, abs(told[figure.metric] - measured.mean) / scale
