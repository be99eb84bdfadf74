"""Which runs a profile was fitted on: they are no test of it.

    was_fitted(profile, scenario, "epoll")      # not to be scored

A run counts as one that was fitted on if it is of the same model and runtime, with as many
connections, the same work by request and nothing else, at a rate within `NEAR` of the same, or
both as fast as they answer.

Scope: what `fitted_on` of a profile says.
Not done: rows are not compared: probes are no runs of servers.
Validated by: tests/calibration/test_held_out.py
"""

from typing import Any

from iosim.measurement import saturated
from iosim.profile import Profile
from iosim.scenario import Scenario

NEAR = 0.25
"""Part of a rate."""


def _alike(one_per_s: float | None, other_per_s: float | None) -> bool:
    if one_per_s is None or other_per_s is None:
        return one_per_s is other_per_s
    return abs(one_per_s / other_per_s - 1) < NEAR


def was_fitted(profile: Profile, scenario: Scenario, model: str) -> bool:
    """Whether runs of this scenario with the model of this kind were used to fit the profile."""
    options: Any = scenario.workload.options
    rate = getattr(options, "rate", None)
    connections = getattr(options, "connections", None)
    if scenario.devices or connections is None:
        return False
    if rate is None and scenario.workload != saturated(scenario).workload:
        return False
    return any(
        run.model == model
        and run.runtime == scenario.machine.runtime
        and run.connections == connections.total
        and run.demand_ns == round(scenario.server.mean_cpu_ns)
        and _alike(rate, run.rate_per_s)
        for run in profile.fitted_on
    )
