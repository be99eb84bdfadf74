"""A measured record, made up."""

from iosim.histogram import Histogram
from iosim.record import ProcessRecord, Record

RESPONSES = Histogram()
RESPONSES.add_many([1_000_000] * 900 + [4_000_000] * 100)

RECORD = Record(
    duration_ns=1_100_000_000,
    offered=1_100,
    completed=1_100,
    refused=0,
    timed_out=0,
    in_flight=0,
    window_ns=1_000_000_000,
    warm_up_ns=100_000_000,
    warm_up_warning=None,
    answered=1_000,
    refused_in_window=0,
    timed_out_in_window=0,
    responses=RESPONSES,
    under_way_before=Histogram(),
    under_way_after=Histogram(),
    parts_ns={},
    voluntary_switches=1_000,
    involuntary_switches=10,
    thread_switches=None,
    coroutine_switches=0,
    migrations=None,
    wakeups=None,
    syscalls=None,
    waits=0,
    wait_events=0,
    wasted_polls=0,
    spurious_wakeups=None,
    own_work_ns=0,
    cores_ns=(),
    devices={},
    memory_bytes={},
    memory_peak_bytes=1 << 20,
    served=(),
    threads=(),
    requests=(),
    process=ProcessRecord(cores=1, cpu_ns=50_000_000, user_ns=30_000_000, system_ns=20_000_000),
)
