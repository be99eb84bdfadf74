"""What the rows tell of each cost: it by itself, a sum that it is in, or nothing.

- identified: the posterior is narrower than `IDENTIFIED` times the prior, and would be if the
  priors of all other costs were `UNKNOWN` times as wide: the rows tell it by themselves;
- in a sum: the rows say something of it, but more of its sum with others. It may be narrow all the
  same: of a sum of 1 us the large part is known as soon as the small one is bounded beforehand;
- not identified: the rows say nothing of it that was not known.

Scope: of the linearized posterior, so in the logarithms of the costs.
Not done: a sum is not told with its parts; correlations say who they are.
Validated by: tests/calibration/test_solving.py
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

IDENTIFIED = 0.5
"""Posterior width over prior width below which the data are said to identify something."""
UNKNOWN = 10.0
"""The priors of the others are so many times as wide where it is asked what the rows alone tell."""
SAID = 0.95
"""Posterior width over prior width above which the data say nothing of it."""
SHARED = 0.3
"""Correlation of two costs from which on the data tell of their sum."""


def verdicts(prior: "Vector", costs: int, covariance: "Matrix", information: "Matrix") -> list[str]:
    """The verdict on each of the first `costs` factors; the others are points of tables.

    prior: widths of all factors. covariance: the posterior's. information: the rows' alone.
    """
    import numpy as np

    errors = np.sqrt(np.diag(covariance))[:costs]
    both = abs(covariance[:costs, :costs]) / np.outer(errors, errors)
    np.fill_diagonal(both, 0)
    alone = _errors_alone(prior, costs, information)
    return [
        _verdict(width, by_itself, shared)
        for width, by_itself, shared in zip(
            errors / prior[:costs], alone / prior[:costs], both.max(axis=1), strict=True
        )
    ]


def _verdict(width: float, by_itself: float, shared: float) -> str:
    """width, by_itself: of the posterior over the prior's, with the others' priors and without."""
    if max(width, by_itself) < IDENTIFIED:
        return "identified"
    if width < IDENTIFIED or (width < SAID and shared > SHARED):
        return "in a sum"
    return "not identified"


def _errors_alone(prior: "Vector", costs: int, information: "Matrix") -> "Vector":
    """The posterior width of each cost if next to nothing were known of the others before.

    A table's points keep their priors, which hold them to the table's own factor.
    """
    import numpy as np

    errors = np.empty(costs)
    for own in range(costs):
        widths = prior.copy()
        widths[:costs] *= UNKNOWN
        widths[own] = prior[own]
        errors[own] = np.sqrt(np.linalg.inv(information + np.diag(widths**-2.0))[own, own])
    return errors
