"""Agreement of simulated replications with an exact value, and how it is judged.

`replicate` runs independent replications; a figure of each is a number; `assert_agrees`
asks that the 99.9% Student-t interval of their mean holds the exact value. There is no
other tolerance. An interval can hold anything if it is wide, so each test also states the
half width, relative to the exact value, that it must reach (`within`): an error larger
than twice that is bound to be found.

A warm-up of ten relaxation times is left out: the transient of M/M/1 has decayed to
e**-10 by then (Cohen, "The Single Server Queue", 1982, III.7; `relaxation_ns`).

Requests choose a connection at random and wait at the client if it is busy. That keeps
the server from nothing: while a connection is busy, so is the server. A single server
remains work-conserving and blind to service times, so the mean number present, and by
Little's law the mean response, are exactly those of first come, first served. Where the
distribution is compared, or several servers could be kept waiting, `MANY` connections
make it rare: fewer than one request in 500.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

from iosim.machine.costs import Costs
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import Scenario, from_data
from iosim.simulation import run_once
from iosim.statistics import student_t

CONFIDENCE = 0.999
MANY = 4_000
FREE = load("free").costs


def replicate(scenario: Scenario, count: int, costs: Costs = FREE) -> list[Record]:
    """`count` independent replications of the scenario's first model."""
    return [run_once(scenario, scenario.models[0], costs, number) for number in range(count)]


def assert_agrees(values: Iterable[float | None], exact: float, within: float) -> None:
    """The interval of the mean of `values` holds `exact`, and is narrow enough to tell."""
    estimate = student_t(list(values), CONFIDENCE)
    assert estimate.mean is not None and estimate.low is not None and estimate.high is not None
    half_width = (estimate.high - estimate.low) / 2
    assert half_width <= within * abs(exact), (
        f"half width {half_width / abs(exact):.1%} of {exact:.6g}: too wide to tell"
    )
    assert estimate.low <= exact <= estimate.high, (
        f"exactly {exact:.6g}, simulated {estimate.mean:.6g}, 99.9% interval"
        f" {estimate.low:.6g} to {estimate.high:.6g}"
    )


def relaxation_ns(mean_service_ns: float, load_factor: float) -> float:
    """The time constant with which M/M/1 forgets its start."""
    return mean_service_ns / (1 - sqrt(load_factor)) ** 2


@dataclass(frozen=True)
class Load:
    """Open Poisson arrivals at `load_factor` (0 to 1) of `servers` servers."""

    mean_service_ns: float
    load_factor: float
    servers: int = 1

    @property
    def rate_per_s(self) -> float:
        return self.load_factor * self.servers * 1e9 / self.mean_service_ns

    @property
    def rate_per_ns(self) -> float:
        return self.rate_per_s / 1e9

    def scenario(
        self,
        handler: Sequence[Any],
        requests: int,
        model: Any = "epoll",
        connections: int = MANY,
        machine: dict[str, Any] | None = None,
        devices: dict[str, Any] | None = None,
        warm_up: bool = True,
        **workload: Any,
    ) -> Scenario:
        """About `requests` requests, after the warm-up if there is to be one."""
        duration_ns = requests / self.rate_per_ns
        warm_up_ns = 0
        if warm_up:
            warm_up_ns = ceil(10 * relaxation_ns(self.mean_service_ns, self.load_factor))
        return from_data(
            {
                "machine": {"descriptors": connections + 1_000, **(machine or {})},
                "server": {"handler": list(handler)},
                "devices": devices or {},
                "workload": {
                    "open": {
                        "rate": f"{self.rate_per_s}/s",
                        "connections": {"total": connections},
                        **workload,
                    }
                },
                "models": [model],
                "run": {
                    "duration": f"{ceil(duration_ns + warm_up_ns)}ns",
                    "warm_up": f"{warm_up_ns}ns" if warm_up else "none",
                },
            }
        )


# ------------------------------------------------------------------ figures of one record


def mean_response_ns(record: Record) -> float:
    """Mean response time over the window."""
    return record.responses.total_ns / record.responses.count


def mean_part_ns(part: str) -> Callable[[Record], float]:
    """Mean of one part of the response time."""
    return lambda record: record.parts_ns[part] / record.answered


def utilization(record: Record) -> float:
    """Part of the cores' time that is not idle."""
    total_ns = record.window_ns * len(record.cores_ns)
    return 1 - sum(core["idle"] for core in record.cores_ns) / total_ns


def voluntary_per_request(record: Record) -> float:
    """Voluntary context switches for each answered request."""
    return record.voluntary_switches / record.answered


def tail(records: Sequence[Record], near_ns: float) -> tuple[int, list[float]]:
    """A threshold near `near_ns`, and in each record the part of responses from it on.

    The threshold is the edge of a histogram bucket, at which counting is exact. A
    percentile estimated from one replication is biased; this fraction is not.
    """
    edges = {low for record in records for low, _ in record.responses.to_pairs()}
    edge = min(edges, key=lambda low: abs(low - near_ns))
    return edge, [
        sum(count for low, count in record.responses.to_pairs() if low >= edge)
        / record.responses.count
        for record in records
    ]
