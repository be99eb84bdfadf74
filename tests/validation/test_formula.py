"""M/G/1 with set-up: against Welch's closed form, a queue run by hand, and on cells."""

import random

import pytest
from cases import REFERENCE, comparison, scenario, side, validation

from iosim.validation.cells import SATURATION, Load
from iosim.validation.formula import contests, predicted, response, sleeps
from iosim.validation.scoring import score


def welch_wait(rate: float, mean: float, second_moment: float, set_up: float) -> float:
    """Mean waiting time as Welch 1964 has it, of a set-up of constant length."""
    queue = rate * second_moment / (2 * (1 - rate * mean))
    return queue + (2 * set_up + rate * set_up**2) / (2 * (1 + rate * set_up))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("set_up", [0.0, 0.5, 3.0])
def test_the_mean_response_is_welch_s(rate: float, set_up: float) -> None:
    expected = welch_wait(rate, 1.0, 1.0, set_up) + 1.0
    assert response(rate, 1.0, set_up) == pytest.approx(expected)


@pytest.mark.parametrize(("rate", "set_up"), [(0.3, 0.5), (0.6, 2.0)])
def test_a_queue_run_by_hand_comes_to_the_same(rate: float, set_up: float) -> None:
    """A thread that serves each for 1, sleeps when none is left, and takes `set_up` to wake."""
    draw, count = random.Random(1), 200_000
    arrives = free = total = 0.0
    slept = 0
    for _ in range(count):
        arrives += draw.expovariate(rate)
        if arrives >= free:
            slept += 1
            free = arrives + set_up
        free += 1.0
        total += free - arrives
    assert slept / count == pytest.approx(sleeps(rate, 1.0, set_up), rel=0.01)
    assert total / count == pytest.approx(response(rate, 1.0, set_up), rel=0.02)


def test_a_server_that_never_rests_never_sleeps() -> None:
    assert sleeps(1.2, 1.0, 5.0) == 0
    assert response(1.0, 1.0, 5.0) is None


def test_on_a_scenario_by_hand() -> None:
    asked = scenario(rate="10k/s")
    costs = REFERENCE.costs
    latency_ns, charged_ns, cold_ns = costs.leave_idle(100_000)
    told = predicted(asked, 40_000.0, costs)  # 25 us a request: a quarter busy
    slept = 0.75 / (1 + (latency_ns + cold_ns) / 100_000)
    assert told["voluntary_switches_per_request"] == pytest.approx(slept)
    assert told["cpu_time_per_request_ns"] == pytest.approx(25_000 + slept * (charged_ns + cold_ns))
    assert told["response_time_mean_ns"] > 25_000 + latency_ns


def test_a_call_makes_a_request_come_twice_for_half_as_long() -> None:
    handler = [{"cpu": "20us"}, {"call": "db"}]
    asked = scenario(
        rate="5k/s",
        server={"handler": handler},
        devices={"db": {"remote": {"latency": "1ms"}}},
    )
    told = predicted(asked, 20_000.0, REFERENCE.costs)
    half = predicted(scenario(rate="10k/s"), 40_000.0, REFERENCE.costs)
    name = "voluntary_switches_per_request"
    assert told[name] == pytest.approx(2 * half[name])
    assert "response_time_mean_ns" not in told


def test_both_are_held_against_the_same_figures() -> None:
    asked = scenario(rate="10k/s")
    told = predicted(asked, 40_000.0, REFERENCE.costs)["cpu_time_per_request_ns"]
    real_ns = told / 1.1  # the formula is 10% off
    at_most = comparison(side(throughput_per_s=40_000), side(throughput_per_s=1), SATURATION, asked)
    cell = comparison(
        side(cpu_time_per_request_ns=real_ns),
        side(cpu_time_per_request_ns=real_ns * 1.02),
        Load(0.25),
        asked,
    )
    (found,) = contests(score(validation(at_most, cell)))
    assert (found.metric, found.figures) == ("cpu_time_per_request_ns", 1)
    assert found.simulated == pytest.approx(0.02)
    assert found.formula == pytest.approx(0.1)
    assert found.is_won
    assert contests(score(validation(cell))) == []  # without a saturation it says nothing
