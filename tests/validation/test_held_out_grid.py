"""The held-out grid: its size, its balance, and that no fit has seen any of it."""

from collections import Counter
from dataclasses import astuple
from hashlib import sha256

from iosim.calibration import light_runs
from iosim.planning import twins
from iosim.plugins import kinds
from iosim.units import parse_duration
from iosim.validation import grid
from iosim.validation.cells import SATURATION, cells_of

CHOSEN = "7a174f4fd3d11f28"
"""The design was chosen before anything was compared; it may not be chosen again."""


def test_it_is_the_design_that_was_chosen() -> None:
    text = "\n".join(" ".join(map(str, astuple(point))) for point in grid.design())
    assert sha256(text.encode()).hexdigest()[:16] == CHOSEN


def test_every_model_with_a_twin_is_in_it_but_for_those_that_came_later() -> None:
    serving = {
        name
        for name, module in kinds("io_models").items()
        if getattr(module, "SERVES", "requests") == "requests"
    }
    for runtime, models in grid.RUNTIMES.items():
        assert set(models) == serving & set(twins(runtime)) - grid.LATER


def test_it_has_enough_cells() -> None:
    cells = [cell for scenario in grid.scenarios() for cell in cells_of(scenario, grid.SHARES)]
    assert sum(cell.load != SATURATION for cell in cells) == 288
    assert len({(cell.scenario.digest, cell.load) for cell in cells}) == len(cells) == 384


def test_each_level_of_each_factor_occurs_equally_often_with_each_model() -> None:
    by_model: dict[tuple[str, str], list[grid.Point]] = {}
    for point in grid.design():
        by_model.setdefault((point.runtime, point.model), []).append(point)
    assert len(by_model) == 24
    for points in by_model.values():
        assert sorted(point.connections for point in points) == list(grid.CONNECTIONS)
        assert sorted((point.demand, point.device) for point in points) == sorted(grid.WORK)


def test_each_combination_has_three_models_that_can_be_put_in_order() -> None:
    combinations = Counter(
        (point.runtime, point.connections, point.demand, point.device) for point in grid.design()
    )
    assert len(combinations) == 2 * 4 * 4
    assert set(combinations.values()) == {3}


def test_no_point_is_one_that_calibration_fits_to() -> None:
    fitted = {(model, grid.FITTED_CONNECTIONS, *grid.FITTED_WORK) for model in grid.FITTED}
    assert not fitted & {(p.model, p.connections, p.demand, p.device) for p in grid.design()}
    assert set(light_runs.MODELS) == grid.FITTED
    assert light_runs.CONNECTIONS == grid.FITTED_CONNECTIONS
    demand, called = grid.FITTED_WORK
    assert (parse_duration(demand), called) == (light_runs.DEMAND_NS, False)
    # There are such points: the rule has to leave them out.
    assert fitted & {(m, c, *w) for m in grid.MODELS for c in grid.CONNECTIONS for w in grid.WORK}


def test_parts_make_up_the_whole() -> None:
    parts = [scenario for k in range(1, 8) for scenario in grid.scenarios(k, 7)]
    assert len(parts) == 96
    assert {s.digest for s in parts} == {s.digest for s in grid.scenarios()}
