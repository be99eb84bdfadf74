"""What a run tells, computed from its record; one file for each family of metrics.

A family's file holds `NAMES`, its metrics' names with unit and description, and
`measure(record)`, which yields (name, value): None where a value does not exist, as a
mean over no requests. A metric whose name depends on the run (a syscall, a device) is
announced in `PATTERNS` with a placeholder instead. Where a value may be missing for a
reason of its own, `undefined(name, record)` says it; where objectives must not be held
against the value that is shown, `promised(record, limit)` yields the one that an objective of
that limit is held against. Percentiles computed when asked for are `percentile_named` and
`promised_percentile`; how many responses one needs, `responses_for`; how many were later than a
limit, `later_than`. Where a metric is a share of requests, `events_of` tells of how many.

Nothing here knows whether a record was simulated or measured.

Validated by: tests/unit/test_metrics.py, tests/conformance
"""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, NamedTuple

from iosim.record import Record


class Metric(NamedTuple):
    """What a metric is; `unit` as the name's suffix says it, or `1`, `1/request`, ...

    `resolution` is a value's largest error, relative to it. No metric can be negative.
    """

    unit: str
    description: str
    resolution: float = 0.0


class Late(NamedTuple):
    """How many of a window's requests were later than a limit, and the share that may be."""

    late: int
    of: int
    may: float


Values = Iterator[tuple[str, float | None]]


def per(amount: float | None, count: int) -> float | None:
    """`amount` for each of `count`; None of none, or where the amount is not known."""
    return amount / count if count and amount is not None else None


def measure_all(record: Record) -> dict[str, float | None]:
    """Every metric of one record."""
    from iosim.plugins import kinds

    return {
        name: value
        for family in kinds("metrics").values()
        for name, value in family.measure(record)
    }


def measure_promised(record: Record, limit: float) -> dict[str, float | None]:
    """Every metric as objectives of that limit see it; infinite where it cannot be kept."""
    from iosim.plugins import kinds

    return measure_all(record) | {
        name: value
        for family in kinds("metrics").values()
        if hasattr(family, "promised")
        for name, value in family.promised(record, limit)
    }


def promised(record: Record, name: str, limit: float = inf) -> float | None:
    """The metric called `name` as an objective of that limit sees it: any percentile, too."""
    values = measure_promised(record, limit)
    if name in values:
        return values[name]
    from iosim.plugins import kinds

    for family in kinds("metrics").values():
        if hasattr(family, "percentile_named") and (found := family.percentile_named(name)):
            value: float | None = family.promised_percentile(found[0], record, limit)
            return value
    return 0.0  # only other replications have it: none of that syscall, or of that memory


def responses_for(name: str, record: Record) -> tuple[int, int] | None:
    """How many responses a record has for this metric, and how many it needs; None of others."""
    from iosim.plugins import kinds

    for family in kinds("metrics").values():
        if hasattr(family, "responses_for"):
            found: tuple[int, int] | None = family.responses_for(name, record)
            if found is not None:
                return found
    return None


def later_than(record: Record, name: str, limit: float) -> Late | None:
    """The requests later than the limit of a percentile; None of other metrics."""
    from iosim.plugins import kinds

    for family in kinds("metrics").values():
        if hasattr(family, "later_than"):
            found: Late | None = family.later_than(name, record, limit)
            if found is not None:
                return found
    return None


def events_of(name: str, record: Record) -> tuple[int, int] | None:
    """Of a share of requests: how many there are, and of how many; None of other metrics."""
    from iosim.plugins import kinds

    for family in kinds("metrics").values():
        if hasattr(family, "events_of"):
            found: tuple[int, int] | None = family.events_of(name, record)
            if found is not None:
                return found
    return None


def describe(name: str) -> Metric:
    """What the metric called `name` is. Raises KeyError."""
    return _found(name)[1]


def why_undefined(name: str, record: Record) -> str:
    """Why `record` has no value for the metric called `name`."""
    family, _ = _found(name)
    own: str | None = family.undefined(name, record) if hasattr(family, "undefined") else None
    if own is not None:
        return own
    if record.process is not None and record.answered:
        return "it cannot be measured here"
    return "there is nothing to count" if record.answered else "nothing was answered"


def _found(name: str) -> tuple[Any, Metric]:
    """The family that has a metric, and what it says of it."""
    from iosim.plugins import kinds

    for family in kinds("metrics").values():
        if name in family.NAMES:
            return family, family.NAMES[name]
        patterns: Mapping[str, Metric] = getattr(family, "PATTERNS", {})
        for pattern, metric in patterns.items():
            head, _, tail = pattern.partition("*")
            if name.startswith(head) and name.endswith(tail):
                return family, metric
        if hasattr(family, "percentile_named") and (found := family.percentile_named(name)):
            return family, found[1]
    raise KeyError(name)
