"""What one side says about a cell: the real server, or the simulated one.

A side is the values of each metric by replication. Of the real side it also says what disturbed
each replication (iosim.real.disturbance), so that what is not the server's can be left out.

Scope: the metrics that are compared (`is_compared`), and `switches_per_request`, the sum of both
kinds of context switches.
Validated by: tests/validation/test_sides.py
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from iosim.measurement import measure
from iosim.profile import Profile
from iosim.real.disturbance import of_record
from iosim.real.this_machine import one_line
from iosim.record import Record
from iosim.results import ModelResult
from iosim.scenario import Scenario
from iosim.simulation import simulate
from iosim.statistics import Estimate, not_negative, student_t

COMPARED = (
    "throughput_per_s",
    "response_time_mean_ns",
    "response_time_p50_ns",
    "response_time_p95_ns",
    "response_time_p99_ns",
    "switches_per_request",
    "voluntary_switches_per_request",
    "involuntary_switches_per_request",
    "syscalls_per_request",
    "events_per_wait",
    "cpu_time_per_request_ns",
    "cpu_utilization",
)
"""Besides, each syscall by its name."""

SWITCHES = ("voluntary_switches_per_request", "involuntary_switches_per_request")


def is_compared(metric: str) -> bool:
    """Whether both sides are asked for this metric."""
    return metric in COMPARED or metric.startswith("syscalls_")


@dataclass(frozen=True)
class Side:
    """Values by metric, one for each replication; None where one does not exist."""

    values: Mapping[str, tuple[float | None, ...]]
    error: str | None = None
    disturbed: tuple[tuple[str, ...], ...] = ()
    """By replication: what was beyond its limit, as `iosim.real.disturbance.excesses` names it."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from: machine and date, or profile."""

    def of(self, metric: str) -> tuple[float | None, ...]:
        """A metric's values; of a syscall that only the other side makes, zeros."""
        if metric in self.values or not metric.startswith("syscalls_"):
            return self.values.get(metric, ())
        counted = self.values.get("syscalls_per_request", ())
        return tuple(None if calls is None else 0.0 for calls in counted)

    def estimate(self, metric: str) -> Estimate:
        """The mean over replications, with its interval."""
        return not_negative(student_t(self.of(metric)))

    def to_data(self) -> dict[str, Any]:
        """Plain data, that `from_data` reads."""
        return {
            "values": {name: list(values) for name, values in self.values.items()},
            "error": self.error,
            "disturbed": [list(names) for names in self.disturbed],
            "about": dict(self.about),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Side":
        """A side from `to_data`. Raises KeyError, TypeError or ValueError for other data."""
        return cls(
            values={name: tuple(values) for name, values in data["values"].items()},
            error=data["error"],
            disturbed=tuple(tuple(names) for names in data["disturbed"]),
            about=dict(data["about"]),
        )


def of_model(model: ModelResult, about: Mapping[str, Any]) -> Side:
    """The side that a model's result is."""
    values = {name: found for name, found in model.values.items() if is_compared(name)}
    if all(name in model.values for name in SWITCHES):
        pairs = zip(*(model.values[name] for name in SWITCHES), strict=True)
        values["switches_per_request"] = tuple(
            None if one is None or other is None else one + other for one, other in pairs
        )
    disturbed = tuple(tuple(sorted(of_record(record))) for record in model.records)
    return Side(values, model.error, disturbed, about)


def measured(scenario: Scenario, **how: Any) -> Side:
    """The real side of a scenario with one model. Raises KeyboardInterrupt if it was cut short.

    how: as `iosim.measure` takes it.
    """
    results = measure(scenario, **how)
    if results.interrupted:
        raise KeyboardInterrupt
    assert results.machine is not None
    model = results.models[0]
    about = {
        "machine": one_line(results.machine),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "stolen_fractions": [_stolen(record) for record in model.records],
    }
    return of_model(model, about)


def _stolen(record: Record) -> float:
    """The part of the server's cores that the host took away, 0 to 1."""
    assert record.process is not None and record.process.interference is not None
    found = record.process.interference
    return found.stolen_ns / found.cores_ns


def simulated(scenario: Scenario, profile: Profile, jobs: int | None = 1) -> Side:
    """The simulated side. Raises KeyboardInterrupt if it was cut short."""
    results = simulate(scenario, profile, jobs)
    if results.interrupted:
        raise KeyboardInterrupt
    return of_model(results.models[0], {"profile": results.profile})
