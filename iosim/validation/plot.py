"""A validation as a picture: measured against simulated over load, a panel for each metric.

Of few models each has a colour: what was measured as marks with their intervals, what was
simulated as a line, over requests a second. Of many (the grid) every cell is a mark, measured to
the right and simulated upwards, beside the diagonal where both are the same.

Scope: PNG and SVG, by matplotlib.
Validated by: tests/validation/test_validation_plot.py
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.validation.assessing import Assessment
from iosim.validation.cells import SATURATION
from iosim.validation.scoring import BOUNDS, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = (".png", ".svg")

PANELS = {
    "saturation_per_s": ("saturation (1,000/s)", 1e3),
    "switches_per_request": ("context switches per request", 1.0),
    "syscalls_per_request": ("syscalls per request", 1.0),
    "cpu_time_per_request_ns": ("CPU time per request (us)", 1e3),
    "response_time_p50_ns": ("p50 (us)", 1e3),
    "response_time_p99_ns": ("p99 (us)", 1e3),
}
"""Title, and what a value is divided by."""

LINES_MOST = 6
"""More models than that are marks beside a diagonal."""


def draw(assessment: Assessment, path: Path) -> None:
    """Write the picture. Raises UsageError if that fails."""
    from matplotlib.figure import Figure as Picture

    columns = 3
    picture = Picture(figsize=(12, 7), layout="constrained")
    axes = picture.subplots(len(PANELS) // columns, columns)
    models = list(assessment.scored.by_model())
    panel = _over_load if len(models) <= LINES_MOST else _against_each_other
    for ax, metric in zip(axes.flat, PANELS, strict=True):
        figures = [
            figure
            for figure in assessment.scored.figures
            if figure.metric == metric
            and figure.measured.mean is not None
            and figure.simulated.mean is not None
        ]
        panel(ax, metric, figures, models)
        ax.set_title(PANELS[metric][0], fontsize=10)
        ax.grid(alpha=0.3)
        if not figures:
            ax.text(0.5, 0.5, "nothing to compare", ha="center", transform=ax.transAxes)
    handles, labels = _legend(axes.flat)
    if handles:
        picture.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
    profile = assessment.validation.profile.name
    picture.suptitle(f"Measured, and simulated with the profile {profile}", fontsize=12)
    unfinished = path.with_name(f".iosim-{os.getpid()}{path.suffix.lower()}")
    try:
        picture.savefig(unfinished, dpi=110)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    """Each label once, whichever panels have it."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _over_load(ax: "Axes", metric: str, figures: Sequence[Figure], models: list[str]) -> None:
    _, scale = PANELS[metric]
    for number, model in enumerate(models):
        own = [figure for figure in figures if _model(figure) == model]
        by_load = sorted(own, key=_rate_per_s)
        if not by_load:
            continue
        at = [_rate_per_s(figure) for figure in by_load]
        if metric == "saturation_per_s":
            at = [float(number)] * len(by_load)
        real = [figure.measured for figure in by_load]
        means = [estimate.mean or 0.0 for estimate in real]
        halves = [0.0 if e.high is None or e.mean is None else e.high - e.mean for e in real]
        simulated = [figure.simulated.mean or 0.0 for figure in by_load]
        colour = f"C{number}"
        ax.errorbar(
            at,
            [mean / scale for mean in means],
            [half / scale for half in halves],
            fmt="o",
            color=colour,
            capsize=3,
            label=f"{model}, measured",
        )
        marker = "_" if len(at) == 1 or metric == "saturation_per_s" else ""
        ax.plot(
            at,
            [value / scale for value in simulated],
            marker=marker,
            markersize=16,
            color=colour,
            label=f"{model}, simulated",
        )
    if metric == "saturation_per_s":
        ax.set_xticks(range(len(models)), models, rotation=20, fontsize=8)
        ax.set_xlim(-0.5, len(models) - 0.5)
    else:
        ax.set_xlabel("requests/s", fontsize=9)
        ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)


def _model(figure: Figure) -> str:
    cell = figure.comparison.cell
    return f"{cell.scenario.machine.runtime} {cell.model}"


def _rate_per_s(figure: Figure) -> float:
    """The load that was asked for; where none was, what was answered."""
    comparison = figure.comparison
    rate_per_s = getattr(comparison.scenario.workload.options, "rate", None)
    if rate_per_s is not None and comparison.cell.load != SATURATION:
        return float(rate_per_s)
    return comparison.measured.estimate("throughput_per_s").mean or 0.0


def _against_each_other(
    ax: "Axes", metric: str, figures: Sequence[Figure], models: list[str]
) -> None:
    _, scale = PANELS[metric]
    loads = sorted({figure.comparison.cell.load for figure in figures}, key=str)
    for number, load in enumerate(loads):
        own = [figure for figure in figures if figure.comparison.cell.load == load]
        colour = "C4" if load == SATURATION else f"C{number}"
        for scored in (True, False):
            chosen = [figure for figure in own if figure.is_scored is scored]
            if not chosen:
                continue
            ax.plot(
                [(figure.measured.mean or 0.0) / scale for figure in chosen],
                [(figure.simulated.mean or 0.0) / scale for figure in chosen],
                marker="o",
                linestyle="",
                markersize=4,
                color=colour,
                fillstyle="full" if scored else "none",
                label=f"{load}" if scored else f"{load}, not scored",
            )
    values = [
        value / scale
        for figure in figures
        for value in (figure.measured.mean, figure.simulated.mean)
        if value
    ]
    if values:
        low, high = min(values), max(values)
        bound = BOUNDS[metric].relative
        ax.plot([low, high], [low, high], color="black", linewidth=0.8)
        ax.fill_between(
            [low, high],
            [low * (1 - bound), high * (1 - bound)],
            [low * (1 + bound), high * (1 + bound)],
            color="black",
            alpha=0.12,
            linewidth=0,
        )
        ax.set_xscale("symlog", linthresh=low)
        ax.set_yscale("symlog", linthresh=low)
    ax.set_xlabel("measured", fontsize=9)
    ax.set_ylabel("simulated", fontsize=9)
