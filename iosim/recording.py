"""Recording a simulated run: snapshots at slices, response times, and a record at the end.

What it does: the time under load is cut in `SLICES` slices. At each boundary all counters
are copied and a new histogram begins, so that a warm-up found afterwards can be left out
of every figure, in memory that does not grow with the number of requests. The warm-up
ends at the first boundary by which the observations that MSER-5 discards are complete.

Not done: a warm-up finer than a slice.
Validated by: tests/unit/test_recording.py, tests/theory
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from iosim.histogram import Histogram
from iosim.machine.machine import Machine
from iosim.machine.request import PARTS, Request
from iosim.machine.thread import CAUSES
from iosim.record import DeviceRecord, Record, RequestRecord, ThreadRecord
from iosim.statistics import Mser

SLICES = 50
SAMPLE_MOST = 2_000
FLUSH_AT = 16_384


@dataclass(frozen=True)
class Snapshot:
    """All counters at one instant."""

    at_ns: int
    counts: dict[str, int]
    syscalls: Counter[str]
    cores_ns: list[list[int]]
    devices: dict[str, tuple[int, int, int]]
    parts_ns: tuple[int, ...]
    answered: int


COUNTERS = (
    "voluntary",
    "involuntary",
    "coroutine_switches",
    "migrations",
    "wakeups",
    "waits",
    "wait_events",
    "wasted_polls",
    "own_work_ns",
)
"""Attributes of the machine that only ever grow."""


class Recording:
    """Observes one run; fulfils `iosim.clients.Recorder`."""

    def __init__(self, machine: Machine, devices: dict[str, Any]) -> None:
        self._machine = machine
        self._devices = devices
        self._responses: list[int] = []
        self._network = self._queue = self._wake_up = self._run_queue = 0
        self._cpu = self._lock = self._device = 0
        self._answered = 0
        self._histograms: list[Histogram] = []
        self._snapshots: list[Snapshot] = []
        self._mser = Mser()
        self._sample: list[tuple[int, RequestRecord]] = []
        self._stride = 1
        self._until_sample = 1

    def completed(self, request: Request, response_ns: int) -> None:
        """`request` has been answered."""
        responses = self._responses
        responses.append(response_ns)
        self._answered += 1
        self._network += request.network_ns
        self._queue += request.queue_ns
        self._wake_up += request.wake_up_ns
        self._cpu += request.cpu_ns
        if request.run_queue_ns:
            self._run_queue += request.run_queue_ns
        if request.lock_ns:
            self._lock += request.lock_ns
        if request.device_ns:
            self._device += request.device_ns
        self._until_sample -= 1
        if not self._until_sample:
            self._keep(request, response_ns)
        if len(responses) >= FLUSH_AT:
            self._flush()

    def _keep(self, request: Request, response_ns: int) -> None:
        """Keep every stride-th request; twice the stride when there are too many."""
        record = RequestRecord(
            number=request.number,
            intended_ns=request.intended_ns,
            response_ns=response_ns,
            network_ns=request.network_ns,
            queue_ns=request.queue_ns,
            wake_up_ns=request.wake_up_ns,
            run_queue_ns=request.run_queue_ns,
            cpu_ns=request.cpu_ns,
            lock_ns=request.lock_ns,
            device_ns=request.device_ns,
        )
        self._sample.append((self._machine.env._now, record))
        if len(self._sample) >= SAMPLE_MOST:
            del self._sample[1::2]
            self._stride *= 2
        self._until_sample = self._stride

    def _flush(self) -> None:
        if self._responses:
            self._histograms[-1].add_many(self._responses)
            self._mser.add_many(self._responses)
            self._responses.clear()

    # ---------------------------------------------------------------------- snapshots

    def boundary(self) -> None:
        """A slice begins now (and the one before it ends)."""
        if self._histograms:
            self._flush()
        self._responses.clear()
        self._histograms.append(Histogram())
        self._snapshots.append(self._snapshot())

    def _snapshot(self) -> Snapshot:
        machine = self._machine
        counts = {name: getattr(machine, name) for name in COUNTERS}
        counts["thread_switches"] = sum(core.switches for core in machine.cores)
        devices = {}
        for name, device in self._devices.items():
            usage = device.usage()
            devices[name] = (usage.calls, usage.busy_ns, usage.queued_ns)
        return Snapshot(
            at_ns=machine.env._now,
            counts=counts,
            syscalls=machine.syscalls.copy(),
            cores_ns=[core.account() for core in machine.cores],
            devices=devices,
            parts_ns=(
                self._network,
                self._queue,
                self._wake_up,
                self._run_queue,
                self._cpu,
                self._lock,
                self._device,
            ),
            answered=self._answered,
        )

    # --------------------------------------------------------------------- the record

    def record(
        self,
        fates: dict[str, int],
        warm_up: int | str,
        baseline: dict[int, ThreadRecord],
        threads: list[ThreadRecord],
        order: str,
        replication: int,
    ) -> Record:
        """The run's record; `warm_up` is ns, `auto` or `none`."""
        self._flush()
        last = self._snapshot()
        start = self._snapshots[0].at_ns
        index, warning = self._first_slice(warm_up)
        first = self._snapshots[index]
        responses = Histogram()
        for histogram in self._histograms[index:]:
            responses.merge(histogram)
        window_ns = last.at_ns - first.at_ns
        counts = {name: last.counts[name] - first.counts[name] for name in last.counts}
        cores = zip(last.cores_ns, first.cores_ns, strict=True)
        return Record(
            duration_ns=last.at_ns - start,
            **fates,
            window_ns=window_ns,
            warm_up_ns=first.at_ns - start,
            warm_up_warning=warning,
            answered=last.answered - first.answered,
            responses=responses,
            parts_ns={
                part: now - then
                for part, now, then in zip(PARTS, last.parts_ns, first.parts_ns, strict=True)
            },
            voluntary_switches=counts["voluntary"],
            involuntary_switches=counts["involuntary"],
            thread_switches=counts["thread_switches"],
            coroutine_switches=counts["coroutine_switches"],
            migrations=counts["migrations"],
            wakeups=counts["wakeups"],
            syscalls=dict(sorted((last.syscalls - first.syscalls).items())),
            waits=counts["waits"],
            wait_events=counts["wait_events"],
            wasted_polls=counts["wasted_polls"],
            own_work_ns=counts["own_work_ns"],
            cores_ns=tuple(
                {cause: a - b for cause, a, b in zip(CAUSES, now, then, strict=True)}
                for now, then in cores
            ),
            devices={
                name: DeviceRecord(
                    *(a - b for a, b in zip(last.devices[name], first.devices[name], strict=True)),
                    concurrency=device.usage().concurrency,
                )
                for name, device in self._devices.items()
            },
            memory_bytes=dict(self._machine.memory.peak),
            threads=tuple(threads),
            requests=tuple(r for at_ns, r in self._sample if at_ns >= first.at_ns),
            order=order,
            replication=replication,
        )

    def _first_slice(self, warm_up: int | str) -> tuple[int, str | None]:
        """Index of the first slice after the warm-up, and a warning if it is dubious."""
        if warm_up == "none":
            return 0, None
        snapshots = self._snapshots
        if isinstance(warm_up, int):
            until_ns = snapshots[0].at_ns + warm_up
            late = [i for i, s in enumerate(snapshots) if s.at_ns >= until_ns]
            return (late[0] if late else len(snapshots) - 1), None
        truncation = self._mser.truncation()
        observed = snapshots[0].answered + truncation.observations
        late = [i for i, s in enumerate(snapshots) if s.answered >= observed]
        index = min(late[0] if late else len(snapshots) - 1, SLICES // 2)
        return index, truncation.warning
