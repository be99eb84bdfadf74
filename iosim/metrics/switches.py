"""Context switches as Linux counts them, coroutine switches apart, and what goes with them."""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

NAMES = {
    "voluntary_switches_per_request": Metric(
        "1/request", "Times a thread left its core asleep, per answered request."
    ),
    "involuntary_switches_per_request": Metric(
        "1/request", "Times a thread left its core runnable (preempted), per answered request."
    ),
    "context_switches_per_s": Metric("1/s", "Voluntary and involuntary, per second."),
    "voluntary_switches_per_s": Metric("1/s", "Voluntary context switches per second."),
    "involuntary_switches_per_s": Metric("1/s", "Involuntary context switches per second."),
    "thread_switches_per_s": Metric(
        "1/s", "Changes from one thread to another on a core, per second."
    ),
    "coroutine_switches_per_request": Metric(
        "1/request", "Resumed coroutines per answered request: in user space, no context switch."
    ),
    "migrations_per_request": Metric("1/request", "Threads that went on on another core."),
    "wakeups_per_request": Metric("1/request", "Sleeping threads made runnable."),
}


def measure(record: Record) -> Values:
    voluntary, involuntary = record.voluntary_switches, record.involuntary_switches
    yield "voluntary_switches_per_request", per(voluntary, record.answered)
    yield "involuntary_switches_per_request", per(involuntary, record.answered)
    yield "context_switches_per_s", per((voluntary + involuntary) * 1e9, record.window_ns)
    yield "voluntary_switches_per_s", per(voluntary * 1e9, record.window_ns)
    yield "involuntary_switches_per_s", per(involuntary * 1e9, record.window_ns)
    changes = record.thread_switches
    yield "thread_switches_per_s", per(changes and changes * 1e9, record.window_ns)
    yield "coroutine_switches_per_request", per(record.coroutine_switches, record.answered)
    yield "migrations_per_request", per(record.migrations, record.answered)
    yield "wakeups_per_request", per(record.wakeups, record.answered)
