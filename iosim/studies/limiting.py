"""What is used up: the resources of a model's run, and the one that limits it.

    uses(model, scenario)      -> how much of each resource was in use
    fullest(uses)              -> the one that is used up, if any
    response_part(model)       -> where nothing is: what most of a response goes into

Resources: the cores, the one thread that never leaves its core, the interpreter lock, a device's
places, a pool's threads, a lock, the clients' connections; and where an objective says so,
memory.

Scope: time spent asking in vain counts as idle. A pool is a model whose options say how many
`threads` it has.
Not done: limits that take turns.
Source: Denning and Buzen, "The Operational Analysis of Queueing Network Models", Computing
Surveys 10(3), 1978: the bottleneck is the station of the highest utilization; Little's law.
Validated by: tests/studies/test_plan_limiting.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from iosim.report.limiter import ALWAYS_WAITED_FOR, PARTS
from iosim.results import ModelResult
from iosim.scenario import Scenario
from iosim.studies.load import is_open
from iosim.units import format_count, format_duration_ns, format_percent, format_size

FULL = 0.8
"""What is in use for less of the time is not what stops a model, whatever its bursts."""
HARD = ("core", "thread", "interpreter lock", "device")
SOFT = ("pool", "lock")

OWN_WAITING = 0.25
"""A wait that is such a part of the mean response is worth being called the limit."""


@dataclass(frozen=True)
class Use:
    """A resource and the part of it in use, 0 to 1, with the figures that say so."""

    kind: str
    """`core`, `thread`, `interpreter lock`, `device`, `pool`, `lock`, `connections`, `memory`,
    `descriptors`; or `response`, where a request simply takes so long."""
    name: str
    """As tables show it: `4 cores`, `device db`."""
    used: float
    evidence: str

    def to_data(self) -> Mapping[str, object]:
        """Plain data."""
        return {"kind": self.kind, "name": self.name, "used": self.used, "evidence": self.evidence}


def uses(model: ModelResult, scenario: Scenario) -> tuple[Use, ...]:
    """How much of each resource was in use; of one model, whose scenario this is."""
    if not model.records:
        return ()
    return (
        *_cores(model),
        *_thread(model),
        *_interpreter_lock(model),
        *_devices(model),
        *_pool(model, scenario),
        *_lock(model),
        *_connections(model, scenario),
    )


def fullest(found: Iterable[Use]) -> Use | None:
    """The one that is used up; None if none is.

    A pool's thread, a lock or a connection is held while its request waits for something else:
    it limits only where what is waited for does not.
    """
    known = list(found)
    for kinds in HARD, SOFT, ("connections",):
        full = [use for use in known if use.kind in kinds and use.used >= FULL]
        if full:
            return max(full, key=lambda use: use.used)
    return None


def response_part(model: ModelResult) -> Use | None:
    """The largest part of a mean response, where nothing is used up."""
    parts = {part: _mean(model, f"time_{part}_ns") for part in PARTS}
    largest = max(parts, key=lambda part: parts[part])
    mean_ns = _mean(model, "response_time_mean_ns")
    if not mean_ns or not parts[largest]:
        return None
    took, whole = format_duration_ns(parts[largest]), format_duration_ns(mean_ns)
    return Use(
        "response",
        largest.replace("_", " "),
        parts[largest] / mean_ns,
        f"{took} of a mean response of {whole} {PARTS[largest](model)}",
    )


def memory(model: ModelResult) -> Use | None:
    """What most of the memory is for."""
    parts = {
        name.removeprefix("memory_").removesuffix("_bytes").replace("_", " "): _mean(model, name)
        for name in model.metrics
        if name.startswith("memory_") and name != "memory_bytes"
    }
    whole = _mean(model, "memory_bytes")
    if not parts or not whole:
        return None
    largest = max(parts, key=lambda part: parts[part])
    return Use(
        "memory",
        "memory",
        1.0,
        f"{format_size(whole)} at the peak, of which {largest} {format_size(parts[largest])}",
    )


# --------------------------------------------------------------------------- one each


def _cores(model: ModelResult) -> Iterator[Use]:
    cores = _number_of_cores(model)
    used = _mean(model, "cpu_utilization") - _mean(model, "cpu_spin_fraction")
    name = "1 core" if cores == 1 else f"{cores} cores"
    per_request = format_duration_ns(_mean(model, "cpu_time_per_request_ns"))
    yield Use(
        "core", name, used, f"{name} busy {format_percent(used)}, {per_request} CPU a request"
    )


def _thread(model: ModelResult) -> Iterator[Use]:
    cores = _number_of_cores(model)
    if cores == 1:
        return  # the core says it
    spinning = _mean(model, "cpu_spin_fraction") * cores
    used = max(0.0, _mean(model, "cpu_utilization_busiest_thread") - spinning)
    threads = max((record.threads for record in model.records), key=len)
    busiest = max(threads, key=lambda thread: thread.cpu_ns or 0, default=None)
    if busiest is not None:
        evidence = f"its {busiest.name} thread had {format_percent(used)} of one core"
        yield Use("thread", "one thread", used, evidence)


def _interpreter_lock(model: ModelResult) -> Iterator[Use]:
    locks = [(r.interpreter_lock, r.window_ns) for r in model.records if r.interpreter_lock]
    if not locks:
        return
    held = sum(lock.held_ns / lock.locks / ns for lock, ns in locks) / len(locks)
    waiting = sum(lock.wait_ns / lock.locks / ns for lock, ns in locks) / len(locks)
    # On its way from thread to thread nobody holds it, and it is never held all the time.
    used = 1.0 if waiting >= ALWAYS_WAITED_FOR else held
    yield Use(
        "interpreter lock",
        "interpreter lock",
        used,
        f"the interpreter lock held {format_percent(held)} of the time, "
        f"{format_count(waiting)} threads waiting for it as a mean",
    )


def _devices(model: ModelResult) -> Iterator[Use]:
    for name in model.records[0].devices:
        estimate = model.metrics.get(f"device_{name}_utilization")
        if estimate is not None and estimate.mean is not None:
            queue = format_count(_mean(model, f"device_{name}_queue"))
            yield Use(
                "device",
                f"device {name}",
                estimate.mean,
                f"the places of device {name} taken {format_percent(estimate.mean)} of the time, "
                f"{queue} calls waiting",
            )


def _pool(model: ModelResult, scenario: Scenario) -> Iterator[Use]:
    """Threads that are occupied by a request from its first step to its last."""
    threads = _pool_size(scenario)
    if threads is None:
        return
    held_ns = sum(_mean(model, f"time_{part}_ns") for part in HELD)
    used = _mean(model, "throughput_per_s") * held_ns / 1e9 / threads
    if used > AT_MOST:
        return  # more requests under way than threads: they do not hold them
    queue_ns, mean_ns = _mean(model, "time_queue_ns"), _mean(model, "response_time_mean_ns")
    yield Use(
        "pool",
        f"pool of {threads}",
        used,
        f"its {threads} threads occupied {format_percent(used)} of the time, "
        f"{format_duration_ns(queue_ns)} of a mean response of {format_duration_ns(mean_ns)} "
        "waiting for one",
    )


AT_MOST = 1.1
"""Of all threads; what was answered in the window had begun before it."""

HELD = ("wake_up", "run_queue", "cpu", "lock", "device")
"""Parts of a response in which a thread is a request's own."""


def _pool_size(scenario: Scenario) -> int | None:
    """How many threads a model with a fixed number of them has; None if it has no such."""
    found: int | None = getattr(scenario.models[0].options, "threads", None)
    return found


def _lock(model: ModelResult) -> Iterator[Use]:
    waits_ns, mean_ns = _mean(model, "time_lock_ns"), _mean(model, "response_time_mean_ns")
    if model.records[0].interpreter_lock is None and mean_ns and waits_ns / mean_ns > OWN_WAITING:
        yield Use(
            "lock",
            "a lock",
            waits_ns / mean_ns,
            f"{format_duration_ns(waits_ns)} of a mean response of {format_duration_ns(mean_ns)} "
            "waiting for a lock",
        )


def _connections(model: ModelResult, scenario: Scenario) -> Iterator[Use]:
    """Where each connection carries one request at a time, and others wait at the client."""
    if not is_open(scenario):
        return
    connections = scenario.workload.options.connections
    places = connections.active_count * connections.pipeline
    mean_ns, client_ns = _mean(model, "response_time_mean_ns"), _mean(model, "time_client_ns")
    used = _mean(model, "throughput_per_s") * (mean_ns - client_ns) / 1e9 / places
    yield Use(
        "connections",
        f"{connections.active_count:,} connections",
        used,
        f"its {connections.active_count:,} connections occupied {format_percent(used)} of the "
        f"time, {format_duration_ns(client_ns)} of a mean response of "
        f"{format_duration_ns(mean_ns)} waiting for one",
    )


def _number_of_cores(model: ModelResult) -> int:
    return len(model.records[0].cores_ns)


def _mean(model: ModelResult, metric: str) -> float:
    estimate = model.metrics.get(metric)
    return estimate.mean if estimate is not None and estimate.mean is not None else 0.0
