"""Measuring: a scenario for real, on this machine, in the records that a simulation gives.

    measure(scenario) -> Results

What it does: for each replication of each model it writes the plan into a folder of its own,
starts the clients' process and the server's on different cores, lets the load run, asks the
server for its counters at both ends of the window, and makes a `Record` of what came back.

Scope: Linux, loopback. What a scenario wants and this machine has not is an error that says
so. The warm-up is the scenario's; `auto` is a tenth of the run: MSER-5 would want the counters
at fifty instants.
Not done: latency of a network, host noise as the scenario has it: the machine has its own.
Validated by: tests/real
"""

import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from iosim.choice import Chosen
from iosim.errors import MeasurementError, UsageError
from iosim.histogram import Histogram
from iosim.plugins import kinds
from iosim.real import plan as plans
from iosim.record import ProcessRecord, Record, RequestRecord
from iosim.results import ModelResult, Results, model_result
from iosim.scenario import CallStep, CpuStep, Scenario, check_files, label_of, require_sound
from iosim.schedule import Schedule, schedule_of

SETTLE_S = 0.1
"""From the last connection to the start of the load."""
SETUP_S = 30
"""Connecting and starting may take so long, and ending."""
SAMPLE_MOST = 2_000

NS_PER_S = 1_000_000_000

IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR = range(5)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Placement:
    """Which cores the server's process and the clients' get."""

    server: tuple[int, ...]
    clients: tuple[int, ...]


def place(
    cores: int, server: Iterable[int] | None = None, clients: Iterable[int] | None = None
) -> Placement:
    """Cores for a server of `cores`; by default the clients get what is left, one at least.

    Raises UsageError if this machine has not as many.
    """
    here = sorted(os.sched_getaffinity(0))
    for name, wanted in (("server", server), ("client", clients)):
        if missing := sorted(set(wanted or ()) - set(here)):
            raise UsageError(f"{name} cores: this process may use {here}, not {missing}")
    if server is None:
        left = [cpu for cpu in here if cpu not in set(clients or ())]
        server = left[:cores]
    server = tuple(server)
    if clients is None:
        clients = [cpu for cpu in here if cpu not in server][:1]
    clients = tuple(clients)
    if len(server) < cores or not clients or set(server) & set(clients):
        raise UsageError(
            f"machine.cores: {cores} for the server and one for the clients, which this machine "
            f"has not: it lets this process use {len(here)}; measure with "
            f"--set machine.cores={max(1, len(here) - 1)}"
        )
    return Placement(server, clients)


def measure(
    scenario: Scenario,
    placement: Placement | None = None,
    progress: Progress | None = None,
) -> Results:
    """Run every model of `scenario` for real. Raises UsageError for what cannot be measured.

    A model that has no real server, or that this machine refuses, is that model's `error`.
    Interrupted by the user, it returns what has finished, marked so.
    """
    require_sound(scenario)
    check_files(scenario)
    check_measurable(scenario)
    placement = placement or place(scenario.machine.cores)
    records: dict[int, list[Record]] = {index: [] for index in range(len(scenario.models))}
    errors: dict[int, str] = {}
    total, done, interrupted = len(records) * scenario.run.replications, 0, False
    try:
        # Replication by replication, so that all models meet the machine in all its moods.
        for replication in range(scenario.run.replications):
            schedule = schedule_of(scenario, replication)
            for index, model in enumerate(scenario.models):
                done += 1
                if index not in errors:
                    try:
                        record = measure_once(scenario, model, schedule, placement, replication)
                        records[index].append(record)
                    except MeasurementError as error:
                        errors[index] = str(error)
                if progress is not None:
                    progress(done, total)
    except KeyboardInterrupt:
        interrupted = True
    return Results(
        scenario=scenario,
        profile="",
        profile_digest="",
        models=tuple(
            _result(scenario, index, records[index], errors.get(index)) for index in records
        ),
        source="measured",
        interrupted=interrupted,
    )


def _result(
    scenario: Scenario, index: int, records: list[Record], error: str | None
) -> ModelResult:
    model = scenario.models[index]
    return model_result(scenario, model.kind, label_of(model), records, error)


def check_measurable(scenario: Scenario) -> None:
    """Raises UsageError for what this machine's loopback cannot be."""
    if scenario.server.classes:
        raise UsageError(f"{scenario.name}: server.classes: classes cannot be measured yet")
    network = scenario.machine.network.kind
    if network != "loopback":
        raise UsageError(
            f"{scenario.name}: machine.network: {network} cannot be measured here: servers and "
            "clients meet on the loopback; measure with --set machine.network=loopback"
        )


# ------------------------------------------------------------------------------ one run


def measure_once(
    scenario: Scenario,
    model: Chosen[Any],
    schedule: Schedule,
    placement: Placement,
    replication: int,
) -> Record:
    """One replication of one model. Raises MeasurementError."""
    with TemporaryDirectory(prefix="iosim-") as name, ExitStack() as stack:
        folder = Path(name)
        plan = plan_of(scenario, model, schedule, placement)
        plans.write(folder, plan, schedule.table, schedule.think)
        load = stack.enter_context(Process("clients", load_command(), folder))
        devices_port = load.expect("devices")
        server = stack.enter_context(Process("server", server_command(plan), folder, devices_port))
        load.tell(f"connect {server.expect('listening')}")
        load.expect("ready")
        time.sleep(SETTLE_S)
        start_ns = time.monotonic_ns() + NS_PER_S // 20
        load.tell(f"start {start_ns}")
        first = _mark(server, start_ns + plan.warm_up_ns)
        last = _mark(server, start_ns + plan.duration_ns)
        done = _numbers(load.expect("done", plan.duration_ns / NS_PER_S + SETUP_S))
        responses = array("q", (folder / "responses").read_bytes())
    return record_of(plan, first, last, done, responses, start_ns, replication)


def plan_of(
    scenario: Scenario, model: Chosen[Any], schedule: Schedule, placement: Placement
) -> plans.Plan:
    """The plan of a run: the scenario in plain numbers."""
    run, workload, spec = scenario.run, scenario.workload, scenario.machine
    options = workload.options
    warm_up_ns = {"auto": run.duration // 10, "none": 0}.get(str(run.warm_up), run.warm_up)
    common = plans.Plan(
        model=model.kind,
        runtime=spec.runtime,
        arrivals=plans.TIMES,
        server_cpus=placement.server,
        client_cpus=placement.clients,
        duration_ns=run.duration,
        warm_up_ns=int(warm_up_ns),
        limit_s=run.duration // NS_PER_S + 3 * SETUP_S,
        options={name: _plain(value) for name, value in model.options.model_dump().items()},
        rows=schedule.rows,
        columns=schedule.columns,
    )
    if kinds("workloads")[workload.kind].TRAFFIC == "items":
        return replace(
            common,
            arrivals=plans.ITEMS,
            producers=options.producers,
            consumers=options.consumers,
            capacity=options.capacity,
        )
    connections, slow, retry = options.connections, options.connections.slow, options.retry
    own_work = scenario.server.own_work
    return replace(
        common,
        arrivals=plans.USERS if schedule.think is not None else plans.TIMES,
        steps=_steps(scenario),
        devices=tuple(
            plans.DevicePlan(
                getattr(device.options, "interface", "blocking"),
                getattr(device.options, "concurrency", None) or 0,
            )
            for device in scenario.devices.values()
        ),
        request_bytes=min(schedule.column(2), default=options.request),
        reply_bytes=max(schedule.column(3), default=options.reply),
        connections=connections.total,
        users=getattr(options, "users", 0),
        lifetime=connections.lifetime or 0,
        pipeline=connections.pipeline,
        slow=connections.slow_count,
        piece_bytes=slow.piece if slow else 0,
        gap_ns=slow.gap if slow else 0,
        receive_bytes_per_s=connections.receive_rate or 0,
        timeout_ns=options.timeout or 0,
        close_on_timeout=int(options.on_timeout == "close"),
        retries=retry.attempts if retry else 0,
        backoff_ns=retry.backoff if retry else 0,
        waiting=options.backlog or 0,
        backlog=spec.backlog,
        send_buffer_bytes=spec.send_buffer if connections.receive_rate else 0,
        own_work_chunk_ns=own_work.chunk if own_work else 0,
        cancel=int(scenario.server.cancel),
    )


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    return str(int(value)) if isinstance(value, bool) else str(value)


def _steps(scenario: Scenario) -> tuple[plans.Step, ...]:
    numbers = {name: number for number, name in enumerate(scenario.devices)}
    return tuple(
        plans.Step(plans.CALL, numbers[step.call], step.attempts_at_most)
        if isinstance(step, CallStep)
        else plans.Step(plans.CPU if isinstance(step, CpuStep) else plans.SLEEP)
        for step in scenario.server.handler
    )


def load_command() -> list[str]:
    """What starts the clients' process."""
    return [sys.executable, "-m", "iosim.real.load"]


def server_command(plan: plans.Plan) -> list[str]:
    """What starts the server's process."""
    return [sys.executable, "-m", "iosim.real.serve"]


class Process:
    """A child that is talked to in lines, and that is gone when the block is left."""

    def __init__(self, name: str, command: list[str], *arguments: object) -> None:
        self._name = name
        self._child = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        child = self._child
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        try:
            child.stdin.close()
            child.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
            child.stderr.close()

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(f"{line}\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are read next

    def expect(self, word: str, limit_s: float = SETUP_S) -> str:
        """Its next line, without the word with which it begins. Raises MeasurementError."""
        import select

        child = self._child
        assert child.stdout is not None and child.stderr is not None
        # A line is written at once: what is readable is whole, or the end.
        if not select.select([child.stdout], [], [], limit_s)[0]:
            raise MeasurementError(f"the {self._name} did not say {word!r} in {limit_s:g} s")
        line = child.stdout.readline()
        found, _, rest = line.strip().partition(" ")
        if found == word:
            return rest
        if found == "error":
            raise MeasurementError(rest)
        if line:
            raise MeasurementError(f"the {self._name} said {line.strip()!r}, not {word!r}")
        last = child.stderr.read().strip().splitlines()[-1:] or [_how_ended(child.wait())]
        raise MeasurementError(f"the {self._name} ended: {last[0]}")


def _how_ended(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _mark(server: Process, at_ns: int) -> dict[str, str]:
    """The server's counters at an instant of CLOCK_MONOTONIC."""
    time.sleep(max(0, at_ns - time.monotonic_ns()) / NS_PER_S)
    server.tell("mark")
    return _words(server.expect("mark"))


def _words(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split())


def _numbers(line: str) -> dict[str, float]:
    return {name: float(text) for name, text in _words(line).items()}


# ---------------------------------------------------------------------------- its record


def record_of(
    plan: plans.Plan,
    first: Mapping[str, str],
    last: Mapping[str, str],
    done: Mapping[str, float],
    responses: "array[int]",
    start_ns: int,
    replication: int,
) -> Record:
    """What one run has shown, in the record that a simulation fills in as well."""
    if done["wrong"]:
        raise MeasurementError(f"{done['wrong']:.0f} answers were not what was to come")
    begin_ns, end_ns = int(first["clock_ns"]), int(last["clock_ns"])
    counts = {name: int(last[name]) - int(first[name]) for name in last if name != "served"}
    histogram, requests = _responses(responses, begin_ns - start_ns, end_ns - start_ns)
    fates = [0] * 5
    for state in responses[4::5]:
        fates[state] += 1
    served = [
        list(map(int, mark["served"].split(","))) for mark in (first, last) if "served" in mark
    ]
    return Record(
        duration_ns=end_ns - start_ns,
        offered=len(responses) // 5,
        completed=fates[ANSWERED] + fates[ANSWERED_WITH_ERROR],
        refused=fates[REFUSED],
        timed_out=fates[TIMED_OUT],
        in_flight=fates[IN_FLIGHT],
        window_ns=end_ns - begin_ns,
        warm_up_ns=begin_ns - start_ns,
        warm_up_warning=None,
        answered=histogram.count,
        responses=histogram,
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
            cores=len(plan.server_cpus),
            cpu_ns=counts["cpu_ns"],
            user_ns=counts["user_ns"],
            system_ns=counts["system_ns"],
        ),
        devices={},
        memory_bytes={},
        memory_peak_bytes=int(last["peak_rss_bytes"]),
        served=tuple(now - then for then, now in zip(*served, strict=True)) if served else (),
        threads=(),
        requests=requests,
        retries=int(done["retries"]),
        connections_opened=int(done["connections_opened"]),
        failed=fates[ANSWERED_WITH_ERROR],
        replication=replication,
    )


def _responses(
    responses: "array[int]", begin_ns: int, end_ns: int
) -> tuple[Histogram, tuple[RequestRecord, ...]]:
    """Those answered in the window; and a sample of them."""
    import numpy as np

    rows = np.frombuffer(responses, dtype=np.int64).reshape(-1, 5)
    answered = rows[np.isin(rows[:, 4], (ANSWERED, ANSWERED_WITH_ERROR))]
    answered = answered[(answered[:, 3] >= begin_ns) & (answered[:, 3] < end_ns)]
    histogram = Histogram()
    histogram.add_many((answered[:, 3] - answered[:, 1]).tolist())
    stride = -(-len(answered) // SAMPLE_MOST) or 1
    sample = tuple(
        RequestRecord(
            number=int(row),
            intended_ns=int(intended_ns),
            response_ns=int(answered_ns - intended_ns),
            client_ns=int(sent_ns - intended_ns),
        )
        for row, intended_ns, sent_ns, answered_ns, _ in answered[::stride]
    )
    return histogram, sample
