"""What is compared: a cell is a scenario with one I/O model, and a load.

    cells_of(scenario, (0.2, 0.5))     for each model: saturation, 20% and 50% of it
    cells_of(scenario)                 for each model: saturation, and the scenario's own load

A share is one of what the REAL server answers at most. It becomes a rate of requests, and both
sides are asked at that rate: a share of each side's own saturation would be another load.

Scope: saturation where clients ask, shares where they ask at a rate.
Validated by: tests/validation/test_cells.py
"""

from collections.abc import Iterable
from dataclasses import dataclass

from iosim.errors import UsageError, shown
from iosim.measurement import saturated
from iosim.plugins import kinds
from iosim.scenario import Scenario, from_data, label_of
from iosim.units import parse_fraction

LIGHT_MOST = 0.65
"""A load up to here is light: what holds at 20% and 50%; beyond it the bounds are doubled."""


@dataclass(frozen=True)
class Load:
    """A share of saturation (0 to 1), saturation itself (1), or the scenario's own load (None)."""

    share: float | None = None

    def __str__(self) -> str:
        if self.share is None:
            return "own load"
        return "saturation" if self.share == 1 else f"{100 * self.share:g}%"

    @property
    def is_heavy(self) -> bool:
        """Whether twice the usual error is allowed. An own load is taken to be a light one."""
        return self.share is not None and LIGHT_MOST < self.share < 1


OWN = Load()
SATURATION = Load(1.0)


@dataclass(frozen=True)
class Cell:
    """A scenario with exactly one model, at a load."""

    scenario: Scenario
    load: Load

    @property
    def model(self) -> str:
        """The model's label."""
        return label_of(self.scenario.models[0])

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.scenario.name}, {self.model}, {self.load}"


def parse_loads(text: str) -> tuple[float, ...]:
    """Read `20%,50%,80%`: shares above 0 and below 100%. Raises UsageError."""
    shares = []
    for part in text.split(","):
        try:
            share = parse_fraction(part.strip())
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise UsageError(
                "--loads: expected shares of saturation above 0% and below 100%, such as "
                f"20%,50%,80%, found {shown(part.strip())}"
            )
        shares.append(share)
    return tuple(dict.fromkeys(shares))


def cells_of(scenario: Scenario, shares: Iterable[float] | None = None) -> tuple[Cell, ...]:
    """Every model's cells, its saturation first. Raises UsageError for shares of what has no rate.

    Where clients do not ask, as between producers and consumers, there is the own load alone.
    """
    asked = kinds("workloads")[scenario.workload.kind].TRAFFIC == "requests"
    if shares is not None and not (asked and hasattr(scenario.workload.options, "rate")):
        raise UsageError(
            f"{scenario.name}: --loads are for a workload with one rate, and this one is "
            f"{scenario.workload.kind}; leave them out to validate it at its own load"
        )
    loads = [OWN] if shares is None else [Load(share) for share in shares]
    if asked:
        loads.insert(0, SATURATION)
    return tuple(
        Cell(scenario.model_copy(update={"models": (model,)}), load)
        for model in scenario.models
        for load in loads
    )


def asked_for(cell: Cell, saturation_per_s: float | None) -> Scenario:
    """The scenario that both sides run: at the cell's load in requests a second.

    saturation_per_s: what the real server answers at most; needed for a share alone.
    """
    scenario, share = cell.scenario, cell.load.share
    if share is None:
        return scenario
    if cell.load == SATURATION:
        return saturated(scenario)
    assert saturation_per_s is not None
    data = scenario.to_data()
    rate_per_s = float(f"{share * saturation_per_s:.3g}")
    data["workload"][scenario.workload.kind]["rate"] = f"{rate_per_s:g}/s"
    return from_data(data, force=True, folder=scenario.folder)
