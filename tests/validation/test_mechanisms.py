"""Mechanisms: every cost belongs to one, and each is changed as it says."""

from collections import Counter
from math import log

import pytest
from cases import REFERENCE, scenario

from iosim.profile import COST_NAMES
from iosim.validation.mechanisms import ALL, GROUPS, Noise


def test_every_cost_in_ns_belongs_to_exactly_one() -> None:
    named = Counter(cost for group in GROUPS for cost in group.costs)
    times = {
        name
        for name in COST_NAMES
        if REFERENCE.entries[name].unit == "ns" and not name.startswith("stolen_")
    }
    assert set(named) == times
    assert set(named.values()) == {1}
    assert len({mechanism.name for mechanism in ALL}) == len(ALL)


def test_a_group_s_costs_are_multiplied_together() -> None:
    (wake_up,) = [group for group in GROUPS if group.name == "wake-up"]
    asked, profile = wake_up.changed(scenario(), REFERENCE, log(2))
    assert asked == scenario()
    assert profile.costs.wake_up_ns == 2 * REFERENCE.costs.wake_up_ns
    assert profile.costs.idle_exit_ns[0][1] == 2 * REFERENCE.costs.idle_exit_ns[0][1]
    assert profile.costs.context_switch_ns == REFERENCE.costs.context_switch_ns
    assert wake_up.told(log(2)) == "wake-up x2"


def test_noise_takes_a_part_of_the_cores() -> None:
    noise = Noise()
    asked, profile = noise.changed(scenario(), REFERENCE, 0.25)
    assert profile is REFERENCE
    assert asked.machine.host_noise is not None and asked.machine.host_noise.stolen is not None
    stolen = asked.machine.host_noise.stolen
    assert stolen.gap is not None and stolen.length is not None
    length_ns, gap_ns = stolen.length.options.mean_ns(), stolen.gap.options.mean_ns()
    assert length_ns / (length_ns + gap_ns) == pytest.approx(0.25)
    assert noise.changed(scenario(), REFERENCE, 0.0) == (scenario(), REFERENCE)
    assert noise.told(0.25) == "noise: the host takes 25%"
