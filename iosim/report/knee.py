"""Response time against load, with the knee marked: as text, and as a picture.

    5.0ms + - - - - - - - - - - - - - - - - - -   the objective
          |                         a     b
          |                    A       B          capital: the highest load that is carried
          |  ab    ab
          +-------------------------------------

What it does: each load that a plan has tried is a point, of the response time that its
objectives speak of first. The text is for a terminal of 80 columns, the picture (matplotlib, of the
extra `plot`) for a page.

Not done: intervals in the text; points that have no such value (nobody was answered) are left out.
Validated by: tests/cli/test_plan_chart.py
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from math import log
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.report.plan import load_text, response_metric
from iosim.report.table import duration
from iosim.slo import parse_slo
from iosim.studies.planning import ModelPlan, Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 64
ROWS = 12
BEYOND = 1.3
"""Of the highest load that anyone carries: what lies further right only flattens the rest."""


@dataclass(frozen=True)
class Point:
    """A load that was tried: response time in ns, and the bounds of its interval."""

    load: float
    ns: float
    low_ns: float
    high_ns: float
    knee: bool
    """The highest load that is carried."""


def points(plan: Plan, model: ModelPlan) -> list[Point]:
    """What is drawn of a model, by load."""
    metric, carries = response_metric(plan), model.capacity.carries
    most = BEYOND * max(
        (m.capacity.carries.load for m in plan.models if m.capacity.carries), default=0
    )
    found = []
    for probe in model.capacity.probes:
        estimate = probe.metrics.get(metric)
        if estimate is None or estimate.mean is None or (most and probe.load > most):
            continue
        low = estimate.mean if estimate.low is None else max(estimate.low, estimate.mean / 100)
        high = estimate.mean if estimate.high is None else estimate.high
        found.append(Point(probe.load, estimate.mean, low, high, probe is carries))
    return [point for point in found if point.ns > 0]


def limit_ns(plan: Plan) -> float | None:
    """The objective on the response time that is drawn, if there is one."""
    metric = response_metric(plan)
    slos = [parse_slo(line) for line in plan.objectives]
    return next((slo.limit for slo in slos if slo.metric == metric and slo.limit > 0), None)


# ----------------------------------------------------------------------------------- text


def chart(plan: Plan) -> list[str]:
    """Lines of at most 80 characters; none where there are fewer than two points."""
    drawn = [(letter, points(plan, model)) for letter, model in _lettered(plan)]
    every = [point for _, own in drawn for point in own]
    if len(every) < 2:
        return []
    limit = limit_ns(plan)
    heights = [point.ns for point in every] + ([limit] if limit else [])
    low_ns, high_ns = min(heights), max(heights)
    most = max(point.load for point in every)
    grid = [[" "] * (COLUMNS + 1) for _ in range(ROWS + 1)]

    def row_of(ns: float) -> int:
        share = log(ns / low_ns) / log(high_ns / low_ns) if high_ns > low_ns else 0.0
        return ROWS - round(ROWS * share)

    if limit:
        grid[row_of(limit)][::2] = "-" * len(grid[0][::2])
    # Knees last, so that nothing hides them.
    for knees in (False, True):
        for letter, own in drawn:
            for point in own:
                if point.knee == knees:
                    column = round(COLUMNS * point.load / most)
                    _put(grid[row_of(point.ns)], column, letter.upper() if knees else letter)
    labels = {ROWS: duration(low_ns), 0: duration(high_ns)}
    if limit:
        labels[row_of(limit)] = duration(limit)
    width = max(len(label) for label in labels.values())
    lines = [
        f"{labels.get(number, ''):>{width}} |{''.join(row)}".rstrip()
        for number, row in enumerate(grid)
    ]
    lines.append(f"{'':{width}} +{'-' * (COLUMNS + 1)}")
    end = load_text(most, plan)
    lines.append(f"{'':{width}}  0{end:>{COLUMNS}}")
    return [*lines, *_legend(plan, width)]


def _put(row: list[str], column: int, letter: str) -> None:
    """A mark where it belongs, or beside one that stands there."""
    for at in (column, column + 1, column - 1, column + 2):
        if 0 <= at < len(row) and row[at] in " -":
            row[at] = letter
            return
    if letter.isupper():
        row[column] = letter


def _lettered(plan: Plan) -> Iterator[tuple[str, ModelPlan]]:
    return zip(ascii_lowercase, plan.models, strict=False)


def _legend(plan: Plan, indent: int) -> list[str]:
    from textwrap import wrap

    metric = response_metric(plan).removeprefix("response_time_").removesuffix("_ns")
    named = ", ".join(f"{letter} {model.label}" for letter, model in _lettered(plan))
    text = f"{metric.replace('_', '.')} against load: {named}; a capital: the highest it carries"
    pad = " " * (indent + 2)
    return wrap(text, 80, initial_indent=pad, subsequent_indent=pad)


# -------------------------------------------------------------------------------- picture


def picture(plan: Plan, form: str) -> bytes:
    """The plot, as `png` or `svg`. Raises UsageError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "a plot needs matplotlib: pip install 'iosim[plot]'; or export .json, .csv or .md"
        ) from None
    import matplotlib as mpl

    # The same plan is the same file: no date, and ids that do not change.
    with mpl.rc_context({"svg.hashsalt": "iosim"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), plan)
        out = BytesIO()
        metadata: dict[str, Any] = {"Date": None} if form == "svg" else {}
        figure.savefig(out, format=form, dpi=150, metadata=metadata)
    return out.getvalue()


def _draw(axes: "Axes", plan: Plan) -> None:
    from matplotlib.ticker import FuncFormatter

    for model in plan.models:
        own = points(plan, model)
        if not own:
            continue
        below = [point.ns - point.low_ns for point in own]
        above = [point.high_ns - point.ns for point in own]
        line = axes.errorbar(
            [point.load for point in own],
            [point.ns for point in own],
            yerr=[below, above],
            marker="o",
            markersize=3,
            linewidth=1,
            elinewidth=0.8,
            capsize=2,
            label=model.label,
        )
        _mark(axes, plan, own, line.lines[0].get_color())
    limit = limit_ns(plan)
    if limit:
        axes.axhline(limit, color="black", linestyle="--", linewidth=1)
        axes.annotate(
            "objective", (0, limit), xycoords=("axes fraction", "data"), fontsize=8, va="bottom"
        )
    axes.axvline(plan.load, color="grey", linestyle=":", linewidth=1, label="today")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    metric = response_metric(plan).removeprefix("response_time_").removesuffix("_ns")
    axes.set_ylabel(f"response time, {metric.replace('_', '.')}")
    axes.set_xlabel(f"load ({plan.unit})")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ns, _: duration(ns)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda ns, _: ""))
    axes.set_title(f"{plan.scenario.name}: the highest load under {', '.join(plan.objectives)}")
    axes.legend(fontsize=8)
    axes.grid(which="major", linewidth=0.3)


def _mark(axes: "Axes", plan: Plan, own: Iterable[Point], colour: Any) -> None:
    """The knee: a ring, and the load it stands at."""
    for point in own:
        if point.knee:
            axes.plot([point.load], [point.ns], "o", markersize=11, fillstyle="none", color=colour)
            axes.annotate(
                load_text(point.load, plan),
                (point.load, point.ns),
                xytext=(10, -14),
                textcoords="offset points",
                ha="left",
                fontsize=8,
                color=colour,
            )
