"""The charts of several loads: each metric as a curve for each model.

Validated by: tests/report/test_page.py
"""

from collections.abc import Iterable

from iosim.report.html import curves
from iosim.report.html.answer import carries, knee
from iosim.report.html.charts import Show, legend_of, limits_of
from iosim.report.html.curves import Curve, Point
from iosim.report.html.frame import figure
from iosim.report.html.markup import Markup
from iosim.report.html.scale import short_count, short_duration
from iosim.report.html.study import SWITCHES, Candidate, Study, estimate_of
from iosim.report.html.tables import load_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import cell, duration, half_width, per_request
from iosim.units import format_count


def against_load(study: Study) -> list[Markup]:
    """Response times with knees, throughput, switches and CPU time over several loads."""
    if len(study.loads) < 2:
        return []
    percentile = "p99" if _known(study, "response_time_p99_ns") else "p50"
    return [
        _over_load(
            study,
            f"Response time ({percentile})",
            f"response_time_{percentile}_ns",
            (duration, short_duration),
            "The knee, ringed, is where throughput by mean response time is greatest: beyond it, "
            "waiting grows faster than what is answered. Bands are 95% intervals.",
            decades=True,
        ),
        _over_load(
            study,
            "Requests answered per second",
            "throughput_per_s",
            (format_count, short_count),
            "Where a curve bends away from the diagonal, more is asked than the model answers.",
        ),
        _over_load(
            study,
            "Context switches per request",
            SWITCHES,
            (per_request, short_count),
            "Voluntary and involuntary ones. A thread that finds more work when it is done with "
            "a request does not sleep: the more load, the fewer switches.",
        ),
        _over_load(
            study,
            "CPU time per request",
            "cpu_time_per_request_ns",
            (duration, short_duration),
            "What a core answers at most in a second is a second divided by this.",
        ),
    ]


def _known(study: Study, metric: str) -> bool:
    return any(model.mean(metric) for one in study.candidates for model in one.at.values())


def _over_load(
    study: Study,
    heading: str,
    metric: str,
    shows: tuple[Show, Show],
    caption: str,
    *,
    decades: bool = False,
) -> Markup:
    """A chart of one metric; `shows`: its values, and its ticks. In decades, with knees."""
    show, tick = shows
    drawn = [
        Curve(
            one.name,
            one.look,
            tuple(_points(study, one, metric, show)),
            knee(one) if decades else None,
        )
        for one in study.candidates
    ]
    x_title = "users" if study.by_users else "requests per second"
    described = f"{len(drawn)} curves over {len(study.loads)} loads; their numbers stand below."
    chart = curves.over_load(
        f"{heading} against load",
        described,
        x_title,
        drawn,
        list(limits_of(study, metric)),
        show=tick,
        decades=decades,
    )
    table = _table_over_load(f"{heading} against load", study, metric, show)
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


def reach(study: Study) -> Markup | None:
    """How far each model goes, where there are several loads."""
    if len(study.loads) < 2:
        return None
    rows = []
    for one in study.candidates:
        best, stopped = carries(one)
        bend = knee(one)
        texts = [load_text(study, load) if load is not None else "-" for load in (best, stopped)]
        texts.append(load_text(study, bend) if bend is not None else "not reached")
        rows.append((Cell(one.name), *map(Cell, texts)))
    heads = ("model", "carries", "no more at", "knee")
    note = "Carries: 95% of the load answered in time, and every objective met with certainty."
    title = "How far each model goes, by the loads given"
    return table_of(Table(title, tuple(map(Column, heads)), tuple(rows), (note,)))
