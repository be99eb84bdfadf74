"""CPU time: how busy the cores are, with what, and what a request costs.

The fractions of the causes add up to one. A core is busy when it is neither idle nor
stolen: what the host takes away is no work of the server's. One event loop is at its limit
when its thread never leaves a core, however many others idle: the busiest thread shows that.

Scope: a thread is known over the whole run under load, cores over the window.
"""

from iosim.metrics import Metric, Values, per
from iosim.record import ProcessRecord, Record

CAUSES = {
    "user": "The program's own computing.",
    "syscall": "In syscalls.",
    "switch": "Context switches, and the part of the exits from idle that is charged.",
    "refill": "Fetching again what the caches had lost.",
    "softirq": "Receiving packets.",
    "spin": "Asking in vain.",
    "idle": "Nothing to do, waking up included.",
    "stolen": "The host ran others, while something wanted the core.",
}

NAMES = {
    "cpu_utilization": Metric("1", "Part of the cores' time that is neither idle nor stolen."),
    "cpu_utilization_busiest_core": Metric("1", "The same for the core that idles least."),
    "cpu_utilization_busiest_thread": Metric(
        "1", "Part of the run in which the busiest thread had a core."
    ),
    "cpu_time_per_request_ns": Metric("ns", "Busy CPU time per answered request."),
    **{f"cpu_{cause}_fraction": Metric("1", text) for cause, text in CAUSES.items()},
    "own_work_ns": Metric("ns", "The server's own work done, after the warm-up."),
    "own_work_fraction": Metric("1", "The same, as part of all cores' time."),
}
PATTERNS = {"cpu_utilization_core_*": Metric("1", "The same for one core.")}


def measure(record: Record) -> Values:
    if record.process is not None:
        yield from _of_a_process(record, record.process)
        return
    total_ns = record.window_ns * len(record.cores_ns)
    sums = {cause: sum(core[cause] for core in record.cores_ns) for cause in CAUSES}
    busy_ns = total_ns - sums["idle"] - sums["stolen"]
    yield "cpu_utilization", per(busy_ns, total_ns)
    yield "cpu_time_per_request_ns", per(busy_ns, record.answered)
    cores = [record.window_ns - core["idle"] - core["stolen"] for core in record.cores_ns]
    yield "cpu_utilization_busiest_core", per(max(cores, default=0), record.window_ns)
    thread_ns = max((thread.cpu_ns or 0 for thread in record.threads), default=0)
    yield "cpu_utilization_busiest_thread", per(thread_ns, record.duration_ns)
    for cause, ns in sums.items():
        yield f"cpu_{cause}_fraction", per(ns, total_ns)
    for number, core_ns in enumerate(cores):
        yield f"cpu_utilization_core_{number}", per(core_ns, record.window_ns)
    yield "own_work_ns", record.own_work_ns
    yield "own_work_fraction", per(record.own_work_ns, total_ns)


def _of_a_process(record: Record, process: ProcessRecord) -> Values:
    total_ns = record.window_ns * process.cores
    sampled_ns = process.user_ns + process.system_ns
    known = {
        "cpu_utilization": per(process.cpu_ns, total_ns),
        "cpu_time_per_request_ns": per(process.cpu_ns, record.answered),
        "own_work_ns": record.own_work_ns,
        "own_work_fraction": per(record.own_work_ns, total_ns),
    }
    stolen_ns = process.interference.stolen_ns if process.interference else 0
    known["cpu_stolen_fraction"] = per(stolen_ns, total_ns)
    known["cpu_idle_fraction"] = per(max(0, total_ns - process.cpu_ns - stolen_ns), total_ns)
    threads_ns = [thread.cpu_ns for thread in record.threads if thread.cpu_ns is not None]
    if threads_ns:
        known["cpu_utilization_busiest_thread"] = per(max(threads_ns), record.duration_ns)
    if sampled_ns:  # what the kernel has sampled, of what it has counted exactly
        share = process.cpu_ns / sampled_ns
        known["cpu_user_fraction"] = per(process.user_ns * share, total_ns)
        known["cpu_syscall_fraction"] = per(process.system_ns * share, total_ns)
    for name in NAMES:
        yield name, known.get(name)
