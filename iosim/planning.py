"""From a scenario to the plan of a run for real: its numbers, its cores, its programs.

What it does: puts a scenario in the words of `iosim.real.plan`, and refuses what this machine
or its loopback cannot be, in a message that says what to change.

Not done: latency of a network, host noise as the scenario has it: the machine has its own.
Validated by: tests/real/test_planning.py
"""

import os
import re
import resource
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from iosim import real
from iosim.choice import Chosen
from iosim.errors import MeasurementError, UsageError, shown
from iosim.plugins import kinds
from iosim.real import compiler
from iosim.real import plan as plans
from iosim.real.child import SETUP_S
from iosim.real.run import Programs
from iosim.scenario import Scenario
from iosim.schedule import Schedule, steps_of

REAL: Final = Path(real.__file__).parent
SPARE_DESCRIPTORS: Final = 64
"""A process has some besides its connections."""
WARM_UP: Final = 10
"""`warm_up: auto` is so small a part of the run."""
NATIVE_MODEL: Final = re.compile(r'^(?:ITEMS_|DECLARE_)?MODEL\(.*?"(\w+)"', re.M)
NS_PER_S: Final = 1_000_000_000

Load = Literal["native", "python"]


# ------------------------------------------------------------------------------- cores


@dataclass(frozen=True)
class Placement:
    """Which cores the server's process and the clients' get."""

    server: tuple[int, ...]
    clients: tuple[int, ...]


def read_cores(text: str) -> tuple[int, ...]:
    """Cores as `0,2-3`. Raises UsageError."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?", part)
        if match is None:
            raise UsageError(f"expected cores such as 0,2-3, found {shown(text)}")
        first, last = int(match[1]), int(match[2] or match[1])
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


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
    if both := sorted(set(server) & set(clients)):
        raise UsageError(f"core {both[0]}: either the server's or the clients', not both")
    if len(server) < cores or not clients:
        raise UsageError(
            f"machine.cores: {cores} for the server and one for the clients, which this machine "
            f"has not: it lets this process use {len(here)}; measure with "
            f"--set machine.cores={max(1, len(here) - 1)}"
        )
    if len(server) > cores:
        raise UsageError(
            f"server cores: {len(server)}, and the scenario's server has machine.cores: {cores}"
        )
    return Placement(server, clients)


# ------------------------------------------------------------------ what can be measured


def check_measurable(scenario: Scenario) -> tuple[str, ...]:
    """What is odd about measuring it here. Raises UsageError for what cannot be."""
    machine = scenario.machine
    if not hasattr(kinds("devices")[machine.network.kind], "IS_HERE"):
        raise UsageError(
            f"{scenario.name}: machine.network: {machine.network.kind} cannot be measured here: "
            "servers and clients meet on the loopback; measure with --set machine.network=loopback"
        )
    _check_descriptors(scenario)
    warnings = []
    if machine.host_noise is not None:
        warnings.append(
            "machine.host_noise is only simulated: this machine has a host of its own, whose part "
            "is measured"
        )
    if not hasattr(kinds("schedulers")[machine.scheduler.kind], "IS_HERE"):
        warnings.append(
            f"machine.scheduler: {machine.scheduler.kind} is only simulated: here it is the "
            f"kernel's, Linux {os.uname().release}"
        )
    most = _number("/proc/sys/net/core/somaxconn")
    if most is not None and machine.backlog > most:
        warnings.append(
            f"machine.backlog: {machine.backlog:,} is more than this machine allows: it is "
            f"{most:,} here (net.core.somaxconn)"
        )
    return tuple(warnings)


def _check_descriptors(scenario: Scenario) -> None:
    connections = getattr(scenario.workload.options, "connections", None)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if connections is None or most == resource.RLIM_INFINITY:
        return
    if connections.total + SPARE_DESCRIPTORS > most:
        raise UsageError(
            f"{scenario.name}: {connections.total:,} connections need as many open files in each "
            f"process, and this machine allows {most:,} (ulimit -Hn)"
        )


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


# ---------------------------------------------------------------------------- programs


def twins(runtime: str) -> list[str]:
    """The I/O models that there is a real server of."""
    if runtime == "cpython":
        found = [path.stem for path in (REAL / "servers").glob("*.py")]
    else:
        sources = (path.read_text() for path in (REAL / "native").glob("*.c"))
        found = [name for text in sources for name in NATIVE_MODEL.findall(text)]
    return sorted(set(found) & set(kinds("io_models")))


def programs_for(scenario: Scenario, model: Chosen[Any], load: Load) -> Programs:
    """What runs a model's server, and the load. Raises MeasurementError."""
    runtime = scenario.machine.runtime
    if model.kind not in twins(runtime):
        other = "native" if runtime == "cpython" else "cpython"
        there = f", --set machine.runtime={other} has" if model.kind in twins(other) else ""
        raise MeasurementError(
            f"there is no {runtime} server of the I/O model {model.kind}{there}; there are "
            f"{', '.join(twins(runtime))}"
        )
    if runtime == "cpython":
        server = [sys.executable, "-m", "iosim.real.serve"]
    else:
        try:
            server = [str(compiler.server())]
        except compiler.CannotCompile as error:
            raise MeasurementError(
                f"no native server: {error}; measure with --set machine.runtime=cpython"
            ) from None
    return Programs(server=server, clients=clients_command(load))


def clients_command(load: Load) -> list[str]:
    """What starts the clients' process. Raises MeasurementError."""
    if load == "python":
        return [sys.executable, "-m", "iosim.real.load"]
    try:
        return [str(compiler.load())]
    except compiler.CannotCompile as error:
        raise MeasurementError(f"no native load: {error}; measure with --load python") from None


def usual_load() -> Load:
    """`native` where there is a C compiler."""
    try:
        compiler.find_compiler()
    except compiler.CannotCompile:
        return "python"
    return "native"


# -------------------------------------------------------------------------------- plans


def plan_of(
    scenario: Scenario, model: Chosen[Any], schedule: Schedule, placement: Placement
) -> plans.Plan:
    """The plan of a run: the scenario in plain numbers."""
    run, workload, spec = scenario.run, scenario.workload, scenario.machine
    options = workload.options
    warm_up_ns = {"auto": run.duration // WARM_UP, "none": 0}.get(str(run.warm_up), run.warm_up)
    common = plans.Plan(
        model=model.kind,
        runtime=spec.runtime,
        arrivals="times",
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
            arrivals="items",
            producers=options.producers,
            consumers=options.consumers,
            capacity=options.capacity,
        )
    connections, slow, retry = options.connections, options.connections.slow, options.retry
    own_work = scenario.server.own_work
    return replace(
        common,
        arrivals="users" if schedule.think is not None else "times",
        steps=steps_of(scenario),
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


def shortened(
    plan: plans.Plan, schedule: Schedule, duration_ns: int
) -> "tuple[plans.Plan, array[int]]":
    """The same, over sooner: its plan, and the requests of that time."""
    if plan.duration_ns <= duration_ns:
        return plan, schedule.table
    table = schedule.table
    if plan.arrivals == "times":
        intended_ns = schedule.column(0)
        rows = sum(ns < duration_ns for ns in intended_ns)
        table = table[: rows * schedule.columns]
    short = replace(
        plan,
        duration_ns=duration_ns,
        warm_up_ns=min(plan.warm_up_ns, duration_ns // WARM_UP),
        rows=len(table) // schedule.columns,
    )
    return short, table
