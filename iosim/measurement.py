"""Measuring: a scenario for real, on this machine, in the records that a simulation gives.

    measure(scenario) -> Results
    saturate(scenario) -> Results, of the same scenario asked as fast as it answers

What it does: for each replication of each model it makes one run (iosim.real.run) on cores of
its own, and a `Record` of what came back; then a short one in which the syscalls are counted,
which slows the server down. A run that something else disturbed (iosim.real.disturbance) is
made again, three times at most; of these the one that was disturbed least is kept, and the
model's warnings say so.

Scope: Linux, loopback. What a scenario wants and this machine has not is an error that says
so. The warm-up is the scenario's; `auto` is a tenth of the run: MSER-5 would want the counters
at fifty instants.
Not done: the use of devices; memory by what it is used for; what a response time is made of.
Validated by: tests/real/test_measure.py
"""

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from iosim.choice import Chosen
from iosim.errors import MeasurementError, UsageError, shown
from iosim.fates import fates_between
from iosim.histogram import Histogram
from iosim.named_files import digests
from iosim.planning import (
    Load,
    Placement,
    check_measurable,
    place,
    plan_of,
    programs_for,
    read_cores,
    shortened,
    usual_load,
)
from iosim.plugins import kinds
from iosim.real import plan as plans
from iosim.real import syscalls, this_machine, tracing
from iosim.real.disturbance import ATTEMPTS, least_disturbed, of_record
from iosim.real.run import Outcome, Programs, run
from iosim.real.threads import ThreadUse
from iosim.record import (
    ClassRecord,
    Interference,
    ProcessRecord,
    Record,
    RequestRecord,
    ThreadRecord,
)
from iosim.results import ModelResult, Results, model_result
from iosim.scenario import Scenario, check_files, label_of, require_sound
from iosim.schedule import Schedule, schedule_of

SAMPLE_MOST = 2_000
COUNTING_NS = 500_000_000
"""Syscalls are counted in a run of this length, or the scenario's if that is shorter."""
TRACING_NS = 200_000_000
NS_PER_S = 1_000_000_000

IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR = range(5)

Progress = Callable[[int, int], None]
Cores = Iterable[int] | str | None


def measure(
    scenario: Scenario,
    server_cores: Cores = None,
    client_cores: Cores = None,
    load: Load | None = None,
    attempts: int = ATTEMPTS,
    count_syscalls: bool = True,
    trace: str | Path | None = None,
    progress: Progress | None = None,
) -> Results:
    """Run every model of `scenario` for real. Raises UsageError for what cannot be measured.

    server_cores, client_cores: which ones, as `0,2-3` or numbers; by default the server gets the
    first ones, as many as machine.cores says, and the clients the next.
    load: `native` or `python`; None: native where there is a C compiler.
    attempts: how often a disturbed run is made until it is taken as it is.
    count_syscalls: whether a short run more is made for them.
    trace: a file for what the scheduler did and which syscalls were made, in a short run: for
    the Perfetto UI if it ends in .pftrace, else text.
    A model that has no real server, or that this machine refuses, is that model's `error`.
    Interrupted by the user, it returns what has finished, marked so.
    """
    if load not in (None, "native", "python"):
        raise UsageError(f"load: expected native or python, found {shown(load)}")
    if type(attempts) is not int or attempts < 1:
        raise UsageError(f"attempts: expected at least 1, found {shown(attempts)}")
    require_sound(scenario)
    warnings = [*check_files(scenario), *check_measurable(scenario)]
    files = digests(scenario)
    placement = place(scenario.machine.cores, _cores(server_cores), _cores(client_cores))
    measuring = _Measuring(
        scenario,
        placement,
        load or usual_load(),
        attempts,
        count_syscalls,
        Path(trace) if trace else None,
    )
    interrupted = False
    try:
        measuring.go(progress)
    except KeyboardInterrupt:
        interrupted = True
    return Results(
        scenario=scenario,
        profile="",
        profile_digest="",
        models=measuring.results(),
        source="measured",
        interrupted=interrupted,
        warnings=(*warnings, *measuring.warnings),
        files=files,
        machine={
            **this_machine.describe(),
            "server_cores": list(placement.server),
            "client_cores": list(placement.clients),
            "load": measuring.load,
        },
    )


def saturate(scenario: Scenario, **how: Any) -> Results:
    """What each model answers when it is asked as fast as it answers: `throughput_per_s`.

    The clients wait for their answers and ask again at once, one user for each active
    connection. `how`: as `measure` takes it.
    """
    return replace(measure(saturated(scenario), **how), saturation=True)


def saturated(scenario: Scenario) -> Scenario:
    """The same with a closed workload without think time. Raises UsageError."""
    options = scenario.workload.options
    if kinds("workloads")[scenario.workload.kind].TRAFFIC == "items":
        raise UsageError(
            f"{scenario.name}: a {scenario.workload.kind} workload is not asked by clients: it "
            "always goes as fast as it can"
        )
    kept = {
        name: value
        for name, value in options.model_dump(mode="json").items()
        if name in {"connections", "request", "reply"}
    }
    closed = {"users": options.connections.active_count, "think": "0ns", **kept}
    data = {**scenario.to_data(), "workload": {"closed": closed}, "slo": []}
    found = Scenario.model_validate(data)
    found.__dict__["folder"] = scenario.folder
    return found


def _cores(cores: Cores) -> Iterable[int] | None:
    return read_cores(cores) if isinstance(cores, str) else cores


# --------------------------------------------------------------------------- all runs


class _Measuring:
    """The runs of one scenario, as far as they have come."""

    def __init__(
        self,
        scenario: Scenario,
        placement: Placement,
        load: Load,
        attempts: int,
        count_syscalls: bool,
        trace: Path | None,
    ) -> None:
        self._scenario = scenario
        self._placement = placement
        self._attempts = attempts
        self._count_syscalls = count_syscalls
        self._trace = trace
        self._records: list[list[Record]] = [[] for _ in scenario.models]
        self._errors: dict[int, str] = {}
        self.load = load
        self.warnings: list[str] = []

    def go(self, progress: Progress | None) -> None:
        """Make all runs, replication by replication: all models meet the machine in all moods."""
        models = self._scenario.models
        total, done = len(models) * self._scenario.run.replications, 0
        for replication in range(self._scenario.run.replications):
            schedule = schedule_of(self._scenario, replication)
            for index, model in enumerate(models):
                if index not in self._errors:
                    try:
                        self._records[index].append(self._run(model, schedule, replication))
                    except MeasurementError as error:
                        self._errors[index] = f"{label_of(model)}: {error}"
                done += 1
                if progress is not None:
                    progress(done, total)

    def _run(self, model: Chosen[Any], schedule: Schedule, replication: int) -> Record:
        scenario = self._scenario
        programs = programs_for(scenario, model, self.load)
        plan = plan_of(scenario, model, schedule, self._placement)
        classes = tuple(scenario.server.classes)
        tried: list[Record] = []
        while len(tried) < self._attempts:
            outcome = run(plan, schedule.table, schedule.think, programs)
            tried.append(record_of(plan, outcome, replication, schedule, classes))
            if not of_record(tried[-1]):
                break
        record = _after(least_disturbed(tried), len(tried))
        if self._count_syscalls:
            record = _with_syscalls(record, plan, schedule, programs)
        if self._trace is not None and replication == 0:
            self._write_trace(self._trace, model, plan, schedule, programs)
        return record

    def _write_trace(
        self,
        path: Path,
        model: Chosen[Any],
        plan: plans.Plan,
        schedule: Schedule,
        programs: Programs,
    ) -> None:
        from iosim.report.export import opened_atomically
        from iosim.report.perfetto.measured import write

        if len(self._scenario.models) > 1:
            path = path.with_name(f"{path.stem}.{_file_name(label_of(model))}{path.suffix}")
        short, table = shortened(plan, schedule, TRACING_NS)
        try:
            observe = partial(tracing.tracer, plan.server_cpus)
            outcome = run(short, table, schedule.think, programs, observe)
            traced: tracing.Traced = outcome.observed
            with opened_atomically(path) as file:
                if path.suffix == ".pftrace":
                    write(traced.text.splitlines(), file, label_of(model), traced.pid)
                else:
                    file.write(traced.text.encode())
        except (MeasurementError, tracing.Unavailable) as reason:
            self.warnings.append(f"no trace of {label_of(model)}: {reason}")

    def results(self) -> tuple[ModelResult, ...]:
        """What has been measured so far."""
        return tuple(
            model_result(
                self._scenario,
                model.kind,
                label_of(model),
                self._records[index],
                self._errors.get(index),
            )
            for index, model in enumerate(self._scenario.models)
        )


def _file_name(label: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in label)


def _after(record: Record, attempts: int) -> Record:
    """The record, with how often it was tried."""
    process = record.process
    assert process is not None and process.interference is not None
    interference = replace(process.interference, attempts=attempts)
    return replace(record, process=replace(process, interference=interference))


# --------------------------------------------------------------------------- syscalls


def _with_syscalls(
    record: Record, plan: plans.Plan, schedule: Schedule, programs: Programs
) -> Record:
    """The record with its syscalls: those per request of a short run, times its requests."""
    process = record.process
    assert process is not None
    short, table = shortened(plan, schedule, COUNTING_NS)
    count = partial(run, short, table, schedule.think, programs, syscalls.counter)
    try:
        try:
            outcome = count()
        except syscalls.NothingCounted:
            outcome = count()
    except (MeasurementError, syscalls.Unavailable) as reason:
        why = f"the syscalls were not counted: {reason}"
        return replace(record, process=replace(process, no_syscalls=why))
    found: syscalls.Counted = outcome.observed
    begin_ns, end_ns = found.begin_ns - outcome.start_ns, found.end_ns - outcome.start_ns
    answered = len(_answered(outcome.responses, begin_ns, end_ns))
    if not answered:
        why = "the syscalls were not counted: no request was answered meanwhile"
        return replace(record, process=replace(process, no_syscalls=why))
    share = record.answered / answered
    calls = {name: number * share for name, number in found.calls.items()}
    return replace(record, syscalls=calls, process=replace(process, counted_by=found.by))


# ---------------------------------------------------------------------------- its record


def record_of(
    plan: plans.Plan,
    outcome: Outcome,
    replication: int,
    schedule: Schedule,
    classes: tuple[str, ...] = (),
) -> Record:
    """What one run has shown, in the record that a simulation fills in as well."""
    first, last, done = outcome.first, outcome.last, outcome.done
    if done.get("wrong"):
        raise MeasurementError(f"{done['wrong']:.0f} answers were not what was to come")
    begin_ns = int(first["clock_ns"]) - outcome.start_ns
    end_ns = int(last["clock_ns"]) - outcome.start_ns
    counts = {name: int(last[name]) - int(first[name]) for name in last if name != "served"}
    fates = [0] * 5
    for state in outcome.responses[4::5]:
        fates[state] += 1
    responses, requests, of_classes = _responses(
        outcome.responses, begin_ns, end_ns, schedule, classes
    )
    of_window = fates_between(outcome.responses, begin_ns, end_ns, plan.timeout_ns)
    window_ns, cores = end_ns - begin_ns, len(plan.server_cpus)
    stolen_ns = outcome.cores.stolen_ns
    busy_ns = window_ns * cores - outcome.cores.idle_ns - stolen_ns
    return Record(
        duration_ns=end_ns,
        offered=len(outcome.responses) // 5,
        completed=fates[ANSWERED] + fates[ANSWERED_WITH_ERROR],
        refused=fates[REFUSED],
        timed_out=fates[TIMED_OUT],
        in_flight=fates[IN_FLIGHT],
        window_ns=window_ns,
        warm_up_ns=begin_ns,
        warm_up_warning=None,
        answered=responses.count,
        refused_in_window=of_window.refused,
        timed_out_in_window=of_window.timed_out,
        failed_in_window=of_window.failed,
        under_way_before=of_window.under_way_before,
        under_way_after=of_window.under_way_after,
        responses=responses,
        parts_ns={},
        voluntary_switches=counts["voluntary"],
        involuntary_switches=counts["involuntary"],
        thread_switches=None,
        coroutine_switches=counts["coroutine_switches"],
        migrations=None,
        wakeups=None,
        syscalls=None,
        waits=counts["waits"],
        wait_events=counts["wait_events"],
        wasted_polls=counts["wasted_polls"],
        spurious_wakeups=None,
        own_work_ns=counts["own_work_ns"],
        cores_ns=(),
        process=ProcessRecord(
            cores=cores,
            cpu_ns=counts["cpu_ns"],
            user_ns=max(0, counts["user_ns"]),  # sampled: it may step back
            system_ns=max(0, counts["system_ns"]),
            threads=int(last["threads"]),
            connect_failures=int(done.get("connect_failures", 0)),
            interference=Interference(
                cores_ns=window_ns * cores,
                stolen_ns=stolen_ns,
                others_ns=max(0, busy_ns - counts["cpu_ns"]),
                late_p50_ns=int(done.get("late_p50_ns", 0)),
                late_p99_ns=int(done.get("late_p99_ns", 0)),
                late_max_ns=int(done.get("late_max_ns", 0)),
                marks_late_ns=max(begin_ns - plan.warm_up_ns, end_ns - plan.duration_ns, 0),
                busy_fraction=done.get("busy_fraction", 0.0),
            ),
        ),
        devices={},
        memory_bytes={},
        memory_peak_bytes=int(last["peak_rss_bytes"]),
        served=_served(first, last),
        threads=tuple(map(_thread, outcome.threads)),
        requests=requests,
        retries=int(done.get("retries", 0)),
        connections_opened=int(done.get("connections_opened", 0)),
        failed=fates[ANSWERED_WITH_ERROR],
        order=outcome.order,
        replication=replication,
        classes=of_classes,
    )


def _served(first: Mapping[str, str], last: Mapping[str, str]) -> tuple[int, ...]:
    """What each worker has answered; some may have begun since the first mark."""
    then, now = (
        [int(count) for count in mark.get("served", "").split(",") if count]
        for mark in (first, last)
    )
    return tuple(b - a for a, b in zip_longest(then, now, fillvalue=0))


def _thread(use: ThreadUse) -> ThreadRecord:
    return ThreadRecord(
        name=use.name,
        voluntary_switches=use.voluntary,
        involuntary_switches=use.involuntary,
        migrations=None,
        cpu_ns=use.cpu_ns,
        run_queue_ns=use.run_queue_ns,
        wake_up_ns=None,
        lock_ns=None,
    )


def _answered(responses: "array[int]", begin_ns: int, end_ns: int) -> Any:
    """The rows of those answered between two times, as an array of numpy's."""
    import numpy as np

    rows = np.frombuffer(responses, dtype=np.int64).reshape(-1, 5)
    answered = rows[np.isin(rows[:, 4], (ANSWERED, ANSWERED_WITH_ERROR))]
    return answered[(answered[:, 3] >= begin_ns) & (answered[:, 3] < end_ns)]


def _responses(
    responses: "array[int]",
    begin_ns: int,
    end_ns: int,
    schedule: Schedule,
    classes: tuple[str, ...],
) -> tuple[Histogram, tuple[RequestRecord, ...], dict[str, ClassRecord]]:
    """Those answered in the window; a sample of them; and those of each class."""
    import numpy as np

    answered = _answered(responses, begin_ns, end_ns)
    stride = -(-len(answered) // SAMPLE_MOST) or 1
    class_of = np.frombuffer(schedule.classes, dtype=np.uint16)
    of_classes = {}
    if classes:
        all_answered = _answered(responses, 0, int(max(responses[3::5], default=0)) + 1)
        for number, name in enumerate(classes):
            of_classes[name] = ClassRecord(
                completed=int((class_of[all_answered[:, 0]] == number).sum()),
                responses=_histogram(answered[class_of[answered[:, 0]] == number]),
            )
    sample = tuple(
        RequestRecord(
            number=int(row),
            intended_ns=int(intended_ns),
            response_ns=int(answered_ns - intended_ns),
            client_ns=int(sent_ns - intended_ns),
            class_name=classes[class_of[row]] if classes else "",
        )
        for row, intended_ns, sent_ns, answered_ns, _ in answered[::stride]
    )
    return _histogram(answered), sample, of_classes


def _histogram(rows: Any) -> Histogram:
    histogram = Histogram()
    histogram.add_many((rows[:, 3] - rows[:, 1]).tolist())
    return histogram
