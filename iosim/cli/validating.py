"""What `iosim validate` is to compare, as its options say.

Validated by: tests/cli/test_validate_command.py
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iosim.cli.loading import load, selected, unknown, values
from iosim.errors import UsageError, shown

if TYPE_CHECKING:
    from iosim.profile import Profile
    from iosim.scenario import Scenario

OF_THE_GRID = ("run.", "machine.host_noise", "profile.")
"""What may be changed of a frozen design: how long it is measured, and how it is simulated."""


@dataclass(frozen=True)
class Chosen:
    """Scenarios, their costs, and the loads as shares of saturation."""

    scenarios: "tuple[Scenario, ...]"
    profile: "Profile"
    shares: tuple[float, ...] | None


def from_files(
    files: list[str] | None,
    loads: str | None,
    profile: str | None,
    models: list[str] | None,
    changes: list[str] | None,
    replications: int | None,
    force: bool,
) -> Chosen:
    """Scenarios of one's own; the first one names the profile, if the options do not."""
    from iosim.validation.cells import parse_loads

    if not files:
        raise UsageError("expected a scenario or more, or --grid, found neither")
    read = [
        load(file, changes, profile, force, last={"run.replications": replications})
        for file in files
    ]
    scenarios = tuple(_only(scenario, models) for scenario, _ in read)
    return Chosen(scenarios, read[0][1], None if loads is None else parse_loads(loads))


def from_grid(
    part: str,
    profile: str | None,
    models: list[str] | None,
    changes: list[str] | None,
    replications: int | None,
) -> Chosen:
    """The held-out grid, or a part of it."""
    from iosim.changes import apply, parse_assignment
    from iosim.profile import load as load_profile
    from iosim.profile import with_costs
    from iosim.scenario import from_source, label_of
    from iosim.validation import grid
    from iosim.yaml_source import load as load_text

    first, of = _part(part)
    assigned = [parse_assignment(change) for change in changes or ()]
    for path, _ in assigned:
        if not path.startswith(OF_THE_GRID):
            raise UsageError(
                f"--set {path}: the grid is as it is, chosen before it was compared; to be "
                f"changed are {', '.join(f'{name}*' for name in OF_THE_GRID)}"
            )
    costs = {path.removeprefix("profile."): v for path, v in assigned if path[:8] == "profile."}
    others = [each for each in assigned if each[0].removeprefix("profile.") not in costs]
    others += values({"run.replications": replications})
    points = grid.scenarios(first, of)
    for name in models or ():
        known = dict.fromkeys(label_of(point.models[0]) for point in points)
        if name not in known:
            raise unknown("a model of the grid", name, known)
    scenarios = tuple(
        from_source(apply(load_text(point.model_dump_json(), point.name), others), force=True)
        for point in points
        if not models or label_of(point.models[0]) in models
    )
    costed = with_costs(load_profile(profile or "reference"), costs)
    return Chosen(scenarios, costed, grid.SHARES)


def _only(scenario: "Scenario", models: list[str] | None) -> "Scenario":
    if not models:
        return scenario
    return scenario.model_copy(update={"models": selected(scenario, models)})


def _part(text: str) -> tuple[int, int]:
    """Read `3/10`. Raises UsageError."""
    match = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text)
    first, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= first <= of:
        raise UsageError(
            f"--part: expected k/n with 1 <= k <= n, such as 3/10, found {shown(text)}"
        )
    return first, of
