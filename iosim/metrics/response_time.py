"""Response times from the intended send time: mean, percentiles, and where they went."""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9}

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
        f"response_time_{name}_ns": Metric("ns", f"{q:g}% of responses took no longer.")
        for name, q in PERCENTILES.items()
    },
    "response_time_max_ns": Metric("ns", "The longest response time."),
    **{f"time_{part}_ns": Metric("ns", f"Mean part: {text}") for part, text in PARTS.items()},
}


def measure(record: Record) -> Values:
    responses = record.responses
    yield "response_time_mean_ns", per(responses.total_ns, responses.count)
    for name, q in PERCENTILES.items():
        yield f"response_time_{name}_ns", responses.percentile(q)
    yield "response_time_max_ns", responses.max_ns
    for part in PARTS:
        yield f"time_{part}_ns", per(record.parts_ns[part], record.answered)
