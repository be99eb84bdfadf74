"""Which of two models is ahead, on both sides."""

from typing import Any

from cases import comparison, scenario, side, validation

from iosim.validation.cells import SATURATION, Load
from iosim.validation.ordering import orders
from iosim.validation.running import Comparison
from iosim.validation.scoring import score

HALF = Load(0.5)


def cell(model: str, measured: Any, simulated: Any, load: Load = HALF) -> Comparison:
    """CPU time of one model."""
    real, told = (side(cpu_time_per_request_ns=values) for values in (measured, simulated))
    return comparison(real, told, load, scenario(model))


def test_the_same_order_agrees_and_another_does_not() -> None:
    cells = [
        cell("epoll", 20_000, 21_000),
        cell("select", 30_000, 25_000),
        cell("poll", 40_000, 24_000),
    ]
    (found,) = orders(score(validation(*cells)).figures)
    assert (found.metric, found.pairs) == ("cpu_time_per_request_ns", 3)
    assert [[f.comparison.cell.model for f in pair] for pair in found.wrong] == [["select", "poll"]]


def test_equal_simulated_figures_are_no_order() -> None:
    cells = [cell("epoll", 20_000, 25_000), cell("select", 30_000, 25_000)]
    (found,) = orders(score(validation(*cells)).figures)
    assert len(found.wrong) == 1


def test_overlapping_measured_intervals_are_no_order() -> None:
    wide = (19_000, 20_000, 21_000)
    cells = [cell("epoll", wide, 1), cell("select", 22_000, 2), cell("poll", 23_000, 3)]
    (found,) = orders(score(validation(*cells)).figures)
    assert found.pairs == 2  # poll above each of the others; 20,000 +- 2,484 reaches 22,000


def test_other_loads_and_conditions_are_not_compared() -> None:
    cells = [cell("epoll", 20_000, 1), cell("select", 30_000, 2, Load(0.8))]
    assert orders(score(validation(*cells)).figures) == []


def test_saturation_has_an_order_too() -> None:
    cells = [
        comparison(side(throughput_per_s=real), side(throughput_per_s=told), SATURATION, of)
        for of, real, told in ((scenario(), 10, 9), (scenario("select"), 5, 6))
    ]
    (found,) = orders(score(validation(*cells)).figures)
    assert (found.metric, found.pairs, found.wrong) == ("saturation_per_s", 1, ())
