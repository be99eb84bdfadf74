"""Two classes of requests at one server: each waits as long, and is served its own time.

Poisson arrivals whose class is drawn by weight are M/G/1 with the mixture as service time. First
come, first served, blind to the class: the mean wait is Pollaczek and Khinchine's for both, and a
class's mean response is that wait and its own mean service.
"""

import pytest
from agreement import Load, assert_agrees, replicate
from formulas import mg1_wait

from iosim.record import Record
from iosim.scenario import Scenario, from_data

SHORT_NS, LONG_NS = 50_000, 400_000
LONG_SHARE = 0.1
MEAN_NS = (1 - LONG_SHARE) * SHORT_NS + LONG_SHARE * LONG_NS
SECOND_MOMENT = (1 - LONG_SHARE) * 2 * SHORT_NS**2 + LONG_SHARE * LONG_NS**2
LOAD = Load(MEAN_NS, 0.6)


def two_classes(requests: int) -> Scenario:
    data = LOAD.scenario([], requests).to_data()
    data["server"] = {
        "classes": {
            "short": {"weight": 4.5, "handler": [{"cpu": {"exponential": "50us"}}]},
            "long": {"weight": 0.5, "handler": [{"cpu": "400us"}]},
        }
    }
    return from_data(data)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return replicate(two_classes(9_000), 10)


@pytest.mark.parametrize(
    ("name", "mean_ns", "within"), [("short", SHORT_NS, 0.15), ("long", LONG_NS, 0.1)]
)
def test_each_class_waits_as_pollaczek_and_khinchine_say(
    records: list[Record], name: str, mean_ns: int, within: float
) -> None:
    exact = mean_ns + mg1_wait(LOAD.rate_per_ns, MEAN_NS, SECOND_MOMENT)
    responses = [record.classes[name].responses for record in records]
    assert_agrees([r.total_ns / r.count for r in responses], exact, within)


def test_classes_are_as_frequent_as_their_weights_say(records: list[Record]) -> None:
    shares = [record.classes["long"].completed / record.completed for record in records]
    assert_agrees(shares, LONG_SHARE, 0.1)
