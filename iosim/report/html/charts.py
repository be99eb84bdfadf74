"""The charts of a study, each as a figure with its caption and its numbers as a table.

Validated by: tests/report/test_page.py
"""

from collections.abc import Callable, Iterable, Sequence

from iosim.errors import Mismatch
from iosim.machine.thread import CAUSES
from iosim.report.html import curves, stacks, tables
from iosim.report.html.answer import PARTS as RESPONSE_PARTS
from iosim.report.html.curves import Curve, Limit, Point
from iosim.report.html.frame import figure, legend
from iosim.report.html.markup import Markup, tag
from iosim.report.html.scale import short_duration, short_percent
from iosim.report.html.study import Candidate, Study
from iosim.report.html.tables import load_of_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import duration, percent
from iosim.slo import parse_slo
from iosim.units import format_duration_ns

Show = Callable[[float], str]


def legend_of(candidates: Iterable[Candidate]) -> Markup:
    """How the models look in curves."""
    return legend((one.look.swatch(), one.name) for one in candidates)


def limits_of(study: Study, metric: str) -> Iterable[Limit]:
    """The objectives about a metric, as lines in its chart."""
    lines = dict.fromkeys(line for one in study.first for line in one.verdicts)
    for line in lines:
        try:
            slo = parse_slo(line)
        except Mismatch:
            continue
        if slo.metric == metric:
            yield Limit(slo.limit, line)


def cpu_time(study: Study) -> Markup | None:
    """Where the cores' time goes."""
    metrics = [(f"cpu_{cause}_fraction", cause) for cause in CAUSES]
    return _stacked(
        study,
        "Where the cores' time goes",
        metrics,
        "part of all cores' time",
        (percent, short_percent),
        "switch: the core changes threads, or leaves idle for one; refill: what the caches had "
        "lost is fetched again; softirq: packets are taken in; spin: asking in vain; stolen: the "
        "host ran others.",
    )


def response_time(study: Study) -> Markup | None:
    """Where a response's time goes."""
    metrics = [(f"time_{part}_ns", part.replace("_", " ")) for part in RESPONSE_PARTS]
    return _stacked(
        study,
        "Where a response's time goes",
        metrics,
        "mean response time",
        (duration, short_duration),
        "client: waiting for the connection; queue: for a thread that is busy with others; wake "
        "up: for a sleeping thread to run; run queue: for a core.",
    )


def _stacked(
    study: Study,
    heading: str,
    metrics: Sequence[tuple[str, str]],
    x_title: str,
    shows: tuple[Show, Show],
    caption: str,
) -> Markup | None:
    show, tick = shows
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
    chart = stacks.stacked(heading, described, x_title, parts, bars, tick)
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
    limits = [limit for metric in ("p50", "p99") for limit in limits_of(
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


def section(title: str, identity: str, *children: Markup | None) -> Markup | None:
    """A part of the page; None without content."""
    content = [child for child in children if child]
    if not content:
        return None
    return tag("section", tag("h2", title, id=identity), content, aria_labelledby=identity)
