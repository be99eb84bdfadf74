"""Cells made by hand, and a reality that is simulated with other costs."""

from typing import Any

from iosim.profile import Profile, with_costs
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, from_data
from iosim.validation.cells import OWN, Cell, Load
from iosim.validation.running import Comparison, Validation
from iosim.validation.sides import Side, simulated

REFERENCE = load_profile("reference")


def scenario(model: Any = "epoll", rate: str = "5k/s", **changes: Any) -> Scenario:
    """One core, 8 connections, 20 us of work, three short replications."""
    return from_data(
        {
            "name": "made up",
            "machine": {"cores": 1},
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": {"open": {"rate": rate, "connections": {"total": 8}}},
            "models": [model],
            "run": {"duration": "100ms", "replications": 3},
            **changes,
        }
    )


def side(disturbed: Any = (), error: str | None = None, **values: Any) -> Side:
    """A side of values by metric; a single number stands for three equal ones."""
    spread = {
        name: tuple(found) if isinstance(found, tuple | list) else (found,) * 3
        for name, found in values.items()
    }
    return Side(spread, error, disturbed)


def comparison(
    measured: Side, simulated: Side, load: Load = OWN, of: Scenario | None = None
) -> Comparison:
    """Both sides of one cell."""
    asked = of or scenario()
    return Comparison(Cell(asked, load), asked, measured, simulated)


def validation(*comparisons: Comparison, profile: Profile = REFERENCE) -> Validation:
    """What these come to."""
    return Validation(comparisons, profile)


def as_if_measured(asked: Scenario, load: Load = OWN, **costs: str) -> Comparison:
    """Reality is the reference with other costs: what the simulator does not know."""
    return Comparison(
        Cell(asked, load),
        asked,
        simulated(asked, with_costs(REFERENCE, costs)),
        simulated(asked, REFERENCE),
    )
