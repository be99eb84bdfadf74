"""A repeated result: whether it is the same, and if not, what differs.

Validated by: tests/studies/test_rerun.py
"""

from collections.abc import Iterator, Sequence
from typing import Any

from iosim.report.comparison import CSV_COLUMNS, csv_row, pair_table
from iosim.report.layout import Cell, Column, Table
from iosim.report.study import Answer
from iosim.studies.comparing import HEADLINE
from iosim.studies.rerunning import Rerun, Unlike

MOST_ROWS = 12
LONGEST = 20
"""A value's first characters tell it from another."""


def answer(found: Rerun) -> Answer:
    """A rerun, ready to be shown."""
    tables = [
        *(pair_table(pair, HEADLINE) for pair in found.pairs),
        *([] if found.pairs else [_figures(found)]),
        _surroundings(found),
    ]
    return Answer(
        title=f"{found.name}, repeated",
        tables=tuple(table for table in tables if table.rows),
        sentences=tuple(_sentences(found)),
        document=found.to_document(),
        columns=CSV_COLUMNS if found.pairs else ("what", "recorded", "now"),
        rows=tuple(
            [csv_row(p.a, p.b, each) for p in found.pairs for each in p.differences.values()]
            or [
                (each.where, str(each.recorded), str(each.now))
                for each in (*found.unlike, *found.surroundings)
            ]
        ),
    )


def _measured(found: Rerun) -> Iterator[str]:
    moved = [each.where for each in found.unlike if each.where.rpartition(": ")[2] in HEADLINE]
    if moved:
        yield f"Measured again, it differs beyond the intervals: {', '.join(moved)}."
    for each in found.unlike:
        if each.where not in moved:
            then, now = ("none" if it is None else it for it in (each.recorded, each.now))
            yield f"Not the same: {each.where}: {then} before, {now} now."
    if found.undecided:
        yield (
            f"Nothing can be said of {', '.join(found.undecided)}: a figure is known in at most "
            "one replication, or not in all of them."
        )
    if found.same:
        yield "Measured again: no difference shown, at 95% confidence for all figures together."


def _figures(found: Rerun) -> Table:
    """One figure of each metric that differs: its mean, if that does."""
    metrics: dict[tuple[str, str], Unlike] = {}
    for each in found.unlike:
        model, _, figure = each.where.partition(": ")
        metric, _, which = figure.partition(": ")
        if which == "mean" or (model, metric) not in metrics:
            metrics[model, metric] = each
    rows = [
        tuple(map(Cell, (*named, *_told_apart(each.recorded, each.now))))
        for named, each in list(metrics.items())[:MOST_ROWS]
    ]
    return _table(
        f"Figures that differ ({len(found.unlike)} of {found.figures:,})",
        ("model", "of", "recorded", "now"),
        rows,
        len(metrics) - len(rows),
    )


def _surroundings(found: Rerun) -> Table:
    rows = [
        (Cell(each.where), Cell(_brief(each.recorded)), Cell(_brief(each.now)))
        for each in found.surroundings[:MOST_ROWS]
    ]
    left = len(found.surroundings) - len(rows)
    return _table("What else is not as it was", ("what", "recorded", "now"), rows, left)


def _table(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]], left: int
) -> Table:
    notes = (f"And {left} more.",) if left else ()
    return Table(title, tuple(map(Column, columns)), tuple(rows), notes)


def _told_apart(recorded: Any, now: Any) -> tuple[str, str]:
    """Two values in as many digits as show that they are not the same."""
    if isinstance(recorded, float | int) and isinstance(now, float | int):
        for digits in (6, 9, 12, 17):
            told = f"{recorded:.{digits}g}", f"{now:.{digits}g}"
            if told[0] != told[1]:
                return told
    return _brief(recorded), _brief(now)


def _brief(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _sentences(found: Rerun) -> Iterator[str]:
    if found.interrupted:
        yield "Interrupted: nothing can be said."
    elif found.source == "measured":
        yield from _measured(found)
    elif found.same:
        yield f"The same to the bit: all {found.figures:,} figures."
    else:
        models = dict.fromkeys(each.where.partition(":")[0] for each in found.unlike)
        yield (
            f"Not the same: {len(found.unlike):,} of {found.figures:,} figures differ, of "
            f"{', '.join(models)}."
        )
        if not found.surroundings:
            yield (
                "Nothing else is different: the result has been edited, or it comes from a "
                "plug-in that has changed."
            )
