"""What each shipped scenario gives, written down: `python tests/golden/record.py [NAME ...]`.

A scenario runs for a tenth of its duration, two replications of each model; the means of all
metrics are written to NAME.json beside this file. test_scenarios.py runs them again and tells what
has moved. When a change to the machine or its costs was meant to move them, record them again with
the command above and read the difference that git shows as part of the change.

The values behind a seed are numpy's, which may change a distribution from one version to the next
(NEP 19): streams.json holds some of them, so that such a change is told for what it is.
"""

import json
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from iosim.distributions import KINDS
from iosim.results import ModelResult
from iosim.scenario import load
from iosim.simulation import simulate
from iosim.streams import Streams
from iosim.units import canonical_duration

HERE = Path(__file__).parent
SCENARIOS = HERE.parents[1] / "scenarios"

SHORTER = 10
REPLICATIONS = 2
TOLERANCE = 1e-6
"""Relative: for the last digits of means, which another libm may round otherwise."""


def names() -> list[str]:
    """The shipped scenarios."""
    return sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def outcome(name: str) -> dict[str, Any]:
    """Simulate a shipped scenario, shortened, and put down what came out."""
    path = SCENARIOS / f"{name}.yaml"
    duration = canonical_duration(load(path).run.duration // SHORTER)
    changes = {"run.duration": duration, "run.replications": str(REPLICATIONS)}
    results = simulate(load(path, changes))
    return {
        "duration": duration,
        "replications": REPLICATIONS,
        "models": {model.label: _put_down(model) for model in results.models},
    }


def _put_down(model: ModelResult) -> dict[str, Any]:
    metrics = {
        name: None if estimate.mean is None else float(f"{estimate.mean:.9g}")
        for name, estimate in sorted(model.metrics.items())
    }
    orders = [record.order for record in model.records if record.order]
    return {"error": model.error, "orders": orders, "metrics": metrics}


def streams() -> dict[str, list[int]]:
    """The first numbers that each distribution draws from seed 1."""
    examples: dict[str, dict[str, object]] = {
        "deterministic": {"value": "1ms"},
        "exponential": {"mean": "1ms"},
        "uniform": {"low": "1ms", "high": "9ms"},
        "lognormal": {"median": "1ms", "p99": "9ms"},
        "pareto": {"minimum": "1ms", "shape": 2.5},
        "bimodal": {"low": "1ms", "high": "9ms", "high_fraction": "50%"},
        "empirical": {"file": str(HERE / "durations.csv"), "column": "time", "unit": "ms"},
    }
    generator = partial(Streams(1, 0).generator, "golden")
    return {
        kind: options.model_validate(examples[kind]).sample(generator(), 8).tolist()
        for kind, options in KINDS.items()
    }


def recorded(name: str) -> Any:
    """What was written down for a scenario, or for `streams`."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def differences(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Tell each value that has moved, with its path."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            here = f"{path} / {key}" if path else key
            if key not in now:
                yield f"{here}: is gone"
            elif key not in before:
                yield f"{here}: is new"
            else:
                yield from differences(before[key], now[key], here)
    elif _is_number(before) and _is_number(now):
        if not math.isclose(before, now, rel_tol=TOLERANCE):
            moved = f" ({100 * (now - before) / before:+.2g}%)" if before else ""
            yield f"{path}: was {before:g}, is {now:g}{moved}"
    elif before != now:
        yield f"{path}: was {before}, is {now}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def main(wanted: list[str]) -> int:
    """Record the scenarios named, or all of them and the streams."""
    known = names()
    if unknown := [name for name in wanted if name not in known]:
        sys.stderr.write(f"no scenario {', '.join(unknown)}; there are {', '.join(known)}\n")
        return 2
    if not wanted:
        _write("streams", streams())
    for name in wanted or known:
        _write(name, outcome(name))
    return 0


def _write(name: str, data: Any) -> None:
    path = HERE / f"{name}.json"
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.name} written\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
