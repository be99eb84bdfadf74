"""Parts of a whole as bars, one below the other: one bar for each model.

Each part has its colour, and every second one a hatch besides, so that neighbours are told
apart without colour; between them there is a gap.

Validated by: tests/report/test_charts.py
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iosim.report.html.frame import RIGHT, WIDTH, picture
from iosim.report.html.markup import Markup, number, tag
from iosim.report.html.scale import linear

BAR, STEP, HEAD, FOOT = 17, 40, 8, 40
HATCHES = 3
PARTS = 9


@dataclass(frozen=True)
class Part:
    """What a bar is made of; `index` gives it its looks, the same in every chart of its kind."""

    name: str
    index: int

    def swatch(self) -> Markup:
        """A small picture for a legend."""
        square = _filled(self.index, 1, 1, 12, 12)
        return tag("svg", square, class_="swatch", viewBox="0 0 14 14", aria_hidden="true")


@dataclass(frozen=True)
class Bar:
    """The parts of one model, in the order in which they are stacked; None is not known."""

    name: str
    values: tuple[float | None, ...]


def stacked(
    title: str,
    description: str,
    x_title: str,
    parts: Sequence[Part],
    bars: Sequence[Bar],
    show: Callable[[float], str],
) -> Markup:
    """Bars on a common scale from zero; the name of each stands above it."""
    height = HEAD + STEP * len(bars) + FOOT
    x = linear([sum(filter(None, bar.values)) for bar in bars], 1, WIDTH - RIGHT)
    bottom = HEAD + STEP * len(bars)
    drawn = []
    for tick in x.ticks():
        at = x(tick)
        anchor = "start" if tick == x.low else "end" if tick == x.high else "middle"
        drawn.append(tag("path", class_="grid", d=f"M{number(at)} {HEAD}V{bottom + 4}"))
        drawn.append(
            tag("text", show(tick), x=at, y=bottom + 18, class_="tick", text_anchor=anchor)
        )
    for row, bar in enumerate(bars):
        top = HEAD + row * STEP
        drawn.append(tag("text", bar.name, x=0, y=top + 12, class_="bar-name"))
        from_value = 0.0
        for part, value in zip(parts, bar.values, strict=True):
            if not value:
                continue
            left, right = x(from_value), x(from_value + value)
            said = f"{bar.name}, {part.name}: {show(value)}"
            width = max(right - left - 0.75, 0.25)
            drawn.append(_filled(part.index, left, top + 17, width, BAR, said))
            from_value += value
    drawn.append(
        tag("text", x_title, x=WIDTH - RIGHT, y=height - 5, class_="axis", text_anchor="end")
    )
    return picture(title, description, height, drawn)


def _filled(index: int, x: float, y: float, width: float, height: float, says: str = "") -> Markup:
    plain = tag(
        "rect",
        tag("title", says) if says else None,
        class_=f"p{index % PARTS}",
        x=x,
        y=y,
        width=width,
        height=height,
    )
    if not index % 2:
        return plain
    hatch = f"url(#hatch{index // 2 % HATCHES})"
    over = tag("rect", class_="hatch", fill=hatch, x=x, y=y, width=width, height=height)
    return tag("g", plain, over)


def hatches() -> Markup:
    """The patterns that the bars refer to: once in a page."""
    shapes = ("M0 6L6 0M-1 1L1 -1M5 7L7 5", "M0 0L6 6M-1 5L1 7M5 -1L7 1", "M3 0V6")
    patterns = [
        tag(
            "pattern",
            tag("path", d=shape, class_="hatching"),
            id=f"hatch{index}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for index, shape in enumerate(shapes)
    ]
    return tag("svg", tag("defs", patterns), class_="patterns", aria_hidden="true")
