"""Attribution: a reality with one mechanism's costs changed is traced back to that mechanism."""

from typing import Any

import pytest
from cases import REFERENCE, as_if_measured, comparison, scenario, side, validation

from iosim.profile import with_costs
from iosim.validation.attribution import Attribution, Explanation, attribute
from iosim.validation.mechanisms import GROUPS, Noise
from iosim.validation.running import Comparison
from iosim.validation.scoring import score
from iosim.validation.sides import simulated


def attributed(cell: Comparison) -> Attribution:
    return attribute(score(validation(cell)).figures, REFERENCE)


@pytest.mark.parametrize(
    ("model", "changed", "mechanism"),
    [
        ("epoll", ("idle_exit", "idle_exit_charged", "cold_execution"), "wake-up"),
        ("epoll", ("recvfrom", "sendto"), "syscalls"),
        ("select", ("poll_per_descriptor", "poll_register"), "scan"),
    ],
)
def test_what_was_changed_is_named(model: Any, changed: tuple[str, ...], mechanism: str) -> None:
    factor = "x2" if mechanism == "wake-up" else "x4"
    found = attributed(as_if_measured(scenario(model), **dict.fromkeys(changed, factor)))
    assert found.named is not None
    assert found.named.mechanism == mechanism
    assert found.named.explained > 0.9
    assert found.named.amount > 0  # dearer than simulated


def test_noise_that_is_not_simulated_is_named() -> None:
    brief = with_costs(REFERENCE, {"stolen_length": "100us"})
    stolen = {"length": {"exponential": "100us"}, "gap": {"exponential": "500us"}}
    noisy = scenario(machine={"cores": 1, "host_noise": {"stolen": stolen}})
    cell = comparison(simulated(noisy, brief), simulated(scenario(), brief))
    found = attribute(score(validation(cell)).figures, brief, (*GROUPS[:3], Noise()))
    assert found.named is not None
    assert found.named.mechanism == "noise"
    assert found.named.amount == pytest.approx(1 / 6, rel=0.3)


def test_what_no_mechanism_does_is_explained_by_none() -> None:
    told = simulated(scenario(), REFERENCE)
    # Less CPU time and a longer response: no cost does both.
    factors = {"cpu_time_per_request_ns": 1 / 1.1, "response_time_p50_ns": 1.5}
    real = {
        name: tuple(factor * value for value in told.values[name] if value)
        for name, factor in factors.items()
    }
    found = attributed(comparison(side(**real), told))
    assert set(found.errors) == set(factors)
    assert found.explanations and found.named is None


def explained(mechanism: str, amount: float, part: float) -> Explanation:
    return Explanation(mechanism, f"{mechanism} x", amount, part)


def test_of_those_that_explain_as_much_the_least_change_is_named() -> None:
    found = Attribution(
        "cell",
        {},
        (explained("a", 1.3, 0.95), explained("b", -0.4, 0.94), explained("c", 0.1, 0.6)),
    )
    assert found.named is not None and found.named.mechanism == "b"
    assert [other.mechanism for other in found.others] == ["a", "c"]
    little = Attribution("cell", {}, (explained("a", 1.0, 0.45),))
    assert little.named is None and little.others == ()
    assert Attribution("cell", {}, ()).named is None
