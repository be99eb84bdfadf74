"""Equations: which sum of costs a measured row holds, as a profile's `rows` write it.

    rows: {c poll n=100;k=1: syscall + poll + 100*poll_per_descriptor(100)}

A sum is terms joined by `+`, a term a cost, with a whole number times it if need be. Of a table
its value at x is meant, `idle_exit(100us)`, with x in the unit that the table's own x has; between
two points it is a mixture of both, which is linear in the table's values, and so the sum is linear
in all that is to be found.

Scope: parsing, and working out with given values.
Not done: no products of costs, no differences.
Validated by: tests/calibration/test_equations.py, tests/unit/test_profile.py
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from iosim.errors import Mismatch, UsageError, did_you_mean, shown
from iosim.machine.costs import Table
from iosim.profile import CostEntry, Profile, read_x

_TERM = re.compile(
    r"(?:(?P<factor>[0-9]{1,9})\s*\*\s*)?(?P<cost>[a-z][a-z0-9_]*)(?:\((?P<x>[^()]*)\))?"
)
Value = int | Table


@dataclass(frozen=True, slots=True)
class Term:
    """`factor` times a cost, of a table its value at `x`, which is in the table's unit of x."""

    factor: int
    cost: str
    x: int | None = None


@dataclass(frozen=True, slots=True)
class Equation:
    """A row's name, and the sum that it holds, in ns."""

    row: str
    text: str
    terms: tuple[Term, ...]

    def total_ns(self, values: Mapping[str, Value]) -> float:
        """The sum, given each cost's value in ns or its table."""
        return sum(
            term.factor * part * ns
            for term in self.terms
            for part, ns in _parts(values[term.cost], term.x)
        )

    def weights(self, values: Mapping[str, Value]) -> dict[tuple[str, int], float]:
        """How often each number of the costs is in the sum, by cost and position in its table.

        A cost that is no table has the position 0.
        """
        found: dict[tuple[str, int], float] = {}
        for term in self.terms:
            for position, part in positions(values[term.cost], term.x):
                key = (term.cost, position)
                found[key] = found.get(key, 0.0) + term.factor * part
        return found


def positions(value: Value, x: int | None) -> list[tuple[int, float]]:
    """Which points of a table make its value at `x`, and by how much each: position, part."""
    if not isinstance(value, tuple):
        return [(0, 1.0)]
    assert x is not None
    index = bisect_right(value, (x, 2**63))
    if index in (0, len(value)):
        return [(max(0, index - 1), 1.0)]
    (x0, _), (x1, _) = value[index - 1], value[index]
    part = (x - x0) / (x1 - x0)
    return [(index - 1, 1 - part), *([(index, part)] if part else [])]


def _parts(value: Value, x: int | None) -> list[tuple[float, float]]:
    if not isinstance(value, tuple):
        return [(1.0, value)]
    return [(part, value[position][1]) for position, part in positions(value, x)]


def equations(profile: Profile) -> dict[str, Equation]:
    """What a profile says of measured rows, by row. Raises UsageError, of all mistakes at once."""
    found: dict[str, Equation] = {}
    wrong = []
    for name, entry in profile.entries.items():
        for row, text in entry.rows:
            try:
                equation = parse(row, text, profile.entries)
                if row in found and found[row].terms != equation.terms:
                    raise Mismatch(f"one sum a row, as {found[row].text}", text)
                found.setdefault(row, equation)
            except Mismatch as mismatch:
                wrong.append(f"{profile.file}: costs.{name}.rows: {row}: {mismatch}")
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def parse(row: str, text: str, entries: Mapping[str, CostEntry]) -> Equation:
    """Read a sum of costs. Raises Mismatch."""
    return Equation(row, text, tuple(_term(part.strip(), entries) for part in text.split("+")))


def _term(text: str, entries: Mapping[str, CostEntry]) -> Term:
    match = _TERM.fullmatch(text)
    if match is None:
        raise Mismatch("a sum of costs, such as syscall + 2*futex", shown(text))
    name, x = match["cost"], match["x"]
    if name not in entries:
        raise Mismatch("the name of a cost", shown(name), did_you_mean(name, entries))
    factor = int(match["factor"] or 1)
    if entries[name].x_unit is None:
        if x is not None:
            raise Mismatch(f"{name} by itself, as it is no table", shown(text))
        return Term(factor, name)
    if x is None:
        raise Mismatch(f"{name} at an x, as it is a table", shown(text))
    return Term(factor, name, read_x(name, int(x) if x.isdecimal() else x))
