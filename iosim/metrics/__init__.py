"""What a run tells, computed from its record; one file for each family of metrics.

A family's file holds `NAMES`, its metrics' names with unit and description, and
`measure(record)`, which yields (name, value): None where a value does not exist, as a
mean over no requests. A metric whose name depends on the run (a syscall, a device) is
announced in `PATTERNS` with a placeholder instead.

Nothing here knows whether a record was simulated or measured.

Validated by: tests/unit/test_metrics.py, tests/conformance
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from iosim.record import Record


class Metric(NamedTuple):
    """What a metric is; `unit` as the name's suffix says it, or `1`, `1/request`, ..."""

    unit: str
    description: str


Values = Iterator[tuple[str, float | None]]


def per(amount: float, count: int) -> float | None:
    """`amount` for each of `count`; None of none."""
    return amount / count if count else None


def measure_all(record: Record) -> dict[str, float | None]:
    """Every metric of one record."""
    from iosim.plugins import kinds

    return {
        name: value
        for family in kinds("metrics").values()
        for name, value in family.measure(record)
    }


def describe(name: str) -> Metric:
    """What the metric called `name` is."""
    from iosim.plugins import kinds

    for family in kinds("metrics").values():
        if name in family.NAMES:
            found: Metric = family.NAMES[name]
            return found
        patterns: Mapping[str, Metric] = getattr(family, "PATTERNS", {})
        for pattern, metric in patterns.items():
            head, _, tail = pattern.partition("*")
            if name.startswith(head) and name.endswith(tail):
                return metric
    raise KeyError(name)
