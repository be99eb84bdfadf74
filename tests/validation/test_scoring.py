"""Errors and bounds by hand arithmetic; what noise leaves unknown."""

from dataclasses import replace
from typing import Any

import pytest
from cases import REFERENCE, comparison, scenario, side, validation

from iosim.host_noise import HostNoise
from iosim.profile import FittedOn
from iosim.validation.cells import OWN, SATURATION, Load
from iosim.validation.doubts import DISTURBED, FEW, FITTED, HOST, NOISE, UNSTEADY
from iosim.validation.running import Comparison
from iosim.validation.scoring import Figure, figures_of, score

CPU = "cpu_time_per_request_ns"
SWITCHES = "switches_per_request"
P50 = "response_time_p50_ns"
P99 = "response_time_p99_ns"


def figure(metric: str, measured: Any, simulated: Any, **how: Any) -> Figure:
    """The only figure of a cell with one metric."""
    profile = how.pop("profile", REFERENCE)
    (found,) = figures_of(pair(metric, measured, simulated, **how), profile)
    return found


def pair(metric: str, measured: Any, simulated: Any, **how: Any) -> Comparison:
    disturbed = how.pop("disturbed", ())
    real = side(disturbed=disturbed, **{metric: measured})
    return comparison(real, side(**{metric: simulated}), **how)


def test_an_error_is_signed_and_relative_to_what_was_measured() -> None:
    found = figure(CPU, 20_000, 21_500)
    assert found.error == 1_500
    assert found.relative_error == pytest.approx(0.075)
    assert found.allowed == pytest.approx(1_000)  # 5%
    assert found.of_allowed == pytest.approx(1.5)
    assert found.is_scored and found.is_near  # within twice what is allowed
    assert figure(CPU, 20_000, 18_500).relative_error == pytest.approx(-0.075)
    assert not figure(CPU, 20_000, 23_000).is_near


@pytest.mark.parametrize(
    ("load", "most"), [(OWN, 0.05), (Load(0.2), 0.05), (Load(0.5), 0.05), (Load(0.8), 0.10)]
)
def test_twice_as_much_is_allowed_at_a_heavy_load(load: Load, most: float) -> None:
    assert figure(CPU, 10_000, 10_000, load=load).allowed == pytest.approx(most * 10_000)


def test_of_few_switches_an_absolute_error_is_allowed() -> None:
    assert figure(SWITCHES, 0.1, 0.14).allowed == pytest.approx(0.05)
    assert figure(SWITCHES, 0.1, 0.14).of_allowed == pytest.approx(0.8)
    assert figure(SWITCHES, 2.0, 2.0).allowed == pytest.approx(0.12)
    found = figure(SWITCHES, 0.0, 0.04)
    assert found.is_scored and found.of_allowed == pytest.approx(0.8)
    assert found.relative_error is None


def test_at_saturation_throughput_alone_counts() -> None:
    real = side(throughput_per_s=10_000, cpu_time_per_request_ns=1)
    (found,) = figures_of(comparison(real, side(throughput_per_s=11_000), SATURATION), REFERENCE)
    assert found.metric == "saturation_per_s"
    assert found.allowed == pytest.approx(800)


def test_what_has_no_bound_is_told_and_not_scored() -> None:
    found = figure("events_per_wait", 2.0, 3.0)
    assert found.relative_error == 0.5
    assert found.allowed is None and found.unscored is None and not found.is_scored


def test_a_measured_interval_wider_than_the_bound_is_noise() -> None:
    # Three values apart by d have a half width of 4.303 d / sqrt(3).
    narrow, wide = (9_900, 10_000, 10_100), (9_600, 10_000, 10_400)
    assert figure(CPU, narrow, 12_000).unscored is None  # 248 of the 500 that are allowed
    assert figure(CPU, wide, 12_000).unscored == NOISE  # 994
    assert figure(CPU, wide, 12_000, load=Load(0.8)).unscored is None  # of 1,000
    assert figure(P50, wide, 12_000).unscored is None  # of 1,500


def test_disturbed_runs_are_left_out_and_two_must_remain() -> None:
    values, one = (10_000, 90_000, 10_000), ((), ("stolen",), ())
    found = figure(CPU, values, 10_000, disturbed=one)
    assert found.measured.mean == 10_000 and found.is_scored
    two = (("others",), ("stolen",), ())
    found = figure(CPU, values, 10_000, disturbed=two)
    assert found.unscored == DISTURBED
    assert found.measured.mean == 10_000  # what is left is shown all the same


def test_requests_sent_late_spoil_response_times_alone() -> None:
    late = (("late_p99",), ("late_p50",), ("late_p99",))
    assert figure(P50, 10_000, 10_000, disturbed=late).unscored == DISTURBED
    assert figure(CPU, 10_000, 10_000, disturbed=late).is_scored


def test_tails_are_scored_where_the_host_s_noise_is_replayed() -> None:
    assert figure(P99, 10_000, 10_000).unscored == HOST
    noisy = scenario(machine={"cores": 1, "host_noise": {"stolen": {}}})
    assert figure(P99, 10_000, 10_000, of=noisy).is_scored


@pytest.mark.parametrize(
    ("stationary", "unscored"), [(True, None), (False, UNSTEADY), (None, UNSTEADY)]
)
def test_no_tail_is_scored_by_a_record_that_is_not_known_to_be_stationary(
    stationary: bool | None, unscored: str | None
) -> None:
    table = ((0, 100_000), (1_000_000, 300_000))
    profile = replace(REFERENCE, noise=HostNoise(table, table, 0.01, stationary))

    def told(stolen: Any) -> Figure:
        asked = scenario(machine={"cores": 1, "host_noise": {"stolen": stolen}})
        return figure(P99, 10_000, 10_000, of=asked, profile=profile)

    assert told({}).unscored == unscored
    gap, length = {"exponential": "9ms"}, {"exponential": "1ms"}
    assert told({"gap": gap}).unscored == unscored
    assert told({"gap": gap, "length": length}).is_scored  # what the profile has is not replayed
    assert figure(CPU, 10_000, 10_000, profile=profile).is_scored


def test_one_value_is_not_enough() -> None:
    assert figure(CPU, (10_000,), 10_000).unscored == FEW
    assert figure(CPU, 10_000, ()).unscored == FEW


def test_near_is_also_what_two_real_runs_differ_by() -> None:
    # Twelve runs of which half are 20% below and half 20% above: their mean is known within 13%,
    # and two of them differ by up to 2.77 standard deviations of 2,089.
    wild = (8_000, 12_000) * 6
    found = figure(P50, wild, 15_500)
    assert found.differ == pytest.approx(2.772 * 2_089, rel=0.001)
    assert found.is_scored and found.of_allowed > 2
    assert found.is_near
    assert not figure(P50, wild, 16_000).is_near
    assert not figure(P50, 10_000, 13_100).is_near


def cells(*errors: float) -> list[Comparison]:
    """Cells of which the CPU time is off by these parts."""
    return [pair(CPU, 10_000, 10_000 * (1 + error)) for error in errors]


def test_the_median_counts_and_nine_in_ten_must_be_near() -> None:
    (verdict,) = score(validation(*cells(*[0.04] * 6, *[0.09] * 4))).verdicts()
    assert verdict.median_error == pytest.approx(0.04)
    assert verdict.median_of_allowed == pytest.approx(0.8)
    assert (verdict.near, verdict.is_reached) == (1, True)
    (verdict,) = score(validation(*cells(*[0.04] * 8, *[0.3] * 2))).verdicts()
    assert verdict.near == pytest.approx(0.8)
    assert verdict.is_reached is False
    (verdict,) = score(validation(*cells(0.06, 0.07, 0.02))).verdicts()
    assert verdict.is_reached is False  # a median of 6%


def test_heavy_loads_are_judged_apart() -> None:
    light, heavy = pair(CPU, 100, 104), pair(CPU, 100, 109, load=Load(0.8))
    found = score(validation(light, heavy))
    assert [(v.heavy, v.is_reached) for v in found.verdicts()] == [(False, True), (True, True)]
    assert found.is_reached is True


def test_what_nobody_could_score_is_neither_good_nor_bad() -> None:
    noisy = pair(CPU, (5_000, 10_000, 15_000), 10_000)
    found = score(validation(noisy))
    assert [verdict.is_reached for verdict in found.verdicts()] == [None]
    assert found.is_reached is None


def test_the_largest_errors_first() -> None:
    found = score(validation(*cells(0.2, 0.01, -0.4)))
    assert [figure.relative_error for figure in found.large()] == pytest.approx([-0.4, 0.2])


def test_an_error_of_a_run_is_no_figure() -> None:
    failed = comparison(side(error="no such server"), side())
    assert failed.error == "no such server"
    assert score(validation(failed)).figures == ()


def test_runs_that_the_profile_was_fitted_to_are_not_scored() -> None:
    fitted = replace(REFERENCE, fitted_on=(FittedOn("epoll", "native", 16, 20_000, 5_000.0),))
    connections = {"open": {"rate": "5k/s", "connections": {"total": 16}}}
    used = pair(CPU, 10_000, 10_000, of=scenario(workload=connections))
    other = pair(CPU, 10_000, 10_000, of=scenario("select", workload=connections))
    found = [f.unscored for f in score(validation(used, other, profile=fitted)).figures]
    assert found == [FITTED, None]
    found = [f.unscored for f in score(validation(used, other)).figures]
    assert found == [None, None]


def test_what_only_one_side_knows_is_told_without_an_error() -> None:
    real = side(disturbed=((), ("stolen",), ()), syscalls_per_request=2.0)
    told = side(syscalls_per_request=2.5, syscalls_futex_per_request=0.5, events_per_wait=1.0)
    found = {figure.metric: figure for figure in figures_of(comparison(real, told), REFERENCE)}
    assert found["events_per_wait"].error is None
    assert found["events_per_wait"].unscored == DISTURBED
    assert found["syscalls_futex_per_request"].error == 0.5  # it made none
    assert found["syscalls_per_request"].relative_error == 0.25
