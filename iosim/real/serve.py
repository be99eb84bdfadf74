"""The server's process: `python -m iosim.real.serve FOLDER DEVICES_PORT`.

It runs one of `servers/` in its main thread; another thread sleeps in read(2) until it is
asked for the counters, see `iosim.real`.

Validated by: tests/real
"""

import gc
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from iosim.real import plan as plans
from iosim.real.handler import make_server
from iosim.real.kernel import Kernel, Machine
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
    # The control thread takes no signal: those of the program are for its own threads.
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    threading.Thread(target=answer, args=(machine,), name="control", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(signal.Signals))
    gc.collect()
    gc.freeze()  # what is there now is never garbage
    say(f"listening {machine.listener.socket.getsockname()[1]}")
    try:
        module.main(Kernel(machine), make_server(plan, machine.listener), options)
    except OSError as error:
        give_up(f"{plan.model}: {error}")


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


def answer(machine: Machine) -> None:
    """Answer each `mark`; when stdin is closed, end the process."""
    while line := os.read(0, 100):
        for _ in range(line.count(b"mark\n")):
            say(mark(machine))
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
