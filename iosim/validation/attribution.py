"""Attribution: which mechanism would have to change by how much to explain a large error.

    attribute(figures of one cell, profile) -> Attribution

The errors of a cell's scored figures, each in units of what is allowed, are a vector. Each
mechanism (mechanisms.py) is changed a little in short runs on the same random numbers, which tells
in which direction it moves that vector; the amount that takes away most of it is tried, and from
there tried once more, as no effect is quite linear. What is left of the vector's squared length is
what the mechanism does not explain.

Named is the mechanism that explains most; of those that explain nearly as much, the one that has
to change least, in widths: each mechanism has an amount that is plausible (mechanisms.py). If none
explains half, none is named: a rule is missing, or several are wrong. A single figure, as at
saturation, has no direction: whatever moves it explains all of it, so that nothing is tried.

Scope: one mechanism at a time. It tells what would explain an error, not what is wrong.
Not done: combinations, of which enough would explain anything. Two figures that always move
together, as switches and voluntary switches of a model that is never preempted, count as two.
Validated by: tests/validation/test_attribution.py
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from iosim.errors import SimulationError
from iosim.profile import Profile
from iosim.scenario import Scenario, from_data
from iosim.validation.cells import SATURATION
from iosim.validation.doubts import TAILS
from iosim.validation.mechanisms import ALL, Mechanism
from iosim.validation.running import Comparison
from iosim.validation.scoring import Figure
from iosim.validation.sides import simulated

ENOUGH = 0.5
"""The part of an error that an explanation has to take away."""

FEWEST = 2
"""A vector of fewer figures has no direction that could tell mechanisms apart."""

NEARLY = 0.03
"""Explanations so near to the best one are as good."""

REQUESTS = 3_000
"""A short run has about so many; more tell the same."""

ROUNDS = 20
"""At saturation every connection is asked so often at least."""

RUNS = 2
TRIES = 2

NS_PER_S = 1_000_000_000

Vector = tuple[float, ...]


@dataclass(frozen=True)
class Explanation:
    """One mechanism, changed by the amount that explains most."""

    mechanism: str
    change: str
    amount: float
    widths: float
    """The amount in plausible ones, signed."""
    explained: float
    """The part of the error vector's squared length that is gone; below 0: more came."""


@dataclass(frozen=True)
class Attribution:
    """The explanations of a cell's errors, the best first."""

    cell: str
    errors: Mapping[str, float]
    """By metric, signed, in units of what is allowed."""
    explanations: tuple[Explanation, ...]

    @property
    def others(self) -> tuple[Explanation, ...]:
        """What would explain it as well as one may ask, besides the one that is named."""
        named = self.named
        return tuple(e for e in self.explanations if e.explained >= ENOUGH and e != named)

    @property
    def named(self) -> Explanation | None:
        """The explanation that is good enough, if there is one."""
        best = self.explanations[0].explained if self.explanations else 0.0
        if best < ENOUGH or not self.is_told_apart:
            return None
        as_good = [e for e in self.explanations if e.explained >= max(ENOUGH, best - NEARLY)]
        return min(as_good, key=lambda explanation: abs(explanation.widths))

    @property
    def is_told_apart(self) -> bool:
        """Whether there are figures enough to tell one mechanism from another."""
        return len(self.errors) >= FEWEST


def attribute(
    figures: Iterable[Figure], profile: Profile, mechanisms: Sequence[Mechanism] = ALL
) -> Attribution:
    """Explain the errors of one cell's figures, of which one at least is `explicable`.

    Raises KeyboardInterrupt.
    """
    scored = explicable(figures)
    comparison = scored[0].comparison
    errors = {f.metric: (f.error or 0.0) / (f.allowed or 1.0) for f in scored}
    explanations = []
    if len(scored) >= FEWEST and any(errors.values()):
        trial = _Trial(_short(comparison), profile, scored)
        tried = map(trial.explanation, mechanisms)
        explanations = [explanation for explanation in tried if explanation is not None]
        explanations.sort(key=lambda explanation: -explanation.explained)
    return Attribution(comparison.cell.name, errors, tuple(explanations))


def explicable(figures: Iterable[Figure]) -> list[Figure]:
    """Those whose errors are the simulator's: the scored ones, without tails."""
    return [figure for figure in figures if figure.is_scored and figure.metric not in TAILS]


def _short(comparison: Comparison) -> Scenario:
    """The cell's scenario, long enough for `REQUESTS`, and with `RUNS` replications."""
    scenario = comparison.scenario
    connections = getattr(scenario.workload.options, "connections", None)
    requests = max(REQUESTS, ROUNDS * connections.total if connections else 0)
    rate_per_s = comparison.measured.estimate("throughput_per_s").mean or 0.0
    duration_ns = scenario.run.duration
    if rate_per_s:
        duration_ns = min(duration_ns, round(requests / rate_per_s * NS_PER_S))
    data = scenario.to_data()
    # The warm-up that was asked for may be longer than this run.
    data["run"] |= {
        "duration": f"{duration_ns}ns",
        "replications": min(RUNS, scenario.run.replications),
        "warm_up": f"{duration_ns // 5}ns",
    }
    return from_data(data, force=True, folder=scenario.folder)


class _Trial:
    """Short runs of one cell, and where changes move its errors."""

    def __init__(self, scenario: Scenario, profile: Profile, figures: Sequence[Figure]) -> None:
        self._scenario = scenario
        self._profile = profile
        self._figures = figures
        self._error = tuple((f.error or 0.0) / (f.allowed or 1.0) for f in figures)
        self._base = self._run(scenario, profile)

    def explanation(self, mechanism: Mechanism) -> Explanation | None:
        """The best of some amounts of one mechanism; None if it does nothing here, or breaks it."""
        amount = mechanism.probe
        best: Explanation | None = None
        for attempt in range(TRIES + 1):
            moved = self._moved(mechanism, amount)
            if moved is None:
                break
            # The first amount only shows the direction.
            left = tuple(e + m for e, m in zip(self._error, moved, strict=True))
            explained = 1 - _squared(left) / _squared(self._error)
            if attempt and (best is None or explained > best.explained):
                change = mechanism.told(amount)
                widths = amount / mechanism.width
                best = Explanation(mechanism.name, change, amount, widths, explained)
            if not _squared(moved):
                break
            wanted = -amount * _product(self._error, moved) / _squared(moved)
            amount = min(max(wanted, mechanism.least), mechanism.most)
            if not amount:
                break
        return best

    def _moved(self, mechanism: Mechanism, amount: float) -> Vector | None:
        """By how much the errors grow with the mechanism changed, in units of what is allowed."""
        found = self._run(*mechanism.changed(self._scenario, self._profile, amount))
        if found is None or self._base is None:
            return None
        return tuple(
            (new - old) / (figure.allowed or 1.0)
            for new, old, figure in zip(found, self._base, self._figures, strict=True)
        )

    def _run(self, scenario: Scenario, profile: Profile) -> Vector | None:
        """The figures' means in short runs; None if one does not exist."""
        try:
            side = simulated(scenario, profile)
        except SimulationError:
            return None
        means = []
        for figure in self._figures:
            at_most = figure.comparison.cell.load == SATURATION
            name = "throughput_per_s" if at_most else figure.metric
            values = [value for value in side.values.get(name, ()) if value is not None]
            if not values:
                return None
            means.append(fmean(values))
        return tuple(means)


def _product(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _squared(a: Vector) -> float:
    return _product(a, a)
