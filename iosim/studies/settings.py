"""Settings of a scenario over a grid, and the smallest that carries today's load.

A grid has paths and the values of each, as iosim.studies.grid reads them from `--over`. A setting
gives each path of the grid one of its values. Along one path of ascending numbers the search for
the smallest value that passes is a bisection, where the largest passes; where it does not, all are
tried, as more of something need not be better. The values of the other paths are all tried. A path
into `models` concerns that model alone.

Scope: changes to the scenario. Not done: costs of the profile, which are no setting.
Validated by: tests/studies/test_plan_settings.py
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from iosim.errors import ScenarioError, UsageError
from iosim.scenario import Scenario, from_source, label_of
from iosim.studies import quantities
from iosim.studies.probing import Effort, Outcome, Probe, Run, probe

Setting = Mapping[str, str]
"""By path, the value in YAML."""

Grid = Sequence[tuple[str, Sequence[str]]]
"""Each path with its values."""

Search = Generator[list[Run], list[Outcome], "Sizing"]
Attempt = Callable[[Setting], Generator[list[Run], list[Outcome], "Tried"]]
Found = Generator[list[Run], list[Outcome], "Tried | None"]


@dataclass(frozen=True)
class Tried:
    """A setting, and what today's load came to under it."""

    setting: Setting
    probe: Probe


@dataclass(frozen=True)
class Sizing:
    """All settings of one model that were tried, and those that are enough."""

    label: str
    tried: tuple[Tried, ...]
    """In the order of the grid."""
    enough: tuple[Tried, ...]
    """The smallest that passes for each setting of the other paths."""


def changed(scenario: Scenario, setting: Setting) -> Scenario:
    """The scenario with other values at some paths. Raises UsageError and ScenarioError."""
    import json

    from iosim.changes import apply
    from iosim.yaml_source import load as load_text

    for path in setting:
        if path.startswith("profile."):
            raise UsageError(
                f"--over {path}: expected a path of the scenario; a cost is the profile's"
            )
    source = load_text(json.dumps(scenario.to_data(), ensure_ascii=False), scenario.name)
    told = ", ".join(f"{path}={value}" for path, value in setting.items())
    try:
        made = from_source(apply(source, setting), force=True)
    except (ScenarioError, UsageError) as error:
        raise UsageError(f"--over {told}: {str(error).removeprefix('--set ')}") from None
    made.__dict__["folder"] = scenario.folder
    return made


def axes_of(scenario: Scenario, index: int, grid: Grid) -> Grid:
    """The part of a grid that concerns the model at `index`. Raises UsageError."""
    return [
        (path, values)
        for path, values in grid
        if not path.startswith("models") or _changes_model(scenario, index, path, values)
    ]


def _changes_model(scenario: Scenario, index: int, path: str, values: Sequence[str]) -> bool:
    """Whether any value at a path makes the model at `index` another one."""
    before = scenario.models[index]
    return any(changed(scenario, {path: value}).models[index] != before for value in values)


def smallest_setting(scenario: Scenario, index: int, grid: Grid, effort: Effort) -> Search:
    """Search a grid for the settings under which the model at `index` carries today's load.

    The grid's paths all concern this model. Its first path of several numbers is searched.
    """
    searched = next((path for path, values in grid if _is_ascending(values)), None)
    others = [(path, values) for path, values in grid if path != searched]
    line: Sequence[str] = next((values for path, values in grid if path == searched), [""])
    tried: dict[tuple[str, ...], Tried] = {}
    enough = []

    def attempt(setting: Setting) -> Generator[list[Run], list[Outcome], Tried]:
        key = tuple(setting[path] for path, _ in grid)
        if key not in tried:
            made = changed(scenario, setting)
            one = made.model_copy(update={"models": (made.models[index],)})
            tried[key] = Tried(setting, (yield from probe(one, effort)))
        return tried[key]

    for rest in product(*(values for _, values in others)):
        fixed = dict(zip((path for path, _ in others), rest, strict=True))
        settings = [fixed | ({searched: value} if searched is not None else {}) for value in line]
        found = yield from _first_that_passes(attempt, settings)
        enough += [found] if found is not None else []
    order = list(product(*(values for _, values in grid)))
    return Sizing(
        label_of(scenario.models[index]),
        tuple(tried[key] for key in order if key in tried),
        tuple(enough),
    )


def _first_that_passes(attempt: Attempt, settings: list[dict[str, str]]) -> Found:
    """The first of ascending settings that passes; None if none does."""
    last = yield from attempt(settings[-1])
    if last.probe.verdict != "pass":
        every = []
        for setting in settings:
            every.append((yield from attempt(setting)))
        return next((each for each in every if each.probe.verdict == "pass"), None)
    low, high = -1, len(settings) - 1
    while high - low > 1:
        middle = (low + high) // 2
        found = yield from attempt(settings[middle])
        low, high = (low, middle) if found.probe.verdict == "pass" else (middle, high)
    return (yield from attempt(settings[high]))


def _is_ascending(values: Sequence[str]) -> bool:
    numbers = quantities.numbers(tuple(values))
    return numbers is not None and len(numbers) > 1 and [*numbers] == sorted(numbers)
