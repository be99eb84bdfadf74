"""What holds a model back, as far as its records show it.

In this order: a thread that never leaves its core, all cores, the interpreter lock, a device
whose places are all taken; else the largest part of a mean response, which for a pool is
waiting for one of its threads.

Scope: time spent asking in vain counts as idle: a poller always has a core.
Not done: limits of several kinds that take turns.
Validated by: tests/cli/test_limiter.py
"""

from collections.abc import Callable
from dataclasses import dataclass

from iosim.results import ModelResult
from iosim.units import format_count, format_duration_ns, format_percent

AT_LIMIT = 0.95
"""What is in use for this part of the time is at its limit."""

ALWAYS_WAITED_FOR = 2
"""Where so many threads wait for a lock as a mean, there is nearly always one."""


@dataclass(frozen=True)
class Limiter:
    """`evidence` in words; `full`: something was in use all the time."""

    evidence: str
    full: bool


def limiter(model: ModelResult) -> Limiter | None:
    """What holds `model` back; None if its records do not tell."""
    full = _thread(model) or _cores(model) or _interpreter_lock(model) or _device(model)
    if full is not None:
        return Limiter(full, True)
    parts = {part: _mean(model, f"time_{part}_ns") for part in PARTS}
    largest = max(parts, key=lambda part: parts[part])
    mean_ns = _mean(model, "response_time_mean_ns")
    if not parts[largest]:
        call = _longest_call(model)
        return Limiter(call, False) if call else None
    spent = f"{format_duration_ns(parts[largest])} of a mean response of "
    evidence = f"{spent}{format_duration_ns(mean_ns)} {PARTS[largest](model)}"
    return Limiter(evidence, largest == "queue")


def _thread(model: ModelResult) -> str | None:
    cores = _number_of_cores(model)
    spinning = _mean(model, "cpu_spin_fraction") * cores
    share = _mean(model, "cpu_utilization_busiest_thread")
    if share - spinning < AT_LIMIT:
        return None
    threads = max((record.threads for record in model.records), key=len)
    busiest = max(threads, key=lambda thread: thread.cpu_ns or 0)
    return f"its {busiest.name} thread had {format_percent(share)} of one core"


def _cores(model: ModelResult) -> str | None:
    busy = _mean(model, "cpu_utilization") - _mean(model, "cpu_spin_fraction")
    if busy < AT_LIMIT:
        return None
    cores = _number_of_cores(model)
    whose = "its one core was" if cores == 1 else f"all {cores} cores were"
    return f"{whose} busy {format_percent(busy)} of the time{_overhead(model)}"


def _overhead(model: ModelResult) -> str:
    """What most of the cores' time went into beside the program itself, if it is much."""
    shares = {
        what: sum(_mean(model, f"cpu_{cause}_fraction") for cause in causes)
        for what, causes in OVERHEADS.items()
    }
    largest = max(shares, key=lambda what: shares[what])
    if shares[largest] < MUCH:
        return ""
    return f", {format_percent(shares[largest])} of it with {largest}"


def _number_of_cores(model: ModelResult) -> int:
    record = model.records[0]
    return record.process.cores if record.process is not None else len(record.cores_ns)


def _interpreter_lock(model: ModelResult) -> str | None:
    locks = [(r.interpreter_lock, r.window_ns) for r in model.records if r.interpreter_lock]
    if not locks:
        return None
    # Of each process's lock as a mean.
    waiting = sum(lock.wait_ns / lock.locks / ns for lock, ns in locks) / len(locks)
    held = sum(lock.held_ns / lock.locks / ns for lock, ns in locks) / len(locks)
    # On its way from thread to thread nobody holds it, so that it is never held all the time.
    if held < AT_LIMIT and waiting < ALWAYS_WAITED_FOR:
        return None
    return (
        f"the interpreter lock was held {format_percent(held)} of the time, and "
        f"{format_count(waiting)} threads waited for it as a mean"
    )


def _device(model: ModelResult) -> str | None:
    for name in model.records[0].devices:
        utilization = _mean(model, f"device_{name}_utilization")
        if utilization >= AT_LIMIT:
            queue = format_count(_mean(model, f"device_{name}_queue"))
            return (
                f"the places of device {name} were in use {format_percent(utilization)} of the "
                f"time, and {queue} calls waited for one"
            )
    return None


def _longest_call(model: ModelResult) -> str:
    """The device whose calls take longest, by Little's law over the window; empty if none."""
    longest: tuple[float, str] = (0.0, "")
    for name in model.records[0].devices:
        calls_per_s = _mean(model, f"device_{name}_calls_per_s")
        present = sum(_mean(model, f"device_{name}_{where}") for where in ("in_service", "queue"))
        if calls_per_s:
            longest = max(longest, (present * 1e9 / calls_per_s, name))
    ns, name = longest
    return f"a call of device {name} takes {format_duration_ns(ns)} as a mean" if name else ""


def _in_calls(model: ModelResult) -> str:
    call = _longest_call(model)
    return f"went into calls and sleeps{f'; {call}' if call else ''}"


def _for_a_thread(model: ModelResult) -> str:
    count = max(len(record.threads) for record in model.records)
    whom = "its one thread" if count == 1 else f"one of its {count} threads"
    return f"went into waiting for {whom}, taken by other requests"


OVERHEADS = {
    "switches and what they cost the caches": ("switch", "refill"),
    "syscalls": ("syscall",),
    "interrupts": ("softirq",),
}
"""Causes of CPU time that are not the program's own work."""

MUCH = 0.1
"""A part of the cores' time that is worth a word."""

PARTS: dict[str, Callable[[ModelResult], str]] = {
    "client": lambda model: "went into waiting at the client for the connection",
    "network": lambda model: "went into the way there and back",
    "queue": _for_a_thread,
    "wake_up": lambda model: "went into waking threads",
    "run_queue": lambda model: "went into waiting for a core",
    "cpu": lambda model: "went into computing",
    "lock": lambda model: "went into waiting for a lock",
    "device": _in_calls,
}


def _mean(model: ModelResult, metric: str) -> float:
    estimate = model.metrics.get(metric)
    return estimate.mean if estimate is not None and estimate.mean is not None else 0.0
