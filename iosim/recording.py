"""Recording a simulated run: snapshots at slices, response times, and a record at the end.

What it does: the time under load is cut in `SLICES` slices. At each boundary all counters
are copied and a new histogram begins, so that a warm-up found afterwards can be left out
of every figure, in memory that does not grow with the number of requests.

The warm-up is looked for in the average over a model's replications (Welch's idea, then
MSER-5), and the same is cut off each: cutting each by itself takes its busy spells for
warm-ups and biases the mean low. It ends at the first slice by which the observations
that MSER-5 discards have been made in every replication.

Not done: a warm-up finer than a slice.
Validated by: tests/unit/test_recording.py, tests/theory
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add, attrgetter
from typing import Any, Protocol

from iosim.backlog import left_over
from iosim.histogram import Histogram
from iosim.machine.machine import Machine
from iosim.machine.request import PARTS, Request, summed_parts
from iosim.machine.thread import CAUSES
from iosim.record import (
    ClassRecord,
    DeviceRecord,
    InterpreterLockRecord,
    Record,
    RequestRecord,
    ThreadRecord,
)
from iosim.statistics import Mser, student_t
from iosim.units import format_percent

SLICES = 50
SAMPLE_MOST = 2_000
LEFT_FOR_CERTAIN, LEFT_OF_ONE = 0.01, 0.05
"""A queue grows if more than this part of what was asked was left over: by the whole interval, or
of a single run, which has none."""

FAILED = attrgetter("failed")
SAMPLED = attrgetter(
    "number", "intended_ns", "answered_ns", "class_name", *(f"{part}_ns" for part in PARTS)
)
"""What is kept of a request in the sample."""


@dataclass(frozen=True)
class Snapshot:
    """All counters at one instant."""

    at_ns: int
    counts: dict[str, int]
    syscalls: Counter[str]
    cores_ns: list[list[int]]
    devices: dict[str, tuple[int, int, int]]
    interpreter_locks: tuple[int, int, int, int] | None
    """ns held, waits, ns waited, summed over the processes; how many those are."""
    parts_ns: tuple[int, ...]
    answered: int
    failed: int
    refused: int
    timed_out: int
    under_way: Histogram
    """For how long the requests in flight have been under way."""
    served: Counter[int]


class Load(Protocol):
    """Whose requests are recorded."""

    refused: int
    timed_out: int

    @property
    def under_way(self) -> Iterable[Request]:
        """Those in flight."""


COUNTERS = (
    "voluntary",
    "involuntary",
    "coroutine_switches",
    "migrations",
    "wakeups",
    "waits",
    "wait_events",
    "wasted_polls",
    "spurious_wakeups",
    "own_work_ns",
)
"""Attributes of the machine that only ever grow."""


class Recording:
    """Observes one run; fulfils `iosim.clients.Recorder`."""

    def __init__(
        self, machine: Machine, devices: dict[str, Any], classes: Sequence[str] = ()
    ) -> None:
        self._machine = machine
        self._devices = devices
        self._load: Load
        # Answered requests that have not been counted in yet.
        self._done: list[Request] = []
        self.completed = self._done.append
        self._answered = 0
        self._failed = 0
        self._parts_ns = [0] * len(PARTS)
        # Answered requests by the number of the worker that served them.
        self._served: Counter[int] = Counter()
        self._histograms: list[Histogram] = []
        self._by_class: dict[str, list[Histogram]] = {name: [] for name in classes}
        self._snapshots: list[Snapshot] = []
        self._mser = Mser()
        # What `SAMPLED` gives; of many, most are thrown away again.
        self._sample: list[tuple[Any, ...]] = []
        self._stride = 1

    def watch(self, load: Load) -> None:
        """Count what becomes of the requests of `load`, too."""
        self._load = load

    def count(self) -> None:
        """Count in what has been answered since the last time."""
        done = self._done
        if not done:
            return
        responses_ns = [request.answered_ns - request.intended_ns for request in done]
        self._histograms[-1].add_many(responses_ns)
        self._mser.add_many(responses_ns)
        for name, histograms in self._by_class.items():
            own = [r.answered_ns - r.intended_ns for r in done if r.class_name == name]
            histograms[-1].add_many(own)
        self._parts_ns = list(map(add, self._parts_ns, summed_parts(done)))
        # Every stride-th request is kept; of too many, every other one.
        self._sample += map(SAMPLED, done[-self._answered % self._stride :: self._stride])
        while len(self._sample) > SAMPLE_MOST:
            del self._sample[1::2]
            self._stride *= 2
        if self._machine.workers:
            self._served.update(request.thread.number for request in done)
        self._answered += len(done)
        self._failed += sum(map(FAILED, done))
        done.clear()

    # ---------------------------------------------------------------------- snapshots

    def boundary(self) -> None:
        """A slice begins now (and the one before it ends)."""
        if self._histograms:
            self.count()
        self._done.clear()
        self._histograms.append(Histogram())
        for histograms in self._by_class.values():
            histograms.append(Histogram())
        self._snapshots.append(self._snapshot())

    def _snapshot(self) -> Snapshot:
        machine = self._machine
        for ring in machine.rings:
            ring.tally()
        counts = {name: getattr(machine, name) for name in COUNTERS}
        counts["thread_switches"] = sum(core.switches for core in machine.cores)
        locks = machine.interpreters
        now = machine.env._now
        devices = {}
        for name, device in self._devices.items():
            usage = device.usage()
            devices[name] = (usage.calls, usage.busy_ns, usage.queued_ns)
        under_way = Histogram()
        under_way.add_many([now - request.intended_ns for request in self._load.under_way])
        return Snapshot(
            at_ns=now,
            counts=counts,
            syscalls=Counter(machine.syscalls),
            cores_ns=[core.account() for core in machine.cores],
            devices=devices,
            interpreter_locks=(
                sum(lock.held_ns(now) for lock in locks),
                sum(lock.waits for lock in locks),
                sum(lock.wait_ns for lock in locks),
                len(locks),
            )
            if locks
            else None,
            parts_ns=tuple(self._parts_ns),
            answered=self._answered,
            failed=self._failed,
            refused=self._load.refused,
            timed_out=self._load.timed_out,
            under_way=under_way,
            served=self._served.copy(),
        )

    def finish(
        self, fates: dict[str, int], threads: tuple[ThreadRecord, ...], order: str, replication: int
    ) -> "Observation":
        """The run has ended: all that was observed."""
        self.count()
        machine = self._machine
        return Observation(
            snapshots=(*self._snapshots, self._snapshot()),
            histograms=tuple(self._histograms),
            by_class={name: tuple(slices) for name, slices in self._by_class.items()},
            mser=self._mser,
            sample=tuple(map(_request_record, self._sample)),
            concurrency={n: d.usage().concurrency for n, d in self._devices.items()},
            memory_bytes=dict(machine.memory.peak),
            memory_peak_bytes=machine.memory.peak_bytes,
            workers=tuple(worker.number for worker in machine.workers),
            fates=fates,
            threads=threads,
            order=order,
            replication=replication,
            events=next(machine.env._eid),
            failed=self._failed,
        )


@dataclass(frozen=True)
class Observation:
    """One finished run, its warm-up not yet cut off."""

    snapshots: tuple[Snapshot, ...]
    """At the start of each slice, and at the end."""
    histograms: tuple[Histogram, ...]
    """Of each slice."""
    by_class: dict[str, tuple[Histogram, ...]]
    """The same for each class of requests, if there are any."""
    mser: Mser
    sample: tuple[RequestRecord, ...]
    concurrency: dict[str, int | None]
    memory_bytes: dict[str, int]
    memory_peak_bytes: int
    workers: tuple[int, ...]
    fates: dict[str, Any]
    threads: tuple[ThreadRecord, ...]
    order: str
    replication: int
    events: int
    failed: int

    def slice_at(self, at_ns: int) -> int:
        """The slice that begins at `at_ns`."""
        return [snapshot.at_ns for snapshot in self.snapshots].index(at_ns)

    def slice_after(self, answers: int) -> int:
        """The first slice that begins after so many answers; at most half of all."""
        half = len(self.snapshots) // 2
        until = self.snapshots[0].answered + answers
        ended = (i for i, s in enumerate(self.snapshots[:half]) if s.answered >= until)
        return next(ended, half)

    def record(self, first_slice: int, warning: str | None) -> Record:
        """The record of what came after the first `first_slice` slices."""
        start, first, last = self.snapshots[0], self.snapshots[first_slice], self.snapshots[-1]
        counts = {name: last.counts[name] - first.counts[name] for name in last.counts}
        return Record(
            duration_ns=last.at_ns - start.at_ns,
            **self.fates,
            window_ns=last.at_ns - first.at_ns,
            warm_up_ns=first.at_ns - start.at_ns,
            warm_up_warning=warning,
            answered=last.answered - first.answered,
            refused_in_window=last.refused - first.refused,
            timed_out_in_window=last.timed_out - first.timed_out,
            under_way_before=first.under_way,
            under_way_after=last.under_way,
            responses=_merged(self.histograms[first_slice:]),
            parts_ns=_differences(PARTS, last.parts_ns, first.parts_ns),
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
            spurious_wakeups=counts["spurious_wakeups"],
            own_work_ns=counts["own_work_ns"],
            cores_ns=tuple(
                _differences(CAUSES, now, then)
                for now, then in zip(last.cores_ns, first.cores_ns, strict=True)
            ),
            devices={
                name: DeviceRecord(
                    calls=last.devices[name][0] - first.devices[name][0],
                    busy_ns=last.devices[name][1] - first.devices[name][1],
                    queued_ns=last.devices[name][2] - first.devices[name][2],
                    concurrency=concurrency,
                )
                for name, concurrency in self.concurrency.items()
            },
            memory_bytes=self.memory_bytes,
            memory_peak_bytes=self.memory_peak_bytes,
            served=tuple(last.served[worker] - first.served[worker] for worker in self.workers),
            threads=self.threads,
            requests=tuple(r for r in self.sample if r.intended_ns >= first.at_ns),
            interpreter_lock=_interpreter_lock(last, first),
            failed=self.failed,
            failed_in_window=last.failed - first.failed,
            order=self.order,
            events=self.events,
            replication=self.replication,
            classes={
                name: ClassRecord(
                    completed=sum(histogram.count for histogram in slices),
                    responses=_merged(slices[first_slice:]),
                )
                for name, slices in self.by_class.items()
            },
        )


def _merged(histograms: Sequence[Histogram]) -> Histogram:
    merged = Histogram()
    for histogram in histograms:
        merged.merge(histogram)
    return merged


def _request_record(sampled: tuple[Any, ...]) -> RequestRecord:
    number, intended_ns, answered_ns, class_name, *parts_ns = sampled
    return RequestRecord(
        number=number,
        intended_ns=intended_ns,
        response_ns=answered_ns - intended_ns,
        class_name=class_name,
        **{f"{part}_ns": ns for part, ns in zip(PARTS, parts_ns, strict=True)},
    )


def _interpreter_lock(now: Snapshot, then: Snapshot) -> InterpreterLockRecord | None:
    if now.interpreter_locks is None:
        return None
    # Where the load is what starts the threads, there was none of them before.
    held_ns, waits, wait_ns, _ = then.interpreter_locks or (0, 0, 0, 0)
    now_held_ns, now_waits, now_wait_ns, locks = now.interpreter_locks
    return InterpreterLockRecord(
        now_held_ns - held_ns, now_waits - waits, now_wait_ns - wait_ns, locks
    )


def _differences(names: Sequence[str], now: Sequence[int], then: Sequence[int]) -> dict[str, int]:
    return {name: a - b for name, a, b in zip(names, now, then, strict=True)}


def cut_warm_up(runs: Sequence[Observation], warm_up: int | str) -> list[Record]:
    """The records of all replications of one model, with the warm-up left out of each.

    warm_up: ns, `none`, or `auto`: MSER-5 on the average over the other replications. A cut
    found in the data that it cuts lies where it removes a busy spell, and biases the mean low;
    what the others say about the warm-up is independent of what is then averaged.
    """
    if warm_up == "none":
        return [run.record(0, None) for run in runs]
    if isinstance(warm_up, int):
        return [run.record(run.slice_at(run.snapshots[0].at_ns + warm_up), None) for run in runs]
    records = []
    for run in runs:
        others = [other.mser for other in runs if other is not run]
        truncation = Mser.average(others or [run.mser]).truncation()
        warning = truncation.warning
        if not truncation.settled:
            warning = _piling_up(runs) or warning
        elif not others and truncation.observations and warning is None:
            warning = (
                "warm-up found in a single replication: a busy spell may have been taken for it,"
                " and the mean be low by some percent; use more replications"
            )
        records.append(run.record(run.slice_after(truncation.observations), warning))
    return records


def _piling_up(runs: Sequence[Observation]) -> str | None:
    """Why a longer run would not be steady either, if that is so."""
    left = student_t(left_over(runs))
    one = left.low is None
    least = left.mean if one else left.low
    if left.mean is None or least is None or least <= (LEFT_OF_ONE if one else LEFT_FOR_CERTAIN):
        return None
    return (
        f"requests pile up: {format_percent(left.mean)} of them were left over at the end; the"
        " queue grows as long as the load lasts, and no run is long enough to become steady"
    )
