"""Simulated against measured: one row for each metric, one marker for each model.

A marker at 1 is a prediction that came true; the axis is logarithmic, so that half and
double are equally far away. Where either side is zero or unknown, there is no marker.

Validated by: tests/report/test_charts.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iosim.report.html.frame import RIGHT, WIDTH, picture
from iosim.report.html.markup import Markup, number, tag
from iosim.report.html.palette import Look
from iosim.report.html.scale import Scale

STEP, HEAD, FOOT = 40, 8, 40


@dataclass(frozen=True)
class Ratio:
    """Simulated by measured, and what is said of it."""

    look: Look
    value: float
    says: str


def compared(title: str, description: str, rows: Mapping[str, Sequence[Ratio]]) -> Markup:
    """Rows of markers around one; the name of each stands above it."""
    furthest = max(
        [2.0, *(max(ratio.value, 1 / ratio.value) for ratios in rows.values() for ratio in ratios)]
    )
    reach = next((r for r in (2.0, 3.0, 5.0, 10.0, 30.0) if r >= furthest), 100.0)
    x = Scale(1 / reach, reach, 12, WIDTH - RIGHT, logarithmic=True)
    bottom = HEAD + STEP * len(rows)
    height = bottom + FOOT
    drawn = []
    for value in x.ticks(7):
        at = number(x(value))
        text = f"{value:.2g}"
        kind = "limit" if text == "1" else "grid"
        drawn.append(tag("path", class_=kind, d=f"M{at} {HEAD}V{bottom + 4}"))
        drawn.append(tag("text", text, x=at, y=bottom + 18, class_="tick", text_anchor="middle"))
    for row, (name, ratios) in enumerate(rows.items()):
        top = HEAD + row * STEP
        drawn.append(tag("text", name, x=0, y=top + 12, class_="bar-name"))
        drawn.append(tag("path", class_="grid", d=f"M{x.start} {top + 26}H{x.end}"))
        drawn += [
            tag("g", ratio.look.marker(x(ratio.value), top + 26, 5, ratio.says),
                class_=ratio.look.colour)
            for ratio in ratios
        ]  # fmt: skip
    drawn.append(
        tag(
            "text",
            "simulated / measured",
            x=WIDTH - RIGHT,
            y=height - 5,
            class_="axis",
            text_anchor="end",
        )
    )
    return picture(title, description, height, drawn)
