"""Which cells a scenario has, and at what rate both sides are asked."""

import pytest
from cases import scenario

from iosim.errors import UsageError
from iosim.scenario import from_data
from iosim.validation.cells import OWN, SATURATION, Cell, Load, asked_for, cells_of, parse_loads


def test_each_model_has_its_saturation_and_the_shares_of_it() -> None:
    both = scenario(models=["epoll", {"blocking": {"label": "threads"}}])
    found = [(cell.model, str(cell.load)) for cell in cells_of(both, (0.2, 0.8))]
    assert found == [
        *(("epoll", "saturation"), ("epoll", "20%"), ("epoll", "80%")),
        *(("threads", "saturation"), ("threads", "20%"), ("threads", "80%")),
    ]


def test_without_shares_the_scenario_s_own_load_is_asked() -> None:
    own = scenario(rate="5k/s")
    assert [cell.load for cell in cells_of(own)] == [SATURATION, OWN]
    assert asked_for(Cell(own, OWN), None) == own


def test_a_share_is_one_of_the_measured_saturation_and_nothing_else_changes() -> None:
    asked = asked_for(Cell(scenario(rate="5k/s"), Load(0.5)), 24_680.0)
    assert asked.workload.options.rate == 12_300
    assert asked == scenario(rate="12300/s")


def test_saturation_asks_as_fast_as_it_answers() -> None:
    asked = asked_for(Cell(scenario(), SATURATION), None)
    assert asked.workload.options.users == 8


def test_producers_and_consumers_have_their_own_load_alone() -> None:
    items = from_data(
        {
            "workload": {"producer_consumer": {"produce": "10us", "consume": "10us"}},
            "models": ["threads"],
        }
    )
    assert [cell.load for cell in cells_of(items)] == [OWN]
    with pytest.raises(UsageError, match="--loads are for a workload with one rate"):
        cells_of(items, (0.5,))


def test_only_shares_above_two_thirds_are_heavy() -> None:
    heavy = {str(load): load.is_heavy for load in (OWN, SATURATION, Load(0.5), Load(0.8))}
    assert heavy == {"own load": False, "saturation": False, "50%": False, "80%": True}


def test_shares_are_read() -> None:
    assert parse_loads("20%, 50%,80%,20%") == (0.2, 0.5, 0.8)
    for wrong in ("0%", "100%", "20", "20%,x", ""):
        with pytest.raises(UsageError, match="expected shares of saturation"):
            parse_loads(wrong)
