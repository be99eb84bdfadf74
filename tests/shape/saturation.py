"""The most that a server can do: active users who ask again as soon as they are answered."""

from typing import Any

from iosim.machine.costs import Costs
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

REFERENCE = load("reference").costs


def saturated(
    model: Any,
    active: int,
    idle: int = 0,
    handler: list[Any] | None = None,
    duration: str = "300ms",
    costs: Costs = REFERENCE,
    **machine: Any,
) -> Record:
    """One core, `active` connections in constant use and `idle` silent ones."""
    total = active + idle
    scenario = from_data(
        {
            "machine": machine,
            "server": {"handler": handler or []},
            "workload": {
                "closed": {
                    "users": active,
                    "think": "0us",
                    # Rounded up to whole connections.
                    "connections": {"total": total, "active": f"{100 * (active - 0.5) / total}%"},
                }
            },
            "models": [model],
            "run": {"duration": duration, "replications": 1, "warm_up": "100ms"},
        }
    )
    assert scenario.workload.options.connections.active_count == active
    return run_once(scenario, scenario.models[0], costs, 0)


def per_s(record: Record) -> float:
    """Throughput."""
    return record.answered * 1e9 / record.window_ns
