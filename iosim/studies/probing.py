"""One load tried: replications until every objective is decided, and all tries at once.

    probe(scenario, label, how)   a generator: yields the runs that it needs, is sent their
                                  outcomes, and returns a Probe
    together(searches, costs, jobs, progress)
                                  goes on with many such generators at a time, on several
                                  processes; the same numbers come out whatever their number

Every load is asked with the same seed: two loads, and two models, meet the same requests
(common random numbers), so that they differ by what they are, not by chance.

A load starts with the scenario's replications; where the interval leaves an objective open, it
gets as many as should decide it, up to a budget. A run that is too short for a percentile is
made longer.

Scope: a Probe is judged on the 95% interval, and on whether a model keeps up (keeping_up.py).
Not done: nothing corrects the interval for having been looked at before replications were added.
Source: Law, "Simulation Modeling and Analysis", 5th ed., 9.4.1 (sequential replications), 11.2
(common random numbers).
Validated by: tests/studies/test_plan_probing.py
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import Any

from iosim.backlog import left_over
from iosim.errors import SimulationError, WorkerDied
from iosim.judging import estimated, held, too_few_without
from iosim.machine.costs import Costs
from iosim.metrics import promised, responses_for
from iosim.recording import Observation, cut_warm_up
from iosim.results import ModelResult, model_result
from iosim.scenario import LONGEST_NS, Scenario
from iosim.simulation import FEWEST_REPLICATIONS, Progress, observe
from iosim.slo import Slo, Verdict
from iosim.statistics import Estimate, student_t, t_quantile
from iosim.studies.keeping_up import KEEPS_UP, keeps_up
from iosim.studies.limiting import Use, memory, response_part, uses
from iosim.studies.load import is_open, lacks_descriptors, load_of, model_label
from iosim.workers import Died, Workers

MOST_REQUESTS_A_RUN = 5_000_000
MUCH_LONGER = 10.0
LONGER_AT_ONCE = 1.3
"""A run that is made longer for a percentile gets so much more than it seems to need."""

Run = tuple[Scenario, int]
"""A scenario of one model, and the number of the replication."""
Outcome = Observation | SimulationError
Study = Generator[list[Run], list[Outcome], Any]
"""Yields runs that may go on at once; is sent their outcomes in that order."""


@dataclass(frozen=True)
class Effort:
    """How much a load may cost."""

    replications: int
    """At first."""
    budget: int
    """At most."""


@dataclass(frozen=True)
class Probe:
    """One model at one load: verdicts, estimates, and what was in use."""

    label: str
    load: float
    """In the workload's unit."""
    verdict: Verdict
    """`pass`: every objective does; `fail`: one does."""
    verdicts: Mapping[str, Verdict]
    """By the objective's line."""
    metrics: Mapping[str, Estimate]
    replications: int
    runs: int
    """Simulated for it in all, those that turned out to be too short included."""
    duration_ns: int
    uses: tuple[Use, ...]
    largest_part: Use | None = None
    """Of a mean response."""
    memory: Use | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """Of its runs: what to know before trusting the numbers."""
    error: str | None = None

    @property
    def failing(self) -> tuple[str, ...]:
        """The objectives that fail."""
        return tuple(text for text, verdict in self.verdicts.items() if verdict == "fail")

    @property
    def unmet(self) -> tuple[str, ...]:
        """The objectives that do not pass."""
        return tuple(text for text, verdict in self.verdicts.items() if verdict != "pass")


def probe(scenario: Scenario, effort: Effort) -> Generator[list[Run], list[Outcome], Probe]:
    """Try a scenario of one model at the load that it has."""
    refusal = lacks_descriptors(scenario)
    if refusal is not None:
        return _refused(scenario, refusal)
    outcomes: list[Outcome] = []
    wanted, runs = effort.replications, 0
    while True:
        tasks = [(scenario, number) for number in range(len(outcomes), wanted)]
        outcomes += yield tasks
        runs += len(tasks)
        result = _result(scenario, outcomes)
        if result.error:
            break
        duration_ns = _long_enough(scenario, result)
        if duration_ns > scenario.run.duration:
            run = scenario.run.model_copy(update={"duration": duration_ns})
            scenario = scenario.model_copy(update={"run": run})
            outcomes = []
            continue
        more = max((_wanted(each, effort) for each in _open(scenario, outcomes, result)), default=0)
        if more <= len(outcomes):
            break
        wanted = more
    return _probe(scenario, outcomes, result, runs)


def _refused(scenario: Scenario, why: str) -> Probe:
    use = Use("descriptors", "descriptors", 1.0, why)
    return Probe(
        label=model_label(scenario),
        load=load_of(scenario),
        verdict="fail",
        verdicts={"descriptors": "fail"},
        metrics={},
        replications=0,
        runs=0,
        duration_ns=scenario.run.duration,
        uses=(use,),
        reasons={"descriptors": why},
    )


def _result(scenario: Scenario, outcomes: Sequence[Outcome]) -> ModelResult:
    errors = [str(outcome) for outcome in outcomes if isinstance(outcome, SimulationError)]
    records = cut_warm_up(_observed(outcomes), scenario.run.warm_up)
    label = model_label(scenario)
    error = errors[0] if errors else None
    return model_result(scenario, scenario.models[0].kind, label, records, error)


def _observed(outcomes: Sequence[Outcome]) -> list[Observation]:
    return [outcome for outcome in outcomes if isinstance(outcome, Observation)]


def _probe(
    scenario: Scenario, outcomes: Sequence[Outcome], result: ModelResult, runs: int
) -> Probe:
    verdicts = dict(result.verdicts)
    if is_open(scenario) and result.records:
        verdicts[KEEPS_UP.text] = keeps_up(student_t(left_over(_observed(outcomes))))
    told = {slo.metric: _told(slo, result) for slo in scenario.slos}
    found = verdicts.values()
    fails = "fail" in found or result.error is not None
    return Probe(
        label=result.label,
        load=load_of(scenario),
        verdict="fail" if fails else "inconclusive" if "inconclusive" in found else "pass",
        verdicts=verdicts,
        metrics={**told, **result.metrics},
        replications=len(result.records),
        runs=runs,
        duration_ns=scenario.run.duration,
        uses=uses(result, scenario),
        largest_part=response_part(result) if result.records else None,
        memory=memory(result) if result.records else None,
        reasons=result.reasons,
        warnings=result.warnings,
        error=result.error,
    )


# ------------------------------------------------------------------- enough replications


def _told(slo: Slo, result: ModelResult) -> Estimate:
    """The metric of an objective, without replications in which nobody knows it."""
    values = [promised(record, slo.metric, slo.limit) for record in result.records]
    finite = [value for value in values if value is not None and isfinite(value)]
    return estimated(slo.metric, finite, result.records)


def _open(
    scenario: Scenario, outcomes: Sequence[Outcome], result: ModelResult
) -> Iterator[tuple[Slo, Estimate]]:
    """Objectives that more replications might decide, if none has failed."""
    if "fail" in result.verdicts.values():
        return
    for slo in scenario.slos:
        if result.verdicts[slo.text] != "inconclusive":
            continue
        asked, found = held(slo, result.records)
        # What is unknown in one replication stays so, however many there are.
        if found.n == len(result.records):
            yield asked, found
    if is_open(scenario):
        left = student_t(left_over(_observed(outcomes)))
        if keeps_up(left) == "inconclusive" and left.n == len(result.records):
            yield KEEPS_UP, left


def _wanted(unclear: tuple[Slo, Estimate], effort: Effort) -> int:
    """How many replications should decide an objective; 0 if the budget does not allow them."""
    slo, estimate = unclear
    n = estimate.n
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return min(max(n + 1, 2), effort.budget)
    if n < FEWEST_REPLICATIONS:
        return min(FEWEST_REPLICATIONS, effort.budget)
    gap = abs(slo.limit - estimate.mean)
    # The wider side: the other may have been cut off, where the metric cannot be negative.
    half = max(estimate.high - estimate.mean, estimate.mean - estimate.low)
    deviation = half * n**0.5 / t_quantile(n - 1, 0.95)
    for count in range(n + 1, effort.budget + 1):
        if t_quantile(count - 1, 0.95) * deviation / count**0.5 < gap:
            return min(count, 2 * n)  # the spread is itself an estimate
    return 0


def _long_enough(scenario: Scenario, result: ModelResult) -> int:
    """How long a run must be for the percentiles and shares of the objectives, in ns."""
    duration_ns = scenario.run.duration
    wanted_ns = duration_ns
    for slo in scenario.slos:
        values = [promised(record, slo.metric, slo.limit) for record in result.records]
        short = [r for r, value in zip(result.records, values, strict=True) if value is None]
        counts = [found for record in short if (found := responses_for(slo.metric, record))]
        if none_seen := too_few_without(slo, result.records):
            counts.append(none_seen)
        for there, needed in counts:
            # Of none it is only known that there should be more.
            factor = max(1.1, LONGER_AT_ONCE * needed / there) if there else MUCH_LONGER
            if needed <= MOST_REQUESTS_A_RUN and duration_ns < LONGEST_NS / factor:
                wanted_ns = max(wanted_ns, ceil(duration_ns * factor))
    return wanted_ns


# --------------------------------------------------------------------------- many at once


def attempt(costs: Costs, run: Run) -> Outcome:
    """Simulate one run; what ends it early is its outcome."""
    scenario, replication = run
    try:
        return observe(scenario, scenario.models[0], costs, replication)
    except SimulationError as error:
        return error


def together(
    studies: Mapping[Any, Study], costs: Costs, jobs: int, progress: Progress | None = None
) -> Iterator[tuple[Any, Any]]:
    """Go on with all studies until each has returned; yield (key, what it returned) then.

    Raises whatever a study does.
    """
    waiting: dict[Any, list[Run]] = {}
    done = 0
    workers: Workers[tuple[Any, int, Run], Outcome] = Workers(jobs, _numbered, (costs,))
    live = dict(studies)
    answers: dict[Any, list[Outcome] | None] = dict.fromkeys(live)
    with closing(workers):
        while live:
            for key in list(live):
                try:
                    sent = answers[key]
                    waiting[key] = next(live[key]) if sent is None else live[key].send(sent)
                except StopIteration as stop:
                    del live[key]
                    yield key, stop.value
            tasks = [(key, at, run) for key in live for at, run in enumerate(waiting[key])]
            found: dict[tuple[Any, int], Outcome] = {}
            for (key, at, _), outcome in _outcomes(workers, costs, jobs, tasks):
                found[key, at] = outcome
                done += 1
                if progress is not None:
                    progress(done, done + len(tasks) - len(found))
            answers = {key: [found[key, at] for at in range(len(waiting[key]))] for key in live}


def _outcomes(
    workers: "Workers[tuple[Any, int, Run], Outcome]",
    costs: Costs,
    jobs: int,
    tasks: list[tuple[Any, int, Run]],
) -> Iterator[tuple[tuple[Any, int, Run], Outcome]]:
    if jobs == 1 or len(tasks) == 1:
        for task in tasks:
            yield task, attempt(costs, task[2])
        return
    for task, outcome in workers.run(tasks):
        if isinstance(outcome, Died):
            scenario, replication = task[2]
            yield task, WorkerDied(model_label(scenario), replication, str(outcome))
        else:
            yield task, outcome


def _numbered(costs: Costs, task: tuple[Any, int, Run]) -> Outcome:
    return attempt(costs, task[2])
