"""Memory that the model needs: stacks, frames, sockets, interest lists; peaks."""

from iosim.metrics import Metric, Values
from iosim.record import Record

NAMES = {"memory_bytes": Metric("bytes", "Peak of all parts together.")}
PATTERNS = {"memory_*_bytes": Metric("bytes", "Peak of this part.")}


def measure(record: Record) -> Values:
    yield "memory_bytes", record.memory_peak_bytes
    for part, size_bytes in record.memory_bytes.items():
        yield f"memory_{part.replace(' ', '_')}_bytes", size_bytes
