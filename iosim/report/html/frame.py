"""What every chart has: its picture with a text alternative, its axes, its legend.

A chart is drawn on `WIDTH` pixels, of which two fit beside each other on a desk and one on
a phone, where its letters are still large enough to read.

Validated by: tests/report/test_charts.py
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iosim.report.html.markup import Child, Markup, tag
from iosim.report.html.scale import Scale

WIDTH = 440
HEIGHT = 300
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 12, 44


@dataclass(frozen=True)
class Axis:
    """A scale with its ticks, and how they are shown."""

    scale: Scale
    ticks: tuple[float, ...]
    show: Callable[[float], str]


def picture(title: str, description: str, height: int, *children: Child) -> Markup:
    """An image that a screen reader tells by its title and description."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *children,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=f"{title}. {description}",
    )


def axes(x_title: str, x: Axis, y: Axis) -> list[Markup]:
    """Grid and ticks of a chart; what y is, the heading above it says."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    drawn = []
    for value in y.ticks:
        at = y.scale(value)
        drawn.append(tag("path", class_="grid", d=f"M{LEFT} {at:.1f}H{right}"))
        drawn.append(
            tag("text", y.show(value), x=LEFT - 6, y=at + 4, class_="tick", text_anchor="end")
        )
    for value in x.ticks:
        at = x.scale(value)
        drawn.append(tag("path", class_="stroke", d=f"M{at:.1f} {bottom}v4"))
        drawn.append(
            tag("text", x.show(value), x=at, y=bottom + 17, class_="tick", text_anchor="middle")
        )
    drawn.append(tag("path", class_="stroke", d=f"M{LEFT} {bottom}H{right}"))
    drawn.append(tag("text", x_title, x=right, y=HEIGHT - 8, class_="axis", text_anchor="end"))
    return drawn


def figure(
    heading: str, caption: str, chart: Markup, table: Markup, legend: Markup | None = None
) -> Markup:
    """A chart under its heading, what it shows in a sentence, and its numbers as a table."""
    return tag(
        "figure",
        tag("h3", heading),
        legend,
        chart,
        tag("figcaption", caption),
        tag("details", tag("summary", "The numbers"), table),
    )


def legend(entries: Iterable[tuple[Markup, str]]) -> Markup:
    """Small pictures and what they stand for."""
    items = (tag("li", swatch, " ", text) for swatch, text in entries)
    return tag("ul", list(items), class_="legend")
