"""What the tests of plans share: small scenarios, and a search without simulating anything."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from iosim.scenario import Scenario, from_data
from iosim.slo import Verdict
from iosim.studies import capacity
from iosim.studies.capacity import Capacity, highest_load
from iosim.studies.load import load_of
from iosim.studies.probing import Effort, Probe

EFFORT = Effort(replications=3, budget=6)


def scenario(*models: Any, **parts: Any) -> Scenario:
    """50 us of CPU a request on one core, at 2,000 requests a second, for 20 ms."""
    data = {
        "server": {"handler": [{"cpu": "50us"}]},
        "workload": {"open": {"rate": "2k/s", "connections": {"total": 50}}},
        "models": list(models) or ["epoll"],
        "run": {"duration": "20ms", "replications": 3},
        "slo": ["p50 < 1ms"],
        **parts,
    }
    return from_data(data)


def made_up(load: float, verdict: Verdict, lines: tuple[str, ...] = ("p99 < 5ms",)) -> Probe:
    """A probe of a load that nobody has simulated."""
    return Probe(
        label="epoll",
        load=load,
        verdict=verdict,
        verdicts=dict.fromkeys(lines, verdict),
        metrics={},
        replications=3,
        runs=3,
        duration_ns=20_000_000,
        uses=(),
    )


def searched(
    monkeypatch: pytest.MonkeyPatch,
    judge: Callable[[float], Verdict],
    start: Scenario | None = None,
    resolution: float = 0.01,
    lines: tuple[str, ...] = ("p99 < 5ms",),
) -> Capacity:
    """Search where `judge` says what a load comes to."""

    def probe(at: Scenario, effort: Effort) -> Generator[Any, Any, Probe]:
        return made_up(load_of(at), judge(load_of(at)), lines)
        yield  # a generator

    monkeypatch.setattr(capacity, "probe", probe)
    search = highest_load(start or scenario(), EFFORT, resolution)
    try:
        next(search)
    except StopIteration as stop:
        found: Capacity = stop.value
        return found
    raise AssertionError("nothing was to be simulated")
