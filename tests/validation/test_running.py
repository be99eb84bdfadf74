"""Both sides of every cell: at the same rate, kept as they come, and stopped where wanted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import REFERENCE, scenario, side

from iosim.profile import with_costs
from iosim.scenario import Scenario
from iosim.validation import sides
from iosim.validation.cells import SATURATION, Load
from iosim.validation.keeping import Kept
from iosim.validation.running import run_cells
from iosim.validation.sides import Side, simulated

SHORT = scenario(run={"duration": "30ms", "replications": 3})
SLOWER = with_costs(REFERENCE, {"recvfrom": "x2"})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Scenario]:
    """What the real servers were asked for; reality is simulated, with slower receiving."""
    found: list[Scenario] = []

    def measured(scenario: Scenario, **how: Any) -> Side:
        found.append(scenario)
        return replace(simulated(scenario, SLOWER), about={"machine": "made up", "date": "2026"})

    monkeypatch.setattr(sides, "measured", measured)
    return found


def test_both_sides_are_asked_at_shares_of_the_measured_saturation(asked: list[Scenario]) -> None:
    found = run_cells([SHORT], REFERENCE, (0.2, 0.5))
    assert [comparison.cell.load for comparison in found.comparisons] == [
        SATURATION,
        Load(0.2),
        Load(0.5),
    ]
    at_most, light, half = found.comparisons
    most_per_s = at_most.measured.estimate("throughput_per_s").mean
    simulated_per_s = at_most.simulated.estimate("throughput_per_s").mean
    assert most_per_s and simulated_per_s and simulated_per_s > 1.02 * most_per_s
    for comparison, share in ((light, 0.2), (half, 0.5)):
        rate_per_s = comparison.scenario.workload.options.rate
        assert rate_per_s == pytest.approx(share * most_per_s, rel=0.005)
        assert comparison.simulated == simulated(comparison.scenario, REFERENCE)
    assert asked == [comparison.scenario for comparison in found.comparisons]
    assert found.saturation_of(half.cell) is at_most
    assert found.missing == 0


def test_what_is_kept_is_not_run_again(asked: list[Scenario], tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    first = run_cells([SHORT], REFERENCE, (0.2,), Kept(path))
    again = run_cells([SHORT], REFERENCE, (0.2,), Kept(path))
    assert len(asked) == 2
    assert again.comparisons == first.comparisons
    run_cells([SHORT], SLOWER, (0.2,), Kept(path))  # another profile: simulated again
    assert len(asked) == 2
    assert len(path.read_text().splitlines()) == 6
    run_cells(
        [scenario(rate="4k/s", run={"duration": "30ms", "replications": 3})],
        REFERENCE,
        (0.2,),
        Kept(path),
    )
    assert len(asked) == 2  # the rate is the saturation's part, whatever it was before


def test_killed_in_the_middle_it_goes_on_from_there(
    asked: list[Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.jsonl"
    whole = run_cells([SHORT], REFERENCE, (0.2, 0.5))
    asked.clear()
    calls = iter(range(100))

    def killed(scenario: Scenario, *how: Any) -> Side:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return simulated(scenario, *how)

    monkeypatch.setattr(sides, "simulated", killed)
    cut = run_cells([SHORT], REFERENCE, (0.2, 0.5), Kept(path))
    assert (len(cut.comparisons), cut.missing, cut.interrupted) == (1, 2, True)
    again = run_cells([SHORT], REFERENCE, (0.2, 0.5), Kept(path))
    assert again.comparisons == whole.comparisons
    assert len(asked) == 3  # each real run once


def test_no_cell_is_begun_when_the_budget_is_used_up(asked: list[Scenario]) -> None:
    found = run_cells([SHORT], REFERENCE, (0.2,), budget_s=0)
    assert (found.comparisons, found.missing, found.interrupted) == ((), 2, False)
    assert asked == []


def test_a_model_without_a_server_is_an_error_of_its_cells_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sides, "measured", lambda scenario, **how: side(error="no server"))
    found = run_cells([SHORT], REFERENCE, (0.2,))
    assert [comparison.error for comparison in found.comparisons] == ["no server", "no server"]


def test_progress_is_told(asked: list[Scenario]) -> None:
    told = []
    run_cells([SHORT], REFERENCE, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
