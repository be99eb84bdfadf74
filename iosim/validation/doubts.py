"""Doubts: why a figure is not scored, where no run here could tell right from wrong.

    doubt(comparison, profile, called, measured, simulated, allowed) -> "noise", or None

Replications that something disturbed are left out, two must remain, and the half width of their
95% interval must be within what is allowed. The tails (p99) are the host's: they are scored where
its noise is replayed, and not where the replayed record is not known to have been stationary.

Scope: one figure at a time.
Not done: of noise that is not recorded but given, by the scenario or as two costs, nobody asks
whether it is the host's.
Validated by: tests/validation/test_scoring.py
"""

from collections.abc import Mapping

from iosim.calibration.held_out import was_fitted
from iosim.profile import Profile
from iosim.scenario import Scenario
from iosim.statistics import Estimate
from iosim.validation.running import Comparison
from iosim.validation.sides import Side

FEWEST = 2
"""Undisturbed replications, without which there is no interval."""

DISTURBED, NOISE, FEW, FITTED = "disturbed", "noise", "few", "fitted"
HOST, UNSTEADY = "host", "unsteady"
UNSCORED: Mapping[str, str] = {
    DISTURBED: "fewer than two real runs were undisturbed",
    NOISE: "the real runs differ by more than the error that is allowed",
    FEW: "too few values, on one of the sides",
    HOST: "the tail is the host's, whose noise was not simulated",
    UNSTEADY: "the tail is the host's, whose noise is not known to have stayed as it was recorded",
    FITTED: "the profile was fitted to this run",
}
"""Why a figure is not scored."""

TAILS = frozenset(("response_time_p99_ns",))
"""Mostly the host's."""

RESPONSE = "response_time_"
LATE = frozenset(("late_p50", "late_p99"))
"""Requests sent late disturb response times alone."""


def undisturbed(side: Side, metric: str) -> tuple[float | None, ...]:
    """The values of a side's replications that nothing disturbed; None for the others."""
    values = side.of(metric)
    harmless = frozenset() if metric.startswith(RESPONSE) else LATE
    # Of what it does not know a side has no values, however many replications it has.
    return tuple(
        value if set(names) <= harmless else None
        for value, names in zip(values, side.disturbed or ((),) * len(values), strict=False)
    )


def doubt(
    comparison: Comparison,
    profile: Profile,
    called: str,
    measured: Estimate,
    simulated: Estimate,
    allowed: float | None,
) -> str | None:
    """The first reason not to trust a figure, or None."""
    (model,) = comparison.scenario.models
    if was_fitted(profile, comparison.scenario, model.kind):
        return FITTED
    if called in TAILS and (why := _of_the_host(comparison.scenario, profile)):
        return why
    if measured.n < FEWEST and any(comparison.measured.disturbed):
        return DISTURBED
    if measured.n < FEWEST or simulated.mean is None or allowed == 0:
        return FEW
    assert measured.mean is not None and measured.high is not None
    if allowed is not None and measured.high - measured.mean > allowed:
        return NOISE
    return None


def _of_the_host(scenario: Scenario, profile: Profile) -> str | None:
    """Why the tail of a scenario is no simulation's to tell, or None."""
    noise = scenario.machine.host_noise
    if noise is None or noise.stolen is None:
        return HOST
    given = noise.stolen.length is not None and noise.stolen.gap is not None
    if given or profile.noise is None or profile.noise.stationary:
        return None
    return UNSTEADY
