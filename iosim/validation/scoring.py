"""Scoring: how far the simulated side is off, and what the host's noise leaves unknown.

    score(validation) -> Scored

An error is signed: (simulated - measured), relative to what was measured. What is allowed is a
part of what was measured, or for context switches 0.05 a request where that is more, as a part
of nearly nothing says nothing; above two thirds of saturation twice that (`BOUNDS`).

A figure is scored only if the measured one is known well enough (doubts.py). Otherwise the
prediction may be right or wrong, and no run here could tell.

A metric is as it should be (`Verdict`) if the median error is within what is allowed, and nine
figures in ten are within twice that, or within what two real runs of the cell differ by (the
repeatability limit, which exceeds twice the bound only where many runs have made the mean certain).

Scope: what has a bound in `BOUNDS`; the rest is told beside it.
Not done: no correction for asking so many questions at once; each median is of the cells as they
are, of models equally often only where the design is balanced (grid.py).
Source: repeatability limit: ISO 5725-6:1994, 4.1.4.
Validated by: tests/validation/test_scoring.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import median, stdev

from iosim.profile import Profile
from iosim.statistics import Estimate, not_negative, student_t
from iosim.validation.cells import SATURATION
from iosim.validation.doubts import FEWEST, doubt, undisturbed
from iosim.validation.running import Comparison, Validation

IN_TEN = 0.9

REPEATABILITY = 1.96 * sqrt(2)
"""In standard deviations of a run: the repeatability limit of ISO 5725-6."""

HEAVY = 2.0
"""So many times the bound is allowed at a heavy load."""

FAR = 2.0
"""So many times what is allowed is too far even for a single cell."""


@dataclass(frozen=True)
class Bound:
    """What is allowed: a part of what was measured, or `absolute` if that is more."""

    relative: float
    absolute: float = 0.0

    def allowed(self, measured: float) -> float:
        """In the metric's unit."""
        return max(self.relative * abs(measured), self.absolute)


BOUNDS: Mapping[str, Bound] = {
    "saturation_per_s": Bound(0.08),
    "switches_per_request": Bound(0.06, 0.05),
    "voluntary_switches_per_request": Bound(0.15, 0.05),
    "involuntary_switches_per_request": Bound(0.15, 0.05),
    "syscalls_per_request": Bound(0.05),
    "cpu_time_per_request_ns": Bound(0.05),
    "response_time_p50_ns": Bound(0.15),
    "response_time_p99_ns": Bound(0.35),
}
"""Metrics without one are told beside these, and not scored."""


@dataclass(frozen=True)
class Figure:
    """One metric of one cell, on both sides."""

    comparison: Comparison
    metric: str
    measured: Estimate
    simulated: Estimate
    allowed: float | None
    """In the metric's unit; None: the metric has no bound."""
    differ: float
    """What two real runs differ by at most, 95 times in 100, in the metric's unit."""
    unscored: str | None = None
    """Why it is not known well enough to be scored, as in UNSCORED."""

    @property
    def is_scored(self) -> bool:
        return self.allowed is not None and self.unscored is None

    @property
    def error(self) -> float | None:
        """Simulated less measured, in the metric's unit."""
        if self.simulated.mean is None or self.measured.mean is None:
            return None
        return self.simulated.mean - self.measured.mean

    @property
    def relative_error(self) -> float | None:
        """The same as a part of what was measured; None where that is nothing."""
        error = self.error
        return None if error is None or not self.measured.mean else error / self.measured.mean

    @property
    def of_allowed(self) -> float:
        """The error's size in units of what is allowed, of a scored figure."""
        assert self.allowed and self.error is not None
        return abs(self.error) / self.allowed

    @property
    def is_near(self) -> bool:
        """Within twice what is allowed, or within what two real runs differ by."""
        assert self.error is not None
        return self.of_allowed <= FAR or abs(self.error) <= self.differ


@dataclass(frozen=True)
class Verdict:
    """One metric over all its scored cells of a kind of load."""

    metric: str
    heavy: bool
    scored: int
    unscored: int
    median_error: float | None
    """Median of the relative errors' sizes."""
    median_of_allowed: float | None
    near: float | None
    """The part of the figures that is near enough, 0 to 1."""

    @property
    def is_reached(self) -> bool | None:
        """None: nothing could be scored."""
        if self.median_of_allowed is None or self.near is None:
            return None
        return self.median_of_allowed <= 1 and self.near >= IN_TEN


@dataclass(frozen=True)
class Scored:
    """All figures, and what they come to."""

    validation: Validation
    figures: tuple[Figure, ...]

    def verdicts(self, figures: Iterable[Figure] | None = None) -> list[Verdict]:
        """One for each metric with a bound and kind of load that occurs, in the order of BOUNDS."""
        chosen = list(self.figures if figures is None else figures)
        return [
            _verdict(metric, heavy, found)
            for metric in BOUNDS
            for heavy in (False, True)
            if (
                found := [
                    figure
                    for figure in chosen
                    if figure.metric == metric and figure.comparison.cell.load.is_heavy is heavy
                ]
            )
        ]

    def by_model(self) -> dict[str, list[Figure]]:
        """The figures by runtime and model, in the order of their first cells."""
        found: dict[str, list[Figure]] = {}
        for figure in self.figures:
            cell = figure.comparison.cell
            name = f"{cell.scenario.machine.runtime} {cell.model}"
            found.setdefault(name, []).append(figure)
        return found

    def large(self) -> list[Figure]:
        """Scored figures that are not near, the farthest first."""
        far = [figure for figure in self.figures if figure.is_scored and not figure.is_near]
        return sorted(far, key=lambda figure: -figure.of_allowed)

    @property
    def is_reached(self) -> bool | None:
        """Whether every metric that could be scored is as it should be; None: none could be."""
        told = [verdict.is_reached for verdict in self.verdicts()]
        known = [each for each in told if each is not None]
        return all(known) if known else None


def _verdict(metric: str, heavy: bool, figures: list[Figure]) -> Verdict:
    scored = [figure for figure in figures if figure.is_scored]
    relative = [abs(e) for figure in scored if (e := figure.relative_error) is not None]
    return Verdict(
        metric=metric,
        heavy=heavy,
        scored=len(scored),
        unscored=len(figures) - len(scored),
        median_error=median(relative) if relative else None,
        median_of_allowed=median(f.of_allowed for f in scored) if scored else None,
        near=sum(f.is_near for f in scored) / len(scored) if scored else None,
    )


def score(validation: Validation) -> Scored:
    """Hold both sides of every cell against each other."""
    return Scored(
        validation,
        tuple(
            figure
            for comparison in validation.comparisons
            if comparison.error is None
            for figure in figures_of(comparison, validation.profile)
        ),
    )


def figures_of(comparison: Comparison, profile: Profile) -> list[Figure]:
    """A comparison's figures: at saturation the throughput alone, which is called so.

    profile: what the simulated side was simulated with.
    """
    if comparison.cell.load == SATURATION:
        return [_figure(comparison, profile, "throughput_per_s", "saturation_per_s")]
    both = dict.fromkeys([*comparison.measured.values, *comparison.simulated.values])
    return [_figure(comparison, profile, metric, metric) for metric in both]


def _figure(comparison: Comparison, profile: Profile, metric: str, called: str) -> Figure:
    values = undisturbed(comparison.measured, metric)
    measured = not_negative(student_t(values))
    simulated = comparison.simulated.estimate(metric)
    known = [value for value in values if value is not None]
    bound = BOUNDS.get(called)
    allowed = None
    if bound is not None and measured.mean is not None:
        allowed = bound.allowed(measured.mean) * (HEAVY if comparison.cell.load.is_heavy else 1)
    return Figure(
        comparison=comparison,
        metric=called,
        # What was disturbed is shown all the same, where there is nothing else.
        measured=measured if known else comparison.measured.estimate(metric),
        simulated=simulated,
        allowed=allowed,
        differ=REPEATABILITY * stdev(known) if len(known) >= FEWEST else 0.0,
        unscored=doubt(comparison, profile, called, measured, simulated, allowed),
    )
