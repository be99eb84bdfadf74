"""What a design over all costs says: a table of the costs for each model.

Validated by: tests/studies/test_designs.py
"""

from collections.abc import Iterator, Mapping

from iosim.metrics import describe
from iosim.report.comparison import title_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.sensitivity import MOST_ROWS, level
from iosim.report.study import Answer
from iosim.report.values import shown
from iosim.studies.designs import INDICES, Design

HEADS = {
    "mu_star": "mu*",
    "mu_star_conf": "±",
    "sigma": "sigma",
    "S1": "S1",
    "S1_conf": "±",
    "ST": "ST",
    "ST_conf": "±",
}
_NOTES = {
    "morris": "mu*: mean change from one end of the spread to the other, "
    "sigma: how much that depends on the other costs.",
    "sobol": "Part of the variance that the cost explains alone (S1), and with others (ST).",
}
_BY = {"morris": "mu_star", "sobol": "ST"}


def answer(design: Design) -> Answer:
    """A design, ready to be shown."""
    name = design.baseline.scenario.name
    tables = tuple(_table(design, label, found) for label, found in design.indices.items())
    return Answer(
        title=f"{name}: {title_of(design.metric)} by all costs' spreads together "
        f"({design.method}, {design.points} points)",
        tables=tables,
        main=tables,
        sentences=tuple(_sentences(design)),
        document=design.to_document(),
        columns=("model", "cost", "index", "value"),
        rows=tuple(
            (label, cost, index, value)
            for label, found in design.indices.items()
            for cost, indices in found.items()
            for index, value in indices.items()
        ),
    )


def _table(design: Design, label: str, found: Mapping[str, Mapping[str, float | None]]) -> Table:
    indices = INDICES[design.method]
    ordered = sorted(found, key=lambda cost: -(found[cost][_BY[design.method]] or 0.0))
    rows = tuple(
        (
            Cell(cost),
            *(Cell(level(design.entries[cost], end)) for end in design.costs[cost]),
            *(Cell(_value(design, found[cost][index])) for index in indices),
        )
        for cost in ordered[:MOST_ROWS]
    )
    columns = ("cost", "low", "high", *(HEADS[index] for index in indices))
    return Table(label, tuple(map(Column, columns)), rows, (_NOTES[design.method],))


def _value(design: Design, value: float | None) -> str:
    if value is None:
        return "-"
    if design.method == "sobol":
        return f"{value:.2f}"
    return shown(design.metric, describe(design.metric).unit, value)


def _sentences(design: Design) -> Iterator[str]:
    for (first, second), count in design.reversed_at.items():
        if count:
            yield f"{second} is ahead of {first} at {count} of {design.points} points."
    if design.reversed_at and not any(design.reversed_at.values()):
        yield f"The order of the models is the same at all {design.points} points."
