"""Several threads for the same requests: how evenly shared out, how often woken for nothing."""

from iosim.metrics import Metric, Values, per
from iosim.record import Record

NAMES = {
    "worker_imbalance": Metric(
        "1",
        "Requests answered by the busiest worker, of its fair share: 1 is even, as many as there "
        "are workers is one for all.",
    ),
    "spurious_wakeups_per_request": Metric(
        "1/request",
        "Times a thread was woken in accept4, select, poll or epoll_wait and found that another "
        "had taken what it was woken for.",
    ),
}


def measure(record: Record) -> Values:
    busiest = max(record.served, default=0) * len(record.served)
    yield "worker_imbalance", per(busiest, sum(record.served))
    yield "spurious_wakeups_per_request", per(record.spurious_wakeups, record.answered)
