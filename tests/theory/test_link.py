"""A link of finite bandwidth: messages of one size, sent at random, are M/D/1's customers.

Costs are zero and nothing is computed, so all of the response time is the network's. The
answers are of next to no size: their direction adds a constant.
"""

from math import ceil
from typing import Any

import pytest
from agreement import MANY, Load, assert_agrees, mean_part_ns, mean_response_ns, replicate
from formulas import mg1_wait

LATENCY_NS = 50_000
SIZE_BYTES = 10_000
CARRIED_NS = 100_000


def linked(load_factor: float, requests: int, **nic: Any) -> Any:
    load = Load(CARRIED_NS, load_factor)
    card = {"latency": f"{LATENCY_NS}ns", "bandwidth": "100MB/s", **nic}
    return load, load.scenario(
        [],
        requests,
        machine={"network": {"nic": card}},
        connections=MANY,
        request=f"{SIZE_BYTES}B",
        reply="1B",
    )


@pytest.mark.parametrize(
    ("load_factor", "requests", "within"), [(0.5, 9_000, 0.03), (0.8, 12_000, 0.1)]
)
def test_a_link_is_md1(load_factor: float, requests: int, within: float) -> None:
    load, scenario = linked(load_factor, requests)
    records = replicate(scenario, 10)
    wait_ns = mg1_wait(load.rate_per_ns, CARRIED_NS, CARRIED_NS**2)
    answer_ns = ceil(1e9 / 100e6)
    exact = LATENCY_NS + wait_ns + CARRIED_NS + answer_ns + LATENCY_NS
    assert_agrees(map(mean_response_ns, records), exact, within)
    assert_agrees(map(mean_part_ns("network"), records), exact, within)


def test_coalescing_makes_an_idle_card_wait_for_its_delay() -> None:
    """With next to no load each message is alone: all wait for the whole delay."""
    _, scenario = linked(0.001, 300, coalesce={"delay": "70us", "frames": 32})
    records = replicate(scenario, 5)
    exact = 2 * LATENCY_NS + CARRIED_NS + 10 + 70_000
    assert_agrees(map(mean_response_ns, records), exact, 0.002)
