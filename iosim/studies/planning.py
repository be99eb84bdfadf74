"""`plan`: how much load each I/O model carries, what stops it, and which setting is enough.

    plan(scenario, slo=["p99<5ms"], over=["machine.cores=1..16"], growth="10%/month") -> Plan

For each model of a scenario the highest load under the objectives is searched
(capacity.py); over a grid, the smallest setting that carries the load of today (settings.py).
From these follow how long it lasts and what it costs (outlook.py).

Not done: nothing is searched beyond what the grid names.
Validated by: tests/studies/test_plan_study.py, tests/theory/test_plan_capacity.py
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim.assumptions import assumptions
from iosim.errors import Mismatch, ScenarioError, UsageError, shown
from iosim.profile import Profile
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, check_files, label_of, require_sound
from iosim.simulation import Progress
from iosim.slo import Verdict, parse_slo
from iosim.studies.capacity import Capacity, highest_load
from iosim.studies.grid import parse_all
from iosim.studies.load import load_of, unit_of
from iosim.studies.outlook import Growth, Prices, machines_for
from iosim.studies.probing import Effort, Probe, Study, together
from iosim.studies.settings import (
    Grid,
    Setting,
    Sizing,
    axes_of,
    changed,
    smallest_setting,
)
from iosim.units import canonical_duration, format_duration_ns
from iosim.workers import usable_cores

FEWEST_FIRST = 3
"""A load is never judged on fewer replications."""
BUDGET = 20
LIMITS_A_RUN = 20
"""A run should be so many times as long as the longest response time that an objective allows."""
RESOLUTION = 0.01


@dataclass(frozen=True)
class Offer:
    """Machines that carry today's load: their number, what they are, and what they cost."""

    label: str
    setting: Setting
    machines: int
    cost: float
    """For all of them, each period."""


@dataclass(frozen=True)
class ModelPlan:
    """What one model comes to."""

    capacity: Capacity
    sizing: Sizing | None = None
    """None where no path of the grid concerns it."""
    lasts: float | None = None
    """Periods of growth until today's load is more than it carries."""

    @property
    def label(self) -> str:
        """What results call the model."""
        return self.capacity.label

    @property
    def verdict(self) -> Verdict:
        """Today's load; under the best setting, where there is a choice."""
        today = self.capacity.today.verdict
        if self.sizing is None or today == "pass":
            return today
        if self.sizing.enough:
            return "pass"
        found = {tried.probe.verdict for tried in self.sizing.tried}
        return "inconclusive" if "inconclusive" in found else "fail"


@dataclass(frozen=True)
class Plan:
    """The answer for all models that were finished."""

    scenario: Scenario
    profile: str
    profile_digest: str
    objectives: tuple[str, ...]
    unit: str
    """What counts the load."""
    models: tuple[ModelPlan, ...]
    growth: Growth | None = None
    prices: Prices | None = None
    offers: tuple[Offer, ...] = ()
    """What would carry today's load, the cheapest first."""
    interrupted: bool = False
    warnings: tuple[str, ...] = ()
    resolution: float = RESOLUTION
    """How near the highest loads were wanted, a ratio."""

    @property
    def load(self) -> float:
        """Today's."""
        return load_of(self.scenario)

    @property
    def runs(self) -> int:
        """Simulated in all."""
        sizings = [model.sizing for model in self.models if model.sizing is not None]
        tried = sum(each.probe.runs for sizing in sizings for each in sizing.tried)
        return tried + sum(model.capacity.runs for model in self.models)

    def __getitem__(self, label: str) -> ModelPlan:
        for model in self.models:
            if model.label == label:
                return model
        raise KeyError(label)

    def to_document(self) -> dict[str, Any]:
        """The JSON document: plain data without NaN or Infinity."""
        from iosim.studies.plan_document import document

        return document(self)


def plan(
    scenario: Scenario,
    slo: Iterable[str] | str | None = None,
    over: Iterable[str] | str = (),
    growth: str | None = None,
    cost: str | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    *,
    profile: Profile | str | Path | None = None,
    budget: int = BUDGET,
    resolution: float = RESOLUTION,
) -> Plan:
    """Find the highest load of every model of `scenario`, and what would carry today's.

    slo: objectives instead of the scenario's. over: paths with values, as
    `models.thread_pool.threads=4..256`. growth: as `10%/month`. cost: as
    `core=25/month,GiB=3/month`. jobs: processes at once; None: one a core. budget: replications
    of a load at most. resolution: how near the highest load is wanted, a ratio.
    profile: what everything costs, or its name or file; by default as the scenario names it.
    Interrupted by the user, it returns the models that are finished, marked so. Raises UsageError
    and ScenarioError.
    """
    _check(jobs, budget, resolution)
    grid = [(axis.path, axis.values) for axis in parse_all(over)] if over else []
    grows = Growth.parse(growth) if growth is not None else None
    prices = Prices.parse(cost) if cost is not None else None
    if slo is not None:
        scenario = scenario.model_copy(update={"slo": _objectives(slo)})
    if not scenario.slo:
        raise UsageError(
            f"{scenario.name}: a plan needs an objective: --slo 'p99<5ms', or slo: in the scenario"
        )
    unit = unit_of(scenario)
    _require_sound(scenario)
    warnings = (*check_files(scenario), *assumptions(scenario), *_short(scenario))
    if profile is None:
        profile = load_profile(scenario.machine.profile, scenario.folder)
    elif not isinstance(profile, Profile):
        profile = load_profile(profile)

    effort = Effort(max(FEWEST_FIRST, scenario.run.replications), budget)
    studies: dict[tuple[int, str], Study] = {}
    for index, model in enumerate(scenario.models):
        alone = scenario.model_copy(update={"models": (model,)})
        studies[index, "capacity"] = highest_load(alone, effort, resolution)
        axes = axes_of(scenario, index, grid)
        if axes:
            studies[index, "sizing"] = smallest_setting(scenario, index, axes, effort)
    _require_settings(scenario, grid)
    found: dict[tuple[int, str], Any] = {}
    interrupted = False
    try:
        for key, answer in together(studies, profile.costs, jobs or usable_cores(), progress):
            found[key] = answer
    except KeyboardInterrupt:
        interrupted = True
    models = tuple(
        _model_plan(found[index, "capacity"], found.get((index, "sizing")), grows)
        for index in range(len(scenario.models))
        if (index, "capacity") in found
    )
    return Plan(
        scenario=scenario,
        profile=profile.name,
        profile_digest=profile.sha256,
        objectives=scenario.slo,
        unit=unit,
        models=models,
        growth=grows,
        prices=prices,
        offers=_offers(scenario, models, prices) if prices is not None else (),
        interrupted=interrupted,
        warnings=warnings,
        resolution=resolution,
    )


def _model_plan(capacity: Capacity, sizing: Sizing | None, growth: Growth | None) -> ModelPlan:
    carries = capacity.carries
    lasts = None
    if growth is not None and carries is not None:
        lasts = growth.until(capacity.today.load, carries.load)
    return ModelPlan(capacity, sizing, lasts)


def _offers(scenario: Scenario, models: Sequence[ModelPlan], prices: Prices) -> tuple[Offer, ...]:
    """Each model on as many machines as it needs, and each setting that is enough."""
    offers = []
    for model in models:
        carries = model.capacity.carries
        if carries is not None:
            machines = machines_for(load_of(scenario), carries.load)
            # One machine has today's load, each of several nearly all that it carries.
            at = model.capacity.today if machines == 1 else carries
            cost = prices.of(scenario.machine.cores, _memory_bytes(at)) * machines
            offers.append(Offer(model.label, {}, machines, cost))
        for tried in model.sizing.enough if model.sizing is not None else ():
            cores = changed(scenario, tried.setting).machine.cores
            cost = prices.of(cores, _memory_bytes(tried.probe))
            offers.append(Offer(model.label, tried.setting, 1, cost))
    return tuple(sorted(offers, key=lambda offer: offer.cost))


def _memory_bytes(probe: Probe) -> float:
    estimate = probe.metrics.get("memory_bytes")
    return estimate.mean if estimate is not None and estimate.mean is not None else 0.0


# ------------------------------------------------------------------------------ arguments


def _check(jobs: object, budget: object, resolution: object) -> None:
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise UsageError(f"jobs: expected at least 1, or None for one a core, found {shown(jobs)}")
    if type(budget) is not int or budget < FEWEST_FIRST:
        raise UsageError(
            f"budget: expected at least {FEWEST_FIRST} replications, found {shown(budget)}"
        )
    if not isinstance(resolution, float) or not 0 < resolution < 1:
        raise UsageError(f"resolution: expected a ratio between 0 and 1, found {shown(resolution)}")


def _short(scenario: Scenario) -> Iterable[str]:
    """Warn of runs in which too high a load has no time to show."""
    limits_ns = [slo.limit for slo in scenario.slos if slo.metric.startswith("response_time_")]
    longest_ns = max(limits_ns, default=0)
    if scenario.run.duration < LIMITS_A_RUN * longest_ns:
        yield (
            f"run.duration {canonical_duration(scenario.run.duration)} is short for an objective "
            f"of {format_duration_ns(longest_ns)}: a load somewhat too high may pass, as its "
            f"backlog has no time to grow; better {LIMITS_A_RUN} times as long "
            f"({format_duration_ns(LIMITS_A_RUN * longest_ns)})"
        )


def _objectives(lines: Iterable[str] | str) -> tuple[str, ...]:
    """Objectives as given; every mistake at once. Raises UsageError."""
    lines = [lines] if isinstance(lines, str) else list(lines)
    wrong = []
    for line in lines:
        try:
            parse_slo(line)
        except Mismatch as mismatch:
            wrong.append(f"--slo {line}: {mismatch}")
    if wrong:
        raise UsageError("\n".join(wrong))
    return tuple(line.strip() for line in lines)


def _require_sound(scenario: Scenario) -> None:
    """Raise UsageError for objectives about what there is not, ScenarioError for the rest."""
    try:
        require_sound(scenario)
    except ScenarioError as error:
        if not all(problem.path.startswith("slo") for problem in error.problems):
            raise
        told = [
            f"--slo {problem.found}: expected {problem.expected}"
            + (f"; {problem.hint}" if problem.hint else "")
            for problem in error.problems
        ]
        raise UsageError("\n".join(told)) from None


def _require_settings(scenario: Scenario, grid: Grid) -> None:
    """Raise UsageError for a path of the grid that is the load, or a model's name."""
    for path, values in grid:
        made = [changed(scenario, {path: value}) for value in values]
        if any(load_of(each) != load_of(scenario) for each in made):
            raise UsageError(
                f"--over {path}: expected something else than the load, which is searched anyway"
            )
        labels = [[label_of(model) for model in each.models] for each in made]
        if any(each != [label_of(model) for model in scenario.models] for each in labels):
            raise UsageError(f"--over {path}: expected a path that keeps the models")
