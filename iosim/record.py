"""What one run of one I/O model has shown: plain numbers, simulated or measured.

The simulator and the real servers fill in the same record; metrics are computed from it
and from nothing else.

Scope: one replication. Counts and times are of the window, the part of the run after the
warm-up; the fate of requests is of the whole run under load.
Validated by: tests/conformance
"""

from collections.abc import Mapping
from dataclasses import dataclass

from iosim.histogram import Histogram


@dataclass(frozen=True)
class DeviceRecord:
    """A backend over the window; busy and queued are time-integrals of calls."""

    calls: int
    busy_ns: int
    queued_ns: int
    concurrency: int | None


@dataclass(frozen=True)
class InterpreterLockRecord:
    """CPython's lock over the window: ns held, waits that have ended, and ns they took.

    Each process has a lock of its own, of which there are `locks`; these are their sums.
    """

    held_ns: int
    waits: int
    wait_ns: int
    locks: int = 1


@dataclass(frozen=True)
class ThreadRecord:
    """One thread over the whole run under load, times in ns."""

    name: str
    voluntary_switches: int
    involuntary_switches: int
    migrations: int
    cpu_ns: int
    run_queue_ns: int
    wake_up_ns: int
    lock_ns: int


@dataclass(frozen=True)
class RequestRecord:
    """One answered request: when it was meant to be sent, and where its time went, in ns."""

    number: int
    intended_ns: int
    response_ns: int
    client_ns: int
    network_ns: int
    queue_ns: int
    wake_up_ns: int
    run_queue_ns: int
    cpu_ns: int
    lock_ns: int
    device_ns: int


@dataclass(frozen=True)
class Record:
    """One replication. Times in ns."""

    # The whole run under load.
    duration_ns: int
    offered: int
    completed: int
    refused: int
    timed_out: int
    in_flight: int
    # The window.
    window_ns: int
    warm_up_ns: int
    warm_up_warning: str | None
    answered: int
    responses: Histogram
    parts_ns: Mapping[str, int]
    """Sums over the window's answered requests; they add up to the responses' total."""
    voluntary_switches: int
    involuntary_switches: int
    thread_switches: int
    coroutine_switches: int
    migrations: int
    wakeups: int
    syscalls: Mapping[str, int]
    waits: int
    wait_events: int
    wasted_polls: int
    spurious_wakeups: int
    own_work_ns: int
    cores_ns: tuple[Mapping[str, int], ...]
    """CPU time by cause, per core; each core's adds up to `window_ns`."""
    devices: Mapping[str, DeviceRecord]
    memory_bytes: Mapping[str, int]
    """Peaks by what it is used for; they need not coincide."""
    memory_peak_bytes: int
    """Peak of all uses together."""
    served: tuple[int, ...]
    """Requests answered by each worker, of a program that shares them out among some."""
    # Details.
    threads: tuple[ThreadRecord, ...]
    requests: tuple[RequestRecord, ...]
    """A sample, evenly spread over the window."""
    retries: int = 0
    """Requests offered because an earlier one has timed out."""
    listen_overflows: int = 0
    """Times that a connection found the listener's queue full."""
    connections_opened: int = 0
    """Under load; none where all connections stay."""
    interpreter_lock: InterpreterLockRecord | None = None
    """None where the runtime has none."""
    failed: int = 0
    """Of the completed requests, those answered with an error."""
    order: str = ""
    """First steps of a pipeline: P for each item made, C for each taken."""
    events: int = 0
    """Simulated events, the price of the run."""
    replication: int = 0
