"""Simulating variants of one scenario, all on the same worker processes.

    for index, results in simulated([Variant(scenario, profile), ...], jobs=2): ...

What it does: gives what `simulate` gives for each variant, to the bit, in their order; each as
soon as it and those before it have finished. Variants that have a seed in common meet the same
arrivals and demands.

Not done: precision; replications are those of each scenario.
Validated by: tests/studies/test_variants.py
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iosim.errors import SimulationError, UsageError, WorkerDied, shown
from iosim.machine.costs import Costs
from iosim.named_files import digests
from iosim.profile import Profile
from iosim.recording import Observation, cut_warm_up
from iosim.results import Results, model_result
from iosim.scenario import Scenario, check_files, label_of, require_sound
from iosim.simulation import Progress, observe
from iosim.workers import Died, Workers, usable_cores


@dataclass(frozen=True)
class Variant:
    """What to simulate: a scenario, and what everything costs."""

    scenario: Scenario
    profile: Profile


@dataclass(frozen=True)
class _Task:
    variant: int
    model: int
    replication: int


Outcome = Observation | SimulationError


def simulated(
    variants: Sequence[Variant], jobs: int | None = 1, progress: Progress | None = None
) -> Iterator[Results]:
    """The results of each variant, in their order. Raises UsageError, ScenarioError.

    jobs: processes at once; None: one a core. progress: called with the runs done, of all.
    A run that cannot go on is its model's `error`, as in `simulate`.
    """
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise UsageError(f"jobs: expected at least 1, or None for one a core, found {shown(jobs)}")
    for variant in variants:
        require_sound(variant.scenario)
    about = [(check_files(each.scenario), digests(each.scenario)) for each in variants]
    tasks = [
        _Task(index, model, replication)
        for index, variant in enumerate(variants)
        for replication in range(variant.scenario.run.replications)
        for model in range(len(variant.scenario.models))
    ]
    outcomes: dict[int, dict[tuple[int, int], Outcome]] = {i: {} for i in range(len(variants))}
    left = [sum(task.variant == index for task in tasks) for index in range(len(variants))]
    next_one = 0
    runs = _runs(variants, tasks, jobs or usable_cores())
    with closing(runs):
        for done, (task, outcome) in enumerate(runs, start=1):
            outcomes[task.variant][task.model, task.replication] = outcome
            left[task.variant] -= 1
            if progress is not None:
                progress(done, len(tasks))
            while next_one < len(variants) and not left[next_one]:
                found = outcomes.pop(next_one)
                yield _results(variants[next_one], found, *about[next_one])
                next_one += 1


def _runs(
    variants: Sequence[Variant], tasks: Sequence[_Task], jobs: int
) -> Generator[tuple[_Task, Outcome], None, None]:
    """Each task with its outcome, in any order."""
    if jobs == 1 or len(tasks) == 1:
        for task in tasks:
            variant = variants[task.variant]
            yield task, _attempt(variant.scenario, variant.profile.costs, task)
        return
    sent = tuple(_Sent(each.scenario, each.profile.costs.to_data()) for each in variants)
    workers: Workers[_Task, Outcome] = Workers(jobs, _run, (sent,))
    with closing(workers):
        for task, outcome in workers.run(tasks):
            if isinstance(outcome, Died):
                label = label_of(variants[task.variant].scenario.models[task.model])
                yield task, WorkerDied(label, task.replication, str(outcome))
            else:
                yield task, outcome


@dataclass(frozen=True, eq=False)
class _Sent:
    """A variant as workers get it: what is worked out from the costs is larger than they are."""

    scenario: Scenario
    data: dict[str, Any]

    @cached_property
    def costs(self) -> Costs:
        return Costs.from_data(self.data)


def _run(variants: tuple[_Sent, ...], task: _Task) -> Outcome:
    variant = variants[task.variant]
    return _attempt(variant.scenario, variant.costs, task)


def _attempt(scenario: Scenario, costs: Costs, task: _Task) -> Outcome:
    try:
        return observe(scenario, scenario.models[task.model], costs, task.replication)
    except SimulationError as error:
        return error


def _results(
    variant: Variant,
    outcomes: dict[tuple[int, int], Outcome],
    warnings: tuple[str, ...],
    files: dict[str, str],
) -> Results:
    scenario = variant.scenario
    models = []
    for index, model in enumerate(scenario.models):
        own = [outcomes[index, number] for number in range(scenario.run.replications)]
        errors = [str(outcome) for outcome in own if isinstance(outcome, SimulationError)]
        records = cut_warm_up(
            [outcome for outcome in own if isinstance(outcome, Observation)], scenario.run.warm_up
        )
        models.append(
            model_result(
                scenario, model.kind, label_of(model), records, errors[0] if errors else None
            )
        )
    return Results(
        scenario=scenario,
        profile=variant.profile.name,
        profile_digest=variant.profile.sha256,
        costs=variant.profile.costs,
        models=tuple(models),
        warnings=warnings,
        files=files,
    )
