"""Axes: from values to places on a chart, and where its ticks stand.

Validated by: tests/report/test_charts.py
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, floor, log10

from iosim.units import format_count, format_duration_ns


@dataclass(frozen=True)
class Scale:
    """Maps `low`..`high` to `start`..`end` in pixels, evenly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; of one outside, the nearest that there is."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            part = log10(value / self.low) / log10(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within, at most so many."""
        return _decades(self.low, self.high, most) if self.logarithmic else _even(self, most)


def linear(values: Iterable[float], start: float, end: float) -> Scale:
    """A scale from zero that holds all values."""
    high = max((value for value in values if value > 0), default=1.0)
    step = _step(high, 6)
    return Scale(0.0, ceil(high / step - 1e-9) * step, start, end)


def logarithmic(values: Iterable[float], start: float, end: float) -> Scale:
    """A logarithmic scale that holds all positive values, a factor of three at least."""
    positive = [value for value in values if value > 0] or [1.0, 10.0]
    low, high = min(positive) / 1.15, max(positive) * 1.15
    if high / low < 3:
        middle = (low * high) ** 0.5
        low, high = middle / 3**0.5, middle * 3**0.5
    return Scale(low, high, start, end, logarithmic=True)


def _step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5, 10, ... of which at most so many fit."""
    decade = 10.0 ** floor(log10(span / most))
    return next(
        decade * times for times in (1, 2, 5, 10, 20) if span / (decade * times) <= most + 1e-9
    )


def _even(scale: Scale, most: int) -> list[float]:
    step = _step(scale.high - scale.low, most)
    first = ceil(scale.low / step - 1e-9)
    last = floor(scale.high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _decades(low: float, high: float, most: int) -> list[float]:
    """1, 2 and 5 in each decade, or 1 and 3, or 1 alone."""
    exponents = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [
            digit * 10.0**exponent
            for exponent in exponents
            for digit in digits
            if low <= digit * 10.0**exponent <= high
        ]
        if len(found) <= most:
            return found
    return found[:: ceil(len(found) / most)]


def short(show: Callable[[float], str]) -> Callable[[float], str]:
    """The same without zeros behind the point: `1 ms`, not `1.00 ms`."""

    def shown(value: float) -> str:
        return re.sub(r"(\d+)(\.\d*?)0+(?=\D|$)", _without_zeros, show(value)) if value else "0"

    return shown


def _without_zeros(found: re.Match[str]) -> str:
    return found[1] + (found[2] if len(found[2]) > 1 else "")


short_duration = short(format_duration_ns)
short_count = short(format_count)
short_percent = short(lambda fraction: f"{100 * fraction:.1f}%")
