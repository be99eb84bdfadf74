"""A record made by hand, of round numbers, from which every metric can be told by arithmetic."""

from dataclasses import replace
from typing import Any

from iosim.histogram import Histogram
from iosim.record import DeviceRecord, InterpreterLockRecord, Record, RequestRecord, ThreadRecord

MS = 1_000_000


def histogram(*responses_ns: int) -> Histogram:
    made = Histogram()
    made.add_many(list(responses_ns))
    return made


RECORD = Record(
    duration_ns=2_500 * MS,
    offered=12,
    completed=8,
    refused=2,
    timed_out=1,
    failed=2,
    in_flight=1,
    window_ns=2_000 * MS,
    warm_up_ns=500 * MS,
    warm_up_warning=None,
    answered=4,
    refused_in_window=1,
    timed_out_in_window=1,
    failed_in_window=1,
    responses=histogram(100, 200, 300, 400),
    under_way_before=histogram(),
    under_way_after=histogram(500),
    parts_ns={
        "client": 0,
        "network": 100,
        "queue": 200,
        "wake_up": 50,
        "run_queue": 150,
        "cpu": 300,
        "lock": 0,
        "device": 200,
    },
    voluntary_switches=6,
    involuntary_switches=2,
    thread_switches=10,
    coroutine_switches=20,
    migrations=1,
    wakeups=8,
    syscalls={"epoll_wait": 2, "recvfrom": 8, "sendto": 4},
    waits=2,
    wait_events=5,
    wasted_polls=3,
    spurious_wakeups=1,
    own_work_ns=100 * MS,
    cores_ns=(
        {
            "user": 600 * MS,
            "syscall": 400 * MS,
            "switch": 100 * MS,
            "refill": 50 * MS,
            "softirq": 150 * MS,
            "spin": 200 * MS,
            "idle": 500 * MS,
            "stolen": 0,
        },
        {
            "user": 200 * MS,
            "syscall": 100 * MS,
            "switch": 0,
            "refill": 50 * MS,
            "softirq": 50 * MS,
            "spin": 0,
            "idle": 1_500 * MS,
            "stolen": 100 * MS,
        },
    ),
    devices={"db": DeviceRecord(calls=6, busy_ns=3_000 * MS, queued_ns=1_000 * MS, concurrency=4)},
    memory_bytes={"process": 1_000, "thread stacks": 500},
    memory_peak_bytes=1_400,
    served=(3, 1, 0),
    threads=(
        ThreadRecord(
            name="main",
            voluntary_switches=6,
            involuntary_switches=2,
            migrations=1,
            cpu_ns=1_900 * MS,
            run_queue_ns=3,
            wake_up_ns=4,
            lock_ns=5,
        ),
    ),
    interpreter_lock=InterpreterLockRecord(held_ns=1_500 * MS, waits=2, wait_ns=9_000),
    requests=(
        RequestRecord(
            number=7,
            intended_ns=510 * MS,
            response_ns=28,
            client_ns=0,
            network_ns=1,
            queue_ns=2,
            wake_up_ns=3,
            run_queue_ns=4,
            cpu_ns=5,
            lock_ns=6,
            device_ns=7,
        ),
    ),
)

NOTHING_ANSWERED = replace(
    RECORD,
    completed=0,
    failed=0,
    failed_in_window=0,
    in_flight=9,
    answered=0,
    responses=histogram(),
    parts_ns=dict.fromkeys(RECORD.parts_ns, 0),
    syscalls={},
    waits=0,
    wait_events=0,
    requests=(),
    threads=(),
)


def record(**changes: Any) -> Record:
    """RECORD with some of its fields changed."""
    return replace(RECORD, **changes)
