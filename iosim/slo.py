"""Service-level objectives: `p99 < 5ms`, judged on the interval's bound.

What it does: parses a line into metric, comparison and limit, and judges an estimate.
An objective passes if the whole 95% interval meets it, fails if the whole interval does
not, and is inconclusive in between. Besides the metrics that results show, an objective may
name any percentile: `p97`, `p99.95`.

Scope: one estimate. What of a run's replications is held against an objective, and what is
where there is no value or an infinite one, is in `iosim.judging`.
Not done: objectives over several metrics.
Validated by: tests/unit/test_slo.py
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, cast

from iosim.errors import Mismatch, UsageError, did_you_mean, shown
from iosim.metrics import describe
from iosim.statistics import Estimate
from iosim.units import (
    QuantityError,
    parse_duration,
    parse_fraction,
    parse_rate,
    parse_size,
)

Verdict = Literal["pass", "fail", "inconclusive"]
Comparison = Literal["<", "<=", ">", ">="]

SHORT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "p50": "response_time_p50_ns",
        "p90": "response_time_p90_ns",
        "p95": "response_time_p95_ns",
        "p99": "response_time_p99_ns",
        "p99.9": "response_time_p99_9_ns",
        "mean": "response_time_mean_ns",
        "throughput": "throughput_per_s",
        "utilization": "cpu_utilization",
        "errors": "error_fraction",
        "memory": "memory_bytes",
        "switches": "context_switches_per_s",
    }
)
"""What an objective may call a metric besides its own name."""

COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)

_LINE = re.compile(r"\s*([a-z_][^<>=]*?)\s*(<=|>=|<|>)\s*([^\s=].*?)\s*$")
_PERCENTILE = re.compile(r"p(\d{1,2})(?:\.(\d{1,3}))?")


@dataclass(frozen=True)
class Slo:
    """One objective: `metric` compared with `limit`, in the metric's own unit."""

    text: str
    metric: str
    comparison: Comparison
    limit: float

    def judge(self, estimate: Estimate) -> Verdict:
        """Hold an estimate against the objective."""
        if estimate.mean is None or estimate.low is None or estimate.high is None:
            return "inconclusive"
        meets = [self.meets(bound) for bound in (estimate.low, estimate.high)]
        return "pass" if all(meets) else "inconclusive" if any(meets) else "fail"

    def meets(self, value: float) -> bool:
        """Hold a value against the objective."""
        return COMPARE[self.comparison](value, self.limit)


def parse_slo(line: str) -> Slo:
    """Parse `METRIC < LIMIT` (or `>`), the limit with its unit. Raises Mismatch."""
    match = _LINE.match(line)
    if match is None:
        raise Mismatch("an objective such as 'p99 < 5ms'", shown(line))
    name, limit = match[1], match[3]
    comparison = cast(Comparison, match[2])
    metric = _metric(name)
    if not _is_metric(metric):
        words = [*SHORT_NAMES, *known_metrics(), *_patterns()]
        raise Mismatch(
            "a metric (see `iosim list metrics`)", shown(name), did_you_mean(name, words)
        )
    try:
        value = _limit(metric, limit)
    except QuantityError as error:
        raise Mismatch(error.expected, error.found, error.hint) from None
    return Slo(line.strip(), metric, comparison, value)


def _metric(name: str) -> str:
    """A metric's own name; any percentile may be called `p97` or `p99.95`."""
    percentile = _PERCENTILE.fullmatch(name)
    if name in SHORT_NAMES or percentile is None:
        return SHORT_NAMES.get(name, name)
    return f"response_time_p{'_'.join(filter(None, percentile.groups()))}_ns"


def _is_metric(name: str) -> bool:

    try:
        describe(name)
    except KeyError:
        return False
    return True


def require_metric(name: str) -> str:
    """The metric that is called so, by its name or as objectives call it. Raises UsageError."""
    metric = _metric(name)
    if not _is_metric(metric):
        hint = did_you_mean(name, [*SHORT_NAMES, *known_metrics()])
        raise UsageError(
            f"expected a metric (see `iosim list metrics`), found {shown(name)}"
            + (f"; {hint}" if hint else "")
        )
    return metric


def known_metrics() -> list[str]:
    """The fixed names that metrics have; those named after a syscall or device excepted."""
    from iosim.plugins import kinds

    return [name for module in kinds("metrics").values() for name in module.NAMES]


def _patterns() -> list[str]:
    from iosim.plugins import kinds

    modules = kinds("metrics").values()
    return [pattern for module in modules for pattern in getattr(module, "PATTERNS", {})]


def _limit(metric: str, text: str) -> float:
    if metric.endswith("_ns"):
        return float(parse_duration(text))
    if metric.endswith("_per_s"):
        return parse_rate(text)
    if metric.endswith("_bytes"):
        return float(parse_size(text))
    if metric.endswith("_fraction") or "utilization" in metric:
        return parse_fraction(text)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise QuantityError("a number", shown(text))
    return value
