"""The devices that handlers call: how busy, how long their queues."""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

NAMES: dict[str, Metric] = {}
PATTERNS = {
    "device_*_utilization": Metric(
        "1", "Mean calls in service, of those it can serve at once; none if that is not limited."
    ),
    "device_*_in_service": Metric("calls", "Mean calls in service."),
    "device_*_queue": Metric("calls", "Mean calls that wait for a place."),
    "device_*_calls_per_s": Metric("1/s", "Calls begun per second."),
}


def measure(record: Record) -> Values:
    for name, device in record.devices.items():
        in_service = per(device.busy_ns, record.window_ns)
        places = device.concurrency
        utilization = None if in_service is None or places is None else in_service / places
        yield f"device_{name}_utilization", utilization
        yield f"device_{name}_in_service", in_service
        yield f"device_{name}_queue", per(device.queued_ns, record.window_ns)
        yield f"device_{name}_calls_per_s", per(device.calls * 1e9, record.window_ns)
