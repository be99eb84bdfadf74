"""What the tests of studies share: documents made by hand, of known values."""

from collections.abc import Mapping, Sequence
from typing import Any

from iosim.documents import Document, ModelDocument
from iosim.metrics import describe
from iosim.statistics import student_t

Values = Mapping[str, Sequence[float | None]]


def model(label: str, values: Values, error: str | None = None) -> ModelDocument:
    """A model whose replications gave these values."""
    return ModelDocument(
        kind="epoll",
        label=label,
        error=error,
        metrics={name: student_t(found) for name, found in values.items()},
        units={name: describe(name).unit for name in values},
        values={name: tuple(found) for name, found in values.items()},
        distribution_ns=(),
        verdicts={},
        warnings=(),
    )


def document(
    *models: ModelDocument,
    name: str = "by hand",
    source: str = "simulated",
    seed: int = 1,
    scenario: Mapping[str, Any] | None = None,
    costs: Mapping[str, Any] | None = None,
    interrupted: bool = False,
) -> Document:
    """A result of these models."""
    data = {
        "seed": seed,
        "source": source,
        "interrupted": interrupted,
        "scenario": dict(scenario or {}),
        "provenance": {"costs": dict(costs or {})},
        "models": [
            {"label": each.label, "replications": max(map(len, each.values.values()), default=0)}
            for each in models
        ],
    }
    return Document(name, source, models, data)
