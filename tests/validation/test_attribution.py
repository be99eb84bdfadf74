"""Attribution: a reality with one mechanism's costs changed is traced back to that mechanism."""

from math import log
from typing import Any

import pytest
from cases import REFERENCE, as_if_measured, comparison, scenario, side, validation

from iosim.profile import Profile, with_costs
from iosim.validation.assessing import assess
from iosim.validation.attribution import Attribution, Explanation, attribute
from iosim.validation.cells import OWN, SATURATION
from iosim.validation.mechanisms import ALL, GROUPS, Noise
from iosim.validation.running import Comparison
from iosim.validation.scoring import Figure, score
from iosim.validation.sides import simulated
from iosim.validation.telling import sentences

NOISY = scenario(machine={"cores": 1, "host_noise": {"stolen": {}}})


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
    assert found.named.widths == pytest.approx(50 * found.named.amount)


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


def test_of_a_single_figure_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throughput at saturation: nearly any mechanism would move it to where it was measured."""
    monkeypatch.setattr("iosim.validation.attribution._Trial", None)  # nothing is tried
    asked = scenario()
    cell = comparison(
        side(throughput_per_s=20_000), side(throughput_per_s=30_000), SATURATION, asked
    )
    found = attributed(cell)
    assert list(found.errors) == ["saturation_per_s"]
    assert found.named is None and found.explanations == ()
    (sentence,) = [told for told in sentences(assess(validation(cell))) if "+6.2 times" in told]
    assert sentence.endswith("it is the only figure, which whatever moves it would explain.")


def test_cells_of_one_figure_are_explained_last(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = comparison(side(throughput_per_s=2_000), side(throughput_per_s=30_000), SATURATION)
    tail = comparison(
        side(response_time_p99_ns=1_000), side(response_time_p99_ns=90_000), OWN, NOISY
    )
    far = as_if_measured(scenario("select"), recvfrom="x9")
    explained = []

    def told(figures: list[Figure], profile: Profile) -> Attribution:
        explained.append(figures[0].comparison)
        return Attribution("", {}, ())

    monkeypatch.setattr("iosim.validation.assessing.attribute", told)
    found = assess(validation(alone, tail, far))
    assert found.scored.large()[0].comparison in (alone, tail)
    assert explained == [far, alone]


TWO = {"switches_per_request": 3.0, "cpu_time_per_request_ns": 2.0}


def explained(mechanism: str, widths: float, part: float) -> Explanation:
    return Explanation(mechanism, f"{mechanism} x", 0.1, widths, part)


def test_of_those_that_explain_as_much_the_least_change_is_named() -> None:
    found = Attribution(
        "cell",
        TWO,
        (explained("a", 1.3, 0.95), explained("b", -0.4, 0.94), explained("c", 0.1, 0.6)),
    )
    assert found.named is not None and found.named.mechanism == "b"
    assert [other.mechanism for other in found.others] == ["a", "c"]
    little = Attribution("cell", TWO, (explained("a", 1.0, 0.45),))
    assert little.named is None and little.others == ()
    assert Attribution("cell", TWO, ()).named is None
    alone = {"saturation_per_s": 3.0}
    assert Attribution("cell", alone, (explained("a", 1.0, 0.99),)).named is None


def test_a_factor_and_a_part_of_the_time_are_held_against_each_other_in_widths() -> None:
    """A tenth of the time is much for a host; a half more is little for a cost."""
    by_name = {mechanism.name: mechanism for mechanism in ALL}
    amounts = {"noise": 0.1, "lock": log(1.5)}
    widths = {name: amount / by_name[name].width for name, amount in amounts.items()}
    assert widths == {"noise": pytest.approx(5), "lock": pytest.approx(1)}
    tried = [Explanation(name, "", amounts[name], widths[name], 0.9) for name in amounts]
    named = Attribution("cell", TWO, tuple(tried)).named
    assert named is not None and named.mechanism == "lock"
