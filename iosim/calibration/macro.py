"""What micro-measurements cannot see, fitted so that simulated runs come out as real ones did.

    fit(profile, observed, PARAMETERS) -> InSitu

A parameter is a factor on a few costs together: those that behave otherwise inside a running
server than in a probe's loop, or that no probe can see. What was observed are a few real runs at
light load, where nobody waits for anybody and a run says what each of its steps costs, and at
saturation, where no core idles. The prediction is the simulation of the same scenarios with the
same random numbers for every value of the parameters (common random numbers), so that differences
are the parameters' doing; its derivatives are differences over `STEP`. Residuals are
(log observed - log simulated) / sigma, and each parameter has a lognormal prior around 1.

If runs and simulation differ by more than their sigmas, the sigmas grow until they do not. A
parameter whose posterior then is not narrower than `IDENTIFIED` times its prior stays at 1, and
the others are fitted once more without it. For both, metrics are taken as linear in the logarithms
around the solution.

Scope: any list of parameters; costs that the profile does not have are left out of them.
Not done: the errors are those of the tangent at the solution; what all runs of one hour have in
common is taken for the machine.
Source: Kennedy and O'Hagan, "Bayesian calibration of computer models", J. R. Stat. Soc. B 63, 2001,
without its model of the discrepancy; Law, Simulation Modeling and Analysis, 5th ed., section 11.2
(common random numbers).
Validated by: tests/calibration/test_macro.py
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from typing import TYPE_CHECKING

from iosim.calibration.verdicts import IDENTIFIED, SHARED
from iosim.profile import FittedOn, Profile, with_costs
from iosim.scenario import Scenario

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

STEP = 0.1
"""Of a parameter's logarithm, for derivatives: larger than what a discrete run jumps by."""
MOST_STEPS = 12
CPU_TIME = "cpu_time_per_request_ns"
FLOORS = {
    "voluntary_switches_per_request": 0.02,
    CPU_TIME: 0.03,
    "response_time_p50_ns": 0.07,
}
"""What is compared, and how well a simulation can agree with it at best, as a part of it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A factor on some costs; `width` is the standard deviation of its logarithm beforehand."""

    name: str
    costs: tuple[str, ...]
    width: float


PARAMETERS = (
    Parameter("wake-up latency", ("idle_exit",), 0.4),
    Parameter("CPU per sleep", ("idle_exit_charged", "cold_execution"), 0.5),
    Parameter("socket calls", ("recvfrom", "sendto"), 0.3),
    Parameter("CPU per sleep in CPython", ("cpython_cold_execution",), 0.7),
    Parameter("work by message", ("message",), 0.7),
    Parameter("work by message in CPython", ("cpython_message",), 0.7),
)


@dataclass(frozen=True)
class Observed:
    """A scenario of one model, and what real runs of it gave: each metric, a value a run."""

    scenario: Scenario
    values: Mapping[str, tuple[float, ...]]
    run: FittedOn


@dataclass(frozen=True)
class Factor:
    """A parameter's factor. `error` is the standard deviation of its logarithm."""

    parameter: Parameter
    factor: float
    error: float
    identified: bool
    correlated: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class InSitu:
    """All factors, the runs that they come from, and by how much the sigmas had to grow.

    `misfit` is log observed - log simulated, by the run's description and the metric.
    """

    factors: tuple[Factor, ...] = ()
    runs: tuple[FittedOn, ...] = ()
    repetitions: int = 0
    birge: float = 1.0
    misfit: Mapping[tuple[str, str], float] = field(default_factory=dict)


def available(parameters: Iterable[Parameter], profile: Profile) -> tuple[Parameter, ...]:
    """The parameters as far as the profile has their costs, and these are not zero."""
    found = []
    for parameter in parameters:
        costs = tuple(cost for cost in parameter.costs if _is_something(profile, cost))
        if costs:
            found.append(replace(parameter, costs=costs))
    return tuple(found)


def _is_something(profile: Profile, cost: str) -> bool:
    entry = profile.entries.get(cost)
    if entry is None:
        return False
    return any(ns for _, ns in entry.value) if isinstance(entry.value, tuple) else entry.value > 0


def scaled(profile: Profile, parameters: Sequence[Parameter], logs: Iterable[float]) -> Profile:
    """The profile with each parameter's costs times its factor."""
    factors: dict[str, float] = {}
    for parameter, value in zip(parameters, logs, strict=True):
        for cost in parameter.costs:
            factors[cost] = factors.get(cost, 1.0) * exp(value)
    return with_costs(profile, {cost: f"x{factor:.9f}" for cost, factor in factors.items()})


def fit(
    profile: Profile,
    observed: Sequence[Observed],
    parameters: Iterable[Parameter] = PARAMETERS,
    progress: Callable[[], None] | None = None,
) -> InSitu:
    """Find the factors with which the simulated runs are as the observed ones.

    `progress` is called after each round of simulations.
    """
    there = available(parameters, profile)
    if not observed or not there:
        return InSitu(runs=tuple(one.run for one in observed))
    return _Fitting(profile, observed, there, progress).go()


class _Fitting:
    """The residuals by the logs of the free parameters."""

    def __init__(
        self,
        profile: Profile,
        observed: Sequence[Observed],
        parameters: tuple[Parameter, ...],
        progress: Callable[[], None] | None,
    ) -> None:
        import numpy as np

        self._profile = profile
        self._observed = observed
        self._parameters = parameters
        self._progress = progress
        self._known: dict[tuple[float, ...], Vector] = {}
        self._prior = np.array([parameter.width for parameter in parameters])
        told = [
            (index, metric, *_middle(one.values[metric], floor))
            for index, one in enumerate(observed)
            for metric, floor in FLOORS.items()
            if one.values.get(metric)
        ]
        self._keys = [(index, metric) for index, metric, _, _ in told]
        self._logs = np.array([middle for _, _, middle, _ in told])
        self._sigmas = np.array([sigma for _, _, _, sigma in told])

    def go(self) -> InSitu:
        """Fit all, find out what is identified, and fit that."""
        import numpy as np

        x, slopes = self._least_squares()
        middle = self._simulated(x)
        # In logarithms runs are nearly linear: what follows needs no more simulations.
        target = self._logs - middle + slopes @ x
        apart = (self._logs - middle) / self._sigmas
        freedom = max(1, len(self._logs) - len(self._parameters))
        birge = max(1.0, sqrt(float(apart @ apart) / freedom))
        every = np.ones(len(self._parameters), dtype=bool)
        _, covariance = self._linear(target, slopes, birge, every)
        errors = np.sqrt(np.diag(covariance))
        known = errors / self._prior < IDENTIFIED
        x, _ = self._linear(target, slopes, birge, known)
        both = covariance / np.outer(errors, errors)
        names = [parameter.name for parameter in self._parameters]
        misfit = self._logs - self._simulated(x)
        return InSitu(
            factors=tuple(
                Factor(
                    parameter,
                    exp(x[i]),
                    float(errors[i]),
                    bool(known[i]),
                    tuple(
                        (names[j], float(both[i, j]))
                        for j in np.argsort(-abs(both[i]))
                        if j != i and abs(both[i, j]) > SHARED
                    ),
                )
                for i, parameter in enumerate(self._parameters)
            ),
            runs=tuple(one.run for one in self._observed),
            repetitions=max(len(v) for one in self._observed for v in one.values.values()),
            birge=birge,
            misfit={
                (self._observed[index].scenario.name, metric): float(apart)
                for (index, metric), apart in zip(self._keys, misfit, strict=True)
            },
        )

    def _least_squares(self) -> "tuple[Vector, Matrix]":
        """Logs of all parameters, and what each metric's log changes with each of them."""
        import numpy as np
        from scipy.optimize import least_squares

        count = len(self._parameters)

        def residuals(x: "Vector") -> "Vector":
            apart = (self._logs - self._simulated(x)) / self._sigmas
            return np.concatenate([apart, -x / self._prior])

        def jacobian(x: "Vector") -> "Matrix":
            here = residuals(x)
            return np.array(
                [(residuals(x + step) - here) / STEP for step in STEP * np.eye(count)]
            ).T

        found = least_squares(
            residuals, np.zeros(count), jacobian, xtol=1e-2, ftol=1e-2, max_nfev=MOST_STEPS
        )
        slopes: Matrix = -found.jac[: len(self._logs)] * self._sigmas[:, None]
        return found.x, slopes

    def _linear(
        self, target: "Vector", slopes: "Matrix", birge: float, free: "NDArray[np.bool_]"
    ) -> "tuple[Vector, Matrix]":
        """The same where metrics are linear, with some parameters kept at a factor of 1."""
        import numpy as np

        weighted = slopes[:, free] / (birge * self._sigmas)[:, None]
        inverse = weighted.T @ weighted + np.diag(self._prior[free] ** -2)
        covariance: Matrix = np.linalg.inv(inverse).astype(np.float64)
        x = np.zeros(len(self._parameters))
        x[free] = covariance @ weighted.T @ (target / (birge * self._sigmas))
        return x, covariance

    def _simulated(self, logs: "Vector") -> "Vector":
        """Log of each observed metric, simulated; simulations are made once."""
        import numpy as np

        from iosim.simulation import simulate

        key = tuple(np.round(logs, 6).tolist())
        if key not in self._known:
            profile = scaled(self._profile, self._parameters, logs)
            models = [simulate(one.scenario, profile).models[0] for one in self._observed]
            self._known[key] = np.array(
                [log(models[index].metrics[metric].mean or 1e-9) for index, metric in self._keys]
            )
            if self._progress is not None:
                self._progress()
        return self._known[key]


def _middle(values: Sequence[float], floor: float) -> tuple[float, float]:
    """Mean of the logs and its standard error, at least `floor`."""
    import numpy as np

    logs = np.log(values)
    error = float(logs.std(ddof=1)) / sqrt(len(logs)) if len(logs) > 1 else 0.0
    return float(logs.mean()), max(floor, error)
