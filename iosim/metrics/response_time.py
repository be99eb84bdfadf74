"""Response times from the intended send time: mean, percentiles, and where they went.

A percentile needs `BEYOND` responses beyond it: p99 exists from 1,000 responses in a
replication, p99.9 from 10,000. Of fewer, it is nearly the maximum, its mean over
replications is biased low however many there are, and the interval does not show it. With
ten beyond, the bias is 1% of p99 where response times are exponential.

To an objective, a request refused or timed out is later than any that was answered; so is one
that at the end has been under way for longer than the objective allows, less those that had been
so when the window began: the difference is how many more have passed the limit in the window than
were answered or lost after it. p99 is infinite where more than 1% are, and all response times are
where nobody was answered. One that has not been under way for so long may yet keep the objective,
and counts for nothing.

Validated by: tests/unit/test_metrics.py, tests/theory/test_percentiles.py
"""

import re
from fractions import Fraction
from math import ceil, inf

from iosim.histogram import RELATIVE_ERROR
from iosim.metrics import Late, Metric, Values, per
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


def promised(record: Record, limit_ns: float) -> Values:
    """Response times in which a request without an answer is later than any other."""
    unanswered = _unanswered(record, limit_ns)
    if record.responses.count:
        yield from ((name, _promised(record, q, unanswered)) for name, q in QUANTILE_OF.items())
    elif unanswered:
        yield from ((name, inf) for name in NAMES if name.startswith("response_time_"))


def _promised(record: Record, q: float, unanswered: int) -> float | None:
    """The q-th percentile where so many requests are later than any response."""
    responses = record.responses
    if not responses.count:
        return inf if unanswered else None
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


def promised_percentile(q: float, record: Record, limit_ns: float) -> float | None:
    """The q-th percentile as an objective sees it, also where results do not tell it."""
    return _promised(record, q, _unanswered(record, limit_ns))


def later_than(name: str, record: Record, limit_ns: float) -> Late | None:
    """How many requests took longer, or got no answer, for a percentile; None of others."""
    found = percentile_named(name)
    if found is None:
        return None
    responses, unanswered = record.responses, _unanswered(record, limit_ns)
    may = float(1 - Fraction(str(found[0])) / 100)
    late = responses.count_above(limit_ns) + unanswered
    return Late(late, responses.count + unanswered, may)


def responses_for(name: str, record: Record) -> tuple[int, int] | None:
    """How many responses there are for a percentile, and how many it needs; None of others."""
    found = percentile_named(name)
    return None if found is None else (record.responses.count, needed(found[0]))


def _unanswered(record: Record, limit_ns: float) -> int:
    """How many requests of the window got no answer, or will get it later than the limit."""
    lost = record.refused_in_window + record.timed_out_in_window
    before, after = record.under_way_before, record.under_way_after
    return lost + after.count_above(limit_ns) - before.count_above(limit_ns)


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
