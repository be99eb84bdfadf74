"""The charts of a study, each as a figure with its caption and its numbers as a table.

Validated by: tests/report/test_page.py
"""

from collections.abc import Callable, Iterable, Sequence

from iosim.errors import Mismatch
from iosim.report.html import curves, ratios, stacks, tables
from iosim.report.html.answer import PARTS as RESPONSE_PARTS
from iosim.report.html.answer import carries, knee
from iosim.report.html.curves import Curve, Limit, Point
from iosim.report.html.frame import figure, legend
from iosim.report.html.markup import Markup, tag
from iosim.report.html.scale import short_duration
from iosim.report.html.study import SWITCHES, Candidate, Study, estimate_of
from iosim.report.html.tables import load_of_text, load_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import cell, duration, half_width, per_request, percent
from iosim.slo import parse_slo
from iosim.units import format_count, format_duration_ns

CPU_CAUSES = ("user", "syscall", "switch", "refill", "softirq", "spin", "idle", "stolen")

Show = Callable[[float], str]


def legend_of(candidates: Iterable[Candidate]) -> Markup:
    """How the models look in curves."""
    return legend((one.look.swatch(), one.name) for one in candidates)


def against_load(study: Study) -> list[Markup]:
    """Response times with knees, throughput and switches, where there are several loads."""
    if len(study.loads) < 2:
        return []
    percentile = "p99" if _known(study, "response_time_p99_ns") else "p50"
    metric = f"response_time_{percentile}_ns"
    return [
        _over_load(
            study, f"Response time ({percentile}) against load", metric, percentile, duration,
            "The knee, ringed, is where throughput by mean response time is greatest: beyond it, "
            "waiting grows faster than what is answered. Bands are 95% intervals.",
            durations=True, knees=True,
        ),
        _over_load(
            study, "What is answered", "throughput_per_s", "answered per second", format_count,
            "Where a curve bends away from the diagonal, more is asked than the model answers.",
        ),
        _over_load(
            study, "Context switches per request", SWITCHES, "switches per request",
            per_request,
            "Voluntary and involuntary ones. A thread that finds more work when it is done with "
            "a request does not sleep: the more load, the fewer switches.",
        ),
        _over_load(
            study, "CPU time per request", "cpu_time_per_request_ns", "CPU time per request",
            duration,
            "What one core could answer a second is one second by this.",
        ),
        figure(
            "How far each model goes",
            "Carried: 95% of the load answered in time, and every objective met with certainty.",
            Markup(""),
            table_of(_reach(study)),
        ),
    ]  # fmt: skip


def _known(study: Study, metric: str) -> bool:
    return any(model.mean(metric) for one in study.candidates for model in one.at.values())


def _over_load(
    study: Study,
    heading: str,
    metric: str,
    y_title: str,
    show: Show,
    caption: str,
    *,
    durations: bool = False,
    knees: bool = False,
) -> Markup:
    drawn = [
        Curve(
            one.name,
            one.look,
            tuple(_points(study, one, metric, show)),
            knee(one) if knees else None,
        )
        for one in study.candidates
    ]
    x_title = "users" if study.by_users else "requests per second"
    described = f"{len(drawn)} curves over {len(study.loads)} loads; their numbers stand below."
    limits = list(_limits(study, metric)) if durations else []
    chart = curves.over_load(
        heading, described, x_title, y_title, drawn, limits, durations=durations
    )
    table = _table_over_load(heading, study, metric, show)
    return figure(heading, caption, chart, table_of(table), legend_of(study.candidates))


def _points(study: Study, one: Candidate, metric: str, show: Show) -> Iterable[Point]:
    for load, model in one.at.items():
        found = estimate_of(model, metric)
        if found is not None and found.mean is not None:
            text = f"{show(found.mean)} {half_width(found)}".strip()
            says = f"{one.name} at {load_text(study, load)}: {text}"
            yield Point(load, found.mean, found.low, found.high, says)


def _table_over_load(title: str, study: Study, metric: str, show: Show) -> Table:
    columns = (Column("load"), *(Column(one.name) for one in study.candidates))
    rows = []
    for load in study.loads:
        models = [one.at.get(load) for one in study.candidates]
        cells = [cell(estimate_of(model, metric), show) if model else Cell("") for model in models]
        rows.append((Cell(load_text(study, load)), *cells))
    return Table(title, columns, tuple(rows))


def _limits(study: Study, metric: str) -> Iterable[Limit]:
    """The objectives about a metric, as lines in its chart."""
    lines = dict.fromkeys(line for one in study.first for line in one.verdicts)
    for line in lines:
        try:
            slo = parse_slo(line)
        except Mismatch:
            continue
        if slo.metric == metric:
            yield Limit(slo.limit, line)


def _reach(study: Study) -> Table:
    rows = []
    for one in study.candidates:
        best, stopped = carries(one)
        bend = knee(one)
        texts = [load_text(study, load) if load is not None else "-" for load in (best, stopped)]
        texts.append(load_text(study, bend) if bend is not None else "not reached")
        rows.append((Cell(one.name), *map(Cell, texts)))
    heads = ("model", "carries", "no more at", "knee")
    return Table("How far each model goes", tuple(map(Column, heads)), tuple(rows))


# ------------------------------------------------------------------------- at one load


def cpu_time(study: Study) -> Markup | None:
    """Where the cores' time goes."""
    metrics = [(f"cpu_{cause}_fraction", cause) for cause in CPU_CAUSES]
    return _stacked(
        study,
        "Where the cores' time goes",
        metrics,
        "part of all cores' time",
        percent,
        "switch: the core changes threads; refill: what the caches had lost is fetched again; "
        "softirq: packets are taken in; spin: asking in vain; stolen: the host ran others.",
    )


def response_time(study: Study) -> Markup | None:
    """Where a response's time goes."""
    metrics = [(f"time_{part}_ns", part.replace("_", " ")) for part in RESPONSE_PARTS]
    return _stacked(
        study,
        "Where a response's time goes",
        metrics,
        "mean response time",
        short_duration,
        "client: waiting for the connection; queue: for a thread that is busy with others; wake "
        "up: for a sleeping thread to run; run queue: for a core.",
    )


def _stacked(
    study: Study,
    heading: str,
    metrics: Sequence[tuple[str, str]],
    x_title: str,
    show: Show,
    caption: str,
) -> Markup | None:
    seen = study.seen()
    shown = [
        (metric, stacks.Part(name, index))
        for index, (metric, name) in enumerate(metrics)
        if any(model.mean(metric) for _, model in seen)
    ]
    bars = [
        stacks.Bar(one.name, tuple(model.mean(metric) for metric, _ in shown))
        for one, model in seen
        if any(model.mean(metric) for metric, _ in shown)
    ]
    if not bars:
        return None
    parts = [part for _, part in shown]
    at = _where(study)
    described = (
        f"One bar for each of {len(bars)} models, of {', '.join(part.name for part in parts)}."
    )
    chart = stacks.stacked(heading, described, x_title, parts, bars, show)
    table = tables.of_metrics(heading, study, [(metric, part.name) for metric, part in shown], show)
    return figure(
        heading,
        f"{at}{caption}",
        chart,
        table_of(table),
        legend((part.swatch(), part.name) for part in parts),
    )


def _where(study: Study) -> str:
    """At which load a chart of one load is, if there are several."""
    if len(study.loads) < 2:
        return ""
    loads = dict.fromkeys(load_of_text(study, study.focus(setting)) for setting in study.settings)
    return f"At {' and '.join(loads)}. "


def distribution(study: Study) -> Markup | None:
    """Response times by percentile."""
    seen = [(one, model) for one, model in study.seen() if model.distribution_ns]
    if not seen:
        return None
    drawn = [
        Curve(
            one.name,
            one.look,
            tuple(
                Point(q, ns, says=f"{one.name}, {q:g}%: {format_duration_ns(ns)}")
                for q, ns in model.distribution_ns
            ),
        )
        for one, model in seen
    ]
    heading = "Distribution of response times"
    limits = [limit for metric in ("p50", "p99") for limit in _limits(
        study, f"response_time_{metric}_ns")]  # fmt: skip
    chart = curves.over_percentiles(
        heading, f"{len(drawn)} curves of response time by percentile.", drawn, limits
    )
    told = list(dict.fromkeys(q for _, model in seen for q, _ in model.distribution_ns))
    wanted = [q for q in sorted(told) if q in {0, 25, 50, 75, 90, 95, 99, 99.9, 99.99}]
    rows = []
    for one, model in seen:
        at = dict(model.distribution_ns)
        rows.append((Cell(one.name), *(Cell(duration(at[q]) if q in at else "-") for q in wanted)))
    table = Table(heading, (Column("model"), *(Column(f"{q:g}%") for q in wanted)), tuple(rows))
    return figure(
        heading,
        f"{_where(study)}Of all replications together, as far as ten responses lie beyond.",
        chart,
        table_of(table),
        legend_of(one for one, _ in seen),
    )


# ----------------------------------------------------------------- measured, simulated

COMPARED: tuple[tuple[str, str, Show], ...] = (
    ("throughput_per_s", "requests/s", format_count),
    ("response_time_p50_ns", "p50", duration),
    ("response_time_p99_ns", "p99", duration),
    ("cpu_time_per_request_ns", "CPU/request", duration),
    (SWITCHES, "switches/request", per_request),
    ("syscalls_per_request", "syscalls/request", per_request),
)


def pairs(study: Study) -> list[tuple[Candidate, Candidate, float]]:
    """Simulated and measured runs of one model at one load."""
    return [
        (one, other, load)
        for one in study.candidates
        for other in study.candidates
        if one.label == other.label and other.setting.measured and not one.setting.measured
        for load in one.at
        if load in other.at
    ]


def measured_against_simulated(study: Study) -> Markup | None:
    """What was predicted by what was measured, for each metric."""
    found = pairs(study)
    if not found:
        return None
    rows: list[tuple[str, list[ratios.Ratio]]] = []
    lines = []
    for metric, name, show in COMPARED:
        row = []
        for one, other, load in found:
            simulated = estimate_of(one.at[load], metric)
            measured = estimate_of(other.at[load], metric)
            who = one.label if len(study.loads) < 2 else f"{one.label}, {load_text(study, load)}"
            if simulated is None or measured is None:
                continue
            told, error = "-", (simulated.mean, measured.mean)
            if error[0] and error[1]:
                told = f"{100 * (error[0] / error[1] - 1):+.1f}%"
                says = f"{who}, {name}: {show(error[0])} simulated, {show(error[1])} measured"
                row.append(ratios.Ratio(one.look, error[0] / error[1], says))
            lines.append((Cell(who), Cell(name), cell(simulated, show), cell(measured, show),
                          Cell(told)))  # fmt: skip
        if row:
            rows.append((name, row))
    heading = "Measured against simulated"
    heads = ("model", "metric", "simulated", "measured", "error")
    table = Table(heading, tuple(map(Column, heads)), tuple(lines))
    chart = ratios.compared(heading, f"Ratios of {len(rows)} metrics around one.", rows)
    return figure(
        heading,
        "On the line, the prediction came true; to the right of it, more was simulated than "
        "measured.",
        chart,
        table_of(table),
        legend_of({one.label: one for one, _, _ in found}.values()),
    )


def section(title: str, identity: str, *children: Markup | None) -> Markup | None:
    """A part of the page; None without content."""
    content = [child for child in children if child]
    if not content:
        return None
    return tag("section", tag("h2", title, id=identity), content, aria_labelledby=identity)
