"""CPU time: how busy the cores are, with what, and what a request costs.

The fractions of the causes add up to one. A core is busy when it is neither idle nor
stolen: what the host takes away is no work of the server's.
"""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

CAUSES = {
    "user": "The program's own computing.",
    "syscall": "In syscalls.",
    "switch": "Context switches, and what waking from idle charges.",
    "refill": "Fetching again what the caches had lost.",
    "softirq": "Receiving packets.",
    "spin": "Asking in vain.",
    "idle": "Nothing to do, waking up included.",
    "stolen": "The host ran others, while something wanted the core.",
}

NAMES = {
    "cpu_utilization": Metric("1", "Part of the cores' time that is neither idle nor stolen."),
    "cpu_time_per_request_ns": Metric("ns", "Busy CPU time per answered request."),
    **{f"cpu_{cause}_fraction": Metric("1", text) for cause, text in CAUSES.items()},
    "own_work_ns": Metric("ns", "The server's own work done, after the warm-up."),
    "own_work_fraction": Metric("1", "The same, as part of all cores' time."),
}
PATTERNS = {"cpu_utilization_core_*": Metric("1", "The same for one core.")}


def measure(record: Record) -> Values:
    total_ns = record.window_ns * len(record.cores_ns)
    sums = {cause: sum(core[cause] for core in record.cores_ns) for cause in CAUSES}
    busy_ns = total_ns - sums["idle"] - sums["stolen"]
    yield "cpu_utilization", per(busy_ns, total_ns)
    yield "cpu_time_per_request_ns", per(busy_ns, record.answered)
    for cause, ns in sums.items():
        yield f"cpu_{cause}_fraction", per(ns, total_ns)
    for number, core in enumerate(record.cores_ns):
        busy = per(record.window_ns - core["idle"] - core["stolen"], record.window_ns)
        yield f"cpu_utilization_core_{number}", busy
    yield "own_work_ns", record.own_work_ns
    yield "own_work_fraction", per(record.own_work_ns, total_ns)
