"""Measured runs held against simulated ones of the same model at the same load.

Validated by: tests/report/test_page.py
"""

from iosim.report.html import ratios
from iosim.report.html.charts import Show
from iosim.report.html.frame import figure, legend
from iosim.report.html.markup import Markup
from iosim.report.html.study import SWITCHES, Candidate, Study, estimate_of
from iosim.report.html.tables import load_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import cell, duration, per_request
from iosim.units import format_count

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
        legend({one.label: (one.look.swatch(), one.label) for one, _, _ in found}.values()),
    )
