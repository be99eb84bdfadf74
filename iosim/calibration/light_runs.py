"""The few real runs that the macro fit sees: three models, two runtimes, three loads.

Each cell is a server of one core with 16 connections and 20 us of work by request: as fast as it
answers, then asked for a fifth and for half of that. At the lowest load it sleeps before most
requests, at the other before some; always asked, its core never idles, and of that run the CPU time
alone is compared. That parts what a sleep costs from what a message does. Repetitions are
interleaved: all cells, then all cells again, so that a mood of the machine meets every cell. A run
that something else disturbed, still after so many attempts, is not fitted on.

Scope: `epoll`, `blocking` and `coroutine`, natively and in CPython, as far as they run here.
Not done: other loads, connections and models are left for validation, which refuses these.
Validated by: tests/calibration/test_light_runs.py
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from iosim.calibration.macro import CPU_TIME, FLOORS, Observed
from iosim.errors import IosimError
from iosim.measurement import saturated
from iosim.profile import FittedOn
from iosim.real.disturbance import of_record
from iosim.results import ModelResult
from iosim.scenario import Scenario, from_data

MODELS = ("epoll", "blocking", "coroutine")
RUNTIMES = ("native", "cpython")
CONNECTIONS = 16
DEMAND_NS = 20_000
SATURATION = 1.0
LOADS = (SATURATION, 0.2, 0.5)
"""Of what the cell answers at most; in this order, as the first says what that is."""
WARM_UP = 10
"""So small a part of a run is left out, of a real one as of a simulated one. A cut that is found in
a run's own data would jump from one value of a parameter to the next, and derivatives with it."""


@dataclass(frozen=True)
class Effort:
    """How long the runs are, and how many."""

    saturating_ms: int
    running_ms: int
    repetitions: int
    attempts: int
    """How often a disturbed run is made, at most."""
    simulated_requests: int
    """In the scenario that stands for a cell's runs in the fit."""


QUICK = Effort(300, 600, repetitions=1, attempts=1, simulated_requests=600)
FULL = Effort(1_000, 3_000, repetitions=3, attempts=3, simulated_requests=1_500)


@dataclass
class LightRuns:
    """What has been observed, and why some of it was not."""

    observed: list[Observed] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Where some runs were disturbed."""
    interrupted: bool = False


def cell(
    model: str, runtime: str, load: float, rate_per_s: float, duration_ms: int, seed: int
) -> Scenario:
    """One model's scenario, of one replication and with a warm-up of a tenth."""
    data: dict[str, Any] = {
        "name": f"{model}, {runtime}, {load:.0%}",
        "machine": {"cores": 1, "runtime": runtime},
        "server": {"handler": [{"cpu": f"{DEMAND_NS}ns"}]},
        "workload": {"open": {"rate": f"{rate_per_s:g}/s", "connections": {"total": CONNECTIONS}}},
        "models": [model],
        "run": {
            "duration": f"{duration_ms}ms",
            "warm_up": f"{duration_ms * 1_000_000 // WARM_UP}ns",
            "replications": 1,
            "seed": seed,
        },
    }
    return saturated(from_data(data)) if load == SATURATION else from_data(data)


def total(effort: Effort) -> int:
    """How many runs `observe` makes, and so how often it tells its progress."""
    return len(MODELS) * len(RUNTIMES) * len(LOADS) * effort.repetitions


def observe(effort: Effort, progress: Callable[[], None] | None = None) -> LightRuns:
    """Make the runs. What cannot be run here is skipped, and why is told.

    Interrupted by the user, it returns the cells of the repetitions that have finished.
    """
    found = LightRuns()
    most_per_s: dict[tuple[str, str], float] = {}
    values: dict[tuple[str, str, float], list[dict[str, float]]] = {}
    disturbed: dict[tuple[str, str, float], list[str]] = {}
    try:
        for seed in range(1, effort.repetitions + 1):
            for load in LOADS:
                for cell_of, result in _each(found, effort, progress, load, most_per_s, seed):
                    if load == SATURATION:
                        most = result.metrics["throughput_per_s"].mean or 0
                        most_per_s.setdefault(cell_of, most)
                    key = (*cell_of, load)
                    if why := _disturbed(result):
                        disturbed.setdefault(key, []).append(why)
                    else:
                        values.setdefault(key, []).append(_of(result, load))
    except KeyboardInterrupt:
        found.interrupted = True
    for key, reasons in disturbed.items():
        told = f"{len(reasons)} of its runs {'was' if len(reasons) == 1 else 'were'} disturbed"
        model, runtime, load = key
        name = f"{model}, {runtime}, {load:.0%}"
        if key in values:
            found.warnings.append(f"{name}: {told}, and left out: {reasons[0]}")
        else:
            found.skipped[name] = f"all {told}: {reasons[0]}"
    for (model, runtime, load), runs in values.items():
        rate = _rounded(load * most_per_s[model, runtime])
        duration_ms = round(1_000 * effort.simulated_requests / rate)
        found.observed.append(
            Observed(
                cell(model, runtime, load, rate, duration_ms, seed=1),
                {m: tuple(run[m] for run in runs if m in run) for m in FLOORS},
                FittedOn(
                    model, runtime, CONNECTIONS, DEMAND_NS, None if load == SATURATION else rate
                ),
            )
        )
    return found


def _rounded(rate_per_s: float) -> float:
    return float(f"{rate_per_s:.3g}")


def _each(
    found: LightRuns,
    effort: Effort,
    progress: Callable[[], None] | None,
    load: float,
    most_per_s: Mapping[tuple[str, str], float],
    seed: int,
) -> Iterator[tuple[tuple[str, str], ModelResult]]:
    """A run of each server that has not been skipped: as fast as it goes, or at its rate."""
    from iosim.measurement import measure

    for runtime in RUNTIMES:
        for model in MODELS:
            name = f"{model}, {runtime}"
            if name not in found.skipped:
                try:
                    saturates = load == SATURATION
                    rate = 1_000.0 if saturates else _rounded(load * most_per_s[model, runtime])
                    duration_ms = effort.saturating_ms if saturates else effort.running_ms
                    wanted = cell(model, runtime, load, rate, duration_ms, seed)
                    results = measure(wanted, attempts=effort.attempts, count_syscalls=False)
                    if results.interrupted:
                        raise KeyboardInterrupt
                    (result,) = results.models
                    if result.error:
                        raise IosimError(result.error)
                    yield (model, runtime), result
                except IosimError as error:
                    found.skipped[name] = str(error)
            if progress is not None:
                progress()


def _disturbed(result: ModelResult) -> str:
    """Why not to fit on a run; nothing if it is sound."""
    found = {name for record in result.records for name in of_record(record)}
    found.discard("late_p99")  # no tail is fitted
    return "; ".join(result.warnings) or ", ".join(sorted(found)) if found else ""


def _of(result: ModelResult, load: float) -> dict[str, float]:
    compared = (CPU_TIME,) if load == SATURATION else tuple(FLOORS)
    means = {metric: result.metrics[metric].mean for metric in compared if metric in result.metrics}
    return {metric: mean for metric, mean in means.items() if mean}
