"""A profile's costs in words: all of them, or all that is known of one.

    of_profile("reference")            # each cost: value, spread, how it is known, what it is
    one("reference", "idle_exit")      # where it comes from, and the measured rows that hold it

Of a row that the profile's file of measurements does not have, this is said.

Scope: text of 80 columns. Not done: a profile whose measurements are not found, beside it or among
the shipped ones, has its rows told without saying which of them were measured.
Validated by: tests/cli/test_list_command.py
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from iosim.errors import UsageError, did_you_mean, shown
from iosim.report.layout import WIDTH
from iosim.units import canonical_fraction, canonical_rate

if TYPE_CHECKING:
    from iosim.profile import CostEntry, FittedOn, Profile


def of_profile(name: str) -> str:
    """A profile, by name or file: each cost's value and spread, how it is known, what it is."""
    from iosim.profile import load

    profile = load(name)
    meanings = _meanings()
    width = max(len(cost) for cost in profile.entries)
    lines = [
        *wrap(f"{name}: {profile.description}", WIDTH),
        *wrap(f"Of: {profile.machine}; {profile.date}", WIDTH, subsequent_indent="    "),
        *(
            line
            for text in _besides(profile)
            for line in wrap(text, WIDTH, subsequent_indent="    ")
        ),
        "",
        f"{'cost':{width}} {'value':>8}  {'spread':<17} known",
    ]
    for cost, entry in profile.entries.items():
        value = "table" if isinstance(entry.value, tuple) else _exact(entry.value, entry.unit)
        lines.append(f"{cost:{width}} {value:>8}  {_spread(entry):<17} {_known(entry)}")
        texts = [meanings.get(cost, "")]
        if isinstance(entry.value, tuple):
            texts.append(_table(entry))
        for text in texts:
            lines += wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ")
    lines += ["", *wrap(f"Where one comes from: iosim list profiles {name} COST", WIDTH)]
    return "\n".join(lines) + "\n"


def _besides(profile: "Profile") -> Iterator[str]:
    """What a calibration has found out besides costs."""
    if (noise := profile.noise) is not None:
        low, high = (_exact(ns, "ns") for ns in (noise.length_ns[0][1], noise.length_ns[-1][1]))
        changed = {
            True: "",
            False: "; it changed while it was measured",
            None: "; there was too little to tell whether it stays so",
        }[noise.stationary]
        stolen = canonical_fraction(noise.stolen)
        yield f"host: takes {stolen} of the time away, in intervals of {low} to {high}{changed}"
    if profile.fitted_on:
        runs = (
            f"{run.model} ({run.runtime}, {run.connections} connections, "
            f"{_exact(run.demand_ns, 'ns')}, {_rate(run)})"
            for run in profile.fitted_on
        )
        yield f"fitted on: {', '.join(runs)}"


def _rate(run: "FittedOn") -> str:
    return "saturation" if run.rate_per_s is None else canonical_rate(run.rate_per_s)


def one(name: str, cost: str) -> str:
    """One cost of a profile: all that is known of it. Raises UsageError."""
    from iosim.profile import load

    profile = load(name)
    entries = profile.entries
    if cost not in entries:
        hint = did_you_mean(cost, entries)
        raise UsageError(
            f"expected a cost of the profile {name}, found {shown(cost)}"
            + (f"; {hint}" if hint else "")
        )
    entry = entries[cost]
    is_table = isinstance(entry.value, tuple)
    told = {
        "table" if is_table else "value": (
            _table(entry) if isinstance(entry.value, tuple) else _exact(entry.value, entry.unit)
        ),
        "spread": _spread(entry),
        "known": _known(entry),
        "source": entry.source,
        **dict(_rows(profile, entry)),
        "change": f"--set profile.{cost}={'x0.5' if is_table else '... or =x0.5'}",
    }
    lines = [*wrap(f"{cost}: {_meanings().get(cost, '')}", WIDTH), ""]
    for key, text in told.items():
        lines += wrap(text, WIDTH, initial_indent=f"  {key:8}", subsequent_indent=" " * 10)
    return "\n".join(lines) + "\n"


def _rows(profile: "Profile", entry: "CostEntry") -> Iterator[tuple[str, str]]:
    """The measured rows that hold a cost, each with its sum."""
    measured = _measured(profile) if entry.rows else None
    if measured is not None:
        yield "rows of", str(profile.measurements)
    for number, (row, total) in enumerate(entry.rows, 1):
        missing = measured is not None and row not in measured
        yield f"row {number}", f"{row} = {total}{_absent(row) if missing else ''}"


def _absent(row: str) -> str:
    """What is said of a row that the file of measurements does not have."""
    from iosim.calibration.probes.registry import catalogue

    figures = {
        f"{probe.lang} {' '.join(figure)}".strip()
        for probe in catalogue()
        for figure in probe.figures
    }
    probed = "; iosim calibrate measures it" if row in figures else ""
    return f" (not in this file{probed})"


def _measured(profile: "Profile") -> frozenset[str] | None:
    """The rows in the profile's file of measurements; None if there is no such file."""
    from iosim.calibration.rows import read
    from iosim.profile import SHIPPED_FOLDER

    if profile.measurements is None:
        return None
    for folder in (Path(profile.file).parent, SHIPPED_FOLDER):
        try:
            return frozenset(row.key for row in read(folder / profile.measurements))
        except (OSError, ValueError):
            continue
    return None


def _meanings() -> dict[str, str]:
    """What each cost is: the docstrings of the fields of Costs, which stand in its source alone."""
    import ast
    import inspect

    from iosim.machine.costs import Costs

    tree = ast.parse(inspect.getsource(Costs)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            name = ast.unparse(field.target).rpartition("_")[0]
            found[name] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def cost_rows(profile: "Profile") -> Iterator[tuple[str, str, str, str, str]]:
    """Each cost of a profile: its name, value, spread, how it is known, and the source."""
    for cost, entry in profile.entries.items():
        value = _table(entry) if isinstance(entry.value, tuple) else _exact(entry.value, entry.unit)
        yield cost, value, _spread(entry), _known(entry), entry.source


def _known(entry: "CostEntry") -> str:
    """How it is known; for one that another profile says, which."""
    return entry.how + (f" ({entry.taken_from})" if entry.taken_from else "")


def _spread(entry: "CostEntry") -> str:
    if entry.spread is None:
        return ""
    if isinstance(entry.value, tuple):
        return " to ".join(f"x{factor:g}" for factor in entry.spread)
    return " to ".join(_exact(round(bound), entry.unit) for bound in entry.spread)


def _table(entry: "CostEntry") -> str:
    """A table in one line: each x and its value, which lie on straight lines in between."""
    assert isinstance(entry.value, tuple)
    return ", ".join(
        f"{x if entry.x_unit == 'count' else _exact(x, entry.x_unit)}: {_exact(y, entry.unit)}"
        for x, y in entry.value
    )


def _exact(value: int, unit: str | None) -> str:
    """A cost in the largest unit of which it has one, with all its digits."""
    from decimal import Decimal

    from iosim.units import DURATION_NS, canonical_size

    if unit != "ns":
        return canonical_size(value)
    name, factor = next(
        ((name, factor) for name, factor in DURATION_NS.items() if factor <= value), ("ns", 1)
    )
    return f"{(Decimal(value) / factor).normalize():f}{name}"
