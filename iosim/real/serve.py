"""The server's process: `python -m iosim.real.serve FOLDER DEVICES_PORT`.

It runs one of `servers/` in its main thread; another thread sleeps in read(2) until it is
asked for the counters, see `iosim.real`. A pipeline has its load in itself: it is told when
to start, and a third thread writes what has become of the items.

Validated by: tests/real
"""

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import Any

from iosim.real import plan as plans
from iosim.real.handler import make_server
from iosim.real.kernel import Machine, listen
from iosim.real.pipeline import Pipeline
from iosim.real.process import give_up, say, settle_in


def main() -> None:
    """Serve until stdin is closed."""
    folder, devices_port = Path(sys.argv[1]), int(sys.argv[2])
    plan = plans.read(folder)
    settle_in(plan.server_cpus, plan.limit_s)
    try:
        module = import_module(f"iosim.real.servers.{plan.model}")
    except ModuleNotFoundError as error:
        give_up(f"{plan.model}: {error}")
    options = read_options(module.Options, plan)
    machine = Machine(plan, plans.table(folder, "requests"), devices_port)
    if getattr(module, "SERVES", "") == "items":
        run_pipeline(module, machine, options, folder)
    else:
        run_server(module, machine, options)
    while True:  # what the program has started goes on
        signal.pause()


def run_server(module: ModuleType, machine: Machine, options: Any) -> None:
    """Have the program serve the clients."""
    # All of them listen before any client is told, or those that come first share one.
    port = 0
    for _ in range(module.listeners(options) if hasattr(module, "listeners") else 1):
        machine.listeners.append(listen(machine.plan, port))
        port = machine.listeners[0].socket.getsockname()[1]
    start_thread("control", answer, machine, ignore)
    settle_down()
    say(f"listening {port}")
    server = make_server(machine.plan, machine.listeners[0])
    machine.run(lambda kernel: module.main(kernel, server, options))


def run_pipeline(module: ModuleType, machine: Machine, options: Any, folder: Path) -> None:
    """Have the program make and use items, for as long as planned from when it is told."""
    pipeline = Pipeline(machine.plan, machine.table)
    started: SimpleQueue[int] = SimpleQueue()
    start_thread("control", answer, machine, started.put)
    settle_down()
    say("ready")
    pipeline.begin(started.get())
    start_thread("clock", finish, pipeline, folder)
    machine.run(lambda kernel: module.main(kernel, pipeline, options))


def finish(pipeline: Pipeline, folder: Path) -> None:
    """Wait for the end of the load, and write what has come of it."""
    pipeline.finish(folder)
    say("done")


def start_thread(name: str, function: Callable[..., None], *given: Any) -> None:
    """Start a thread that takes no signal: those of the program are for its own threads."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=function, args=given, name=name, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())


def settle_down() -> None:
    """What is there now is never garbage."""
    gc.collect()
    gc.freeze()


def read_options(kind: Any, plan: plans.Plan) -> Any:
    """The model's options, from the plan's texts."""
    values: dict[str, Any] = {}
    for each in fields(kind):
        text = plan.options.get(each.name)
        if text is None:
            continue
        if text == "-":
            values[each.name] = None
        elif isinstance(each.default, bool):
            values[each.name] = text == "1"
        elif text.lstrip("-").isdigit():
            values[each.name] = int(text)
        else:
            values[each.name] = text
    return kind(**values)


def ignore(start_ns: int) -> None:
    """A server serves whenever it is asked: it need not know when the load starts."""


def answer(machine: Machine, on_start: Callable[[int], None]) -> None:
    """Answer each `mark`, pass on `start`; when stdin is closed, end the process."""
    unfinished = b""
    while data := os.read(0, 100):
        *lines, unfinished = (unfinished + data).split(b"\n")
        for line in lines:
            word, *rest = line.split()
            if word == b"mark":
                say(mark(machine))
            elif word == b"start":
                on_start(int(rest[0]))
    os._exit(0)


def mark(machine: Machine) -> str:
    """The counters now, in a line."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "clock_ns": time.monotonic_ns(),
        "voluntary": usage.ru_nvcsw,
        "involuntary": usage.ru_nivcsw,
        "cpu_ns": time.process_time_ns(),
        "user_ns": round(usage.ru_utime * 1e9),
        "system_ns": round(usage.ru_stime * 1e9),
        "threads": len(os.listdir("/proc/self/task")) - 1,
        "rss_bytes": resident_bytes("VmRSS"),
        # Not ru_maxrss, which remembers the parent's before exec(2).
        "peak_rss_bytes": resident_bytes("VmHWM"),
        **machine.count(),
    }
    words = [f"{name}={value}" for name, value in found.items()]
    if machine.workers:
        words.append("served=" + ",".join(str(each.answered) for each in machine.workers))
    return f"mark {' '.join(words)}"


def resident_bytes(which: str) -> int:
    """Resident set size now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


if __name__ == "__main__":
    main()
