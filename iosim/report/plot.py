"""Results as a picture for a paper: one metric against load, another metric, or the models.

    plot(documents, x="load", y="p99", by="model") -> matplotlib figure

What it does: a line for each model with its 95% interval as a band; against the models
themselves, a point each with its interval as a bar. `x` and `y` are `load`, a metric's
name, or the short name that objectives have for it (`p99`, `throughput`); `x` may also be a
scenario's key that the results differ in, as `machine.cores`, and `by` such a key or
`source`, to draw a line for each of its values.

Scope: one column of a paper, with letters of its size; PNG, SVG and PDF.
Not done: several metrics in one picture.
Validated by: tests/report/test_plot.py
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.documents import Document, ModelDocument
from iosim.errors import UsageError, did_you_mean, shown
from iosim.report.html.scale import short_count
from iosim.report.html.study import SWITCHES, estimate_of, load_of, workload_of
from iosim.slo import SHORT_NAMES, known_metrics
from iosim.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.ymargin": 0.1,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # letters, not outlines: publishers ask for it
    "svg.fonttype": "none",
    "svg.hashsalt": "iosim",  # the same picture, the same file
    "savefig.dpi": 300,
}
COLUMN_INCHES = (3.4, 2.5)
UNITS: dict[str, tuple[str, float]] = {
    "ns": ("ns", 1.0),
    "us": ("us", 1e3),
    "ms": ("ms", 1e6),
    "s": ("s", 1e9),
}
LOGARITHMIC_FROM = 30
"""Times that differ by more than this factor are drawn in decades."""

Value = float | str
Row = tuple[str, Value, Estimate]


def plot(
    documents: Sequence[Document], x: str = "load", y: str = "p99", by: str = "model"
) -> "Figure":
    """Draw `y` against `x`, a line for each `by`. Raises UsageError for what is not known."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise UsageError("plots need matplotlib: pip install 'iosim[plot]'") from None
    rows = list(_rows(documents, x, y, by))
    if not rows:
        raise UsageError(f"--y {y}: none of these results has a value of it")
    with rc_context(STYLE):
        figure = Figure(figsize=COLUMN_INCHES, layout="constrained")
        axes = figure.add_subplot()
        factor = _label_y(axes, y, rows)
        if all(isinstance(value, str) for _, value, _ in rows):
            _points(axes, rows, factor)
        else:
            _lines(axes, rows, factor)
            axes.xaxis.set_major_formatter(lambda value, _: short_count(value))
        axes.set_xlabel(_title_of_x(documents, x))
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write it as what the file's name says. Raises UsageError."""
    from matplotlib import rc_context

    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    try:
        with rc_context(STYLE):
            figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def writable(path: Path) -> None:
    """Raise UsageError if no plot could be written there."""
    from iosim.report.export import Export

    if path.suffix.lower() not in FORMATS:
        hint = did_you_mean(path.suffix, FORMATS)
        raise UsageError(
            f"-o {path}: expected a file that ends in one of {', '.join(FORMATS)}, found "
            f"'{path.suffix}'" + (f"; {hint}" if hint else "")
        )
    Export.writable("-o", path)


# ----------------------------------------------------------------------------- the rows


def _rows(documents: Iterable[Document], x: str, y: str, by: str) -> Iterable[Row]:
    """Line, x and estimate of y; ordered by x within each line."""
    documents = list(documents)
    metric = _metric("--y", y, documents)
    x_of = _reader("--x", x, documents)
    by_of = _reader("--by", by, documents)
    rows: list[Row] = []
    for document in documents:
        for model in document:
            estimate = estimate_of(model, metric)
            at = x_of(document, model)
            if estimate is not None and estimate.mean is not None and at is not None:
                line = str(by_of(document, model))
                rows.append((_line(documents, by, line, model), at, estimate))
    names = list(dict.fromkeys(line for line, _, _ in rows))
    for name in names:
        own = [row for row in rows if row[0] == name]
        if all(isinstance(value, float) for _, value, _ in own):
            own.sort(key=lambda row: row[1])
        yield from own


def _line(documents: Iterable[Document], by: str, value: str, model: ModelDocument) -> str:
    """A line's name: by a key, models are still told apart if there are several."""
    labels = {model.label for document in documents for model in document}
    return value if by == "model" or len(labels) == 1 else f"{model.label}, {by} {value}"


Reader = Callable[[Document, ModelDocument], Value | None]


def _reader(option: str, name: str, documents: list[Document]) -> Reader:
    """What reads the values of an axis, or the names of the lines."""
    if name == "load":
        return lambda document, _: load_of(document)
    if name == "model":
        return lambda _, model: model.label
    if name == "source":
        return lambda document, _: document.source
    if "." in name and name not in SHORT_NAMES:
        return lambda document, _: _setting(option, document, name)
    metric = _metric(option, name, documents)
    return lambda _, model: (
        None if (estimate := estimate_of(model, metric)) is None else estimate.mean
    )


def _setting(option: str, document: Document, path: str) -> Value:
    """What stands in a document's scenario under a path of keys; a number if it reads as one."""
    found: Any = document.data["scenario"]
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            known = list(found) if isinstance(found, dict) else []
            hint = did_you_mean(key, known)
            raise UsageError(
                f"{option} {path}: expected a key of the scenario ({', '.join(known)}), found "
                f"{shown(key)}" + (f"; {hint}" if hint else "")
            )
        found = found[key]
    try:
        return float(found)
    except (TypeError, ValueError):
        return str(found)


def _metric(option: str, name: str, documents: list[Document]) -> str:
    """The metric called so. Raises UsageError."""
    metric = SHORT_NAMES.get(name, name) if name != SWITCHES else SWITCHES
    own = {own for document in documents for model in document for own in model.metrics}
    if metric == SWITCHES or metric in own or metric in known_metrics():
        return metric
    words = [*SHORT_NAMES, *own, "load", "model", "source"]
    hint = did_you_mean(name, words)
    raise UsageError(
        f"{option} {name}: expected a metric (see `iosim list metrics`), found {shown(name)}"
        + (f"; {hint}" if hint else "")
    )


# -------------------------------------------------------------------------- the picture


def _label_y(axes: "Axes", y: str, rows: list[Row]) -> float:
    """Name the axis, and return by what its values are to be divided."""
    metric = SHORT_NAMES.get(y, y)
    if y == SWITCHES:
        axes.set_ylabel("context switches per request")
        return 1.0
    words = metric.removeprefix("response_time_").replace("p99_9", "p99.9")
    if not metric.endswith("_ns"):
        for suffix, said in (("_per_request", " per request"), ("_per_s", " per second")):
            words = words.replace(suffix, said)
        axes.set_ylabel(words.replace("_", " "))
        return 1.0
    means = [estimate.mean or 0.0 for _, _, estimate in rows]
    unit, factor = max(
        (u for u in UNITS.values() if u[1] <= max(max(means) / 2, 1.0)), key=lambda u: u[1]
    )
    if metric.startswith("response_time_"):
        words += " of response time"
    axes.set_ylabel(f"{words.removesuffix('_ns').replace('_ns', '').replace('_', ' ')} ({unit})")
    positive = [mean for mean in means if mean > 0]
    if positive and max(positive) / min(positive) > LOGARITHMIC_FROM:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return factor


def _title_of_x(documents: Sequence[Document], x: str) -> str:
    if x == "load":
        return "users" if "users" in workload_of(documents[0]) else "requests per second"
    return "" if x == "model" else x.replace("_", " ")


def _points(axes: "Axes", rows: list[Row], factor: float) -> None:
    """A point for each name along x."""
    names = list(dict.fromkeys(str(value) for _, value, _ in rows))
    for _, value, estimate in rows:
        at, mean = names.index(str(value)), (estimate.mean or 0.0) / factor
        low, high = (
            (bound if bound is not None else estimate.mean or 0.0) / factor
            for bound in (estimate.low, estimate.high)
        )
        axes.errorbar(
            [at],
            [mean],
            yerr=[[mean - low], [high - mean]],
            fmt=MARKERS[at % len(MARKERS)],
            color=COLOURS[at % len(COLOURS)],
            capsize=3,
            linewidth=1,
        )
    axes.set_xticks(
        range(len(names)), names, rotation=40 if len(names) > 4 else 0,
        ha="right" if len(names) > 4 else "center",
    )  # fmt: skip
    axes.margins(x=0.1)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)


def _lines(axes: "Axes", rows: list[Row], factor: float) -> None:
    """A line with its band for each name."""
    names = list(dict.fromkeys(name for name, _, _ in rows))
    for index, name in enumerate(names):
        own = [(value, estimate) for line, value, estimate in rows if line == name]
        xs = [value for value, _ in own]
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            xs,
            [(estimate.mean or 0.0) / factor for _, estimate in own],
            marker=MARKERS[index % len(MARKERS)],
            linestyle=DASHES[index % len(DASHES)],
            color=colour,
            label=name,
        )
        bounds = [(v, e.low, e.high) for v, e in own if e.low is not None and e.high is not None]
        axes.fill_between(
            [value for value, _, _ in bounds],
            [low / factor for _, low, _ in bounds],
            [high / factor for _, _, high in bounds],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
    if len(names) > 1:
        axes.legend(frameon=False)
