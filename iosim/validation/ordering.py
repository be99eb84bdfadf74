"""Whether the models come in the same order: of two models, which one is ahead?

For each two models that were measured under the same conditions - scenario and load, as a share of
each one's own saturation - and whose measured intervals do not overlap, the simulated means must
be apart in the same direction.

Scope: switches and CPU time per request, and saturation throughput.
Not done: models whose intervals overlap, as nobody knows their order.
Validated by: tests/validation/test_ordering.py
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from iosim.validation.doubts import FEWEST, NOISE
from iosim.validation.scoring import Figure

ORDERED = ("saturation_per_s", "switches_per_request", "cpu_time_per_request_ns")


@dataclass(frozen=True)
class Order:
    """One metric: the pairs whose order is known, and those that are simulated otherwise."""

    metric: str
    pairs: int
    wrong: tuple[tuple[Figure, Figure], ...]


def orders(figures: Iterable[Figure]) -> list[Order]:
    """One for each metric of `ORDERED` of which any two models can be put in order."""
    alike: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for figure in figures:
        # What noise left uncertain has a wide interval, which speaks for itself here.
        if figure.metric in ORDERED and figure.unscored in (None, NOISE):
            alike[figure.metric, _conditions(figure)].append(figure)
    found = []
    for metric in ORDERED:
        pairs = [
            pair
            for (of, _), group in alike.items()
            if of == metric
            for pair in combinations(group, 2)
            if _is_known(*pair)
        ]
        if pairs:
            wrong = tuple(pair for pair in pairs if not _agrees(*pair))
            found.append(Order(metric, len(pairs), wrong))
    return found


def _conditions(figure: Figure) -> str:
    cell = figure.comparison.cell
    data = {**cell.scenario.to_data(), "models": [], "name": ""}
    return f"{cell.load} {json.dumps(data, sort_keys=True)}"


def _is_known(one: Figure, other: Figure) -> bool:
    a, b = one.measured, other.measured
    if a.n < FEWEST or b.n < FEWEST:
        return False
    assert a.low is not None and a.high is not None and b.low is not None and b.high is not None
    return a.high < b.low or b.high < a.low


def _agrees(one: Figure, other: Figure) -> bool:
    real, simulated = (
        (getattr(one, side).mean or 0.0) - (getattr(other, side).mean or 0.0)
        for side in ("measured", "simulated")
    )
    return real * simulated > 0
