"""Keeping up: a queue that grows is found out, a long one that does not is none."""

from typing import Any

import pytest
from planned import scenario

from iosim.backlog import left_over
from iosim.profile import load
from iosim.recording import Observation
from iosim.scenario import Scenario
from iosim.statistics import student_t
from iosim.studies.keeping_up import keeps_up
from iosim.studies.probing import Effort, Probe, attempt, probe

FREE = load("free").costs
SERVICE_PER_S = 10_000


def at(part: float, **parts: Any) -> Scenario:
    """One server that takes 100 us for each request, at a part of what saturates it."""
    return scenario(
        server={"handler": [{"cpu": "100us"}]},
        workload={
            "open": {"rate": f"{round(part * SERVICE_PER_S)}/s", "connections": {"total": 500}}
        },
        slo=["p50 < 1s", "errors < 0.1%"],
        run={"duration": "300ms", "replications": 3},
        **parts,
    )


def probed(made: Scenario) -> Probe:
    study, outcomes = probe(made, Effort(3, 6)), None
    while True:
        try:
            runs = next(study) if outcomes is None else study.send(outcomes)
        except StopIteration as stop:
            found: Probe = stop.value
            return found
        outcomes = [attempt(FREE, run) for run in runs]


@pytest.mark.parametrize(("part", "verdict"), [(0.9, "pass"), (1.06, "fail")])
def test_a_load_above_saturation_is_not_carried_by_objectives_blind_to_it(
    part: float, verdict: str
) -> None:
    found = probed(at(part))
    assert found.verdicts["keeps up"] == verdict == found.verdict
    assert found.verdicts["p50 < 1s"] == found.verdicts["errors < 0.1%"] == "pass"


def test_many_long_calls_are_no_backlog() -> None:
    """A sixth of what is asked is under way at the end, as at any time; no connection waits."""
    far = scenario(
        server={"handler": [{"call": "far"}]},
        devices={"far": {"remote": {"latency": "100ms"}}},
        workload={"open": {"rate": "2k/s", "connections": {"total": 4000}}},
        run={"duration": "600ms", "replications": 2},
    )
    runs = [attempt(FREE, (far, number)) for number in (0, 1)]
    observed = [run for run in runs if isinstance(run, Observation)]
    assert all(run.fates["in_flight"] > 0.1 * run.fates["offered"] for run in observed)
    assert keeps_up(student_t(left_over(observed))) == "pass"
