"""Running both sides of every cell.

    run_cells([scenario], shares=(0.2, 0.5, 0.8)) -> Validation

For each cell the real server is measured, then the same scenario is simulated: same arrivals and
demands, replication by replication. The saturation of a model is measured before its shares.

Scope: one cell after the other, as a real run wants the machine for itself.
Not done: nothing is judged here (scoring.py).
Validated by: tests/validation/test_running.py
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from iosim.profile import Profile
from iosim.scenario import Scenario
from iosim.validation import sides
from iosim.validation.cells import SATURATION, Cell, asked_for, cells_of
from iosim.validation.keeping import Kept, measured_key, simulated_key
from iosim.validation.sides import Side

Progress = Callable[[int, int], None]
"""Called with how many cells are done, out of how many."""


@dataclass(frozen=True)
class Comparison:
    """Both sides of a cell, at `scenario`'s load in requests a second."""

    cell: Cell
    scenario: Scenario
    measured: Side
    simulated: Side

    @property
    def error(self) -> str | None:
        """Why there is nothing to compare."""
        return self.measured.error or self.simulated.error


@dataclass(frozen=True)
class Validation:
    """What was compared."""

    comparisons: tuple[Comparison, ...]
    profile: Profile
    missing: int = 0
    """Cells that the budget or an interruption has left out."""
    interrupted: bool = False

    def saturation_of(self, cell: Cell) -> Comparison | None:
        """The comparison at saturation of the same scenario and model."""
        for found in self.comparisons:
            if found.cell.load == SATURATION and found.cell.scenario == cell.scenario:
                return found
        return None


def run_cells(
    scenarios: Iterable[Scenario],
    profile: Profile,
    shares: Iterable[float] | None = None,
    kept: Kept | None = None,
    budget_s: float | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
    **how: Any,
) -> Validation:
    """Compare both sides of every cell of `scenarios`. Raises UsageError.

    shares: of each model's measured saturation, above 0 and below 1; None: the scenario's own load.
    kept: the sides that are known, and where others go.
    budget_s: after so long no further cell is begun.
    jobs: processes that simulate at once; None: one a core.
    how: as `iosim.measure` takes it (server_cores, client_cores, load, attempts).
    A model that cannot be run is its cell's `error`. Interrupted by the user, it returns what has
    finished, marked so.
    """
    shares = None if shares is None else tuple(shares)
    cells = [cell for scenario in scenarios for cell in cells_of(scenario, shares)]
    comparing = _Comparing(kept or Kept(), profile, jobs, how)
    ends_s = None if budget_s is None else monotonic() + budget_s
    interrupted = False
    try:
        for done, cell in enumerate(cells):
            if ends_s is not None and monotonic() >= ends_s:
                break
            comparing.compare(cell)
            if progress is not None:
                progress(done + 1, len(cells))
    except KeyboardInterrupt:
        interrupted = True
    found = tuple(comparing.found)
    return Validation(found, profile, len(cells) - len(found), interrupted)


class _Comparing:
    """The comparisons so far."""

    def __init__(self, kept: Kept, profile: Profile, jobs: int | None, how: dict[str, Any]) -> None:
        self._kept = kept
        self._profile = profile
        self._jobs = jobs
        self._how = how
        self._last: Side | None = None
        self.found: list[Comparison] = []

    def compare(self, cell: Cell) -> None:
        """Add a cell's comparison; its saturation's was the last one at saturation."""
        share = cell.load.share is not None and cell.load != SATURATION
        most_per_s = None
        if share:
            assert self._last is not None
            most_per_s = self._last.estimate("throughput_per_s").mean
            if not most_per_s:
                error = self._last.error or "nothing was answered at saturation"
                unknown = Side({}, error)
                self.found.append(Comparison(cell, cell.scenario, unknown, Side({})))
                return
        scenario = asked_for(cell, most_per_s)
        real = self._measured(cell, scenario)
        simulated = Side({}) if real.error else self._simulated(cell, scenario)
        if cell.load == SATURATION:
            self._last = real
        self.found.append(Comparison(cell, scenario, real, simulated))

    def _measured(self, cell: Cell, scenario: Scenario) -> Side:
        key = measured_key(scenario, self._how)
        known = self._kept.get(key)
        if known is not None:
            return known
        counted = {"count_syscalls": cell.load != SATURATION, **self._how}
        return self._kept.put(key, cell.name, sides.measured(scenario, **counted))

    def _simulated(self, cell: Cell, scenario: Scenario) -> Side:
        key = simulated_key(scenario, self._profile)
        known = self._kept.get(key)
        if known is not None:
            return known
        side = sides.simulated(scenario, self._profile, self._jobs)
        return self._kept.put(key, cell.name, side)
