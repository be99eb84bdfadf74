"""How a model is told from the others: by colour, by marker and by dash, so that any one does.

Colours are classes (`c0` ...), which page.css gives a value for light, for dark and for print.

Source: Okabe and Ito, Color Universal Design, 2008: their palette, without its yellow, which
white paper swallows.
Validated by: tests/report/test_charts.py
"""

from dataclasses import dataclass

from iosim.report.html.markup import Markup, number, tag

COLOURS = 7
MARKERS = 8
DASHES = (None, "7 3", "2 2.5", "8 3 2 3")


@dataclass(frozen=True)
class Look:
    """The looks of the n-th model; `hollow` are those of what was measured.

    Of the first 56 models no two have both colour and marker in common.
    """

    index: int
    hollow: bool = False

    @property
    def colour(self) -> str:
        """Its class."""
        return f"c{self.index % COLOURS}"

    @property
    def dash(self) -> str | None:
        """Its `stroke-dasharray`."""
        return DASHES[self.index % len(DASHES)]

    def marker(self, x: float, y: float, radius: float = 3.6, title: str = "") -> Markup:
        """Its marker around a point; `title` is shown where the pointer rests on it."""
        path = _outline(self.index % MARKERS, x, y, radius)
        told = tag("title", title) if title else None
        return tag("path", told, class_="marker hollow" if self.hollow else "marker", d=path)

    def swatch(self) -> Markup:
        """A small picture for a legend; the name beside it says what it is."""
        line = tag("path", class_="curve", d="M1 7H27", stroke_dasharray=self.dash)
        return tag(
            "svg",
            line,
            self.marker(14, 7),
            class_=f"swatch {self.colour}",
            viewBox="0 0 28 14",
            aria_hidden="true",
        )


def _outline(kind: int, x: float, y: float, r: float) -> str:
    """A closed path."""

    def through(*points: tuple[float, float]) -> str:
        corners = "L".join(f"{number(x + r * dx)} {number(y + r * dy)}" for dx, dy in points)
        return f"M{corners}Z"

    if kind == 0:
        left, size = number(x - r), number(r)
        return f"M{left} {number(y)}a{size} {size} 0 1 0 {number(2 * r)} 0" + (
            f"a{size} {size} 0 1 0 {number(-2 * r)} 0Z"
        )
    return through(*_CORNERS[kind])


_CORNERS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    2: ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    3: ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    4: ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    5: (
        (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4),
        (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4),
    ),
    6: ((-1.1, -1.1), (1.1, -1.1), (-1.1, 1.1), (1.1, 1.1)),
    7: ((-0.55, -1.1), (0.55, -1.1), (1.15, 0), (0.55, 1.1), (-0.55, 1.1), (-1.15, 0)),
}  # fmt: skip
