"""Comparing two results: who is better in what, by how much, and how sure that is.

    compare("before.json", "after.json")               each model with the one of its label
    compare("day.json:epoll", "day.json:blocking")     two models of one result

What it does: for every metric that both have, the difference and the ratio with their intervals
(iosim.studies.differences). Replications are paired where both results were simulated from one
seed, as often, and all of it finished: then they met the same arrivals and demands. Otherwise
nothing is assumed of how they belong together.

Scope: simulated and measured results, of this version of the document.
Not done: correcting for the number of comparisons; 5% of differences that are none are shown.
Validated by: tests/studies/test_compare.py
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim import documents
from iosim.documents import Document, ModelDocument
from iosim.errors import UsageError, shown
from iosim.results import Results
from iosim.slo import require_metric
from iosim.statistics import Estimate
from iosim.studies.differences import Difference, better, difference

HEADLINE = (
    "throughput_per_s",
    "response_time_mean_ns",
    "response_time_p50_ns",
    "response_time_p99_ns",
    "error_fraction",
    "cpu_time_per_request_ns",
    "voluntary_switches_per_request",
    "involuntary_switches_per_request",
    "syscalls_per_request",
    "memory_bytes",
)
"""What is compared at first sight; all the others are in the document."""

Side = str | Path | Document | Results
"""A result, its file, or one model of it as `FILE:label`."""


@dataclass(frozen=True)
class Pair:
    """Two models, metric by metric."""

    a: str
    b: str
    paired: bool
    differences: Mapping[str, Difference]
    errors: tuple[str, ...] = ()
    """What ended runs of either."""

    def in_which(self, verdict: str, metrics: Iterable[str]) -> list[Difference]:
        """Those of `metrics` in which b is `better`, `worse`, ..., in their order."""
        known = (self.differences.get(metric) for metric in metrics)
        return [found for found in known if found is not None and found.verdict == verdict]


@dataclass(frozen=True)
class Comparison:
    """All pairs of two results."""

    a: str
    b: str
    pairs: tuple[Pair, ...]
    metrics: tuple[str, ...]
    """Those to show."""
    notes: tuple[str, ...] = ()
    """What else the two differ in, and which models are alone."""

    def to_document(self) -> dict[str, Any]:
        """Plain data without NaN, for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "notes": list(self.notes),
            "pairs": [
                {
                    "a": pair.a,
                    "b": pair.b,
                    "paired": pair.paired,
                    "errors": list(pair.errors),
                    "metrics": {
                        name: difference_data(found) for name, found in pair.differences.items()
                    },
                }
                for pair in self.pairs
            ],
        }


def compare(a: Side, b: Side, metrics: Iterable[str] = ()) -> Comparison:
    """Compare two results, or two models. Raises UsageError for what cannot be.

    metrics: which to show besides `HEADLINE`, by name or as objectives call them.
    """
    asked = [require_metric(metric) for metric in metrics]
    first, second = _Chosen.of(a), _Chosen.of(b)
    couples, alone = _couples(first, second)
    notes = [*_unlike(first.document, second.document), *alone]
    pairs = tuple(
        compare_models(
            x, y, _same_numbers(first.document, second.document, x, y), names=(x.label, y.label)
        )
        for x, y in couples
    )
    for metric in asked:
        if not any(metric in pair.differences for pair in pairs):
            raise UsageError(f"compare: expected a metric that both have, found {shown(metric)}")
    wanted = tuple(dict.fromkeys((*HEADLINE, *asked)))
    return Comparison(first.name, second.name, pairs, wanted, tuple(notes))


def compare_models(
    a: ModelDocument,
    b: ModelDocument,
    paired: bool,
    names: tuple[str, str],
    confidence: float = 0.95,
) -> Pair:
    """Two models in every metric that both have; paired: position by position."""
    found = {
        metric: difference(metric, a.values[metric], b.values[metric], paired, confidence)
        for metric in a.values
        if metric in b.values
    }
    errors = tuple(model.error for model in (a, b) if model.error)
    return Pair(*names, paired, found, errors)


def difference_data(found: Difference) -> dict[str, Any]:
    """A difference as plain data."""
    return {
        "unit": found.unit,
        "better": better(found.metric),
        "a": estimate_data(found.a),
        "b": estimate_data(found.b),
        "difference": estimate_data(found.difference),
        "ratio": None if found.ratio is None else estimate_data(found.ratio),
        "verdict": found.verdict,
        "missing": found.missing,
    }


def estimate_data(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain data, as results have it."""
    return {"mean": estimate.mean, "ci95": [estimate.low, estimate.high], "n": estimate.n}


@dataclass(frozen=True)
class _Chosen:
    """A document, and which of its models are meant."""

    document: Document
    models: tuple[ModelDocument, ...]
    one: bool
    name: str

    @classmethod
    def of(cls, side: Side) -> "_Chosen":
        if isinstance(side, Results):
            side = documents.of(side)
        if isinstance(side, Document):
            return cls(side, side.models, False, side.name)
        text = str(side)
        file, label = text, ""
        if not Path(text).exists():
            # A label may have colons, too: the file is the longest that there is.
            cuts = [at for at, char in enumerate(text) if char == ":" and Path(text[:at]).is_file()]
            if cuts:
                file, label = text[: cuts[-1]], text[cuts[-1] + 1 :]
        document = documents.read(file)
        if not label:
            return cls(document, document.models, False, text)
        return cls(document, (document.select(label),), True, text)


def _couples(a: _Chosen, b: _Chosen) -> tuple[list[tuple[ModelDocument, ModelDocument]], list[str]]:
    """Which model is compared with which, and a note on those left alone. Raises UsageError."""
    if len(a.models) == len(b.models) == 1 and (a.one == b.one):
        return [(a.models[0], b.models[0])], []
    by_label = {model.label: model for model in b.models}
    couples = [(model, by_label[model.label]) for model in a.models if model.label in by_label]
    if not couples:
        raise UsageError(
            f"compare: expected a model that both have, found {_labels(a)} in {a.name} and "
            f"{_labels(b)} in {b.name}; name one of each, as {a.document.name}:{a.models[0].label}"
        )
    common = {model.label for model, _ in couples}
    notes = []
    for side, other in ((a, b), (b, a)):
        if not other.one:
            only = [model.label for model in side.models if model.label not in common]
            notes += [f"Only in {side.name}: {', '.join(only)}."] if only else []
    return couples, notes


def _labels(side: _Chosen) -> str:
    return ", ".join(model.label for model in side.models)


def _same_numbers(a: Document, b: Document, x: ModelDocument, y: ModelDocument) -> bool:
    """Whether replications at one position met the same random numbers."""
    return (
        a.source == b.source == "simulated"
        and a.seed == b.seed
        and replications_of(a, x) == replications_of(b, y)
        # Of what did not finish, positions tell nothing.
        and not (a.data["interrupted"] or b.data["interrupted"] or x.error or y.error)
    )


def replications_of(document: Document, model: ModelDocument) -> int:
    """How many replications of a model of the document have finished."""
    (found,) = [m["replications"] for m in document.data["models"] if m["label"] == model.label]
    return int(found)


def _unlike(a: Document, b: Document) -> Iterator[str]:
    """What the two differ in, besides their models."""
    if a.source != b.source:
        yield f"{a.name} was {a.source}, {b.name} {b.source}."
    unlike = [
        f"{path} ({before} and {after})"
        for path, before, after in _settings(a.data["scenario"], b.data["scenario"])
    ]
    if unlike:
        more = f" and {len(unlike) - MOST_SETTINGS} more" if len(unlike) > MOST_SETTINGS else ""
        yield f"Different in the scenarios: {'; '.join(unlike[:MOST_SETTINGS])}{more}."
    costs = [document.data["provenance"].get("costs", {}) for document in (a, b)]
    unlike = [name for name in costs[0] if name in costs[1] and costs[0][name] != costs[1][name]]
    if unlike:
        more = f" and {len(unlike) - MOST_SETTINGS} more" if len(unlike) > MOST_SETTINGS else ""
        yield f"Different costs: {', '.join(unlike[:MOST_SETTINGS])}{more}."


MOST_SETTINGS = 6
"""So many differences of two scenarios are told."""


def _settings(a: Any, b: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Paths at which two scenarios' data differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys((*a, *b)):
            if path or key not in ("name", "models", "slo"):
                yield from _settings(a.get(key), b.get(key), f"{path}.{key}" if path else key)
    elif a != b:
        yield path, _told(a), _told(b)


def _told(value: Any) -> str:
    return "none" if value is None else "other" if isinstance(value, dict | list) else str(value)
