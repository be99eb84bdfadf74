"""Bursts and rates that vary: when each request is meant to be sent, with equal gaps."""

from itertools import islice
from typing import Any

import pytest

from iosim.choice import Chosen
from iosim.machine.alarm import FAR_NS
from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once
from iosim.streams import Streams
from iosim.workloads import on_off, varying

START_NS = 5_000


def times(module: Any, count: int, **options: Any) -> list[int]:
    """The first intended times in us, from the start."""
    chosen = module.Options.model_validate({"arrivals": "deterministic", **options})
    found = islice(module.intended_times(chosen, Streams(1, 0), START_NS), count)
    return [(at_ns - START_NS) // 1_000 for at_ns in found]


def test_equal_gaps_go_on_over_a_pause() -> None:
    """On for 25 us, then off for 100; a gap is 10 us of time that is on.

    On again at 125: 5 us of the third gap have passed. On again at 250, when a gap has
    just come to its end.
    """
    found = times(on_off, 7, rate="100k/s", on="25us", off="100us")
    assert found == [10, 20, 130, 140, 250, 260, 270]


def test_spells_shorter_than_a_gap_add_up() -> None:
    """On for 4 us of every 10: ten such us are over within the third spell."""
    assert times(on_off, 3, rate="100k/s", on="4us", off="6us") == [22, 50, 72]


def test_after_the_end_of_time_nothing_comes() -> None:
    options = on_off.Options.model_validate({"rate": "1/s", "on": "1us", "off": "100h"})
    assert next(on_off.intended_times(options, Streams(1, 0), 0)) == FAR_NS


def test_a_spell_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="spells that last"):
        on_off.Options.model_validate({"rate": "1/s", "on": "0s", "off": "1s"})


def test_each_piece_has_its_rate_and_the_first_follows_the_last() -> None:
    """20 us at one in 10 us, 10 us at one in 5; and again."""
    rates = [{"for": "20us", "rate": "100k/s"}, {"for": "10us", "rate": "200k/s"}]
    found = times(varying, 9, rates=rates)
    assert found == [10, 20, 25, 30, 40, 50, 55, 60, 70]


def test_a_gap_that_spans_two_pieces_is_part_slow_part_fast() -> None:
    """15 us at one in 10: half a request is due; the other half takes 2.5 us at one in 5."""
    rates = [{"for": "15us", "rate": "100k/s"}, {"for": "10us", "rate": "200k/s"}]
    assert times(varying, 4, rates=rates) == [10, 17, 22, 30]


def test_nothing_comes_in_a_quiet_piece() -> None:
    """What is due at 20, when the quiet piece begins, comes then; the next one 10 us after 50."""
    rates = [{"for": "20us", "rate": "100k/s"}, {"for": "30us", "rate": "0/s"}]
    assert times(varying, 5, rates=rates) == [10, 20, 60, 70, 110]
    assert times(varying, 4, rates=rates[::-1]) == [40, 50, 90, 100]


def test_quiet_pieces_follow_each_other() -> None:
    """Half of what is due comes from either side of the night."""
    quiet = [{"for": "10us", "rate": "0/s"}, {"for": "7us", "rate": "0/s"}]
    rates = [{"for": "15us", "rate": "100k/s"}, *quiet, {"for": "10us", "rate": "200k/s"}]
    assert times(varying, 4, rates=rates) == [10, 34, 39, 47]


def test_a_rounding_error_does_not_carry_an_arrival_over_the_night() -> None:
    """3 times 0.1, which is a little more than 0.3, is due in the third day at its end."""
    rates = [{"for": "100us", "rate": "1k/s"}, {"for": "1ms", "rate": "0/s"}]
    assert times(varying, 3, rates=rates) == [1_100 * day + 100 for day in (9, 19, 29)]


def test_in_poisson_arrivals_the_night_is_quiet() -> None:
    rates = [{"for": "1ms", "rate": "100k/s"}, {"for": "1ms", "rate": "0/s"}]
    found = times(varying, 10_000, rates=rates, arrivals="poisson")
    assert all(at_us % 2_000 <= 1_000 for at_us in found)
    # Half the time, so half the mean rate: 10,000 of them, within four standard errors.
    assert abs(found[-1] / 200_000 - 1) < 0.04


def test_one_rate_at_least_is_above_zero() -> None:
    with pytest.raises(ValueError, match="a rate above 0/s in one of them"):
        varying.Options.model_validate({"rates": [{"for": "1s", "rate": "0/s"}]})


def test_the_server_is_asked_at_these_times() -> None:
    rates = [{"for": "200us", "rate": "10k/s"}, {"for": "100us", "rate": "20k/s"}]
    scenario = from_data(
        {
            "workload": {"varying": {"rates": rates, "arrivals": "deterministic"}},
            "models": ["epoll"],
            "run": {"duration": "1ms", "warm_up": "none"},
        }
    )
    record = run_once(scenario, Chosen("epoll", scenario.models[0].options), load("free").costs, 0)
    asked = sorted(request.intended_ns for request in record.requests)
    assert [at_ns - asked[0] for at_ns in asked[:5]] == [0, 100_000, 150_000, 200_000, 300_000]


def test_what_is_written_down_reads_back() -> None:
    rates = [{"for": "20us", "rate": "100k/s"}]
    scenario = from_data({"workload": {"varying": {"rates": rates}}, "models": ["epoll"]}, True)
    again = scenario.to_data()
    assert again["workload"]["varying"]["rates"][0]["for"] == "20us"
    assert from_data(again, True) == scenario
