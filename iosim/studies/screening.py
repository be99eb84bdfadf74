"""Screening costs: which of them a run touches at all.

    touched(scenario, profile, jobs) -> names

What it does: a run is repeated with a group of costs changed. If its record stays the same to the
bit, none of them was paid, and the group is done with; otherwise its halves are tried. Costs of
one part of the machine stand together in the profile, so that whole parts drop out at once.

Scope: one replication, in which a cost that is paid but rarely may be missed. Memory counts only
if it is asked for.
Not done: two changes that make up for each other to the bit would hide.
Source: sequential bifurcation: Bettonvil and Kleijnen, "Searching for important factors in
simulation models with many factors", Eur. J. Oper. Res. 96(1), 1997; here exact, as runs repeat.
Validated by: tests/studies/test_sensitivity.py
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from iosim.machine.costs import Table
from iosim.profile import COST_NAMES, CostEntry, Profile
from iosim.record import Record
from iosim.results import Results
from iosim.scenario import Scenario
from iosim.studies.variants import Variant, simulated

FACTOR = 1.5
"""By so much costs are changed to see whether anything does."""


def with_level(profile: Profile, levels: dict[str, float]) -> Profile:
    """A profile in which costs have other levels: a value in its unit, a factor for a table."""
    costs: dict[str, Any] = {
        _field(name, profile.entries[name]): _at(profile.entries[name].value, level)
        for name, level in levels.items()
    }
    return replace(profile, costs=replace(profile.costs, **costs))


def _field(name: str, entry: CostEntry) -> str:
    """A cost's field in Costs, which is its name and unit."""
    return f"{name}_{entry.unit}"


def _at(value: int | Table, level: float) -> int | Table:
    if isinstance(value, tuple):
        return tuple((x, round(y * level)) for x, y in value)
    return round(level)


def touched(
    scenario: Scenario, profile: Profile, memory: bool = False, jobs: int | None = 1
) -> tuple[str, ...]:
    """The costs without which a replication of any model would have gone otherwise."""
    once = scenario.model_copy(update={"run": scenario.run.model_copy(update={"replications": 1})})
    (baseline,) = simulated([Variant(once, profile)], jobs)
    expected = _seen(baseline, memory)
    found: set[str] = set()
    groups: list[Sequence[str]] = [COST_NAMES]
    while groups:
        # One generation at a time: its groups are independent, and may run side by side.
        variants = [Variant(once, with_level(profile, _raised(profile, group))) for group in groups]
        paid = [
            group
            for group, results in zip(groups, simulated(variants, jobs), strict=True)
            if _seen(results, memory) != expected
        ]
        found.update(group[0] for group in paid if len(group) == 1)
        groups = [
            half
            for group in paid
            if len(group) > 1
            for half in (group[: len(group) // 2], group[len(group) // 2 :])
        ]
    return tuple(name for name in COST_NAMES if name in found)


def _raised(profile: Profile, group: Sequence[str]) -> dict[str, float]:
    levels = {}
    for name in group:
        value = profile.entries[name].value
        # A cost of nothing has to be made one.
        levels[name] = FACTOR if isinstance(value, tuple) else FACTOR * value + 1
    return levels


def _seen(results: Results, memory: bool) -> list[object]:
    """What came out, as far as it counts."""
    found: list[object] = [model.error for model in results]
    for model in results:
        found += [record if memory else _without_memory(record) for record in model.records]
    return found


def _without_memory(record: Record) -> Record:
    return replace(record, memory_bytes={}, memory_peak_bytes=0)
