"""What became of the requests: throughput, and the four ways in which one can end."""

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
    "error_fraction": Metric("1", "Refused and timed out, of all that ended."),
    "failed_fraction": Metric("1", "Answered with an error, of those completed."),
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
    errors = record.refused + record.timed_out
    yield "error_fraction", per(errors, errors + record.completed)
    yield "failed_fraction", per(record.failed, record.completed)
