"""What became of the requests: throughput, and the four ways in which one can end.

Counts are of the whole run, so that offered = completed + refused + timed_out + in_flight; rates
and shares are of the window, without the warm-up.
"""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

NAMES = {
    "throughput_per_s": Metric("1/s", "Requests answered per second, after the warm-up."),
    "offered": Metric("requests", "Requests meant to be sent, in the whole run."),
    "completed": Metric("requests", "Answered in time."),
    "refused": Metric("requests", "Not sent: too many waited at the clients."),
    "timed_out": Metric("requests", "Given up by the client."),
    "retries": Metric("requests", "Offered because an earlier one had timed out."),
    "connections_opened": Metric("connections", "Opened under load."),
    "listen_overflows": Metric("connections", "Found the listener's queue full."),
    "in_flight": Metric("requests", "Under way when the run ended."),
    "error_fraction": Metric("1", "Refused and timed out, of all that ended after the warm-up."),
    "failed_fraction": Metric("1", "Answered with an error, of those answered after the warm-up."),
}


def measure(record: Record) -> Values:
    yield "throughput_per_s", per(record.answered * 1e9, record.window_ns)
    yield "offered", record.offered
    yield "completed", record.completed
    yield "refused", record.refused
    yield "timed_out", record.timed_out
    yield "in_flight", record.in_flight
    yield "retries", record.retries
    yield "connections_opened", record.connections_opened
    yield "listen_overflows", record.listen_overflows
    for name, (events, of) in _shares(record).items():
        yield name, per(events, of)


def events_of(name: str, record: Record) -> tuple[int, int] | None:
    """Of a share: how many requests it counts, and of how many; None of other metrics."""
    return _shares(record).get(name)


def _shares(record: Record) -> dict[str, tuple[int, int]]:
    errors = record.refused_in_window + record.timed_out_in_window
    return {
        "error_fraction": (errors, errors + record.answered),
        "failed_fraction": (record.failed_in_window, record.answered),
    }
