"""What an objective turns on that a scenario leaves open: said beside the verdict.

    tuple(assumptions(scenario)) -> "database always takes 20ms, ..."

What it does: asks each device that the handler calls what it takes for granted (`assumed` of its
options, if it has that), where there is an objective about response times. Who has said it in the
scenario is not told.

Not done: doubting what is said.
Validated by: tests/unit/test_assumptions.py
"""

from collections.abc import Iterator

from iosim.scenario import CallStep, Scenario


def assumptions(scenario: Scenario) -> Iterator[str]:
    """Sentences about the devices that are called, in the order of the scenario."""
    times = [slo.metric for slo in scenario.slos if slo.metric.startswith("response_time_")]
    if not times:
        return
    tails = any(metric != "response_time_mean_ns" for metric in times)
    handlers = [scenario.server.handler, *(one.handler for one in scenario.server.classes.values())]
    called = {step.call for handler in handlers for step in handler if isinstance(step, CallStep)}
    for name, device in scenario.devices.items():
        assumed = getattr(device.options, "assumed", None)
        if name in called and assumed is not None:
            yield from assumed(name, tails)
