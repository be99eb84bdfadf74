"""From measured rows to costs: least squares, in logarithms, around what is known already.

    solve(profile, rows) -> Solved

Each row that `profile` has an equation for is one residual, (log measured - log sum) / sigma. Each
number of a cost is a factor on the profile's: the cost's own factor, and for a table one more for
each of its points, half as free, so that points that no row tells go with the others. The prior of
a factor is lognormal around 1; it is as wide as the cost's spread and as machines differ.

A row's sigma is that of its passes (passes.py). If the rows contradict their equations by more than
that, all sigmas grow until they do not (Birge's ratio).

What the data tell of a cost is a verdict (verdicts.py). A cost that is not identified stays at the
profile's value, and the others are solved once more with it; one that is told in a sum is parted
from the others as the profile has them, and as freely as the priors let it.

Scope: every cost that is in some row's equation.
Not done: a pace that is common to all rows of a pass is not parted from the costs; costs that no
row holds are not touched.
Source: Gelman et al., Bayesian Data Analysis, 3rd ed., section 14.8 (a prior as additional data
points); Birge, Phys. Rev. 40, 1932.
Validated by: tests/calibration/test_solving.py
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, hypot, log, sqrt
from typing import TYPE_CHECKING, Any

from iosim.calibration.equations import Equation, Value, equations
from iosim.calibration.passes import Measured, measured
from iosim.calibration.rows import Row
from iosim.calibration.verdicts import SHARED, verdicts
from iosim.profile import CostEntry, Profile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

MACHINES = log(1.5)
"""Standard deviation of the log of a cost between machines, beside its spread on one."""
POINT = 0.5
"""The width of a table's point around the table's factor, over the width of that factor."""


@dataclass(frozen=True)
class Fitted:
    """What is known of one cost now.

    `value` as in the profile, a table's ns at its own x. `error` is the standard deviation of the
    log of the cost, of a table of its factor; `prior` what it was before. `correlated` are other
    costs with the correlation of their logs, the strongest first.
    """

    value: Value
    error: float
    prior: float
    verdict: str
    rows: tuple[str, ...]
    correlated: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Solved:
    """Costs by name, and the rows that they come from.

    `birge` is by how much the rows' sigmas grew; `misfit` by row: log measured - log sum.
    """

    costs: Mapping[str, Fitted]
    measured: tuple[Measured, ...]
    birge: float
    misfit: Mapping[str, float]


def prior_width(entry: CostEntry) -> float:
    """Standard deviation of the log of a cost, before anything is measured."""
    if entry.spread is None:
        return MACHINES
    middle = 1.0 if isinstance(entry.value, tuple) else float(entry.value)
    low, high = entry.spread
    return hypot(log(max(high, middle) / max(low, middle / 10)) / 2, MACHINES)


def solve(profile: Profile, rows: Iterable[Row]) -> Solved:
    """Find the costs that give the measured rows. Raises UsageError for a wrong equation."""
    known = equations(profile)
    told = [one for one in measured(rows) if one.row in known]
    values = {name: entry.value for name, entry in profile.entries.items()}
    problem = _Problem(profile, [known[one.row] for one in told], told, values)
    if not told or not problem.names:
        return Solved({}, (), 1.0, {})
    first = problem.solution(frozenset())
    told_of = problem.verdicts(first)
    left = frozenset(name for name, verdict in told_of.items() if verdict == "not identified")
    last = problem.solution(left) if left else first
    # What is left where it is may still be wrong: the errors are those of the first solution.
    return problem.solved(last, first.covariance, told_of)


@dataclass(frozen=True)
class _Solution:
    """Logs of all factors, their covariance, and by how much the rows' sigmas grew."""

    logs: "Matrix"
    covariance: "Matrix"
    information: "Matrix"
    """What the rows alone say, without the priors."""
    birge: float


class _Problem:
    """The residuals of rows and priors, by the logs of the factors.

    A factor is (cost, None) of a cost or a whole table, (cost, position) of a table's point.
    """

    def __init__(
        self,
        profile: Profile,
        known: Sequence[Equation],
        told: Sequence[Measured],
        values: Mapping[str, Value],
    ) -> None:
        import numpy as np

        self._values = values
        self._told = told
        self._equations = known
        weights = [equation.weights(values) for equation in known]
        self._numbers = sorted({key for own in weights for key in own if self._ns(key) > 0})
        self.names = list(dict.fromkeys(name for name, _ in self._numbers))
        self._points = [key for key in self._numbers if isinstance(values[key[0]], tuple)]
        widths = {name: prior_width(profile.entries[name]) for name in self.names}
        self._prior = np.array(
            [*widths.values(), *(POINT * widths[name] for name, _ in self._points)]
        )
        # How each number's log is made of the factors' logs.
        self._made = np.zeros((len(self._numbers), len(self._prior)))
        for row, key in enumerate(self._numbers):
            self._made[row, self.names.index(key[0])] = 1
            if key in self._points:
                self._made[row, len(self.names) + self._points.index(key)] = 1
        self._terms = np.array(
            [[own.get(key, 0.0) * self._ns(key) for key in self._numbers] for own in weights]
        )
        self._logs = np.log([one.ns for one in told])
        self._sigmas = np.array([one.sigma for one in told])

    def _ns(self, key: tuple[str, int]) -> int:
        value = self._values[key[0]]
        return value[key[1]][1] if isinstance(value, tuple) else value

    def _sums(self, logs: "Matrix") -> "Matrix":
        """Each row's terms, in ns."""
        import numpy as np

        terms: Matrix = self._terms * np.exp(self._made @ logs)
        return terms

    def solution(self, left: frozenset[str]) -> _Solution:
        """The least squares, with the costs `left` kept as they are."""
        birge = 1.0
        found = self._least_squares(left, birge)
        wide = self._birge(found, left)
        return self._least_squares(left, wide) if wide > 1 else found

    def _free(self, left: frozenset[str]) -> "Any":
        import numpy as np

        owners = [*self.names, *(name for name, _ in self._points)]
        return np.array([index for index, name in enumerate(owners) if name not in left])

    def _least_squares(self, left: frozenset[str], birge: float) -> _Solution:
        import numpy as np
        from scipy.optimize import least_squares

        free = self._free(left)
        count = len(self._prior)
        sigmas = self._sigmas * birge

        prior = self._prior[free]

        def whole(z: "Matrix") -> "Matrix":
            logs = np.zeros(count)
            logs[free] = prior * z
            return logs

        # In units of the priors' widths, in which all parameters are alike.
        def residuals(z: "Matrix") -> "Matrix":
            sums = self._sums(whole(z)).sum(axis=1)
            return np.concatenate([(self._logs - np.log(sums)) / sigmas, -z])

        def of_rows(z: "Matrix") -> "Matrix":
            terms = self._sums(whole(z))
            slopes = -(terms / terms.sum(axis=1, keepdims=True)) @ self._made
            scaled: Matrix = slopes[:, free] * prior / sigmas[:, None]
            return scaled

        def jacobian(z: "Matrix") -> "Matrix":
            return np.vstack([of_rows(z), -np.eye(len(free))])

        z = np.zeros(len(free))
        if len(free):
            z = least_squares(residuals, z, jacobian, method="lm").x
        rows, both = of_rows(z), jacobian(z)
        scale = np.outer(prior, prior)
        covariance, information = np.zeros((count, count)), np.zeros((count, count))
        covariance[np.ix_(free, free)] = np.linalg.inv(both.T @ both) * scale
        information[np.ix_(free, free)] = rows.T @ rows / scale
        return _Solution(whole(z), covariance, information, birge)

    def _birge(self, found: _Solution, left: frozenset[str]) -> float:
        import numpy as np

        misfit = (self._logs - np.log(self._sums(found.logs).sum(axis=1))) / self._sigmas
        # So many numbers the rows have determined, as far as the priors left them to.
        determined = float(np.trace(found.information @ found.covariance))
        freedom = max(1.0, len(self._told) - determined)
        return max(1.0, sqrt(float(misfit @ misfit) / freedom))

    def verdicts(self, found: _Solution) -> dict[str, str]:
        """What the data tell of each cost."""
        count = len(self.names)
        told = verdicts(self._prior, count, found.covariance, found.information)
        return dict(zip(self.names, told, strict=True))

    def solved(self, found: _Solution, covariance: "Matrix", told_of: Mapping[str, str]) -> Solved:
        """The costs as `found` has them, with the errors of `covariance`."""
        import numpy as np

        count = len(self.names)
        errors = np.sqrt(np.diag(covariance))
        costs = {}
        for i, name in enumerate(self.names):
            left = told_of[name] == "not identified"
            both = covariance[i, :count] / (errors[i] * errors[:count])
            others = [(self.names[j], float(both[j])) for j in np.argsort(-abs(both)) if j != i]
            costs[name] = Fitted(
                value=self._values[name] if left else self._value(i, name, found.logs),
                error=float(self._prior[i] if left else errors[i]),
                prior=float(self._prior[i]),
                verdict=told_of[name],
                rows=tuple(
                    equation.row
                    for equation in self._equations
                    if any(term.cost == name for term in equation.terms)
                ),
                correlated=tuple((other, r) for other, r in others if abs(r) > SHARED)[:4],
            )
        sums = self._sums(found.logs).sum(axis=1)
        misfit = dict(
            zip((one.row for one in self._told), (self._logs - np.log(sums)).tolist(), strict=True)
        )
        return Solved(costs, tuple(self._told), found.birge, misfit)

    def _value(self, index: int, name: str, logs: "Matrix") -> Value:
        value = self._values[name]
        factor = exp(logs[index])
        if not isinstance(value, tuple):
            return round(value * factor)
        own = {
            position: exp(logs[len(self.names) + i])
            for i, (cost, position) in enumerate(self._points)
            if cost == name
        }
        return tuple(
            (x, round(ns * factor * own.get(position, 1.0)))
            for position, (x, ns) in enumerate(value)
        )
