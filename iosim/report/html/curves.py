"""Lines with intervals: a metric against load, response times against the percentile.

An interval is a band around its line. The axis of percentiles is logarithmic in what lies
beyond: 90%, 99% and 99.9% are as far apart as they are rare.

Source: the percentile axis is that of HdrHistogram's plots (G. Tene).
Validated by: tests/report/test_charts.py
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log10

from iosim.report.html.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, axes, picture
from iosim.report.html.markup import Markup, number, tag
from iosim.report.html.palette import Look
from iosim.report.html.scale import Scale, linear, logarithmic, short_count, short_duration


@dataclass(frozen=True)
class Point:
    """A value with its interval, if it has one, and what is said of it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    says: str = ""


@dataclass(frozen=True)
class Curve:
    """One line; `knee` is the x of a point to ring, `bare` one that has a marker at few points."""

    name: str
    look: Look
    points: tuple[Point, ...]
    knee: float | None = None
    bare: bool = False


@dataclass(frozen=True)
class Limit:
    """A level to hold the curves against."""

    level: float
    says: str


def over_load(
    title: str,
    description: str,
    x_title: str,
    curves: Sequence[Curve],
    limits: Iterable[Limit] = (),
    *,
    show: Callable[[float], str] = short_count,
    decades: bool = False,
) -> Markup:
    """A metric against load, from zero, or in decades on a logarithmic scale."""
    limits = list(limits)
    xs = [point.x for curve in curves for point in curve.points]
    ys = [value for curve in curves for point in curve.points for value in _reach(point)]
    ys += [limit.level for limit in limits]
    x = linear(xs, LEFT, WIDTH - RIGHT)
    y = (logarithmic if decades else linear)(ys, HEIGHT - BOTTOM, TOP)
    return _chart(
        title,
        description,
        x_title,
        Axis(x, tuple(x.ticks()), short_count),
        Axis(y, tuple(y.ticks()), show),
        curves,
        limits,
    )


def over_percentiles(
    title: str, description: str, curves: Sequence[Curve], limits: Iterable[Limit] = ()
) -> Markup:
    """Response times, in ns, against the percentile: x of the curves' points is 0 to 100."""
    limits = list(limits)
    beyond = tuple(
        Curve(
            curve.name,
            curve.look,
            tuple(Point(rarity(p.x), p.y, p.low, p.high, p.says) for p in curve.points),
            bare=True,
        )
        for curve in curves
    )
    last = max((point.x for curve in beyond for point in curve.points), default=2.0)
    x = Scale(0.0, max(last, 1.0), LEFT, WIDTH - RIGHT)
    times_ns = [p.y for curve in beyond for p in curve.points]
    y = logarithmic(times_ns + [limit.level for limit in limits], HEIGHT - BOTTOM, TOP)
    known = [q for q in (0, 50, 90, 99, 99.9, 99.99, 99.999) if rarity(q) <= x.high]
    return _chart(
        title,
        description,
        "of the responses took no longer",
        Axis(
            x,
            tuple(map(rarity, known)),
            lambda value: f"{100 - 100 / 10**value:.6g}%",
        ),
        Axis(y, tuple(y.ticks()), short_duration),
        beyond,
        limits,
    )


def rarity(percent: float) -> float:
    """Decades of how rarely a response takes longer: 1 at 90%, 2 at 99%."""
    return -log10(1 - percent / 100)


def _reach(point: Point) -> list[float]:
    return [value for value in (point.y, point.low, point.high) if value is not None]


def _chart(
    title: str,
    description: str,
    x_title: str,
    x: Axis,
    y: Axis,
    curves: Iterable[Curve],
    limits: Iterable[Limit],
) -> Markup:
    drawn = axes(x_title, x, y)
    for limit in limits:
        at = y.scale(limit.level)
        drawn.append(tag("path", class_="limit", d=f"M{LEFT} {number(at)}H{WIDTH - RIGHT}"))
        drawn.append(tag("text", limit.says, x=LEFT + 4, y=at - 4, class_="limit-text"))
    drawn += [_curve(curve, x.scale, y.scale, set(x.ticks)) for curve in curves if curve.points]
    return picture(title, description, HEIGHT, drawn)


def _curve(
    curve: Curve, x: Callable[[float], float], y: Callable[[float], float], marked: set[float]
) -> Markup:
    places = [(x(point.x), y(point.y)) for point in curve.points]
    parts = []
    bounds = [
        (x(p.x), y(p.low), y(p.high))
        for p in curve.points
        if p.low is not None and p.high is not None
    ]
    if len(bounds) > 1:
        upper = [(at, high) for at, _, high in bounds]
        lower = [(at, low) for at, low, _ in reversed(bounds)]
        parts.append(tag("path", class_="band", d=f"M{_through(upper + lower)}Z"))
    elif bounds:
        ((at, low, high),) = bounds
        parts.append(tag("path", class_="curve", d=f"M{number(at)} {number(low)}V{number(high)}"))
    if len(places) > 1:
        line = f"M{_through(places)}"
        parts.append(tag("path", class_="curve", d=line, stroke_dasharray=curve.look.dash))
    for point, (across, down) in zip(curve.points, places, strict=True):
        if curve.bare and point.x not in marked:
            continue
        if curve.knee == point.x:
            parts.append(tag("circle", class_="knee", cx=across, cy=down, r=8))
        parts.append(curve.look.marker(across, down, title=point.says))
    return tag("g", parts, class_=curve.look.colour)


def _through(places: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{number(across)} {number(down)}" for across, down in places)
