"""Results: what the replications of each model say together, with intervals.

A `Results` holds, per model, each metric's mean over the replications and its 95%
Student-t interval, and the records they come from. `to_document` is the versioned JSON
that `iosim run --json` prints; the DataFrames are for notebooks.

Scope: simulated and measured results alike.
Not done: comparing results.
Validated by: tests/unit/test_results.py, tests/cli
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from html import escape
from typing import TYPE_CHECKING, Any

from iosim.metrics import describe, measure_all
from iosim.record import Record, RequestRecord, ThreadRecord
from iosim.scenario import Scenario
from iosim.slo import Verdict
from iosim.statistics import Estimate, student_t

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelResult:
    """One entry of the scenario's models: estimates, or the error that ended its runs."""

    kind: str
    label: str
    records: tuple[Record, ...]
    error: str | None = None
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By the objective's line."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before trusting the numbers, each once."""
        found = [r.warm_up_warning for r in self.records if r.warm_up_warning]
        return tuple(dict.fromkeys(found))


def model_result(
    scenario: Scenario, kind: str, label: str, records: Iterable[Record], error: str | None = None
) -> ModelResult:
    """Put a model's replications together and judge the scenario's objectives."""
    records = tuple(sorted(records, key=lambda record: record.replication))
    values: dict[str, list[float | None]] = {}
    for index, record in enumerate(records):
        for name, value in measure_all(record).items():
            # A syscall or device that only some replications used counts as none in others.
            values.setdefault(name, [0.0] * index).append(value)
        for series in values.values():
            if len(series) <= index:
                series.append(0.0)
    metrics = {name: student_t(series) for name, series in values.items()}
    verdicts: dict[str, Verdict] = {}
    for slo in scenario.slos:
        estimate = metrics.get(slo.metric)
        verdicts[slo.text] = (
            "fail" if error else slo.judge(estimate) if estimate else "inconclusive"
        )
    return ModelResult(kind, label, records, error, metrics, verdicts)


@dataclass(frozen=True)
class Results:
    """The outcome of a scenario for each of its models."""

    scenario: Scenario
    profile: str
    profile_digest: str
    models: tuple[ModelResult, ...]
    source: str = "simulated"
    interrupted: bool = False

    def __getitem__(self, label: str) -> ModelResult:
        for model in self.models:
            if model.label == label:
                return model
        raise KeyError(label)

    def __iter__(self) -> Iterator[ModelResult]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def __contains__(self, label: object) -> bool:
        return any(model.label == label for model in self.models)

    def to_document(self) -> dict[str, Any]:
        """The JSON document: plain data without NaN or Infinity."""
        from iosim import __version__

        return {
            "schema_version": SCHEMA_VERSION,
            "iosim_version": __version__,
            "source": self.source,
            "interrupted": self.interrupted,
            "scenario": self.scenario.to_data(),
            "scenario_sha256": self.scenario.digest,
            "seed": self.scenario.run.seed,
            "profile": self.profile,
            "profile_sha256": self.profile_digest,
            "models": [_model_document(model) for model in self.models],
        }

    # ----------------------------------------------------------------------- notebooks

    @property
    def summary(self) -> "pd.DataFrame":
        """One row per model and metric: mean, low, high (95%), unit, replications."""
        import pandas as pd

        rows = [
            {
                "model": model.label,
                "metric": name,
                "mean": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "unit": describe(name).unit,
                "replications": estimate.n,
            }
            for model in self.models
            for name, estimate in model.metrics.items()
        ]
        columns = ["model", "metric", "mean", "low", "high", "unit", "replications"]
        frame = pd.DataFrame(rows, columns=columns).set_index(["model", "metric"])
        # None throughout, as in a single replication, would be a column of objects.
        numbers = dict.fromkeys(("mean", "low", "high"), "float64")
        return frame.astype(numbers)

    @property
    def requests(self) -> "pd.DataFrame":
        """A sample of answered requests: model, replication, times and parts in ns."""
        return self._details("requests")

    @property
    def threads(self) -> "pd.DataFrame":
        """The server's threads: model, replication, switches, CPU and waiting times in ns."""
        return self._details("threads")

    def _details(self, what: str) -> "pd.DataFrame":
        import pandas as pd

        kind = RequestRecord if what == "requests" else ThreadRecord
        columns = ["model", "replication", *(field.name for field in fields(kind))]
        return pd.DataFrame(
            [
                {"model": model.label, "replication": record.replication, **vars(detail)}
                for model in self.models
                for record in model.records
                for detail in getattr(record, what)
            ],
            columns=columns,
        )

    def _repr_html_(self) -> str:
        from iosim.report.table import COLUMNS, cells

        head = "".join(f"<th>{escape(column.title)}</th>" for column in COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(model)) + "</tr>"
            for model in self.models
        )
        return (
            f"<table><caption>{escape(self.scenario.name)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _model_document(model: ModelResult) -> dict[str, Any]:
    return {
        "model": model.kind,
        "label": model.label,
        "error": model.error,
        "warnings": list(model.warnings),
        "slo": dict(model.verdicts),
        "replications": len(model.records),
        "order": [record.order for record in model.records if record.order],
        "metrics": {
            name: {
                "mean": estimate.mean,
                "ci95": [estimate.low, estimate.high],
                "unit": describe(name).unit,
            }
            for name, estimate in model.metrics.items()
        },
    }
