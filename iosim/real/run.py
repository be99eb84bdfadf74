"""One run for real: a plan's folder, the two processes, the load, and what came of it.

    plan -> folder
    clients: connect -> ready        server: listening
    start                 |----- warm-up -----|------------ window ------------|
    asked of the server                       mark                             mark
    meanwhile                                 `observe`: count syscalls, trace
    clients: done; `responses`

A pipeline has no clients: its server is told to start, and writes `responses` and `order`.

Validated by: tests/real/test_measure.py
"""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from iosim.errors import MeasurementError
from iosim.real import plan as plans
from iosim.real.child import SETUP_S, Child
from iosim.real.disturbance import CoreTimes, core_times
from iosim.real.threads import ThreadUse, control_thread, threads_of, used_between

SETTLE_S: Final = 0.1
"""From the last connection to the start of the load."""
START_NS: Final = 50_000_000
"""From telling when the load starts to its start."""
NS_PER_S: Final = 1_000_000_000

Observe = Callable[[int], AbstractContextManager[Callable[[int], object]]]
"""Entered before the load begins, with the server's process. What it gives is called after the
warm-up, with the end of the window."""


@dataclass(frozen=True)
class Programs:
    """What starts the two processes."""

    server: Sequence[str]
    clients: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """What one run has brought, in plain numbers; see `iosim.real` for what they are."""

    start_ns: int
    """Of the load, of CLOCK_MONOTONIC."""
    first: Mapping[str, str]
    """The server's counters at the start of the window, and `last` at its end."""
    last: Mapping[str, str]
    done: Mapping[str, float]
    """What the clients say of themselves."""
    responses: "array[int]"
    order: str
    cores: CoreTimes
    """Over the window, on the server's cores."""
    threads: tuple[ThreadUse, ...]
    observed: Any = None
    """What `observe` has found."""


def run(
    plan: plans.Plan,
    requests: "array[int]",
    think: "array[int] | None",
    programs: Programs,
    observe: Observe | None = None,
) -> Outcome:
    """Run `plan`. Raises MeasurementError."""
    with TemporaryDirectory(prefix="iosim-") as name, ExitStack() as stack:
        folder = Path(name)
        plans.write(folder, plan, requests, think)
        server, leader = _set_up(plan, folder, programs, stack)
        time.sleep(SETTLE_S)
        control = control_thread(server.pid)
        threads = threads_of(server.pid, control)
        watch = stack.enter_context(observe(server.pid)) if observe is not None else None
        start_ns = time.monotonic_ns() + START_NS
        leader.tell(f"start {start_ns}")
        first, cores = _mark(server, plan, start_ns + plan.warm_up_ns)
        end_ns = start_ns + plan.duration_ns
        observed = watch(end_ns) if watch is not None else None
        last, cores_last = _mark(server, plan, end_ns)
        done = leader.expect("done", plan.duration_ns / NS_PER_S + SETUP_S)
        used = used_between(threads, threads_of(server.pid, control))
        return Outcome(
            start_ns=start_ns,
            first=first,
            last=last,
            done={name: float(text) for name, text in _words(done).items()},
            responses=array("q", (folder / "responses").read_bytes()),
            order=_text(folder / "order"),
            cores=cores_last.since(cores),
            threads=used,
            observed=observed,
        )


def _set_up(
    plan: plans.Plan, folder: Path, programs: Programs, stack: ExitStack
) -> tuple[Child, Child]:
    """The server, ready to be asked; and the process that makes the load."""
    if plan.arrivals == "items":
        server = stack.enter_context(Child("server", programs.server, folder, 0))
        server.expect("ready")
        return server, server
    clients = stack.enter_context(Child("clients", programs.clients, folder))
    devices_port = clients.expect("devices")
    server = stack.enter_context(Child("server", programs.server, folder, devices_port))
    clients.tell(f"connect {server.expect('listening')}")
    try:
        clients.expect("ready")
    except MeasurementError:
        server.raise_if_ended()  # it refused to serve, and so their connections
        raise
    return server, clients


def _mark(server: Child, plan: plans.Plan, at_ns: int) -> tuple[dict[str, str], CoreTimes]:
    """The server's counters at an instant of CLOCK_MONOTONIC, and its cores' times."""
    time.sleep(max(0, at_ns - time.monotonic_ns()) / NS_PER_S)
    cores = core_times(plan.server_cpus)
    server.tell("mark")
    return _words(server.expect("mark")), cores


def _words(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split())


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
