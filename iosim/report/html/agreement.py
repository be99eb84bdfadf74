"""Measured runs held against simulated ones of the same model at the same load.

Validated by: tests/report/test_agreement.py
"""

from dataclasses import dataclass
from statistics import median

from iosim.report.html import ratios
from iosim.report.html.charts import Show
from iosim.report.html.frame import figure, legend
from iosim.report.html.markup import Markup
from iosim.report.html.palette import Look
from iosim.report.html.study import SWITCHES, Candidate, Study, estimate_of
from iosim.report.html.tables import load_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import cell, duration, per_request
from iosim.statistics import Estimate
from iosim.units import format_count, format_percent

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


@dataclass(frozen=True)
class Held:
    """One metric of one model, simulated and measured; None where one side does not know it."""

    look: Look
    who: str
    metric: str
    simulated: Estimate
    measured: Estimate
    show: Show

    @property
    def ratio(self) -> float | None:
        """Simulated by measured; None if either is zero or unknown."""
        if not self.simulated.mean or not self.measured.mean:
            return None
        return self.simulated.mean / self.measured.mean


def held(study: Study) -> list[Held]:
    """Every figure that both sides have, metric by metric."""
    found = []
    for metric, name, show in COMPARED:
        for one, other, load in pairs(study):
            simulated = estimate_of(one.at[load], metric)
            measured = estimate_of(other.at[load], metric)
            who = one.label if len(study.loads) < 2 else f"{one.label}, {load_text(study, load)}"
            if simulated is not None and measured is not None:
                found.append(Held(one.look, who, name, simulated, measured, show))
    return found


def sentences(study: Study) -> list[str]:
    """How far off the simulated figures are: the middle one, and the worst."""
    ratios_of = {one: ratio for one in held(study) if (ratio := one.ratio) is not None}
    if not ratios_of:
        return []
    off = {one: abs(ratio - 1) for one, ratio in ratios_of.items()}
    worst = max(off, key=lambda one: off[one])
    return [
        f"Of {len(off)} simulated figures half are within {format_percent(median(off.values()))} "
        f"of what was measured; furthest off: {worst.metric} of {worst.who}, "
        f"{_error(ratios_of[worst])}."
    ]


def _error(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f}%"


def measured_against_simulated(study: Study) -> Markup | None:
    """What was predicted by what was measured, for each metric."""
    found = held(study)
    if not found:
        return None
    rows: dict[str, list[ratios.Ratio]] = {}
    lines = []
    for one in found:
        shown = cell(one.simulated, one.show), cell(one.measured, one.show)
        told = "-"
        if one.ratio is not None:
            told = _error(one.ratio)
            says = f"{one.who}, {one.metric}: {shown[0].text} simulated, {shown[1].text} measured"
            rows.setdefault(one.metric, []).append(ratios.Ratio(one.look, one.ratio, says))
        lines.append((Cell(one.who), Cell(one.metric), *shown, Cell(told)))
    heading = "Measured against simulated"
    heads = ("model", "metric", "simulated", "measured", "error")
    table = Table(heading, tuple(map(Column, heads)), tuple(lines))
    chart = ratios.compared(heading, f"Ratios of {len(rows)} metrics around one.", rows)
    looks = {one.label: one.look.swatch() for one, _, _ in pairs(study)}
    return figure(
        heading,
        "On the line, the prediction came true; to the right of it, more was simulated than "
        "measured.",
        chart,
        table_of(table),
        legend((swatch, label) for label, swatch in looks.items()),
    )
