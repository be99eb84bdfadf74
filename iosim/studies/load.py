"""The load of a scenario, and the same scenario at another load.

    load_of(scenario)          -> 10000.0, of unit_of(scenario), "requests/s" or "users"
    at_load(scenario, 20_000)  -> the same, asked twice as much

All rates of a workload change by one factor; the random streams do not change at all, so that
the same requests come in the same order, only sooner.

Scope: workloads whose module names a `LOAD`. Not done: a trace at another speed.
Validated by: tests/studies/test_plan_load.py
"""

from dataclasses import replace

from iosim.errors import UsageError
from iosim.plugins import kinds
from iosim.scenario import Scenario, label_of

DESCRIPTORS_BESIDES = 4
"""A server's standard streams, and its listener."""


def unit_of(scenario: Scenario) -> str:
    """What counts the load: `requests/s` or `users`. Raises UsageError where nothing does."""
    workload = scenario.workload
    unit: str | None = getattr(kinds("workloads")[workload.kind], "LOAD", None)
    if unit is None:
        able = [name for name, module in kinds("workloads").items() if hasattr(module, "LOAD")]
        raise UsageError(
            f"{scenario.name}: a {workload.kind} workload has no load to turn up; expected one of "
            f"{', '.join(able)}"
        )
    return unit


def load_of(scenario: Scenario) -> float:
    """The load that the scenario has, in its unit."""
    return float(scenario.workload.options.load)


def at_load(scenario: Scenario, load: float) -> Scenario:
    """The same scenario with another load > 0; as near as whole users allow."""
    workload = replace(scenario.workload, options=scenario.workload.options.at_load(load))
    return scenario.model_copy(update={"workload": workload})


def is_open(scenario: Scenario) -> bool:
    """Whether requests come whether or not earlier ones are answered."""
    return unit_of(scenario) == "requests/s"


def lacks_descriptors(scenario: Scenario) -> str | None:
    """What a server would tell that may not open as many connections as it is to have."""
    connections = scenario.workload.options.connections.total
    most = scenario.machine.descriptors - DESCRIPTORS_BESIDES
    if connections <= most:
        return None
    return f"{connections:,} connections, of {scenario.machine.descriptors:,} machine.descriptors"


def model_label(scenario: Scenario) -> str:
    """What results call the one model of a scenario."""
    return label_of(scenario.models[0])
