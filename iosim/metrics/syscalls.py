"""Syscalls, by name, and how well waiting for readiness worked."""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

NAMES = {
    "syscalls_per_request": Metric("1/request", "All syscalls per answered request."),
    "events_per_wait": Metric("1", "Descriptors reported by a select, poll or epoll_wait."),
    "wasted_polls_per_request": Metric(
        "1/request", "Reads that answered EAGAIN, per answered request."
    ),
}
PATTERNS = {"syscalls_*_per_request": Metric("1/request", "This syscall per answered request.")}


def measure(record: Record) -> Values:
    calls = record.syscalls
    total = None if calls is None else sum(calls.values())
    yield "syscalls_per_request", per(total, record.answered)
    yield "events_per_wait", per(record.wait_events, record.waits)
    yield "wasted_polls_per_request", per(record.wasted_polls, record.answered)
    for name, count in (calls or {}).items():
        yield f"syscalls_{name}_per_request", per(count, record.answered)


def undefined(name: str, record: Record) -> str | None:
    """Why a value does not exist, if not because nothing was answered."""
    if name == "syscalls_per_request" and record.process is not None:
        return record.process.no_syscalls or None
    if name != "events_per_wait" or not record.answered:
        return None
    # A real server counts its own waits; one that waits inside a library cannot.
    return "no such call was made" if record.process is None else "the server counts no such call"
