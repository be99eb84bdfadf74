"""Sensitivity: which costs matter for an answer, and which could overturn the order of models.

    sensitivity("quickstart.yaml", metric="p99")

What it does: every cost that the scenario touches (iosim.studies.screening) is set to the low and
to the high end of its measured spread, one at a time, while all others stay; each time everything
is simulated on the same random numbers. The swing of a cost is how far the metric goes from its
low to its high end. A pair of models is overturned where the one that is ahead for certain in the
baseline is behind for certain at one of these ends.

Scope: costs with a spread; touched ones without are named.
Not done: costs that matter only together (iosim.studies.designs); correcting for their number.
Source: one-at-a-time designs and tornado diagrams: Eschenbach, "Spiderplots versus tornado
diagrams for sensitivity analysis", Interfaces 22(6), 1992.
Validated by: tests/studies/test_sensitivity.py
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from iosim.errors import UsageError
from iosim.profile import CostEntry, Profile
from iosim.results import ModelResult, Results
from iosim.scenario import Scenario
from iosim.simulation import Progress
from iosim.slo import require_metric
from iosim.studies.comparing import difference_data
from iosim.studies.differences import Difference, better, difference
from iosim.studies.screening import touched, with_level
from iosim.studies.variants import Variant, simulated
from iosim.studies.what_if import prepared


@dataclass(frozen=True)
class Swing:
    """What one cost does to one model's metric, from one end of its spread to the other."""

    cost: str
    low: float
    """In the cost's unit; of a table, a factor."""
    high: float
    at_low: Difference
    """From the baseline."""
    at_high: Difference
    whole: Difference
    """From low to high."""

    @property
    def size(self) -> float:
        """How far the metric goes, in its unit."""
        ends = [end.difference.mean or 0.0 for end in (self.at_low, self.at_high)]
        return max(*ends, 0.0) - min(*ends, 0.0)

    @property
    def matters(self) -> bool:
        """Whether it moves the metric for certain."""
        return any(each.shown for each in (self.at_low, self.at_high, self.whole))

    def within(self, half: float) -> bool:
        """Whether it moves the metric by less than `half`, in its unit, for certain."""
        return all(each.within(half) for each in (self.at_low, self.at_high, self.whole))


@dataclass(frozen=True)
class Overturn:
    """A cost at one end of its spread, at which two models change places."""

    cost: str
    level: float
    ahead: str
    """In the baseline."""
    behind: str
    difference: Difference
    """From `ahead` to `behind` at this end."""
    certain: bool
    """Whether `behind` is ahead there; otherwise nobody is for certain."""


@dataclass(frozen=True)
class Sensitivity:
    """Which costs matter for one metric of each model."""

    baseline: Results
    metric: str
    touched: tuple[str, ...]
    without_spread: tuple[str, ...]
    """Touched, but nothing says by how much they may be off."""
    swings: Mapping[str, tuple[Swing, ...]]
    """By model; the largest first."""
    overturns: tuple[Overturn, ...]
    pairs: int
    """Pairs of models of which one is ahead for certain in the baseline."""
    entries: Mapping[str, CostEntry]
    interrupted: bool = False

    @property
    def tried(self) -> set[str]:
        """The costs of which the runs have finished."""
        return {swing.cost for swings in self.swings.values() for swing in swings}

    def to_document(self) -> dict[str, Any]:
        """Plain data without NaN, for JSON."""
        return {
            "metric": self.metric,
            "interrupted": self.interrupted,
            "baseline": self.baseline.to_document(),
            "touched": list(self.touched),
            "without_spread": list(self.without_spread),
            "models": {
                label: [
                    {
                        "cost": swing.cost,
                        "unit": self.entries[swing.cost].unit,
                        "table": isinstance(self.entries[swing.cost].value, tuple),
                        "low": swing.low,
                        "high": swing.high,
                        "at_low": difference_data(swing.at_low),
                        "at_high": difference_data(swing.at_high),
                        "low_to_high": difference_data(swing.whole),
                        "matters": swing.matters,
                    }
                    for swing in swings
                ]
                for label, swings in self.swings.items()
            },
            "overturns": [
                {
                    "cost": each.cost,
                    "level": each.level,
                    "ahead": each.ahead,
                    "behind": each.behind,
                    "certain": each.certain,
                    "difference": difference_data(each.difference),
                }
                for each in self.overturns
            ],
        }


def sensitivity(
    scenario: Scenario | str | Path,
    metric: str = "p99",
    profile: Profile | str | Path | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> Sensitivity:
    """Which costs matter for `metric`. Raises UsageError, ScenarioError.

    metric: by its name, or as objectives call it. profile: whose costs and spreads; by default
    as the scenario names it. jobs: processes at once; None: one a core.
    Interrupted by the user, it returns the costs that have finished, once it is known which count.
    """
    name = require_metric(metric)
    scenario, profile = prepared(scenario, profile)
    baseline = baseline_of(scenario, profile, name, jobs)
    paid = touched(scenario, profile, name.startswith("memory_"), jobs)
    spreads = spreads_of(profile, paid)
    variants = [
        Variant(scenario, with_level(profile, {cost: level}))
        for cost, levels in spreads.items()
        for level in levels
    ]
    others: list[Results] = []
    interrupted = False
    try:
        others.extend(simulated(variants, jobs, progress))
    except KeyboardInterrupt:
        interrupted = True
    # Two results a cost; of the last one before an interruption, there may be one.
    at_ends = dict(zip(spreads, zip(others[::2], others[1::2], strict=False), strict=False))
    overturns = [
        overturn
        for cost, ends in at_ends.items()
        for level, results in zip(spreads[cost], ends, strict=True)
        for overturn in _overturns(name, baseline, results, cost, level)
    ]
    return Sensitivity(
        baseline=baseline,
        metric=name,
        touched=paid,
        without_spread=tuple(cost for cost in paid if cost not in spreads),
        swings={model.label: _swings(name, model, at_ends, spreads) for model in baseline},
        overturns=tuple(overturns),
        pairs=len(list(ahead(name, baseline))),
        entries=profile.entries,
        interrupted=interrupted,
    )


def baseline_of(scenario: Scenario, profile: Profile, metric: str, jobs: int | None) -> Results:
    """The scenario as it is. Raises UsageError if a model of it does not have the metric."""
    (baseline,) = simulated([Variant(scenario, profile)], jobs)
    for model in baseline:
        require_known(model, metric)
    return baseline


def spreads_of(profile: Profile, costs: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """The low and the high end of each cost that may be off."""
    spreads = {cost: profile.entries[cost].spread for cost in costs}
    return {cost: ends for cost, ends in spreads.items() if ends is not None and ends[0] < ends[1]}


def require_known(model: ModelResult, metric: str) -> None:
    """Raise UsageError for a metric that a model does not have."""
    estimate = model.metrics.get(metric)
    if model.error or estimate is None or estimate.mean is None:
        why = model.error or model.undefined(metric) or "there is none"
        raise UsageError(f"sensitivity: {model.label} has no {metric}: {why}")


def _swings(
    metric: str,
    model: ModelResult,
    at_ends: Mapping[str, tuple[Results, Results]],
    spreads: Mapping[str, tuple[float, float]],
) -> tuple[Swing, ...]:
    swings = [
        Swing(
            cost,
            *spreads[cost],
            _between(metric, model, low[model.label]),
            _between(metric, model, high[model.label]),
            _between(metric, low[model.label], high[model.label]),
        )
        for cost, (low, high) in at_ends.items()
    ]
    return tuple(sorted(swings, key=lambda swing: -swing.size))


def _between(metric: str, a: ModelResult, b: ModelResult) -> Difference:
    paired = not (a.error or b.error)
    return difference(metric, a.values.get(metric, ()), b.values.get(metric, ()), paired)


def ahead(metric: str, results: Results) -> Iterator[tuple[str, str, Difference]]:
    """Pairs of models of which the first is ahead for certain; none if nothing is better."""
    if better(metric) is None:
        return
    for a, b in combinations(results, 2):
        found = _between(metric, a, b)
        if found.verdict == "worse":
            yield a.label, b.label, found
        elif found.verdict == "better":
            yield b.label, a.label, _between(metric, b, a)


def _overturns(
    metric: str, baseline: Results, results: Results, cost: str, level: float
) -> Iterator[Overturn]:
    for first, second, _ in ahead(metric, baseline):
        found = _between(metric, results[first], results[second])
        if found.verdict != "worse":
            certain = found.verdict == "better"
            yield Overturn(cost, level, first, second, found, certain)
