"""`validate`: from scenarios to an assessment, with reality simulated."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cases import REFERENCE, as_if_measured, scenario, validation

import iosim
from iosim.errors import UsageError
from iosim.profile import Profile, with_costs
from iosim.scenario import Scenario
from iosim.validation import sides
from iosim.validation.assessing import assess
from iosim.validation.attribution import Attribution
from iosim.validation.scoring import Figure
from iosim.validation.sides import Side, simulated

DEARER = with_costs(REFERENCE, {"recvfrom": "x4", "sendto": "x4"})


@pytest.fixture(autouse=True)
def _reality(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(scenario: Scenario, **how: Any) -> Side:
        return replace(simulated(scenario, DEARER), about={"machine": "made up", "date": "2026"})

    monkeypatch.setattr(sides, "measured", measured)


def test_where_simulator_and_reality_are_the_same_all_is_reached() -> None:
    found = iosim.validate(scenario(), DEARER)
    assert found.scored.is_reached is True
    assert found.attributions == ()
    assert {figure.error for figure in found.scored.figures if figure.is_scored} == {0.0}


def test_a_file_and_a_profile_s_name(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(scenario().model_dump_json())
    found = iosim.validate(path, "reference", shares=[0.5], explain=0)
    assert [str(c.cell.load) for c in found.validation.comparisons] == ["saturation", "50%"]
    assert found.validation.profile.name == "reference"
    assert found.scored.is_reached is False


def test_the_worst_cells_are_explained_and_no_more_than_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explained = []

    def told(figures: list[Figure], profile: Profile) -> Attribution:
        explained.append({figure.comparison.cell.name for figure in figures})
        return Attribution("", {}, ())

    monkeypatch.setattr("iosim.validation.assessing.attribute", told)
    near, far = as_if_measured(scenario()), as_if_measured(scenario("select"), recvfrom="x9")
    assert len(assess(validation(near, far), explain=1).attributions) == 1
    assert explained == [{far.cell.name}]
    assert assess(validation(near, far), explain=0).attributions == ()


def test_interrupted_while_explaining_it_keeps_what_was_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iosim.validation.assessing.attribute", interrupted)
    found = assess(validation(as_if_measured(scenario("select"), recvfrom="x9")))
    assert found.validation.interrupted
    assert found.scored.figures and found.attributions == ()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a scenario or more"):
        iosim.validate([])
    with pytest.raises(UsageError, match="explain: expected a number"):
        iosim.validate(scenario(), explain=-1)
    with pytest.raises(UsageError, match="did you mean 'reference'"):
        iosim.validate(scenario(), "referense")
