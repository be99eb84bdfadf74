"""Which combinations of the axes' values are run: all of them, or a sample.

    grid          each value of each axis with each of the others'; the last axis runs fastest
    lhs           a Latin hypercube: of each axis, each of N equal parts is drawn from once
    sobol         a scrambled Sobol sequence, which fills the whole more evenly than chance

A sample is the same each time for one seed.

Scope: one combination is one text for each axis. Not done: nothing is drawn twice on purpose; two
draws may still be the same where an axis has few values.
Source: McKay, Beckman, Conover 1979 (Latin hypercube); Owen 1998 (scrambled Sobol), both as
scipy.stats.qmc has them.
Validated by: tests/studies/test_combinations.py
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

from iosim.errors import UsageError, did_you_mean, shown
from iosim.studies.grid import Axis

Method = Literal["lhs", "sobol"]
METHODS: tuple[Method, ...] = ("lhs", "sobol")

MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class Design:
    """The combinations of a study: one text for each axis, in their order."""

    axes: tuple[Axis, ...]
    sample: int | None = None
    """How many are drawn; None: the full grid."""
    method: str = "lhs"
    seed: int = 1

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be run."""
        if self.method not in METHODS:
            hint = did_you_mean(self.method, METHODS)
            raise UsageError(
                f"method: expected {' or '.join(METHODS)}, found {shown(self.method)}"
                + (f"; {hint}" if hint else "")
            )
        if self.sample is not None and (type(self.sample) is not int or self.sample < 1):
            raise UsageError(f"sample: expected at least 1, found {shown(self.sample)}")
        if len(self) > MOST_POINTS:
            raise UsageError(
                f"expected at most {MOST_POINTS:,} points, found {len(self):,}: a sample has fewer"
            )

    def __len__(self) -> int:
        """How many combinations there are."""
        if self.sample is not None:
            return self.sample
        return math.prod(len(axis.values) for axis in self.axes)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Each combination, one after the other."""
        if self.sample is None:
            yield from product(*(axis.values for axis in self.axes))
            return
        for row in self._drawn(self.sample):
            yield tuple(axis.at(part) for axis, part in zip(self.axes, row, strict=True))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of the sample."""
        if self.method == "sobol" and self.sample is not None and self.sample & (self.sample - 1):
            two = 2 ** (self.sample.bit_length())
            return (
                f"a Sobol sample is even where it has a power of two of points, and "
                f"{self.sample} is none: {two // 2} or {two} would be",
            )
        return ()

    def _drawn(self, count: int) -> Iterator[list[float]]:
        import warnings

        from scipy.stats import qmc

        sampler = (qmc.Sobol if self.method == "sobol" else qmc.LatinHypercube)(
            len(self.axes), seed=self.seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of powers of two: told in `warnings`
            drawn = sampler.random(count)
        for row in drawn:
            yield row.tolist()
