"""Sensitivity with all costs moved together: Morris's elementary effects, Sobol's indices.

    explore("quickstart.yaml", metric="p99", method="morris")

What it does: draws points from the spreads of all costs that the scenario touches, simulates each
on the same random numbers, and says how much of the metric each cost moves (Morris: mu* and
sigma, in the metric's unit) or how much of its variance it explains (Sobol: first order S1 and
total ST). At how many points a pair of models has changed places is counted beside it.

Scope: spreads as ranges in which every value is as likely; needs SALib (`iosim[doe]`).
Not done: second-order indices.
Source: Morris, "Factorial sampling plans for preliminary computational experiments",
Technometrics 33(2), 1991; Campolongo et al., Environ. Model. Softw. 22(10), 2007 (mu*); Saltelli
et al., Comput. Phys. Commun. 181(2), 2010 (S1, ST).
Validated by: tests/studies/test_designs.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim.errors import UsageError, did_you_mean, shown
from iosim.profile import CostEntry, Profile
from iosim.results import Results
from iosim.scenario import Scenario
from iosim.simulation import Progress
from iosim.slo import require_metric
from iosim.studies.differences import better
from iosim.studies.screening import touched, with_level
from iosim.studies.sensitivity import ahead, baseline_of, require_known, spreads_of
from iosim.studies.variants import Variant, simulated
from iosim.studies.what_if import prepared

INDICES = {
    "morris": ("mu_star", "mu_star_conf", "sigma"),
    "sobol": ("S1", "S1_conf", "ST", "ST_conf"),
}
"""What each method says of a cost, in SALib's words."""

USUAL_SAMPLES = {"morris": 10, "sobol": 64}
"""Paths, each of one point more than there are costs; points, each as often as costs and two."""

LEVELS = 4
"""Into which Morris's design cuts each range."""


@dataclass(frozen=True)
class Design:
    """What a design over all costs' spreads gave."""

    baseline: Results
    metric: str
    method: str
    costs: Mapping[str, tuple[float, float]]
    """Their ranges."""
    points: int
    indices: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    """By model and cost; None where the metric does not vary."""
    reversed_at: Mapping[tuple[str, str], int]
    """Pairs of which the first is ahead for certain in the baseline: at how many points behind."""
    entries: Mapping[str, CostEntry]

    def to_document(self) -> dict[str, Any]:
        """Plain data without NaN, for JSON."""
        return {
            "metric": self.metric,
            "method": self.method,
            "points": self.points,
            "ranges": {cost: list(ends) for cost, ends in self.costs.items()},
            "indices": {label: dict(found) for label, found in self.indices.items()},
            "pairs": [
                {"ahead": first, "behind": second, "reversed_at": count}
                for (first, second), count in self.reversed_at.items()
            ],
            "baseline": self.baseline.to_document(),
        }


def explore(
    scenario: Scenario | str | Path,
    metric: str = "p99",
    method: str = "morris",
    samples: int | None = None,
    profile: Profile | str | Path | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> Design:
    """How much each cost matters for `metric` when all may be off.

    method: `morris` or `sobol`. samples: paths or points, `USUAL_SAMPLES` by default; Sobol's are
    a power of two. The others as `sensitivity` takes them. Raises UsageError, ScenarioError.
    """
    if method not in INDICES:
        hint = did_you_mean(method, INDICES)
        raise UsageError(
            f"method: expected {' or '.join(INDICES)}, found {shown(method)}"
            + (f"; {hint}" if hint else "")
        )
    samples = USUAL_SAMPLES[method] if samples is None else samples
    if method == "sobol" and samples & (samples - 1):
        raise UsageError(f"samples: expected a power of two for sobol, found {samples}")
    _require_salib()
    name = require_metric(metric)
    scenario, profile = prepared(scenario, profile)
    baseline = baseline_of(scenario, profile, name, jobs)
    paid = touched(scenario, profile, name.startswith("memory_"), jobs)
    ranges = spreads_of(profile, paid)
    if len(ranges) < 2:
        raise UsageError("sensitivity: expected two costs or more with a spread; try the tornado")
    seed = scenario.run.seed
    points = _points(method, ranges, samples, seed)
    variants = [
        Variant(scenario, with_level(profile, dict(zip(ranges, map(float, point), strict=True))))
        for point in points
    ]
    pairs = [(first, second) for first, second, _ in ahead(name, baseline)]
    reversed_at = dict.fromkeys(pairs, 0)
    values: dict[str, list[float]] = {model.label: [] for model in baseline}
    for found in simulated(variants, jobs, progress):
        for model in found:
            require_known(model, name)
            values[model.label].append(model.metrics[name].mean or 0.0)
        for first, second in pairs:
            further = values[second][-1] - values[first][-1]
            reversed_at[first, second] += (further < 0) == (better(name) == "less") and further != 0
    return Design(
        baseline=baseline,
        metric=name,
        method=method,
        costs=ranges,
        points=len(points),
        indices={
            label: _indices(method, ranges, points, found, seed) for label, found in values.items()
        },
        reversed_at=reversed_at,
        entries=profile.entries,
    )


def _require_salib() -> None:
    try:
        import SALib  # noqa: F401
    except ImportError:
        raise UsageError(
            "morris and sobol need SALib, which is not installed: pip install 'iosim[doe]'"
        ) from None


def _problem(ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    return {
        "num_vars": len(ranges),
        "names": list(ranges),
        "bounds": [list(ends) for ends in ranges.values()],
    }


def _points(method: str, ranges: Mapping[str, tuple[float, float]], samples: int, seed: int) -> Any:
    """An array of points: a row each, a column for each cost."""
    problem = _problem(ranges)
    if method == "morris":
        from SALib.sample import morris

        return morris.sample(problem, samples, num_levels=LEVELS, seed=seed)
    from SALib.sample import sobol

    return sobol.sample(problem, samples, calc_second_order=False, seed=seed)


def _indices(
    method: str,
    ranges: Mapping[str, tuple[float, float]],
    points: Any,
    values: Sequence[float],
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """What each cost does, by SALib's names."""
    import numpy as np

    if min(values) == max(values):
        return {cost: dict.fromkeys(INDICES[method]) for cost in ranges}
    array = np.array(values)
    if method == "morris":
        from SALib.analyze import morris

        found = morris.analyze(_problem(ranges), points, array, num_levels=LEVELS, seed=seed)
    else:
        from SALib.analyze import sobol

        found = sobol.analyze(_problem(ranges), array, calc_second_order=False, seed=seed)
    return {
        cost: {index: _finite(found[index][position]) for index in INDICES[method]}
        for position, cost in enumerate(ranges)
    }


def _finite(value: Any) -> float | None:
    return float(value) if value == value and abs(value) != float("inf") else None  # noqa: PLR0124
