"""What replications say of a metric, and whether they keep an objective.

    estimated("error_fraction", values, records)   -> its interval
    judge(slo, records)                            -> pass, fail or inconclusive, and why

An objective is held against the metric's interval. A percentile is infinite where too many
requests got no answer, or are still under way after longer than the objective allows; if it is
in any replication, the share of requests that were later than the limit is held against what the
percentile allows instead: `p99 < 5ms` says that at most 1% took longer. Where this tells nothing,
the longest answers may: the percentile is later than any of them. One replication decides nothing,
whatever it shows.

Not done: a response time that is no percentile (the mean, the longest) is infinite only where
nothing was answered at all.
Validated by: tests/unit/test_judging.py, tests/unit/test_results.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite
from types import MappingProxyType
from typing import Final

from iosim.metrics import describe, events_of, later_than, promised
from iosim.proportion import no_narrower, requests_without
from iosim.record import Record
from iosim.slo import Comparison, Slo, Verdict
from iosim.statistics import Estimate, no_finer, not_negative, student_t

FEWEST_TO_FAIL = 2
"""So many replications have an interval."""

_OF_SHARES: Final[Mapping[Comparison, Comparison]] = MappingProxyType(
    {"<": "<=", "<=": "<=", ">": ">", ">=": ">"}
)
"""How the share of later requests compares with what may be, for the percentile to compare so."""


def estimated(name: str, values: Sequence[float | None], records: Sequence[Record]) -> Estimate:
    """What replications say of a metric: no finer than it is measured, and never negative."""
    found = not_negative(no_finer(student_t(values), describe(name).resolution))
    events, of = _events(name, records)
    return no_narrower(found, events, of) if of else found


def held(slo: Slo, records: Sequence[Record]) -> tuple[Slo, Estimate]:
    """The objective in the form in which it is judged, and the estimate that it is held against.

    Replications in which nobody knows the value are left out: they show in the estimate's `n`.
    """
    values = [promised(record, slo.metric, slo.limit) for record in records]
    if inf in values:
        found = [later_than(record, slo.metric, slo.limit) for record in records]
        shares = [share for share in found if share is not None and share.of]
        if shares:
            few = replace(slo, comparison=_OF_SHARES[slo.comparison], limit=shares[0].may)
            late = student_t([share.late / share.of for share in shares])
            totals = sum(share.late for share in shares), sum(share.of for share in shares)
            return few, no_narrower(late, *totals)
    finite = [value for value in values if value is not None and isfinite(value)]
    return slo, estimated(slo.metric, finite, records)


def judge(slo: Slo, records: Sequence[Record]) -> tuple[Verdict, str | None]:
    """A verdict, and its reason where the interval does not tell."""
    values = [promised(record, slo.metric, slo.limit) for record in records]
    if not values or None in values:
        return "inconclusive", None
    asked, found = held(slo, records)
    late = values.count(inf)
    if not late:
        verdict = asked.judge(found)
        few = too_few_without(slo, records) if verdict == "inconclusive" else None
        if few is None:
            return verdict, None
        there, needed = few
        return verdict, f"none in {there:,} requests does not show it: it needs {needed:,}"
    unanswered = "too many got no answer, or a later one"
    if late < len(values):
        unanswered += f", in {late} of {len(values)} replications"
    of_infinity: Verdict = "pass" if slo.meets(inf) else "fail"
    verdict = asked.judge(found) if found.n == len(values) else "inconclusive"
    if verdict == "inconclusive" and (
        slo.judge(_at_least(slo, records)) == of_infinity
        or (not found.n and late == len(values) >= FEWEST_TO_FAIL)
    ):
        verdict = of_infinity
    return verdict, None if verdict == "pass" and late < len(values) else unanswered


def _at_least(slo: Slo, records: Sequence[Record]) -> Estimate:
    """A metric that is infinite somewhere, where it is taken for the longest answer there."""
    values = [promised(record, slo.metric, slo.limit) for record in records]
    floors = [
        float(record.responses.max_ns or 0) if value == inf else value
        for record, value in zip(records, values, strict=True)
    ]
    return estimated(slo.metric, floors, records)


def too_few_without(slo: Slo, records: Sequence[Record]) -> tuple[int, int] | None:
    """Requests of all replications, and how many would do, where none shows what a share counts.

    None where they are enough, where one shows it, and of other metrics.
    """
    events, of = _events(slo.metric, records)
    if events or not of or not 0 < slo.limit < 1:
        return None
    needed = requests_without(slo.limit)
    return (of, needed) if of < needed else None


def _events(name: str, records: Sequence[Record]) -> tuple[int, int]:
    """Of a share: how many requests of all replications it counts, and of how many; else 0."""
    found = [counts for record in records if (counts := events_of(name, record)) is not None]
    return sum(events for events, _ in found), sum(of for _, of in found)
