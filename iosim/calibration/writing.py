"""A calibrated profile as a file: every cost with its value, unit, spread, how and where from.

    entries = calibrated(base, solved, in_situ, noise, passes)
    text = to_yaml(profile)

A cost is written as fitted only where rows or runs have identified it. One that nothing here
tells of keeps the base's value, and its source says so first.

Scope: a whole profile, which extends no other; `iosim.profile.load` reads it back as it was.
Not done: no comments in the file.
Validated by: tests/calibration/test_calibrating.py
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import exp, hypot
from typing import Any

from iosim.calibration.macro import Factor, InSitu
from iosim.calibration.solving import Fitted, Solved
from iosim.host_noise import MILLION, UNKNOWN, HostNoise, Quantiles
from iosim.machine.costs import Table
from iosim.profile import AS_FAST_AS_IT_ANSWERS, CostEntry, FittedOn, Profile
from iosim.units import (
    canonical_duration,
    canonical_fraction,
    canonical_rate,
    canonical_size,
)


def calibrated(
    base: Profile, solved: Solved, in_situ: InSitu, noise: HostNoise | None
) -> dict[str, CostEntry]:
    """Every cost of `base` with what has been found out about it."""
    passes = max((one.passes for one in solved.measured), default=0)
    told = {one.row for one in solved.measured}
    factors: dict[str, list[Factor]] = {}
    for factor in in_situ.factors:
        for cost in factor.parameter.costs:
            factors.setdefault(cost, []).append(factor)
    entries = {}
    for name, entry in base.entries.items():
        fitted = solved.costs.get(name)
        found = _of_rows(entry, fitted, passes, told)
        for factor in factors.get(name, ()):
            found = _in_situ(found, fitted, factor, in_situ)
        entries[name] = replace(found, taken_from=None)
    if noise is not None:
        for name, table in (("stolen_length", noise.length_ns), ("stolen_gap", noise.gap_ns)):
            entries[name] = _stolen(entries[name], table)
    return entries


def _of_rows(entry: CostEntry, fitted: Fitted | None, passes: int, told: set[str]) -> CostEntry:
    rows = tuple((row, text) for row, text in entry.rows if row in told)
    if fitted is None:
        return replace(entry, source=f"Not measured here: the reference's. {entry.source}", rows=())
    if fitted.verdict == "not identified":
        source = f"Not identified here: the reference's. {entry.source}"
        return replace(entry, source=source, rows=rows)
    names = ", ".join(fitted.rows)
    shared = [f"{other} ({r:+.1f})" for other, r in fitted.correlated]
    sentences = [f"Fitted on {len(fitted.rows)} measured rows, {passes} passes: {names}."]
    if fitted.verdict == "in a sum":
        sentences.append("Of a sum with others, parted from them as the reference has it.")
    sentences.append(f"Standard error {_percent(fitted.error)}.")
    if shared:
        sentences.append(f"Correlated with {', '.join(shared)}.")
    value = fitted.value
    spread = _spread(value, fitted.error)
    return replace(
        entry, value=value, spread=spread, how="fitted", source=" ".join(sentences), rows=rows
    )


def _in_situ(entry: CostEntry, fitted: Fitted | None, factor: Factor, in_situ: InSitu) -> CostEntry:
    """The cost, times the factor that whole runs have given it."""
    runs = f"{len(in_situ.runs)} runs of servers, {in_situ.repetitions} times each"
    name = factor.parameter.name
    if not factor.identified:
        source = f"{entry.source} Not identified by {runs} ({name})."
        return replace(entry, source=source)
    value = _times(entry.value, factor.factor)
    error = factor.error
    if fitted is not None and fitted.verdict != "not identified":
        error = hypot(error, fitted.error)
    source = (
        f"Times {factor.factor:.3g}, fitted on {runs} ({name}), standard error "
        f"{_percent(factor.error)}"
    )
    if factor.correlated:
        shared = ", ".join(f"{other} ({r:+.1f})" for other, r in factor.correlated)
        source += f", correlated with {shared}"
    source += f". Before: {entry.source}"
    # The rows' sums no longer come out: the cost is what it is inside a server.
    return replace(
        entry, value=value, spread=_spread(value, error), how="fitted", source=source, rows=()
    )


def _stolen(entry: CostEntry, table: Table) -> CostEntry:
    source = "Mean of what spinning probes saw, one on each core; quantiles are in host_noise."
    value = max(1, round(Quantiles(table).mean_ns()))
    spread = (float(min(value, table[0][1])), float(max(value, table[-1][1])))
    return replace(entry, value=value, spread=spread, how="measured", source=source, rows=())


def _times(value: int | Table, factor: float) -> int | Table:
    if isinstance(value, tuple):
        return tuple((x, round(ns * factor)) for x, ns in value)
    return round(value * factor)


def _spread(value: int | Table, error: float) -> tuple[float, float]:
    """One standard error below and above, as a profile has it."""
    if isinstance(value, tuple):
        return round(exp(-error), 3), round(exp(error), 3)
    low, high = value * exp(-error), value * exp(error)
    return float(min(value, round(low))), float(max(value, round(high)))


def _percent(error: float) -> str:
    return f"{100 * (exp(error) - 1):.0f}%"


# ------------------------------------------------------------------------------ the file


def to_yaml(profile: Profile) -> str:
    """A profile's text. `iosim.profile.load` reads the same costs, noise and runs from it."""
    import yaml

    head = {
        "name": profile.name,
        "description": profile.description,
        "machine": profile.machine,
        "date": profile.date,
        **({"measurements": profile.measurements} if profile.measurements else {}),
        **({"fitted_on": [_run(run) for run in profile.fitted_on]} if profile.fitted_on else {}),
        **({"host_noise": _noise(profile.noise)} if profile.noise else {}),
        "costs": {name: dict(_cost(entry)) for name, entry in profile.entries.items()},
    }
    return yaml.safe_dump(
        head, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
    )


def _run(run: FittedOn) -> dict[str, Any]:
    return {
        "model": run.model,
        "runtime": run.runtime,
        "connections": run.connections,
        "demand": canonical_duration(run.demand_ns),
        "rate": AS_FAST_AS_IT_ANSWERS if run.rate_per_s is None else canonical_rate(run.rate_per_s),
    }


def _noise(noise: HostNoise) -> Mapping[str, Any]:
    def quantiles(table: Table) -> list[list[str]]:
        return [[canonical_fraction(q / MILLION), canonical_duration(ns)] for q, ns in table]

    return {
        "length": quantiles(noise.length_ns),
        "gap": quantiles(noise.gap_ns),
        "stolen": canonical_fraction(noise.stolen),
        "stationary": UNKNOWN if noise.stationary is None else noise.stationary,
    }


def _cost(entry: CostEntry) -> Iterator[tuple[str, Any]]:
    if isinstance(entry.value, tuple):
        yield "table", [[_x(entry, x), canonical_duration(ns)] for x, ns in entry.value]
    else:
        yield "value", _quantity(entry, entry.value)
    if entry.spread is not None:
        yield "spread", [_bound(entry, bound) for bound in entry.spread]
    yield "how", entry.how
    yield "source", entry.source
    if entry.rows:
        yield "rows", dict(entry.rows)


def _x(entry: CostEntry, x: int) -> int | str:
    if entry.x_unit == "count":
        return x
    return canonical_duration(x) if entry.x_unit == "ns" else canonical_size(x)


def _quantity(entry: CostEntry, value: float) -> str:
    return (canonical_duration if entry.unit == "ns" else canonical_size)(round(value))


def _bound(entry: CostEntry, bound: float) -> str:
    if isinstance(entry.value, tuple):
        return f"x{bound:.9f}".rstrip("0").rstrip(".")
    return _quantity(entry, bound)
