"""What several results have in common: which settings, which loads, which models.

    Study.of(documents) -> Study

A *setting* is all that a result depends on besides load and models: machine, handler,
devices, costs, and whether it was simulated or measured. Results of one setting at several
loads become one curve for each model.

What load is, the workload says: its rate, or its users; else the requests offered per
second.

Not done: two results of one setting at the same load: the last one given is shown.
Validated by: tests/report/test_study.py
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from iosim.documents import Document, ModelDocument
from iosim.report.html.palette import Look
from iosim.statistics import Estimate, student_t
from iosim.units import parse_duration, parse_rate

KEEPS_UP = 0.95
"""A model that answers less than this part of the load does not keep up."""


@dataclass(frozen=True)
class Candidate:
    """One model in one setting, at each of the loads given."""

    name: str
    """What charts call it: the model's label, and the setting's name if there are several."""
    label: str
    look: Look
    setting: "Setting"
    at: Mapping[float, ModelDocument]
    """By load, ascending."""


@dataclass(frozen=True)
class Setting:
    """Results that differ by load alone, in its order."""

    name: str
    documents: tuple[Document, ...]

    @property
    def measured(self) -> bool:
        """True of real runs."""
        return self.documents[0].source == "measured"

    @property
    def loads(self) -> list[float]:
        """Ascending."""
        return [load_of(document) for document in self.documents]

    def at(self, load: float) -> Document:
        """The result at a load. Raises KeyError."""
        for document in self.documents:
            if load_of(document) == load:
                return document
        raise KeyError(load)


@dataclass(frozen=True)
class Study:
    """All that a report is about."""

    settings: tuple[Setting, ...]
    candidates: tuple[Candidate, ...]

    @classmethod
    def of(cls, documents: Iterable[Document]) -> "Study":
        """Sort results into settings. Raises ValueError if there is none."""
        groups: dict[str, list[Document]] = {}
        for document in documents:
            groups.setdefault(_setting_of(document), []).append(document)
        if not groups:
            raise ValueError("documents: expected at least one")
        names = _names(list(groups.values()))
        settings = tuple(
            Setting(name, tuple(_by_load(group)))
            for name, group in zip(names, groups.values(), strict=True)
        )
        return cls(settings, tuple(_candidates(settings)))

    @property
    def first(self) -> Document:
        """The result that the page is named after: the first simulated one, if there is any."""
        simulated = [setting for setting in self.settings if not setting.measured]
        return (simulated or list(self.settings))[0].documents[0]

    @cached_property
    def loads(self) -> list[float]:
        """All loads, ascending."""
        return sorted({load for setting in self.settings for load in setting.loads})

    @cached_property
    def labels(self) -> list[str]:
        """The models, each once, in the order of the results."""
        return list(dict.fromkeys(candidate.label for candidate in self.candidates))

    @property
    def by_users(self) -> bool:
        """Whether load is a number of users."""
        return "users" in workload_of(self.first)

    def focus(self, setting: Setting) -> Document:
        """The result to look at closely: at the highest load up to which all models do well.

        Else up to which all keep up; else at the lowest.
        """
        well = _up_to(setting, meets)
        return well or _up_to(setting, keeps_up) or setting.documents[0]

    def seen(self) -> list[tuple[Candidate, ModelDocument]]:
        """Each candidate as its setting's focus has it; without those that have no result."""
        found = []
        for candidate in self.candidates:
            model = candidate.at.get(load_of(self.focus(candidate.setting)))
            if model is not None and model.metrics:
                found.append((candidate, model))
        return found


def workload_of(document: Document) -> dict[str, Any]:
    """The options of its workload, as text."""
    (options,) = document.data["scenario"]["workload"].values()
    return dict(options or {})


def noun_of(document: Document) -> str:
    """What its workload makes one of: request, or item."""
    from iosim.plugins import kinds

    (kind,) = document.data["scenario"]["workload"]
    made: str = getattr(kinds("workloads").get(kind), "TRAFFIC", "requests")
    return made.removesuffix("s")


def has_load(document: Document) -> bool:
    """Whether its workload says how much it asks for; else that is up to the models."""
    return not workload_of(document).keys().isdisjoint({"rate", "users"})


def load_of(document: Document) -> float:
    """Requests a second or users: what the workload asks for, or else what was offered."""
    options = workload_of(document)
    if "rate" in options:
        return parse_rate(options["rate"])
    if "users" in options:
        return float(options["users"])
    offered = [mean for model in document if (mean := model.mean("offered")) is not None]
    return max(offered, default=0.0) * 1e9 / duration_ns(document)


def duration_ns(document: Document) -> int:
    """How long each replication is."""
    return parse_duration(document.data["scenario"]["run"]["duration"])


def answered_part(document: Document, model: ModelDocument) -> float:
    """The part of what was asked that was answered in time; 0 of a model that ended in an error."""
    offered = model.mean("offered")
    if model.error or not offered:
        return 0.0
    lost = sum(model.mean(fate) or 0.0 for fate in ("refused", "timed_out"))
    # Each user of a closed workload always waits for something.
    waiting = 0.0 if "users" in workload_of(document) else model.mean("in_flight") or 0.0
    return 1 - (lost + waiting) / offered


def keeps_up(document: Document, model: ModelDocument) -> bool:
    """Whether a model answers what is asked."""
    return answered_part(document, model) >= KEEPS_UP


def meets(document: Document, model: ModelDocument) -> bool:
    """Whether a model keeps up, and meets every objective with certainty."""
    return keeps_up(document, model) and all(
        verdict == "pass" for verdict in model.verdicts.values()
    )


def _up_to(setting: Setting, does: Callable[[Document, ModelDocument], bool]) -> Document | None:
    """The last of the documents up to which all models do; None if they never do."""
    found = None
    for document in setting.documents:
        if not all(does(document, model) for model in document):
            break
        found = document
    return found


SWITCHES = "switches"
"""Context switches per request of both kinds, which are one metric here."""


def estimate_of(model: ModelDocument, metric: str) -> Estimate | None:
    """A metric's estimate; also of `SWITCHES`."""
    if metric != SWITCHES:
        return model.metrics.get(metric)
    values = switches_of(model)
    return student_t(values) if values else None


def switches_of(model: ModelDocument) -> tuple[float | None, ...]:
    """Context switches per request, voluntary and involuntary, by replication."""
    kinds = (
        model.values.get(f"{kind}_switches_per_request", ())
        for kind in ("voluntary", "involuntary")
    )
    return tuple(
        None if one is None or other is None else one + other
        for one, other in zip(*kinds, strict=True)
    )


def _setting_of(document: Document) -> str:
    """Equal for results of one setting."""
    scenario = dict(document.data["scenario"])
    for other in ("name", "models", "run", "slo"):
        scenario.pop(other, None)
    ((kind, options),) = scenario.pop("workload").items()
    rest = {key: value for key, value in (options or {}).items() if key not in {"rate", "users"}}
    told = [document.source, document.data["profile_sha256"], scenario, kind, rest]
    return json.dumps(told, sort_keys=True)


def _names(groups: list[list[Document]]) -> list[str]:
    """By source, if that tells them apart; else by the name of the first file."""
    sources = [group[0].source for group in groups]
    if len(set(sources)) == len(groups):
        return sources
    return [Path(group[0].name).stem for group in groups]


def _by_load(group: list[Document]) -> list[Document]:
    last = {load_of(document): document for document in group}
    return [last[load] for load in sorted(last)]


def _candidates(settings: tuple[Setting, ...]) -> Iterable[Candidate]:
    labels = list(dict.fromkeys(m.label for s in settings for d in s.documents for m in d))
    # Measured and simulated runs of one model share its colour; other settings do not.
    looks: dict[tuple[str, int], int] = {}
    simulated = [setting for setting in settings if not setting.measured]
    for setting in settings:
        others = [s for s in settings if s.measured == setting.measured]
        which = others.index(setting)
        for label in labels:
            at = {
                load_of(document): document[label]
                for document in setting.documents
                if any(model.label == label for model in document)
            }
            if not at:
                continue
            index = looks.setdefault((label, which), len(looks))
            hollow = setting.measured and bool(simulated)
            name = label if len(settings) == 1 else f"{label} ({setting.name})"
            yield Candidate(name, label, Look(index, hollow), setting, at)
