"""Documents made by hand: one small simulated one, with the figures that a test wants in it."""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import iosim
from iosim import documents
from iosim.documents import Document
from iosim.scenario import from_data

EVIL = "<script>alert('x')</script> & \"co\""

SMALL = {
    "name": EVIL,
    "machine": {"cores": 2},
    "server": {"handler": [{"cpu": "20us"}, {"call": "db"}]},
    "devices": {"db": {"remote": {"latency": {"exponential": "100us"}}}},
    "workload": {"open": {"rate": "5k/s", "connections": {"total": 16}}},
    "models": ["epoll", {"blocking": {"label": f"threads {EVIL}"}}],
    "slo": ["p50 < 1ms"],
    "run": {"duration": "100ms", "replications": 2},
}
EPOLL, THREADS = "epoll", f"threads {EVIL}"


@cache
def simulated() -> dict[str, Any]:
    """The data of the small scenario's results."""
    document: dict[str, Any] = iosim.simulate(from_data(SMALL), jobs=1).to_document()
    return document


def document(
    folder: Path,
    rate: str = "5k/s",
    figures: Mapping[str, Mapping[str, float | None]] | None = None,
    verdicts: Mapping[str, str] | None = None,
    **changes: Any,
) -> Document:
    """The small document at another rate; with other means, by model and metric, or verdicts."""
    data = deepcopy(simulated())
    data["scenario"]["workload"]["open"]["rate"] = rate
    for model in data["models"]:
        for metric, mean in (figures or {}).get(model["label"], {}).items():
            known = mean is not None
            model["metrics"][metric] = {
                **model["metrics"].get(metric, {"unit": "1"}),
                "mean": mean,
                "ci95": [0.9 * mean, 1.1 * mean] if known else [None, None],
                "values": [0.99 * mean, 1.01 * mean] if known else [None, None],
                "n": 2 if known else 0,
            }
        if verdicts and model["label"] in verdicts:
            model["slo"] = {"p50 < 1ms": verdicts[model["label"]]}
    data.update(changes)
    path = folder / f"{data['source']} {rate.replace('/', ' ')}.json"
    path.write_text(json.dumps(data))
    return documents.read(path)


MACHINE = {
    "cpu": "a <b>core</b>",
    "cores": 2,
    "virtual": True,
    "mitigations": {},
    "kernel": "6.1",
    "clock_source": "tsc",
    "architecture": "x86_64",
    "memory_bytes": 1 << 30,
    "python": "CPython 3.11",
    "server_cores": [0],
    "client_cores": [1],
}


def measured(folder: Path, rate: str = "5k/s", **how: Any) -> Document:
    """The same as if it had been measured."""
    return document(
        folder, rate, source="measured", profile=None, profile_sha256=None, machine=MACHINE, **how
    )
