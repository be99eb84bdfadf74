"""CPython's interpreter lock: how much of the time it is held, and what waiting for it takes.

The lock is one core's worth of Python, however many threads and cores there are. Threads that
compute are at its limit at some 80 to 90%: on its way from one to the next nobody holds it.
Forked processes have a lock each; these metrics are the sums over all of them, so that the part
of the time may be more than 1. Undefined where the runtime has none.

Validated by: tests/unit/test_metrics.py, tests/timeline/test_interpreter.py
"""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

NAMES = {
    "interpreter_lock_utilization": Metric(
        "1", "Part of the time in which a thread held it; summed over the processes."
    ),
    "interpreter_lock_waits_per_request": Metric(
        "1/request", "Times a thread found it held and waited, per answered request."
    ),
    "interpreter_lock_wait_ns": Metric("ns", "How long such a thread waited, as a mean."),
}


def measure(record: Record) -> Values:
    lock = record.interpreter_lock
    if lock is None:
        yield from ((name, None) for name in NAMES)
        return
    yield "interpreter_lock_utilization", per(lock.held_ns, record.window_ns)
    yield "interpreter_lock_waits_per_request", per(lock.waits, record.answered)
    yield "interpreter_lock_wait_ns", per(lock.wait_ns, lock.waits)


def undefined(name: str, record: Record) -> str | None:
    """Why a value does not exist, if not because nothing was answered."""
    lock = record.interpreter_lock
    if lock is None:
        return "this runtime has no interpreter lock"
    return None if lock.waits else "no thread waited for it"
