"""Rows of a machine whose costs are known: what a calibration must find again."""

from collections.abc import Mapping

import numpy as np

from iosim.calibration.equations import Value, equations
from iosim.calibration.rows import Row
from iosim.calibration.solving import POINT, prior_width
from iosim.profile import Profile

BETWEEN = 0.05
"""Standard deviation of the log of a pass' median."""


def machine(profile: Profile, rng: np.random.Generator) -> dict[str, Value]:
    """Costs of another machine, drawn from what is known before anything is measured."""
    found: dict[str, Value] = {}
    for name, entry in profile.entries.items():
        width = prior_width(entry) if entry.unit == "ns" else 0.0
        factor = np.exp(rng.normal(0, width))
        if isinstance(entry.value, tuple):
            own = np.exp(rng.normal(0, POINT * width, len(entry.value)))
            found[name] = tuple(
                (x, round(ns * factor * point))
                for (x, ns), point in zip(entry.value, own, strict=True)
            )
        else:
            found[name] = round(entry.value * factor)
    return found


def rows(
    profile: Profile,
    values: Mapping[str, Value],
    rng: np.random.Generator,
    passes: int = 5,
    between: float = BETWEEN,
) -> list[Row]:
    """What probes of it would give, for every equation of the profile."""
    found = []
    for equation in equations(profile).values():
        lang, name, *param = equation.row.split(" ", 2)
        for number in range(1, passes + 1):
            middle = equation.total_ns(values) * np.exp(rng.normal(0, between))
            figures = (middle, 0.97 * middle, 1.04 * middle, 0.9 * middle, 1.3 * middle)
            found.append(Row(number, lang, name, " ".join(param), "ns", *figures, 400))
    return found
