"""Results as documents: what `iosim run --json` printed, read again.

    read("before.json")    -> Document
    of(results)            -> the same of results in memory

A document is what comparing, reporting, plotting and repeating start from, so that they work
alike on results of today and of last year, simulated or measured.

Scope: documents of this version of the schema.
Not done: the records behind them are not in a file.
Validated by: tests/unit/test_documents.py
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iosim.errors import UsageError, did_you_mean, shown
from iosim.results import SCHEMA_VERSION, Results
from iosim.scenario import Scenario, from_data
from iosim.statistics import Estimate


@dataclass(frozen=True)
class ModelDocument:
    """What one I/O model came to."""

    kind: str
    label: str
    error: str | None
    metrics: Mapping[str, Estimate]
    units: Mapping[str, str]
    values: Mapping[str, tuple[float | None, ...]]
    """By replication: two models of one seed met the same arrivals in the same one."""
    distribution_ns: tuple[tuple[float, float], ...]
    """Response times of all replications: percentile and ns."""
    verdicts: Mapping[str, str]
    """By the objective's line."""
    warnings: tuple[str, ...]

    def mean(self, metric: str) -> float | None:
        """The mean of a metric; None where it is not known."""
        estimate = self.metrics.get(metric)
        return None if estimate is None else estimate.mean


@dataclass(frozen=True)
class Document:
    """One result: of a scenario, by simulation or for real."""

    name: str
    """The file's name, or the scenario's."""
    source: str
    """`simulated` or `measured`."""
    models: tuple[ModelDocument, ...]
    data: Mapping[str, Any]
    """All of it, as in the file."""

    @property
    def seed(self) -> int:
        return int(self.data["seed"])

    @property
    def profile(self) -> str | None:
        """What the costs were called; None of what was measured."""
        found: str | None = self.data["profile"]
        return found

    def scenario(self) -> Scenario:
        """The scenario behind it. Raises ScenarioError where this version takes it no more."""
        return from_data(self.data["scenario"], force=True)

    def __iter__(self) -> Iterator[ModelDocument]:
        return iter(self.models)

    def __getitem__(self, label: str) -> ModelDocument:
        for model in self.models:
            if model.label == label:
                return model
        raise KeyError(label)

    def select(self, label: str) -> ModelDocument:
        """The model of this label. Raises UsageError."""
        try:
            return self[label]
        except KeyError:
            labels = [model.label for model in self.models]
            hint = did_you_mean(label, labels)
            raise UsageError(
                f"{self.name}: expected a model of it ({', '.join(labels)}), found {shown(label)}"
                + (f"; {hint}" if hint else "")
            ) from None


def of(results: Results, name: str | None = None) -> Document:
    """The document of results."""
    return _document(results.to_document(), name or results.scenario.name)


def read(path: str | Path) -> Document:
    """Read a document from its file. Raises UsageError for what is none."""
    if Path(path).is_dir():
        if (Path(path) / "sweep.json").is_file():
            raise _a_sweep(path)
        raise UsageError(
            f"{path}: expected a file, as `iosim run --export FILE.json` writes it, found a folder"
        )
    try:
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: expected a result of iosim in JSON: {error}") from None
    if not isinstance(data, dict) or "schema_version" not in data:
        raise UsageError(
            f"{path}: expected a result, as `iosim run --export {Path(path).name}` writes it, "
            f"found {shown(data)}"
        )
    if "over" in data:
        raise _a_sweep(path)
    if data["schema_version"] != SCHEMA_VERSION:
        raise UsageError(
            f"{path}: expected version {SCHEMA_VERSION} of the schema, found "
            f"{shown(data['schema_version'])}, of iosim {data.get('iosim_version')}"
        )
    try:
        return _document(data, str(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: expected a whole result of iosim, found no {error}") from None


def _a_sweep(path: str | Path) -> UsageError:
    return UsageError(
        f"{path}: expected the result of one run, found those of a sweep, which keeps no "
        "replications; `iosim run ... --set PATH=VALUE --export POINT.json` writes the result of "
        "one point; the same sweep with `--export FILE.csv` its table, and runs no point again"
    )


def read_all(paths: Iterable[str | Path]) -> list[Document]:
    """Read several documents. Raises one UsageError for all that are none."""
    found, refused = [], []
    for path in paths:
        try:
            found.append(read(path))
        except UsageError as error:
            refused.append(str(error))
    if refused:
        raise UsageError("\n".join(refused))
    return found


def _document(data: dict[str, Any], name: str) -> Document:
    return Document(name, data["source"], tuple(map(_model, data["models"])), data)


def _model(data: dict[str, Any]) -> ModelDocument:
    metrics = data["metrics"]
    return ModelDocument(
        kind=data["model"],
        label=data["label"],
        error=data["error"],
        metrics={
            metric: Estimate(found["mean"], low=low, high=high, n=found["n"])
            for metric, found in metrics.items()
            for low, high in [found["ci95"]]
        },
        units={metric: found["unit"] for metric, found in metrics.items()},
        values={metric: tuple(found["values"]) for metric, found in metrics.items()},
        distribution_ns=tuple((q, ns) for q, ns in data["response_time_distribution_ns"]),
        verdicts=data["slo"],
        warnings=tuple(data["warnings"]),
    )
