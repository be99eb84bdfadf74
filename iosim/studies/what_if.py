"""What if: a baseline and its changes, on common random numbers, and where a difference is from.

    what_if("quickstart.yaml", ["profile=no_mitigations", "machine.cores=2"])

What it does: simulates the scenario as it is and once for each change; replication by replication
all of them meet the same arrivals and demands. For each model and change it tells how much every
metric differs, and which part of its response time and of its CPU time did so.

Scope: changes as iosim.studies.alternatives reads them; models are those that both have.
Not done: changes together with their interactions, but as one joint change (`a=1, b=2`).
Source: common random numbers: Law, Simulation Modeling and Analysis, 5th ed., 11.2.
Validated by: tests/studies/test_what_if.py
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim import documents
from iosim.documents import Document, ModelDocument
from iosim.errors import UsageError
from iosim.profile import Profile
from iosim.profile import load as load_profile
from iosim.results import Results
from iosim.scenario import Scenario, load
from iosim.simulation import Progress
from iosim.studies.alternatives import alternatives
from iosim.studies.causes import Cause, of_counts, of_cpu, of_time
from iosim.studies.comparing import Pair, compare_models, difference_data
from iosim.studies.differences import Difference
from iosim.studies.variants import Variant, simulated


@dataclass(frozen=True)
class Effect:
    """What a change does to one model."""

    label: str
    pair: Pair
    """Every metric; `a` is the baseline."""
    time: Cause | None
    """What the mean response time's change is made of."""
    cpu: Cause | None
    counts: Mapping[str, Difference]


@dataclass(frozen=True)
class Change:
    """One change, and what it does to each model."""

    text: str
    results: Results
    effects: tuple[Effect, ...]
    alone: tuple[str, ...]
    """Models that only one of the two has."""


@dataclass(frozen=True)
class WhatIf:
    """A baseline and what each change does to it."""

    baseline: Results
    changes: tuple[Change, ...]
    interrupted: bool = False
    """Whether changes are missing that were asked for."""

    def to_document(self) -> dict[str, Any]:
        """Plain data without NaN, for JSON."""
        return {
            "interrupted": self.interrupted,
            "baseline": self.baseline.to_document(),
            "changes": [
                {
                    "change": change.text,
                    "models": [_effect_data(effect) for effect in change.effects],
                    "alone": list(change.alone),
                    "result": change.results.to_document(),
                }
                for change in self.changes
            ],
        }


def what_if(
    scenario: Scenario | str | Path,
    changes: Iterable[str],
    profile: Profile | str | Path | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
    force: bool = False,
) -> WhatIf:
    """Simulate a scenario and its changes. Raises UsageError, ScenarioError.

    changes: each an alternative by itself, as `machine.cores=2` or `runtime=native, profile=mine`;
    a changed profile takes the place of all costs.
    profile: what everything costs in the baseline; by default as the scenario names it.
    jobs: processes at once; None: one a core. force: lift the limits on size.
    Interrupted by the user, it returns the changes that have finished, if the baseline has.
    """
    scenario, profile = prepared(scenario, profile)
    changes = list(changes)
    if not changes:
        raise UsageError("what-if: expected a change, such as machine.cores=2")
    wanted = alternatives(scenario, profile, changes, force)
    variants = [Variant(scenario, profile), *(Variant(a.scenario, a.profile) for a in wanted)]
    finished: list[Results] = []
    interrupted = False
    try:
        finished.extend(simulated(variants, jobs, progress))
    except KeyboardInterrupt:
        if not finished:
            raise
        interrupted = True
    baseline, *others = finished
    first = documents.of(baseline)
    return WhatIf(
        baseline,
        tuple(
            _change(first, alternative.text, results)
            for alternative, results in zip(wanted, others, strict=False)
        ),
        interrupted,
    )


def prepared(
    scenario: Scenario | str | Path, profile: Profile | str | Path | None
) -> tuple[Scenario, Profile]:
    """A scenario and its costs, read where they are named."""
    if not isinstance(scenario, Scenario):
        scenario = load(scenario)
    if profile is None:
        return scenario, load_profile(scenario.machine.profile, scenario.folder)
    return scenario, profile if isinstance(profile, Profile) else load_profile(profile)


def _change(baseline: Document, text: str, results: Results) -> Change:
    changed = documents.of(results)
    labels = [model.label for model in changed]
    alone = {model.label for model in baseline} ^ set(labels)
    return Change(
        text,
        results,
        tuple(_effect(model, changed[model.label]) for model in baseline if model.label in labels),
        tuple(sorted(alone)),
    )


def _effect(a: ModelDocument, b: ModelDocument) -> Effect:
    # A replication that ended in an error is missing, and those behind it have moved up.
    paired = not (a.error or b.error) and _count(a) == _count(b)
    pair = compare_models(a, b, paired, names=("baseline", a.label))
    return Effect(
        a.label, pair, of_time(a, b, paired), of_cpu(a, b, paired), of_counts(a, b, paired)
    )


def _count(model: ModelDocument) -> int:
    return max(map(len, model.values.values()), default=0)


def _effect_data(effect: Effect) -> dict[str, Any]:
    return {
        "label": effect.label,
        "paired": effect.pair.paired,
        "errors": list(effect.pair.errors),
        "metrics": {name: difference_data(d) for name, d in effect.pair.differences.items()},
        "response_time_parts": _cause_data(effect.time),
        "cpu_time_parts": _cause_data(effect.cpu),
    }


def _cause_data(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {name: difference_data(part) for name, part in cause.parts.items()}
