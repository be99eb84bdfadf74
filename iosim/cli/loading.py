"""Scenarios, profiles and models, as the command line names and changes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from iosim.cli.output import tell
from iosim.errors import ScenarioError, UsageError, did_you_mean, shown

if TYPE_CHECKING:
    from iosim.choice import Chosen
    from iosim.profile import Profile
    from iosim.scenario import Scenario
    from iosim.simulation import Precision


def load(
    file: str | Path,
    changes: list[str] | None = None,
    profile: str | None = None,
    force: bool = False,
    first: Mapping[str, object] = MappingProxyType({}),
    last: Mapping[str, object] = MappingProxyType({}),
    models: list[str] | None = None,
) -> "tuple[Scenario, Profile]":
    """A scenario and what things cost, changed as the command line says.

    `first` and `last` are changes made before and after those of `--set`; None is none.
    `models`: of its models those alone; all if none is named.
    """
    from iosim.changes import parse_assignment
    from iosim.profile import load as load_profile
    from iosim.profile import with_costs
    from iosim.scenario import load

    assigned = [parse_assignment(change) for change in changes or ()]
    costs = {path: value for path, value in assigned if path.startswith("profile.")}
    others = [(path, value) for path, value in assigned if path not in costs]
    own = {"machine.profile": profile, **last}
    try:
        loaded = load(file, [*values(first), *others, *values(own)], force)
    except ScenarioError:
        if others:
            told = " ".join(f"{path}={value}" for path, value in others)
            tell(f"changed by --set {told} (lines and columns are the file's own):")
        raise
    if models:
        loaded = loaded.model_copy(update={"models": selected(loaded, models)})
    read = load_profile(loaded.machine.profile, loaded.folder)
    return loaded, with_costs(
        read, {path.removeprefix("profile."): value for path, value in costs.items()}
    )


def measurable(
    file: str,
    changes: list[str] | None,
    force: bool,
    last: Mapping[str, object],
    models: list[str] | None,
) -> "Scenario":
    """A scenario that is to be measured: nothing costs what a profile says."""
    for change in changes or ():
        if change.strip().startswith("profile."):
            raise UsageError(f"--set {change}: a real run costs what it costs: it has no profile")
    loaded, _ = load(file, changes, force=force, last=last, models=models)
    return loaded


def values(changes: Mapping[str, object]) -> list[tuple[str, str]]:
    """Values as YAML, in the spelling that it shares with JSON."""
    from json import dumps

    return [(path, dumps(value)) for path, value in changes.items() if value is not None]


def selected(scenario: "Scenario", names: list[str]) -> "tuple[Chosen[Any], ...]":
    """The entries of `models` with these labels or kinds. Raises UsageError."""
    from iosim.scenario import label_of

    for name in names:
        known = [word for m in scenario.models for word in (label_of(m), m.kind)]
        if name not in known:
            raise unknown("a model of this scenario", name, known)
    labels = {label_of(model) for model in scenario.models}
    return tuple(
        model
        for model in scenario.models
        # What results call it goes first: a kind may be another model's label.
        if label_of(model) in names or model.kind in {*names} - labels
    )


def unknown(expected: str, found: str, known: Iterable[str]) -> UsageError:
    """The error that something named is none of what is known."""
    known = list(dict.fromkeys(known))
    hint = did_you_mean(found, known)
    return UsageError(
        f"expected {expected} ({', '.join(known)}), found {shown(found)}"
        + (f"; {hint}" if hint else "")
    )


def precision_of(text: str | None) -> "Precision | None":
    """What `--precision` asks for. Raises UsageError."""
    from iosim.simulation import Precision

    return Precision.parse(text) if text else None
