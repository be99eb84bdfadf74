"""Tables about profiles: what a calibration has found, and what differs between two.

Scope: for terminals and, as documents, for `--json`.
Not done: nothing is worked out here.
Validated by: tests/cli/test_profile_command.py
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import exp
from typing import TYPE_CHECKING, Any

from iosim.report.layout import Cell, Column, Table
from iosim.report.table import NONE, duration, percent
from iosim.units import format_size

if TYPE_CHECKING:
    from iosim.calibration.calibrating import Calibration
    from iosim.calibration.differing import Difference, Effect
    from iosim.profile import CostEntry, Profile
    from iosim.statistics import Estimate


def value_of(entry: "CostEntry") -> str:
    """A cost for people; of a table from its first to its last value."""
    if isinstance(entry.value, tuple):
        first, last = entry.value[0][1], entry.value[-1][1]
        return f"{duration(first)}-{duration(last)}"
    if entry.unit == "ns":
        return duration(entry.value)
    return format_size(entry.value).replace(" ", "")


# -------------------------------------------------------------------------- a calibration


def found(calibration: "Calibration", base: "Profile") -> list[Table]:
    """What has been identified, and by how much each cost is another than the base's."""
    entries = calibration.profile.entries
    rows = []
    for name, fitted in calibration.solved.costs.items():
        if fitted.verdict != "not identified":
            rows.append(
                (
                    Cell(name),
                    Cell(value_of(entries[name])),
                    Cell(_error(fitted.error)),
                    Cell(value_of(base.entries[name])),
                    Cell(fitted.verdict),
                )
            )
    left = [
        name
        for name, fitted in calibration.solved.costs.items()
        if fitted.verdict == "not identified"
    ]
    others = len(entries) - len(calibration.solved.costs)
    notes = [
        *(
            [f"Not identified, left as the {base.name} has them: {', '.join(left)}."]
            if left
            else []
        ),
        f"No row here tells of {others} others: they are the {base.name}'s.",
    ]
    columns = tuple(map(Column, ("cost", "here", "error", base.name, "known")))
    tables = [Table("Costs", columns, tuple(rows), tuple(notes))] if rows else []
    return [*tables, *_in_situ(calibration)]


def _in_situ(calibration: "Calibration") -> Iterable[Table]:
    in_situ = calibration.in_situ
    if not in_situ.factors:
        return
    rows = tuple(
        (
            Cell(factor.parameter.name),
            Cell(f"x{factor.factor:.2f}"),
            Cell(_error(factor.error)),
            Cell("identified" if factor.identified else "not identified"),
            Cell(", ".join(f"{other} {r:+.1f}" for other, r in factor.correlated[:1]) or NONE),
        )
        for factor in in_situ.factors
    )
    columns = tuple(map(Column, ("inside a server", "factor", "error", "known", "correlated")))
    cells = Counter(f"{run.model} ({run.runtime})" for run in in_situ.runs)
    runs = ", ".join(
        f"{name} at {count} load{'s' if count > 1 else ''}" for name, count in cells.items()
    )
    note = f"Fitted on {in_situ.repetitions} runs each of {runs}: no test of this profile."
    yield Table("Factors on costs inside a running server", columns, rows, (note,))


def _error(error: float) -> str:
    return f"±{100 * (exp(error) - 1):.0f}%"


# ------------------------------------------------------------------------- a difference


def differing(a: "Profile", b: "Profile", found: Sequence["Difference"]) -> Table:
    """Two profiles side by side, where they differ."""
    rows = tuple(
        (
            Cell(one.name),
            Cell(value_of(one.a)),
            Cell(value_of(one.b)),
            Cell(NONE if one.factor is None else f"x{one.factor:.2f}"),
            Cell("yes" if one.noticeable else "no"),
        )
        for one in found
    )
    same = len(a.entries) - len(found)
    note = f"{same} of {len(a.entries)} costs are the same."
    if found:
        note += " Beyond the spreads: neither profile's spread holds the other's value."
    columns = tuple(map(Column, ("cost", a.name, b.name, "factor", "beyond spreads")))
    return Table(f"{a.name} and {b.name}", columns, rows, (note,))


_CHANGES = {
    "throughput_per_s": Column("requests/s", "req/s"),
    "response_time_p50_ns": Column("p50", "p50", "response time"),
    "response_time_p99_ns": Column("p99", "p99", "response time"),
    "cpu_time_per_request_ns": Column("CPU/request", "CPU/req"),
    "voluntary_switches_per_request": Column("voluntary switches/request", "vol. switches/req"),
}


def changing(a: "Profile", b: "Profile", found: Sequence["Effect"]) -> list[Table]:
    """By how much `b` changes what `a` gives: a table a scenario, a row a model."""
    tables = []
    for scenario in dict.fromkeys(effect.scenario for effect in found):
        own = {(e.model, e.metric): e.change for e in found if e.scenario == scenario}
        models = dict.fromkeys(model for model, _ in own)
        rows = tuple(
            (Cell(model), *(_change(own.get((model, metric))) for metric in _CHANGES))
            for model in models
        )
        title = f"{scenario}: change from {a.name} to {b.name}"
        columns = (Column("model"), *_CHANGES.values())
        tables.append(Table(title, columns, rows, tuple(_missing(scenario, found)), stacked=True))
    return tables


def _missing(scenario: str, found: Sequence["Effect"]) -> Iterator[str]:
    """Why some changes are not told: an error once for the model, the others by their metric."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for effect in found:
        if effect.scenario == scenario and effect.missing:
            metrics = reasons.setdefault((effect.model, effect.missing), [])
            metrics.append(_CHANGES[effect.metric].title)
    for (model, why), metrics in reasons.items():
        yield f"{model}: no change told of {', '.join(metrics)}: {why}."


def _change(change: "Estimate | None") -> Cell:
    if change is None or change.mean is None:
        return Cell(NONE)
    sign = "+" if change.mean >= 0 else "-"
    width = "" if change.high is None else f"±{percent(change.high - change.mean)}"
    return Cell(f"{sign}{percent(abs(change.mean))}", width)


def difference_document(
    a: "Profile", b: "Profile", found: Sequence["Difference"], changed: Sequence["Effect"]
) -> dict[str, Any]:
    """The same as plain data, costs in ns and bytes."""
    return {
        "profiles": [{"name": each.name, "sha256": each.sha256} for each in (a, b)],
        "costs": [
            {
                "cost": one.name,
                "unit": one.a.unit,
                "values": [one.a.value, one.b.value],
                "factor": one.factor,
                "beyond_spreads": one.noticeable,
            }
            for one in found
        ],
        "effects": [
            {
                "scenario": effect.scenario,
                "model": effect.model,
                "metric": effect.metric,
                "values": [effect.a, effect.b],
                "change": effect.change.mean,
                "ci95": [effect.change.low, effect.change.high],
                "missing": effect.missing,
            }
            for effect in changed
        ],
    }


def calibration_document(calibration: "Calibration") -> dict[str, Any]:
    """What a calibration has found, as plain data."""
    entries = calibration.profile.entries
    noise = calibration.profile.noise
    return {
        "machine": calibration.profile.machine,
        "date": calibration.profile.date,
        "interrupted": calibration.interrupted,
        "warnings": list(calibration.warnings),
        "skipped": dict(calibration.skipped),
        "host_noise": None
        if noise is None
        else {"stolen": noise.stolen, "stationary": noise.stationary},
        "rows_birge_ratio": calibration.solved.birge,
        "costs": {
            name: {
                "value": entries[name].value,
                "unit": entries[name].unit,
                "log_error": fitted.error,
                "log_prior": fitted.prior,
                "known": fitted.verdict,
                "correlated": dict(fitted.correlated),
            }
            for name, fitted in calibration.solved.costs.items()
        },
        "in_situ": [
            {
                "parameter": factor.parameter.name,
                "costs": list(factor.parameter.costs),
                "factor": factor.factor,
                "log_error": factor.error,
                "identified": factor.identified,
                "correlated": dict(factor.correlated),
            }
            for factor in calibration.in_situ.factors
        ],
    }
