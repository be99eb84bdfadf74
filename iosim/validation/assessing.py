"""Validating: run all cells, score them, and explain what is far off.

    validate("scenarios/quickstart.yaml", shares=(0.2, 0.5, 0.8)) -> Assessment

Scope: any scenarios; the held-out design is `grid.scenarios()` at `grid.SHARES`.
Not done: nothing is printed here (report.py).
Validated by: tests/validation/test_assessing.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from iosim.errors import UsageError, shown
from iosim.profile import Profile
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, load, require_sound
from iosim.validation.attribution import FEWEST, Attribution, attribute, explicable
from iosim.validation.formula import Contest, contests
from iosim.validation.keeping import Kept
from iosim.validation.ordering import Order, orders
from iosim.validation.running import Validation, run_cells
from iosim.validation.scoring import Figure, Scored, score

EXPLAINED = 5
"""So many cells, those that are farthest off, are explained unless more are asked for."""


@dataclass(frozen=True)
class Assessment:
    """What was compared, and what it comes to."""

    scored: Scored
    attributions: tuple[Attribution, ...]

    @property
    def validation(self) -> Validation:
        return self.scored.validation

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """Whether the models come in the same order."""
        return tuple(orders(self.scored.figures))

    @cached_property
    def contests(self) -> tuple[Contest, ...]:
        """Simulator against formula."""
        return tuple(contests(self.scored))


def validate(
    scenarios: Scenario | str | Path | Iterable[Scenario | str | Path],
    profile: Profile | str | Path | None = None,
    shares: Iterable[float] | None = None,
    results: str | Path | None = None,
    resimulate: bool = False,
    explain: int = EXPLAINED,
    **how: Any,
) -> Assessment:
    """Compare real and simulated runs of every model of `scenarios`. Raises UsageError.

    profile: what everything costs in the simulation; by default as the first scenario names it.
    shares: of each model's measured saturation, above 0 and below 1; None: the scenario's own load.
    results: a file of JSON lines that sides are kept in; what is there is not run again, but the
    simulated ones if `resimulate`.
    explain: so many cells that are far off are explained.
    how: as `run_cells` takes it (budget_s, jobs, progress), and `iosim.measure`.
    Interrupted by the user, it returns what has finished, marked so.
    """
    if type(explain) is not int or explain < 0:
        raise UsageError(f"explain: expected a number of cells, found {shown(explain)}")
    listed = [scenarios] if isinstance(scenarios, Scenario | str | Path) else list(scenarios)
    loaded = [_loaded(scenario) for scenario in listed]
    if not loaded:
        raise UsageError("expected a scenario or more to validate, found none")
    if profile is None:
        profile = load_profile(loaded[0].machine.profile, loaded[0].folder)
    elif not isinstance(profile, Profile):
        profile = load_profile(profile)
    kept = Kept(None if results is None else Path(results), resimulate)
    return assess(run_cells(loaded, profile, shares, kept, **how), explain)


def assess(validation: Validation, explain: int = EXPLAINED) -> Assessment:
    """Score what was compared, and explain the cells that are farthest off."""
    scored = score(validation)
    attributions: list[Attribution] = []
    try:
        for figures in () if validation.interrupted else _far_off(scored)[:explain]:
            attributions.append(attribute(figures, validation.profile))
    except KeyboardInterrupt:
        scored = replace(scored, validation=replace(validation, interrupted=True))
    return Assessment(scored, tuple(attributions))


def _far_off(scored: Scored) -> list[list[Figure]]:
    """The figures of each cell that is far off and can be explained: the farthest off first, but
    cells with too few figures last."""
    far = dict.fromkeys(id(figure.comparison) for figure in scored.large())
    cells = [[figure for figure in scored.figures if id(figure.comparison) == one] for one in far]
    return sorted(
        (figures for figures in cells if explicable(figures)),
        key=lambda figures: len(explicable(figures)) < FEWEST,
    )


def _loaded(scenario: Scenario | str | Path) -> Scenario:
    if isinstance(scenario, Scenario):
        require_sound(scenario)
        return scenario
    return load(scenario)
