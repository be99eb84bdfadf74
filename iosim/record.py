"""What one run of one I/O model has shown: plain numbers, simulated or measured.

The simulator and the real servers fill in the same record; metrics are computed from it
and from nothing else.

Scope: one replication. Counts and times are of the window, the part of the run after the
warm-up; the fate of requests is of the whole run under load, and again of the window.
Validated by: tests/conformance
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from iosim.histogram import Histogram


@dataclass(frozen=True)
class DeviceRecord:
    """A backend over the window; busy and queued are time-integrals of calls."""

    calls: int
    busy_ns: int
    queued_ns: int
    concurrency: int | None


@dataclass(frozen=True)
class ClassRecord:
    """The requests of one class: answered in the whole run, response times of the window."""

    completed: int
    responses: Histogram


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
    """One thread over the whole run under load, times in ns. None: not known."""

    name: str
    voluntary_switches: int
    involuntary_switches: int
    migrations: int | None
    cpu_ns: int | None
    run_queue_ns: int | None
    wake_up_ns: int | None
    lock_ns: int | None


@dataclass(frozen=True)
class RequestRecord:
    """One answered request: when it was meant to be sent, and where its time went, in ns.

    None: not known, as of all parts but the client's of a measured one.
    """

    number: int
    intended_ns: int
    response_ns: int
    client_ns: int
    network_ns: int | None = None
    queue_ns: int | None = None
    wake_up_ns: int | None = None
    run_queue_ns: int | None = None
    cpu_ns: int | None = None
    lock_ns: int | None = None
    device_ns: int | None = None
    class_name: str = ""
    """Empty where all requests are alike."""


@dataclass(frozen=True)
class Interference:
    """What else happened over the window of a measured run, and how well it was asked for."""

    cores_ns: int
    """The window's length, times the server's cores."""
    stolen_ns: int
    others_ns: int
    """Other processes' on the server's cores."""
    late_p50_ns: int
    late_p99_ns: int
    late_max_ns: int
    """From when a request was to be sent to when it was."""
    marks_late_ns: int
    """By so much the server told its counters too late, at the start or the end of the window."""
    busy_fraction: float
    """Part of the time in which the clients' process had something to do."""
    attempts: int = 1
    """So often the run was made until it was taken."""


@dataclass(frozen=True)
class ProcessRecord:
    """A real server's process over the window: its CPU time, and that time by mode.

    `user_ns` and `system_ns` are sampled by the kernel; `cpu_ns`, their sum, is exact.
    """

    cores: int
    cpu_ns: int
    user_ns: int
    system_ns: int
    threads: int = 0
    """At the end of the window."""
    connect_failures: int = 0
    """Connections that the clients could not open."""
    interference: Interference | None = None
    counted_by: str = ""
    """What counted the syscalls."""
    no_syscalls: str = ""
    """Or why they are not known."""


@dataclass(frozen=True)
class Record:
    """One replication. Times in ns. None: not known, as some of what is measured."""

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
    refused_in_window: int
    timed_out_in_window: int
    responses: Histogram
    under_way_before: Histogram
    """For how long those in flight when the window began had been under way: ns since they were
    meant to be sent."""
    under_way_after: Histogram
    """The same of those in flight when it ended."""
    parts_ns: Mapping[str, int]
    """Sums over the window's answered requests; they add up to the responses' total. Empty of a
    measured run."""
    voluntary_switches: int
    involuntary_switches: int
    thread_switches: int | None
    coroutine_switches: int
    migrations: int | None
    wakeups: int | None
    syscalls: Mapping[str, float] | None
    waits: int
    wait_events: int
    wasted_polls: int
    spurious_wakeups: int | None
    own_work_ns: int
    cores_ns: tuple[Mapping[str, int], ...]
    """CPU time by cause, per core; each core's adds up to `window_ns`. None of a measured run."""
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
    process: ProcessRecord | None = None
    """Of a measured run."""
    failed: int = 0
    """Of the completed requests, those answered with an error."""
    failed_in_window: int = 0
    """Of those answered in the window."""
    order: str = ""
    """First steps of a pipeline: P for each item made, C for each taken."""
    events: int = 0
    """Simulated events, the price of the run."""
    replication: int = 0
    classes: Mapping[str, ClassRecord] = field(default_factory=dict)
    """By name, in the scenario's order; none where all requests are alike."""
