"""Response times from the intended send time: mean, percentiles, and where they went.

A percentile needs `BEYOND` responses beyond it: p99 exists from 1,000 responses in a
replication, p99.9 from 10,000. Of fewer, it is nearly the maximum, its mean over
replications is biased low however many there are, and the interval does not show it. With
ten beyond, the bias is 1% of p99 where response times are exponential.

To an objective, a request refused or timed out is later than any that was answered: p99 is
infinite where 1% or more got no answer, and all response times are where nobody did. The
window's unanswered requests are not known; they are taken to be as many of all as in the
whole run.

Validated by: tests/unit/test_metrics.py, tests/theory/test_percentiles.py
"""

import re
from fractions import Fraction
from math import ceil, inf

from iosim.histogram import RELATIVE_ERROR
from iosim.metrics import Metric, Values, per
from iosim.record import Record
from iosim.units import format_duration_ns

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}

BEYOND = 10
"""So many responses must lie beyond a percentile, as a mean, for it to be told."""

QUANTILE_OF = {f"response_time_{name}_ns": q for name, q in PERCENTILES.items()}

_ANY_PERCENTILE = re.compile(r"response_time_p(\d{1,2})(?:_(\d{1,3}))?_ns")

PARTS = {
    "client": "At the client, for its connection, which an earlier request occupies.",
    "network": "On the way to the server's socket, and back.",
    "queue": "Ready, while the thread that will serve it is busy with others.",
    "wake_up": "The serving thread is being woken: idle exit, context switch, refill.",
    "run_queue": "The serving thread is runnable and waits for a core.",
    "cpu": "Worked on, syscalls and interrupts included.",
    "lock": "The serving thread sleeps for a lock.",
    "device": "A device call or a sleep is under way.",
}

NAMES = {
    "response_time_mean_ns": Metric("ns", "Mean response time."),
    **{
        f"response_time_{name}_ns": Metric(
            "ns", f"{q:g}% of responses took no longer.", RELATIVE_ERROR
        )
        for name, q in PERCENTILES.items()
    },
    "response_time_max_ns": Metric("ns", "The longest response time."),
    **{f"time_{part}_ns": Metric("ns", f"Mean part: {text}") for part, text in PARTS.items()},
}


def measure(record: Record) -> Values:
    responses = record.responses
    yield "response_time_mean_ns", per(responses.total_ns, responses.count)
    for name, q in PERCENTILES.items():
        known = responses.count >= needed(q)
        yield f"response_time_{name}_ns", responses.percentile(q) if known else None
    yield "response_time_max_ns", responses.max_ns
    for part in PARTS:
        yield f"time_{part}_ns", per(record.parts_ns.get(part), record.answered)


def promised(record: Record) -> Values:
    """Response times in which a request without an answer is later than any other."""
    responses = record.responses
    if not responses.count:
        if record.offered:
            yield from ((name, inf) for name in NAMES if name.startswith("response_time_"))
        return
    if not record.refused + record.timed_out:
        return
    unanswered = _unanswered(record)
    for name, q in QUANTILE_OF.items():
        yield name, _promised(record, q, unanswered)


def _promised(record: Record, q: float, unanswered: int) -> float | None:
    """The q-th percentile where so many requests are later than any response."""
    responses = record.responses
    count = responses.count + unanswered
    rank = ceil(Fraction(str(q)) * count / 100)
    if count < needed(q) and unanswered < BEYOND:
        return None
    return responses.at_rank(rank) if rank <= responses.count else inf


def percentile_named(name: str) -> tuple[float, Metric] | None:
    """The q that `response_time_p97_5_ns` names, 97.5, and what it is; None if it is no such."""
    found = _ANY_PERCENTILE.fullmatch(name)
    if found is None or not 0 < (q := float(".".join(filter(None, found.groups())))) < 100:
        return None
    return q, Metric("ns", f"{q:g}% of responses took no longer.", RELATIVE_ERROR)


def promised_percentile(q: float, record: Record) -> float | None:
    """The q-th percentile as an objective sees it, also where results do not tell it."""
    if not record.responses.count:
        return inf if record.offered else None
    return _promised(record, q, _unanswered(record))


def responses_for(name: str, record: Record) -> tuple[int, int] | None:
    """How many responses there are for a percentile, and how many it needs; None of others."""
    found = percentile_named(name)
    return None if found is None else (record.responses.count, needed(found[0]))


def _unanswered(record: Record) -> int:
    """How many requests of the window got no answer."""
    lost = record.refused + record.timed_out
    return round(lost * record.responses.count / record.completed) if lost else 0


def needed(q: float) -> int:
    """How many responses the q-th percentile needs."""
    return ceil(BEYOND / (1 - Fraction(str(q)) / 100))


def undefined(name: str, record: Record) -> str | None:
    """Why a percentile does not exist, and how long a run would give it."""
    found = percentile_named(name)
    return None if found is None else too_few(found[0], record.responses.count, record)


def too_few(q: float, count: int, record: Record) -> str | None:
    """Why so many responses in the window have no q-th percentile; None if there are none."""
    if not count:
        return None
    run_ns = record.warm_up_ns + record.window_ns * needed(q) / count
    return (
        f"it needs {needed(q):,} responses in each replication "
        f"(a run of {format_duration_ns(_rounded_up(run_ns)).replace(' ', '')})"
    )


def _rounded_up(ns: float) -> int:
    """Two digits, of which the second is at least one more: the next run may have fewer."""
    step: int = 10 ** max(len(f"{ns:.0f}") - 2, 0)
    return (ceil(ns / step) + 1) * step
