"""One load tried: replications as needed, runs as long as needed, the same on any processes."""

from typing import Any

import pytest
from planned import EFFORT, scenario

from iosim.machine.costs import Costs
from iosim.profile import load
from iosim.scenario import Scenario
from iosim.studies.probing import Effort, Probe, Study, attempt, probe, together

COSTS: Costs = load("reference").costs


def probed(made: Scenario, effort: Effort = EFFORT) -> tuple[Probe, list[int]]:
    """A probe, and how many runs it asked for at a time."""
    study, asked, outcomes = probe(made, effort), [], None
    while True:
        try:
            runs = next(study) if outcomes is None else study.send(outcomes)
        except StopIteration as stop:
            return stop.value, asked
        asked.append(len(runs))
        outcomes = [attempt(COSTS, run) for run in runs]


def slo(*lines: str, **parts: Any) -> Scenario:
    return scenario(slo=list(lines), **parts)


def test_a_clear_case_needs_no_more_than_the_first_replications() -> None:
    for lines, verdict in ((("p50 < 1ms",), "pass"), (("p50 < 1us",), "fail")):
        found, asked = probed(slo(*lines))
        assert (found.verdict, asked, found.replications, found.runs) == (verdict, [3], 3, 3)


def test_an_open_case_gets_more_up_to_the_budget() -> None:
    clear, _ = probed(slo("mean < 1ms"))
    mean = clear.metrics["response_time_mean_ns"].mean
    assert mean is not None
    # So near that no number of replications tells.
    found, asked = probed(slo(f"mean < {round(mean)}ns"))
    assert (found.verdict, found.replications) == ("inconclusive", 5)
    assert asked == [3, 2]
    # Nearer than three can tell, but not than the budget.
    near, asked = probed(slo(f"mean < {round(1.03 * mean)}ns"), Effort(3, 60))
    assert near.verdict == "pass"
    assert 3 < near.replications == sum(asked) <= 60


def test_where_one_objective_fails_the_others_are_not_pursued() -> None:
    clear, _ = probed(slo("mean < 1ms"))
    mean = clear.metrics["response_time_mean_ns"].mean
    assert mean is not None
    found, asked = probed(slo(f"mean < {round(mean)}ns", "p50 < 1us"), Effort(3, 60))
    assert (found.verdict, found.failing, asked) == ("fail", ("p50 < 1us",), [3])


def test_a_run_too_short_for_a_percentile_is_made_longer() -> None:
    found, asked = probed(slo("p99 < 5ms"))
    assert found.verdict == "pass"
    assert found.duration_ns > 500_000_000  # 1,000 responses at 2,000 a second
    assert found.metrics["response_time_p99_ns"].n == 3
    assert (sum(asked), found.runs) == (6, 6)


def test_any_percentile_is_known() -> None:
    found, _ = probed(slo("p97 < 5ms", run={"duration": "200ms", "replications": 3}))
    between = found.metrics["response_time_p95_ns"].mean, found.metrics["response_time_p97_ns"].mean
    assert None not in between
    assert between[0] < between[1]  # type: ignore[operator]


def test_who_does_not_keep_up_fails_whatever_the_objectives_say() -> None:
    found, _ = probed(slo("p50 < 1s", workload={"open": {"rate": "40k/s"}}))
    assert found.verdicts == {"p50 < 1s": "pass", "keeps up": "fail"}
    assert found.verdict == "fail"


def test_a_long_call_is_no_backlog() -> None:
    """10 ms of every 20 ms run: half of what was asked is still under way at its end."""
    made = slo(
        "p50 < 1s",
        server={"handler": [{"call": "far"}]},
        devices={"far": {"remote": {"latency": "10ms"}}},
        workload={"open": {"rate": "1k/s", "connections": {"total": 200}}},
        run={"duration": "60ms", "replications": 5, "warm_up": "15ms"},
    )
    found, _ = probed(made)
    in_flight = found.metrics["in_flight"].mean
    offered = found.metrics["offered"].mean
    assert in_flight is not None and offered is not None
    assert in_flight > 0.1 * offered
    assert found.verdicts["keeps up"] != "fail"


def test_a_run_that_ends_in_an_error_fails() -> None:
    made = scenario("select", workload={"open": {"rate": "10k/s", "connections": {"total": 2000}}})
    found, asked = probed(made)
    assert found.verdict == "fail"
    assert found.error is not None and "select takes descriptors below 1,024" in found.error
    assert asked == [3]


def test_too_many_connections_are_refused_without_a_run() -> None:
    made = scenario(
        workload={"closed": {"users": 90, "think": "1ms", "connections": {"total": 90}}}
    )
    short = made.machine.model_copy(update={"descriptors": 50})
    found, asked = probed(made.model_copy(update={"machine": short}))
    assert (found.verdict, asked) == ("fail", [])
    assert [use.kind for use in found.uses] == ["descriptors"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_many_go_on_together_and_come_out_alike(jobs: int) -> None:
    made = {load: slo(f"p50 < {load}") for load in ("1us", "1ms", "80us")}
    studies: dict[str, Study] = {key: probe(each, EFFORT) for key, each in made.items()}
    told: list[tuple[int, int]] = []
    found = dict(together(studies, COSTS, jobs, lambda done, total: told.append((done, total))))
    assert {key: probed(each)[0] for key, each in made.items()} == found
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][0] == told[-1][1]


def test_a_run_too_short_to_show_that_there_are_no_errors_is_made_longer() -> None:
    """3 runs of 40 requests leave 3%; none in 3,689 leaves less than 0.1%."""
    found, asked = probed(slo("errors < 0.1%"))
    assert found.verdict == "pass"
    offered = found.metrics["offered"].mean
    assert offered is not None and 3_689 < 3 * offered < 3 * 3_689
    high = found.metrics["error_fraction"].high
    assert high is not None and 0 < high < 0.001
    assert (sum(asked), found.runs) == (6, 6)


def test_what_no_run_can_show_is_not_pursued() -> None:
    found, asked = probed(slo("errors <= 0%"))
    assert (found.verdict, asked) == ("inconclusive", [3, 2])
