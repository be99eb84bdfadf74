"""Values of any metric as people read them, by the metric's name and unit.

    shown("response_time_p99_ns", "ns", 62_300)       62.3us
    signed("response_time_p99_ns", "ns", -3_100)      -3.1us

Validated by: tests/studies/test_compare.py
"""

from collections.abc import Callable
from math import ceil

from iosim.report.table import duration, half_width, per_request, percent
from iosim.slo import SHORT_NAMES
from iosim.statistics import Estimate
from iosim.units import format_count, format_size

_BY_UNIT: dict[str, Callable[[float], str]] = {
    "ns": duration,
    "bytes": lambda size: format_size(size).replace(" ", ""),
    "1/request": per_request,
    "calls": per_request,
}
_SHORT = {metric: name for name, metric in SHORT_NAMES.items()}


def shown(metric: str, unit: str, value: float) -> str:
    """A value, which is not negative."""
    if unit == "1" and (metric.endswith("_fraction") or "utilization" in metric):
        return percent(value)
    if unit == "1":
        return per_request(value)
    return _BY_UNIT.get(unit, format_count)(value)


def signed(metric: str, unit: str, value: float) -> str:
    """A difference, with its sign."""
    text = shown(metric, unit, abs(value))
    if not any(digit in "123456789" for digit in text):
        return text
    return f"{'-' if value < 0 else '+'}{text}"


def with_interval(metric: str, unit: str, estimate: Estimate) -> str:
    """A difference and half its interval, in its unit: `-3.1us ±0.4us`."""
    if estimate.mean is None:
        return "-"
    text = signed(metric, unit, estimate.mean)
    if estimate.low is None or estimate.high is None:
        return text
    half = max(estimate.high - estimate.mean, estimate.mean - estimate.low)
    return f"{text} ±{shown(metric, unit, half)}" if half else text


def change(ratio: Estimate | None) -> str:
    """A ratio as a change: `-11.0% ±0.6%`; beyond a doubling, as a factor: `x3.20 ±1%`."""
    if ratio is None or ratio.mean is None:
        return "-"
    if not 0.5 <= ratio.mean <= 2:
        return f"x{ratio.mean:.3g} {half_width(ratio)}".rstrip()
    text = f"{100 * (ratio.mean - 1):+.1f}%"
    if ratio.low is None or ratio.high is None:
        return text
    half = max(ratio.high - ratio.mean, ratio.mean - ratio.low)
    return f"{text} ±{ceil(1000 * half - 1e-6) / 10:g}%" if half else text


def at_most(ratio: Estimate) -> str:
    """How far a ratio may be from 1, for all that its interval says: `±0.6%`."""
    return f"±{ceil(1000 * farthest(ratio, 1.0) - 1e-6) / 10:g}%"


def farthest(estimate: Estimate, origin: float = 0.0) -> float:
    """How far the interval goes from `origin` to either side; 0 where there is none."""
    ends = [end for end in (estimate.low, estimate.high) if end is not None]
    return max((abs(end - origin) for end in ends), default=0.0)


def short(metric: str) -> str:
    """What objectives call a metric, or else its name."""
    return _SHORT.get(metric, metric)
