"""Results: what the replications of each model say together, with intervals.

A `Results` holds, per model, each metric's mean over the replications and its 95%
Student-t interval, and the records they come from. `to_document` is the versioned JSON
that `iosim run --json` prints; the DataFrames are for notebooks.

Scope: simulated and measured results alike.
Not done: comparing results.
Validated by: tests/unit/test_results.py, tests/cli
"""

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from html import escape
from typing import TYPE_CHECKING, Any

from iosim.histogram import Histogram
from iosim.judging import estimated, judge
from iosim.machine.costs import Costs
from iosim.metrics import describe, measure_all, per, promised, why_undefined
from iosim.record import Record, RequestRecord, ThreadRecord
from iosim.scenario import Scenario
from iosim.slo import Slo, Verdict
from iosim.statistics import Estimate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SCHEMA_VERSION = 2


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
    values: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """What each replication says of a metric, in the order of `records`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a verdict is what it is, where the interval does not tell; by the same line."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before trusting the numbers, each once.

        Replications whose warnings differ in figures alone are counted behind the first of them.
        """
        alike: dict[str, list[str]] = {}
        for record in self.records:
            if record.warm_up_warning:
                kind = re.sub(r"\d[\d.,]*", "#", record.warm_up_warning)
                alike.setdefault(kind, []).append(record.warm_up_warning)
        count = len(self.records)
        found = [
            f"{first} (in {1 + len(more)} of {count} replications)" if count > 1 else first
            for first, *more in alike.values()
        ]
        if any(record.process is not None for record in self.records):
            from iosim.real.disturbance import warnings

            found += warnings(self.records)
        return tuple(found)

    def undefined(self, metric: str) -> str | None:
        """In how many replications `metric` does not exist, and why; None if in none."""
        if not self.records:
            return "no replication has finished"
        without = [record for record in self.records if _value(record, metric) is None]
        if not without:
            return None
        some = len(without) < len(self.records)
        where = f" in {len(without)} of {len(self.records)} replications" if some else ""
        fewest = min(without, key=lambda record: record.answered)
        return f"undefined{where}: {why_undefined(metric, fewest)}"


def model_result(
    scenario: Scenario, kind: str, label: str, records: Iterable[Record], error: str | None = None
) -> ModelResult:
    """Put a model's replications together and judge the scenario's objectives."""
    records = tuple(sorted(records, key=lambda record: record.replication))
    measured = [measure_all(record) for record in records]
    names = dict.fromkeys(name for own in measured for name in own)
    values = {
        name: tuple(
            own[name] if name in own else _absent(name, record)
            for own, record in zip(measured, records, strict=True)
        )
        for name in names
    }
    metrics = {name: estimated(name, found, records) for name, found in values.items()}
    result = ModelResult(kind, label, records, error, metrics, values=values)
    judged = {slo.text: _judged(slo, result) for slo in scenario.slos}
    return replace(
        result,
        verdicts={text: verdict for text, (verdict, _) in judged.items()},
        reasons={text: reason for text, (_, reason) in judged.items() if reason is not None},
    )


def _judged(slo: Slo, model: ModelResult) -> tuple[Verdict, str | None]:
    """A verdict, and its reason where the interval does not tell."""
    if model.error:
        return "fail", None
    verdict, reason = judge(slo, model.records)
    if verdict == "inconclusive" and reason is None:
        reason = model.undefined(slo.metric)
    return verdict, reason


def _value(record: Record, name: str) -> float | None:
    """A metric of one record, or a percentile that results do not tell."""
    told = measure_all(record)
    return told[name] if name in told else promised(record, name)


def _absent(name: str, record: Record) -> float | None:
    """A metric that only other replications have: none of that syscall, or of that memory."""
    return per(0, record.answered) if describe(name).unit == "1/request" else 0.0


@dataclass(frozen=True)
class Results:
    """The outcome of a scenario for each of its models."""

    scenario: Scenario
    profile: str
    profile_digest: str
    models: tuple[ModelResult, ...]
    source: str = "simulated"
    interrupted: bool = False
    warnings: tuple[str, ...] = ()
    """What to know of the scenario before trusting any of the numbers."""
    machine: Mapping[str, Any] | None = None
    """On which it was measured."""
    costs: Costs | None = None
    """What everything cost where it was simulated."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files that the scenario names, with their SHA-256 when it was run."""
    saturation: bool = False
    """Whether the models were asked as fast as they answer: their throughput is the most."""

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
            "warnings": list(self.warnings),
            "scenario": self.scenario.to_data(),
            "scenario_sha256": self.scenario.digest,
            "seed": self.scenario.run.seed,
            "profile": self.profile or None,
            "profile_sha256": self.profile_digest or None,
            "provenance": _provenance(self),
            **({"saturation": _saturations(self)} if self.saturation else {}),
            **({"machine": dict(self.machine)} if self.machine is not None else {}),
            "models": [_model_document(model) for model in self.models],
        }

    # ----------------------------------------------------------------------- notebooks

    @property
    def summary(self) -> "pd.DataFrame":
        """One row per model and metric: mean, low, high (95%), unit, n.

        n: the replications in which the metric is defined.
        """
        import pandas as pd

        rows = [
            {
                "model": model.label,
                "metric": name,
                "mean": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "unit": describe(name).unit,
                "n": estimate.n,
            }
            for model in self.models
            for name, estimate in model.metrics.items()
        ]
        columns = ["model", "metric", "mean", "low", "high", "unit", "n"]
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

    def plot(self, y: str = "p99", x: str = "model") -> "Figure":
        """A metric of each model with its interval, as a matplotlib figure.

        y, x: as `iosim plot` takes them. Raises UsageError, also without matplotlib.
        """
        from iosim.documents import of
        from iosim.report.plot import plot

        return plot([of(self)], x, y)

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


def _provenance(results: Results) -> dict[str, Any]:
    """What, besides scenario and seed, the numbers depend on: `iosim rerun` starts from it."""
    costs = {} if results.costs is None else {"costs": results.costs.to_data()}
    named = {"folder": str(results.scenario.folder), "files": dict(results.files)}
    return {**surroundings(), **(named if results.files else {}), **costs}


def surroundings() -> dict[str, str]:
    """The code and the versions that make results here."""
    from importlib.metadata import version

    from iosim.code_digest import code_sha256

    return {
        "code_sha256": code_sha256(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("simpy", "numpy")},
        "platform": platform.platform(),
    }


PERCENTILES = (
    *(0, *range(5, 100, 5), 97, 98, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.995, 99.999),
)
"""Of response times, as far as ten responses lie beyond."""


def _distribution(model: ModelResult) -> list[list[float]]:
    """Response times of all replications together: pairs of a percentile and its ns."""
    histogram = Histogram()
    for record in model.records:
        histogram.merge(record.responses)
    told = [q for q in PERCENTILES if histogram.count * (100 - q) >= 1_000]
    return [[q, ns] for q in told if (ns := histogram.percentile(q)) is not None]


def _model_document(model: ModelResult) -> dict[str, Any]:
    return {
        "model": model.kind,
        "label": model.label,
        "error": model.error,
        "warnings": list(model.warnings),
        "slo": dict(model.verdicts),
        "slo_reasons": dict(model.reasons),
        "replications": len(model.records),
        "order": [record.order for record in model.records if record.order],
        "metrics": {
            name: {
                "mean": estimate.mean,
                "ci95": [estimate.low, estimate.high],
                "n": estimate.n,
                "unit": describe(name).unit,
                "values": list(model.values.get(name, ())),
                **_reason(model, name),
            }
            for name, estimate in model.metrics.items()
        },
        "response_time_distribution_ns": _distribution(model),
        **_measurements(model),
    }


SHARES = (0.2, 0.5, 0.8)
"""Of what a model answers at most: usual loads to compare models at."""


def _saturations(results: Results) -> dict[str, Any]:
    """What each model answers at most, and the rates at shares of it."""
    found = {}
    for model in results.models:
        most = model.metrics.get("throughput_per_s")
        if most is not None and most.mean is not None:
            found[model.label] = {
                "per_s": most.mean,
                "ci95": [most.low, most.high],
                "rates_per_s": {f"{share:.0%}": share * most.mean for share in SHARES},
            }
    return found


def _reason(model: ModelResult, metric: str) -> dict[str, str]:
    """Why a metric of real runs has no value."""
    measured = any(record.process is not None for record in model.records)
    why = model.undefined(metric) if measured else None
    return {"reason": why} if why is not None else {}


def _measurements(model: ModelResult) -> dict[str, Any]:
    """Of real runs: how undisturbed each was, and what counted its syscalls."""
    found = [
        {
            "replication": record.replication,
            "threads": record.process.threads,
            "connect_failures": record.process.connect_failures,
            "syscalls_counted_by": record.process.counted_by or None,
            **vars(record.process.interference),
        }
        for record in model.records
        if record.process is not None and record.process.interference is not None
    ]
    return {"runs": found} if found else {}
