"""Which part of a difference comes from where: the parts of response time, and of CPU time.

    of_time(baseline, changed, paired=True)   ->  Cause("mean response time", whole, parts)

What it does: a mean response time is the sum of its parts (client, network, queue, wake-up, run
queue, CPU, lock, device), and the CPU time of a request is the sum over what it was used for
(user, syscall, switch, refill, softirq, spin). So is the difference of two of them, part by
part and replication by replication; each part has its own interval.

Scope: simulated results; of measured ones only what the kernel tells (user, syscall).
Not done: why a part moved; how often it happened (switches, syscalls) is told beside it.
Validated by: tests/studies/test_what_if.py
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from iosim.documents import ModelDocument
from iosim.metrics import Metric
from iosim.studies.differences import Difference, difference

IDLE = ("idle", "stolen")
"""Causes of cores' time that are no request's CPU time."""

COUNTS = (
    "voluntary_switches_per_request",
    "involuntary_switches_per_request",
    "syscalls_per_request",
    "events_per_wait",
)
"""How often what costs time happened."""

SHARE = 0.05
"""A part that is less of the whole difference is not named."""

_CPU_TIME = Metric("ns", "CPU time of a request by what it was used for.")

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Cause:
    """A whole that changed, and how much each of its parts did."""

    name: str
    whole: Difference
    parts: Mapping[str, Difference]

    @property
    def movers(self) -> list[tuple[str, Difference]]:
        """The parts that moved for certain and by much, most first."""
        most = max((_size(part) for part in self.parts.values()), default=0.0)
        moved = [
            (name, part)
            for name, part in self.parts.items()
            if part.shown and _size(part) >= SHARE * most
        ]
        return sorted(moved, key=lambda named: -_size(named[1]))


def _size(part: Difference) -> float:
    return abs(part.difference.mean or 0.0)


def of_time(a: ModelDocument, b: ModelDocument, paired: bool) -> Cause | None:
    """What moved the mean response time; None where its parts are not known."""
    parts = {
        part: difference(f"time_{part}_ns", of_a, of_b, paired)
        for part, of_a, of_b in _in_both(a, b, "time_", "_ns")
    }
    whole = "response_time_mean_ns"
    if not parts or whole not in a.values or whole not in b.values:
        return None
    return Cause(
        "mean response time", difference(whole, a.values[whole], b.values[whole], paired), parts
    )


def of_cpu(a: ModelDocument, b: ModelDocument, paired: bool) -> Cause | None:
    """What moved the CPU time of a request; None where that is not known."""
    whole = "cpu_time_per_request_ns"
    if whole not in a.values or whole not in b.values:
        return None
    parts = {
        cause: difference(
            cause, _per_request_ns(a, of_a), _per_request_ns(b, of_b), paired, described=_CPU_TIME
        )
        for cause, of_a, of_b in _in_both(a, b, "cpu_", "_fraction")
        if cause not in IDLE
    }
    return Cause("CPU/request", difference(whole, a.values[whole], b.values[whole], paired), parts)


def _in_both(
    a: ModelDocument, b: ModelDocument, head: str, tail: str
) -> Iterator[tuple[str, Values, Values]]:
    """The metrics of one family that both know: what is between head and tail, and the values."""
    for name, of_a in a.values.items():
        of_b = b.values.get(name, ())
        known = any(value is not None for value in of_a) and any(v is not None for v in of_b)
        if name.startswith(head) and name.endswith(tail) and known:
            yield name.removeprefix(head).removesuffix(tail), of_a, of_b


def _per_request_ns(model: ModelDocument, fractions: Values) -> Values:
    """The CPU time of a request that went into one cause, by replication."""
    whole = (model.values[name] for name in ("cpu_time_per_request_ns", "cpu_utilization"))
    return tuple(
        None if request_ns is None or not busy or part is None else request_ns * part / busy
        for request_ns, busy, part in zip(*whole, fractions, strict=True)
    )


def of_counts(a: ModelDocument, b: ModelDocument, paired: bool) -> dict[str, Difference]:
    """How much more or less often happened what costs time."""
    return {
        name: difference(name, a.values[name], b.values[name], paired)
        for name in COUNTS
        if name in a.values and name in b.values
    }
