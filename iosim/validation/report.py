"""A validation in tables: each cell's two sides, and what all of them come to.

    cell_tables(assessment)        measured and simulated side by side, a table for each cell
    summary_tables(assessment)     errors by metric and by model, order, formula

Scope: tables for terminal and Markdown alike (iosim/report/layout.py); sentences are telling.py's,
files export.py's.
Not done: nothing is judged here (scoring.py).
Validated by: tests/validation/test_report.py
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from iosim.report.layout import Cell, Column, Table
from iosim.report.table import NONE, cell, duration, per_request, percent
from iosim.statistics import Estimate
from iosim.units import format_count
from iosim.validation.assessing import Assessment
from iosim.validation.doubts import UNSCORED
from iosim.validation.formula import contests
from iosim.validation.scoring import BOUNDS, FAR, IN_TEN, Figure, Verdict

LEAST_SHOWN = 0.05
"""A syscall that neither side makes so often for a request is not shown by its name."""


@dataclass(frozen=True)
class Shown:
    """How a metric is called, and how its values are written."""

    title: str
    show: Callable[[float], str]


AT_MOST = "saturation_per_s"
METRICS = {
    AT_MOST: Shown("saturation, req/s", format_count),
    "throughput_per_s": Shown("requests/s", format_count),
    "response_time_p50_ns": Shown("p50", duration),
    "response_time_p95_ns": Shown("p95", duration),
    "response_time_p99_ns": Shown("p99", duration),
    "response_time_mean_ns": Shown("mean response", duration),
    "switches_per_request": Shown("switches/req", per_request),
    "voluntary_switches_per_request": Shown("voluntary", per_request),
    "involuntary_switches_per_request": Shown("involuntary", per_request),
    "syscalls_per_request": Shown("syscalls/req", per_request),
    "events_per_wait": Shown("events/wait", per_request),
    "cpu_time_per_request_ns": Shown("CPU/req", duration),
    "cpu_utilization": Shown("CPU busy", percent),
}


def shown(metric: str) -> Shown:
    """How any compared metric is shown; a syscall by its name."""
    name = metric.removeprefix("syscalls_").removesuffix("_per_request")
    return METRICS.get(metric) or Shown(f"- {name}", per_request)


def signed(figure: Figure) -> str:
    """The error with its sign: relative, or as it is where nothing was measured."""
    if figure.error is None:
        return NONE
    relative = figure.relative_error
    if relative is None:
        return f"{'+' if figure.error > 0 else ''}{shown(figure.metric).show(figure.error)}"
    return f"{100 * relative:+.1f}%" if abs(relative) < 10 else f"x{1 + relative:.0f}"


def standing(figure: Figure) -> str:
    """A figure's error against what is allowed, in a word."""
    if figure.unscored is not None:
        return figure.unscored
    if figure.allowed is None:
        return ""
    if figure.of_allowed <= 1:
        return "within"
    return "near" if figure.is_near else "far"


def allowed(figure: Figure) -> str:
    """What is allowed: a part of what was measured, or an absolute amount where that is more."""
    bound, measured = BOUNDS.get(figure.metric), figure.measured.mean
    if not figure.allowed or bound is None or not measured:
        return NONE
    if bound.absolute > bound.relative * measured:
        return shown(figure.metric).show(figure.allowed)
    return f"{100 * figure.allowed / measured:.0f}%"


def cell_tables(assessment: Assessment) -> list[Table]:
    """A table for each cell, but for those of which there is nothing to compare."""
    columns = (
        Column("metric"),
        Column("measured"),
        Column("simulated"),
        Column("error"),
        Column("allowed"),
        Column(" "),
    )
    tables = []
    for comparison in assessment.validation.comparisons:
        figures = [f for f in assessment.scored.figures if f.comparison is comparison]
        rate_per_s = getattr(comparison.scenario.workload.options, "rate", None)
        rate = f" ({format_count(rate_per_s)} req/s)" if rate_per_s else ""
        rows = [
            (
                Cell(shown(figure.metric).title),
                _estimate(figure.measured, figure),
                _estimate(figure.simulated, figure),
                Cell(signed(figure)),
                Cell(allowed(figure)),
                Cell(standing(figure)),
            )
            for figure in _in_order(figures)
        ]
        if rows:
            tables.append(Table(f"{comparison.cell.name}{rate}", columns, tuple(rows)))
    return tables


def _in_order(figures: Iterable[Figure]) -> list[Figure]:
    """As in METRICS, syscalls by name behind their sum, rare ones left out."""
    places = {metric: place for place, metric in enumerate(METRICS)}

    def place(figure: Figure) -> tuple[float, float]:
        most = max(figure.measured.mean or 0.0, figure.simulated.mean or 0.0)
        return places.get(figure.metric, places["syscalls_per_request"] + 0.5), -most

    return [
        figure
        for figure in sorted(figures, key=place)
        if figure.metric in METRICS or -place(figure)[1] >= LEAST_SHOWN
    ]


def _estimate(estimate: Estimate, figure: Figure) -> Cell:
    return cell(estimate, shown(figure.metric).show)


# ------------------------------------------------------------------------------- the whole


def summary_tables(assessment: Assessment) -> list[Table]:
    """What all cells come to; those of which there is nothing to tell are left out."""
    found = [
        _verdicts(assessment),
        _models(assessment),
        _orders(assessment),
        _contests(assessment),
        _unscored(assessment),
    ]
    return [table for table in found if table.rows]


def _verdicts(assessment: Assessment) -> Table:
    columns = ("metric", "load", "scored", "not scored", "median error", "of allowed", "near", " ")
    rows = [
        (
            Cell(shown(verdict.metric).title),
            Cell(NONE if verdict.metric == AT_MOST else "heavy" if verdict.heavy else "light"),
            Cell(str(verdict.scored)),
            Cell(str(verdict.unscored)),
            Cell(NONE if verdict.median_error is None else percent(verdict.median_error)),
            Cell(NONE if verdict.median_of_allowed is None else f"{verdict.median_of_allowed:.2f}"),
            Cell(NONE if verdict.near is None else f"{100 * verdict.near:.0f}%"),
            Cell(_reached(verdict)),
        )
        for verdict in assessment.scored.verdicts()
    ]
    return Table(
        "Errors by metric, over all cells",
        tuple(map(Column, columns)),
        tuple(rows),
        (
            "of allowed: the median error in units of what is allowed, which is twice as much at a "
            f"heavy load. near: figures within {FAR:g} times that, or within what two real runs of "
            f"the cell differ by. Reached: a median of at most 1, and {IN_TEN:.0%} near.",
        ),
    )


def _reached(verdict: Verdict) -> str:
    told = {True: "reached", False: "NOT reached", None: "not known"}
    return told[verdict.is_reached]


BY_MODEL = (
    AT_MOST,
    "switches_per_request",
    "syscalls_per_request",
    "cpu_time_per_request_ns",
    "response_time_p50_ns",
)


def _models(assessment: Assessment) -> Table:
    rows = []
    for model, figures in sorted(assessment.scored.by_model().items()):
        medians = []
        for metric in BY_MODEL:
            own = [f for f in figures if f.metric == metric and f.is_scored]
            sizes = [abs(e) for f in own if (e := f.relative_error) is not None]
            far = sum(not f.is_near for f in own)
            told = percent(median(sizes)) if sizes else NONE
            medians.append(Cell(f"{told}{'!' * (far > 0)}"))
        rows.append((Cell(model), *medians, Cell(_won(assessment, figures))))
    heads = (*(shown(metric).title.removesuffix(", req/s") for metric in BY_MODEL), "beats formula")
    return Table(
        "Median error by model",
        (Column("model"), *map(Column, heads)),
        tuple(rows),
        ("!: with figures that are far off.",),
    )


def _won(assessment: Assessment, figures: list[Figure]) -> str:
    """In how many of the metrics that the formula tells the simulator is nearer."""
    found = contests(assessment.scored, figures)
    return f"{sum(contest.is_won for contest in found)} of {len(found)}" if found else NONE


def _orders(assessment: Assessment) -> Table:
    rows = tuple(
        (
            Cell(shown(order.metric).title),
            Cell(str(order.pairs)),
            Cell(str(order.pairs - len(order.wrong))),
            Cell("; ".join(_pair(*pair) for pair in order.wrong[:2]) or NONE),
        )
        for order in assessment.orders
    )
    columns = tuple(map(Column, ("metric", "pairs", "agree", "otherwise, for example")))
    return Table("The order of two models, where it is known", columns, rows)


def _pair(one: Figure, other: Figure) -> str:
    ahead = (one.measured.mean or 0.0) > (other.measured.mean or 0.0)
    more, less = (one, other) if ahead else (other, one)
    return f"{more.comparison.cell.model} > {less.comparison.cell.model}"


def _contests(assessment: Assessment) -> Table:
    rows = tuple(
        (
            Cell(shown(contest.metric).title),
            Cell(str(contest.figures)),
            Cell(percent(contest.simulated)),
            Cell(percent(contest.formula)),
            Cell("simulator" if contest.is_won else "formula"),
        )
        for contest in assessment.contests
    )
    columns = tuple(map(Column, ("metric", "cells", "simulator", "formula", "nearer")))
    return Table(
        "Median error beside the formula's (M/G/1 with set-up)",
        columns,
        rows,
        ("The formula is given the measured saturation, the simulator is not.",),
    )


def _unscored(assessment: Assessment) -> Table:
    reasons = Counter(
        (figure.metric, figure.unscored)
        for figure in assessment.scored.figures
        if figure.metric in BOUNDS and figure.unscored is not None
    )
    by_metric = sorted(reasons.items(), key=lambda item: (list(BOUNDS).index(item[0][0]), -item[1]))
    rows = tuple(
        (Cell(shown(metric).title), Cell(reason), Cell(str(number)))
        for (metric, reason), number in by_metric
    )
    columns = tuple(map(Column, ("metric", "why", "cells")))
    told = dict.fromkeys(reason for _, reason in reasons)
    notes = [f"{word}: {UNSCORED[word]}." for word in UNSCORED if word in told]
    return Table("Not scored", columns, rows, (" ".join(notes),))
