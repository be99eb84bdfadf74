"""A sweep as people and programs read it: one row a model and point, models together.

Scope: the terminal shows the first `MOST_ROWS` rows, and says where the others are.
Validated by: tests/cli/test_sweep_command.py
"""

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING, Any

from iosim.metrics import describe
from iosim.report.layout import Cell, Column, Table
from iosim.report.study import Answer
from iosim.report.table import COLUMNS, LABEL, NONE, Measure, cell, of_items, traffic
from iosim.statistics import Estimate
from iosim.studies.swept import Sweep

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 60
MOST_FAILURES = 10
METRICS = (
    "throughput_per_s",
    "response_time_p99_ns",
    "cpu_utilization",
    "cpu_utilization_busiest_thread",
    "cpu_time_per_request_ns",
    "voluntary_switches_per_request",
    "involuntary_switches_per_request",
)


def answer(sweep: Sweep, figures: bool) -> Answer:
    """What a sweep came to; `figures`: with all of them, which files have and a terminal not."""
    return Answer(
        title=f"{sweep.scenario.name}: {', '.join(map(_axis, sweep.axes))}",
        tables=tuple(_tables(sweep)),
        sentences=tuple(_sentences(sweep)),
        document=_document(sweep) if figures else {},
        columns=tuple(sweep.table.columns) if figures else (),
        rows=tuple(_rows(sweep)) if figures else (),
    )


def _axis(axis: Any) -> str:
    return f"{axis.path}={axis.text}"


def heads(paths: list[str]) -> list[str]:
    """What stands above each path's values: as much of its end as tells it from the others'."""
    parts = [path.split(".") for path in paths]
    most = max(map(len, parts))
    for length in range(1, most + 1):
        found = [".".join(own[-length:]) for own in parts]
        if len(set(found)) == len(found):
            return found
    return paths


def _tables(sweep: Sweep) -> Iterator[Table]:
    rows = sweep.estimates
    labels = [label for label in dict.fromkeys(rows["model"]) if label]
    if not labels:
        return
    columns = [c for c in COLUMNS if isinstance(c, Measure) and c.metric in METRICS]
    if traffic(sweep.scenario) == "items":
        columns = [c for c in map(of_items, columns) if isinstance(c, Measure)]
    shown = rows[rows["metric"].isin(METRICS) | (rows["error"] != "")]
    lines = []
    for label in labels:
        own = shown[shown["model"] == label]
        for _, point in own.groupby("number", sort=True):
            values = [Cell(str(point.iloc[0][path])) for path in sweep.paths]
            estimates = {row.metric: _estimate(row) for row in _each(point)}
            cells = [cell(estimates.get(c.metric), c.show) for c in columns]
            lines.append((Cell(label), *values, *cells))
    notes = ["±: the mean's 95% confidence interval over a point's replications, as half width."]
    if len(lines) > MOST_ROWS:
        notes.insert(0, f"The first {MOST_ROWS} of {len(lines):,} rows: files have all of them.")
    if any(value.text == NONE for line in lines for value in line):
        notes.append(
            f"{NONE}: not defined at this point, as a percentile without ten responses beyond it "
            "in each replication."
        )
    swept = [Column(head) for head in heads(sweep.paths)]
    yield Table("", (LABEL, *swept, *columns), tuple(lines[:MOST_ROWS]), tuple(notes), stacked=True)


def _each(rows: "pd.DataFrame") -> Iterator[Any]:
    yield from rows.itertuples(index=False)


def _estimate(row: Any) -> Estimate:
    mean, low, high = (None if isnan(x) else x for x in (row.mean, row.low, row.high))
    return Estimate(mean, low, high, row.n)


def _sentences(sweep: Sweep) -> Iterator[str]:
    standing = sweep.standing
    yield from _warnings(sweep)
    failures = sweep.estimates[sweep.estimates["error"] != ""]
    for row in _each(failures.head(MOST_FAILURES)):
        values = " ".join(
            f"{path}={value}" for path, value in zip(sweep.paths, row[1:], strict=False)
        )
        yield f"No result: {values}{f', {row.model}' if row.model else ''}: {row.error}"
    if len(failures) > MOST_FAILURES:
        yield f"... and {len(failures) - MOST_FAILURES:,} more without a result."
    count = standing.done + standing.kept + standing.left
    told = [f"{count:,} points: {standing.done:,} run now"]
    told += [f"{standing.kept:,} kept from before"] if standing.kept else []
    told += [f"{standing.failed:,} failed"] if standing.failed else []
    told += [f"{standing.left:,} left"] if standing.left else []
    yield f"{', '.join(told)}."
    if sweep.interrupted:
        yield "Interrupted: the same command goes on from here."


def _warnings(sweep: Sweep) -> Iterator[str]:
    """How many rows come with a warning, and one of them."""
    rows = sweep.estimates.drop_duplicates(["number", "model"])
    warned = rows[rows["warnings"] != ""]
    if len(warned):
        first = str(warned["warnings"].iloc[0])
        yield f"Warnings in {len(warned):,} of {len(rows):,} rows, the first: {first}."


def _rows(sweep: Sweep) -> Iterator[tuple[Any, ...]]:
    for row in sweep.table.itertuples(index=False, name=None):
        yield tuple(None if isinstance(x, float) and isnan(x) else x for x in row)


def _document(sweep: Sweep) -> dict[str, Any]:
    """The JSON document: every point in its order, every model of it, every metric."""
    standing = sweep.standing
    return {
        "schema_version": 1,
        "scenario": sweep.scenario.to_data(),
        "seed": sweep.scenario.run.seed,
        "over": {axis.path: axis.text for axis in sweep.axes},
        "interrupted": sweep.interrupted,
        "warnings": list(sweep.warnings),
        "failed": standing.failed,
        "left": standing.left,
        "points": [
            _point(sweep.paths, rows) for _, rows in sweep.estimates.groupby("number", sort=True)
        ],
    }


def _point(paths: list[str], rows: "pd.DataFrame") -> dict[str, Any]:
    first = rows.iloc[0]
    models: dict[str, dict[str, Any]] = {}
    for row in _each(rows):
        if row.model:
            own = models.setdefault(
                row.model,
                {"label": row.model, "error": None, "warnings": row.warnings, "metrics": {}},
            )
            if row.metric:
                found = _estimate(row)
                own["metrics"][row.metric] = {
                    "mean": found.mean,
                    "ci95": [found.low, found.high],
                    "n": int(found.n),
                    "unit": describe(row.metric).unit,
                }
            else:
                own["error"] = row.error
    return {
        "number": int(first["number"]),
        "sha256": first["point"],
        "values": {path: first[path] for path in paths},
        "state": first["state"],
        "error": first["error"] if not first["model"] else None,
        "models": list(models.values()),
    }
