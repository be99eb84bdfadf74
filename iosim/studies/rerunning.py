"""Repeating a result from its own provenance: bit for bit, or what differs.

    rerun("result.json")   ->  Rerun(same=True, ...)

What it does: simulates the scenario that the result holds, with the costs that it holds, from its
seed, as many replications as it has, and compares every figure to the bit. Beside it, what else
is not as it was: versions, iosim's code, the files that the scenario names, the scenario itself
(by its hash). A measured result is measured again; what counts then is whether any headline
figure differs for certain, at 95% for all of them together. A run that ends in an error now, and
fewer replications than before, are no repetition; a figure that cannot be held against the other,
as of one replication, is left undecided.

Scope: documents of this version; what the costs are named for is not read again.
Not done: plug-ins of third parties are taken as they are; which replications of an interrupted
result had finished is not known, the first ones are taken.
Validated by: tests/studies/test_rerun.py
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iosim import documents
from iosim.documents import Document, ModelDocument
from iosim.errors import ScenarioError, UsageError
from iosim.machine.costs import Costs
from iosim.named_files import digests
from iosim.profile import Profile
from iosim.profile import load as load_profile
from iosim.results import Results, surroundings
from iosim.scenario import Scenario, from_data, label_of
from iosim.simulation import Progress
from iosim.studies.comparing import (
    HEADLINE,
    Pair,
    compare_models,
    difference_data,
    replications_of,
)
from iosim.studies.variants import Variant, simulated

COMPARED = ("response_time_distribution_ns", "model", "error", "warnings", "replications", "order")
"""Of a model in the document; metrics besides, and objectives as far as the scenario has them."""

MOST_WRONG = 0.05
"""The chance to find a difference in any of a measured result's figures where there is none."""


@dataclass(frozen=True)
class Unlike:
    """One thing that is not as it was."""

    where: str
    recorded: Any
    now: Any


@dataclass(frozen=True)
class Rerun:
    """A result, repeated."""

    name: str
    source: str
    figures: int
    """How many were compared."""
    unlike: tuple[Unlike, ...]
    """Figures that are not the same; none where it was repeated to the bit."""
    surroundings: tuple[Unlike, ...]
    """What else is not: versions, code, files."""
    pairs: tuple[Pair, ...] = ()
    """Of a measured result: each model then and now."""
    undecided: tuple[str, ...] = ()
    """Its figures that nothing can be said of, each with its model."""
    interrupted: bool = False

    @property
    def same(self) -> bool:
        """Whether it could be repeated: nothing differs, and nothing is left undecided."""
        return not (self.unlike or self.undecided or self.interrupted)

    def to_document(self) -> dict[str, Any]:
        """Plain data without NaN, for JSON."""
        return {
            "result": self.name,
            "source": self.source,
            "same": self.same,
            "interrupted": self.interrupted,
            "figures": self.figures,
            "unlike": [vars(each) for each in self.unlike],
            "undecided": list(self.undecided),
            "surroundings": [vars(each) for each in self.surroundings],
            "models": {
                pair.b: {name: difference_data(d) for name, d in pair.differences.items()}
                for pair in self.pairs
            },
        }


def rerun(
    result: str | Path | Document,
    folder: str | Path | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> Rerun:
    """Repeat a result. Raises UsageError for one that cannot be.

    folder: where the files are that its scenario names; by default where they were.
    jobs: processes at once; None: one a core.
    """
    document = result if isinstance(result, Document) else documents.read(result)
    data = document.data
    named = data["provenance"].get("files", {})
    home = Path(folder if folder is not None else data["provenance"].get("folder", ""))
    for name in named:
        if not (home / name).is_file():
            raise UsageError(
                f"{document.name}: expected the file {home / name}, which its scenario names, "
                "found none: --folder says where it is"
            )
    try:
        scenario = from_data(data["scenario"], force=True, folder=home)
    except ScenarioError as error:
        raise UsageError(f"{document.name}: its scenario cannot be run here:\n{error}") from None
    around = tuple(_around(document, scenario))
    again = _measured if document.source == "measured" else _simulated
    try:
        return again(document, scenario, around, jobs, progress)
    except KeyboardInterrupt:
        return Rerun(document.name, document.source, 0, (), around, interrupted=True)


# ---------------------------------------------------------------------------- simulated


def _simulated(
    document: Document,
    scenario: Scenario,
    around: tuple[Unlike, ...],
    jobs: int | None,
    progress: Progress | None,
) -> Rerun:
    profile = _profile(document)
    recorded = {model["label"]: model for model in document.data["models"]}
    now: dict[str, Any] = {}
    variants = [Variant(part, profile) for part in _by_replications(scenario, recorded)]
    for results in simulated(variants, jobs, progress):
        # As it reads when it comes back from a file.
        found = json.loads(json.dumps(results.to_document()["models"]))
        now |= {model["label"]: model for model in found}
    unlike = [
        each
        for label in dict.fromkeys((*recorded, *now))
        for each in _unlike(
            _compared(recorded.get(label), scenario), _compared(now.get(label), scenario), label
        )
    ]
    figures = sum(1 for model in now.values() for _ in _leaves(_compared(model, scenario)))
    return Rerun(document.name, document.source, figures, tuple(unlike), around)


def _by_replications(scenario: Scenario, recorded: Mapping[str, Any]) -> Iterator[Scenario]:
    """The scenario in parts: models that were replicated as often, which a precision may vary."""
    wanted: dict[int, list[Any]] = {}
    for model in scenario.models:
        was = recorded.get(label_of(model), {"error": None, "replications": 0})
        # Of one that ended in an error, all were tried.
        count = scenario.run.replications if was["error"] else was["replications"]
        wanted.setdefault(count or scenario.run.replications, []).append(model)
    for count, models in wanted.items():
        run = scenario.run.model_copy(update={"replications": count})
        yield scenario.model_copy(update={"models": tuple(models), "run": run})


def _profile(document: Document) -> Profile:
    """The costs that the result holds. Raises UsageError if they are of another version."""
    data = document.data["provenance"].get("costs", {})
    # Where each cost comes from is not in the result, and nothing here asks for it.
    usual = load_profile("reference")
    expected = usual.costs.to_data()
    lacks, unknown = sorted(set(expected) - set(data)), sorted(set(data) - set(expected))
    if lacks or unknown:
        told = [f"lacks {', '.join(lacks)}"] if lacks else []
        told += [f"has {', '.join(unknown)}, which are no longer known"] if unknown else []
        raise UsageError(
            f"{document.name}: its costs are those of iosim {document.data['iosim_version']}: it "
            + "; ".join(told)
        )
    return replace(
        usual,
        name=document.profile or "",
        sha256=document.data["profile_sha256"] or "",
        costs=Costs.from_data(data),
    )


def _compared(model: Mapping[str, Any] | None, scenario: Scenario) -> dict[str, Any]:
    if model is None:
        return {}
    slo = {line: model["slo"].get(line) for line in scenario.slo}
    return {**model["metrics"], "slo": slo, **{key: model.get(key) for key in COMPARED}}


def _unlike(recorded: Any, now: Any, where: str) -> Iterator[Unlike]:
    """The figures that are not the same, each with its place."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*recorded, *now)):
            yield from _unlike(recorded.get(key), now.get(key), f"{where}: {key}")
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for index, (before, after) in enumerate(zip(recorded, now, strict=True)):
            yield from _unlike(before, after, f"{where}[{index}]")
    elif recorded != now:
        yield Unlike(where, recorded, now)


def _leaves(data: Any) -> Iterator[Any]:
    parts = data.values() if isinstance(data, dict) else data if isinstance(data, list) else None
    if parts is None:
        yield data
    else:
        for part in parts:
            yield from _leaves(part)


# ----------------------------------------------------------------------------- measured


def _measured(
    document: Document,
    scenario: Scenario,
    around: tuple[Unlike, ...],
    _: int | None,
    progress: Progress | None,
) -> Rerun:
    from iosim.measurement import measure

    machine = document.data["machine"]
    results = measure(
        scenario,
        server_cores=machine["server_cores"],
        client_cores=machine["client_cores"],
        load=machine["load"],
        progress=progress,
    )
    return held_against(document, results, around)


def held_against(document: Document, results: Results, around: tuple[Unlike, ...] = ()) -> Rerun:
    """A measured result against the same measured again."""
    again = documents.of(results)
    labels = {model.label for model in again}
    both = [model for model in document if model.label in labels]
    confidence = 1 - MOST_WRONG / max(1, len(both) * len(HEADLINE))
    pairs = [
        compare_models(model, again[model.label], False, (model.label, model.label), confidence)
        for model in both
    ]
    unlike = [each for model in both for each in _lost(document, model, again)]
    unlike += [
        Unlike(f"{pair.b}: {metric}", found.a.mean, found.b.mean)
        for pair in pairs
        for metric, found in pair.differences.items()
        if metric in HEADLINE and found.shown
    ]
    undecided = [
        f"{pair.b}: {metric}"
        for model, pair in zip(both, pairs, strict=True)
        for metric in _undecided(model, again[model.label], pair)
    ]
    machine = _unlike(document.data.get("machine"), results.machine, "machine")
    return Rerun(
        document.name,
        document.source,
        len(both) * len(HEADLINE),
        tuple(unlike),
        (*around, *machine),
        tuple(pairs),
        tuple(undecided),
        results.interrupted,
    )


def _undecided(then: ModelDocument, now: ModelDocument, pair: Pair) -> Iterator[str]:
    """The recorded headline figures that cannot be held against the new ones."""
    judged = {metric for metric, found in pair.differences.items() if found.judged}
    if not judged & set(HEADLINE):
        yield "every figure"
        return
    for metric in HEADLINE:
        values = (*then.values.get(metric, ()), *now.values.get(metric, ()))
        known = any(value is not None for value in values)
        if metric in then.values and metric not in judged and known:
            yield metric


def _lost(then: Document, model: ModelDocument, again: Document) -> Iterator[Unlike]:
    """Whether a model that was measured again ended in an error, or was replicated less often."""
    now = again[model.label]
    if now.error != model.error:
        yield Unlike(f"{model.label}: error", model.error, now.error)
    counts = replications_of(then, model), replications_of(again, now)
    if counts[1] < counts[0]:
        yield Unlike(f"{model.label}: replications", *counts)


# ------------------------------------------------------------------------- surroundings


def _around(document: Document, scenario: Scenario) -> Iterator[Unlike]:
    from iosim import __version__

    data, then, here = document.data, document.data["provenance"], surroundings()
    now = {"iosim": __version__, **here}
    was = {"iosim": data["iosim_version"], **{key: then.get(key) for key in here}}
    yield from (Unlike(key, was[key], now[key]) for key in now if was[key] != now[key])
    if data["scenario_sha256"] != scenario.digest:
        yield Unlike("scenario's sha256", data["scenario_sha256"], scenario.digest)
    if data["seed"] != scenario.run.seed:
        yield Unlike("seed", data["seed"], scenario.run.seed)
    files = digests(scenario)
    for name, digest in then.get("files", {}).items():
        if files.get(name) != digest:
            yield Unlike(f"{name}'s sha256", digest, files.get(name))
    yield from _profile_now(document, scenario)


def _profile_now(document: Document, scenario: Scenario) -> Iterable[Unlike]:
    """Whether the profile of that name still says the same, if it was taken as it is."""
    name = scenario.machine.profile
    if document.profile != name:
        return
    try:
        digest = load_profile(name, scenario.folder).sha256
    except (UsageError, ScenarioError):
        return
    if digest != document.data["profile_sha256"]:
        yield Unlike(f"profile {name}'s sha256", document.data["profile_sha256"], digest)
