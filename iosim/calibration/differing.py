"""What differs between two profiles, and what that changes in scenarios.

    differences(a, b)                 # costs whose values differ
    effects(a, b, files)              # scenarios simulated with both, on the same random numbers

A cost differs noticeably if it lies outside the other's spread, either way. An effect is the mean
of b / a - 1 over replications, paired, with its 95% Student-t interval. There is none where a run
ended in an error, as those behind it have moved up, and where some replications lack the metric.

Scope: values; not sources, spreads, rows.
Not done: which of the costs an effect comes from.
Validated by: tests/calibration/test_differing.py
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import exp, fsum, log
from pathlib import Path

from iosim.errors import UsageError
from iosim.machine.costs import Table, interpolate
from iosim.profile import CostEntry, Profile
from iosim.results import ModelResult
from iosim.scenario import label_of, load
from iosim.simulation import Progress, simulate
from iosim.statistics import Estimate, student_t

METRICS = (
    "throughput_per_s",
    "response_time_p50_ns",
    "response_time_p99_ns",
    "cpu_time_per_request_ns",
    "voluntary_switches_per_request",
)
REPLICATIONS = 3
"""Of each scenario; the paired differences are narrow."""
QUICK = ("quickstart", "io_uring_vs_epoll", "coroutine_flavours")
"""Shipped scenarios that take a few seconds each and use most costs of their runtime."""
FOLDER = Path(__file__).parents[2] / "scenarios"


@dataclass(frozen=True)
class Difference:
    """A cost in both profiles. `factor` is b over a, of tables the geometric mean over x.

    None: one of them is zero.
    """

    name: str
    a: CostEntry
    b: CostEntry
    factor: float | None
    noticeable: bool


@dataclass(frozen=True)
class Effect:
    """A metric of one model of a scenario with both profiles; `change` is b over a, less 1.

    `missing` says why there is no change; a and b are None then.
    """

    scenario: str
    model: str
    metric: str
    a: float | None
    b: float | None
    change: Estimate
    missing: str | None = None


def differences(a: Profile, b: Profile) -> tuple[Difference, ...]:
    """The costs whose values differ, in the order of Costs."""
    return tuple(
        Difference(name, one, b.entries[name], _factor(one, b.entries[name]), _apart(one, other))
        for name, one in a.entries.items()
        if (other := b.entries[name]).value != one.value
    )


def _factor(a: CostEntry, b: CostEntry) -> float | None:
    ratios = _ratios(a.value, b.value)
    return exp(fsum(map(log, ratios)) / len(ratios)) if ratios else None


def _ratios(a: int | Table, b: int | Table) -> list[float]:
    if isinstance(a, tuple) and isinstance(b, tuple):
        pairs = [(interpolate(a, x), interpolate(b, x)) for x in sorted({x for x, _ in (*a, *b)})]
    else:
        assert isinstance(a, int) and isinstance(b, int)
        pairs = [(a, b)]
    return [second / first for first, second in pairs if first and second]


def _apart(a: CostEntry, b: CostEntry) -> bool:
    """Whether both spreads leave the other's value out; a cost without one is as it says."""
    if isinstance(a.value, tuple):
        factor = _factor(a, b)
        if factor is None:
            return True
        low, high = a.spread or (1.0, 1.0)
        other_low, other_high = b.spread or (1.0, 1.0)
        return not low <= factor <= high and not other_low <= 1 / factor <= other_high
    assert isinstance(b.value, int)
    low, high = a.spread or (a.value, a.value)
    other_low, other_high = b.spread or (b.value, b.value)
    return not low <= b.value <= high and not other_low <= a.value <= other_high


def quick_scenarios() -> list[Path]:
    """The shipped scenarios to compare profiles in. Raises UsageError where there are none."""
    found = [path for name in QUICK if (path := FOLDER / f"{name}.yaml").is_file()]
    if not found:
        raise UsageError("the shipped scenarios are not installed: name some with --scenario FILE")
    return found


def effects(
    a: Profile, b: Profile, files: Iterable[str | Path], progress: Progress | None = None
) -> list[Effect]:
    """Simulate scenarios with both profiles. Raises ScenarioError, UsageError."""
    scenarios = [load(file, [("run.replications", str(REPLICATIONS))]) for file in files]
    total = sum(2 * REPLICATIONS * len(scenario.models) for scenario in scenarios)
    done = 0
    found: list[Effect] = []
    for scenario in scenarios:
        both = []
        for profile in (a, b):
            both.append(simulate(scenario, profile, progress=_further(progress, done, total)))
            done += REPLICATIONS * len(scenario.models)
        if any(results.interrupted for results in both):
            raise KeyboardInterrupt
        for model, first, second in zip(scenario.models, *both, strict=True):
            found += _effects(scenario.name, label_of(model), first, second)
    return found


def _effects(scenario: str, label: str, a: ModelResult, b: ModelResult) -> Iterator[Effect]:
    for metric in METRICS:
        error = a.error or b.error
        if error is not None:
            yield Effect(scenario, label, metric, None, None, student_t([]), error)
            continue
        pairs = list(zip(a.values.get(metric, ()), b.values.get(metric, ()), strict=True))
        known = [(x, y) for x, y in pairs if x is not None and y is not None and x > 0]
        if known and len(known) < len(pairs):
            why = f"known in {len(known)} of {len(pairs)} replications"
            yield Effect(scenario, label, metric, None, None, student_t([]), why)
        elif known:
            mean_a, mean_b = (fsum(side) / len(known) for side in zip(*known, strict=True))
            change = student_t([y / x - 1 for x, y in known])
            yield Effect(scenario, label, metric, mean_a, mean_b, change)


def _further(progress: Progress | None, begun: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(begun + done, total)
