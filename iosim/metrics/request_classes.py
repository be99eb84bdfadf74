"""Response times of each class of requests, where there are classes."""

from iosim.histogram import RELATIVE_ERROR
from iosim.metrics import Metric, Values, per
from iosim.metrics.response_time import PERCENTILES, needed, too_few
from iosim.record import Record

NAMES: dict[str, Metric] = {}
PATTERNS = {
    "class_*_response_time_mean_ns": Metric("ns", "Mean response time of the class."),
    **{
        f"class_*_response_time_{name}_ns": Metric(
            "ns", f"{q:g}% of the class's responses took no longer.", RELATIVE_ERROR
        )
        for name, q in PERCENTILES.items()
    },
    "class_*_throughput_per_s": Metric("1/s", "Requests of the class answered per second."),
    "class_*_completed": Metric("requests", "Those answered in time, in the whole run."),
}


def measure(record: Record) -> Values:
    for name, one in record.classes.items():
        responses = one.responses
        head = f"class_{name}"
        yield f"{head}_response_time_mean_ns", per(responses.total_ns, responses.count)
        for percentile, q in PERCENTILES.items():
            known = responses.count >= needed(q)
            value = responses.percentile(q) if known else None
            yield f"{head}_response_time_{percentile}_ns", value
        yield f"{head}_throughput_per_s", per(responses.count * 1e9, record.window_ns)
        yield f"{head}_completed", one.completed


def responses_for(name: str, record: Record) -> tuple[int, int] | None:
    """How many responses there are for a class's percentile, and how many it needs."""
    for class_name, one in record.classes.items():
        for percentile, q in PERCENTILES.items():
            if name == f"class_{class_name}_response_time_{percentile}_ns":
                return one.responses.count, needed(q)
    return None


def undefined(name: str, record: Record) -> str | None:
    """Why a percentile of a class does not exist, and how long a run would give it."""
    for class_name, one in record.classes.items():
        for percentile, q in PERCENTILES.items():
            if name == f"class_{class_name}_response_time_{percentile}_ns":
                return too_few(q, one.responses.count, record)
    return None
