"""Sides in a file: found again, not mistaken for others, and safe from a crash."""

from pathlib import Path

import pytest
from cases import REFERENCE, scenario, side

from iosim.errors import UsageError
from iosim.profile import with_costs
from iosim.validation.keeping import Kept, measured_key, simulated_key

ONE, OTHER = side(p=1.0), side(p=2.0)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "sides.jsonl"
    Kept(path).put("measured a", "cell", ONE)
    Kept(path).put("simulated b", "cell", OTHER)
    again = Kept(path)
    assert (again.get("measured a"), again.get("simulated b")) == (ONE, OTHER)
    assert again.get("measured b") is None


def test_a_line_that_a_crash_cut_off_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "sides.jsonl"
    Kept(path).put("measured a", "cell", ONE)
    whole = path.read_text()
    path.write_text(whole + whole[: len(whole) // 2])
    again = Kept(path)
    assert again.get("measured a") == ONE
    again.put("measured b", "cell", OTHER)
    assert Kept(path).get("measured b") == OTHER


def test_simulated_sides_are_forgotten_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "sides.jsonl"
    kept = Kept(path)
    kept.put("measured a", "cell", ONE)
    kept.put("simulated a", "cell", ONE)
    again = Kept(path, forget_simulated=True)
    assert again.get("measured a") == ONE and again.get("simulated a") is None
    again.put("simulated a", "cell", OTHER)
    assert Kept(path).get("simulated a") == OTHER


def test_a_key_holds_all_that_a_side_depends_on() -> None:
    asked, dearer = scenario(), with_costs(REFERENCE, {"context_switch": "9us"})
    assert measured_key(asked) == measured_key(scenario())
    assert measured_key(asked) != measured_key(scenario(rate="6k/s"))
    assert simulated_key(asked, REFERENCE) != simulated_key(asked, dearer)
    assert simulated_key(asked, REFERENCE) != simulated_key(scenario(rate="6k/s"), REFERENCE)


def test_other_code_simulates_anew_and_what_was_measured_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = scenario()
    real, told = measured_key(asked), simulated_key(asked, REFERENCE)
    monkeypatch.setattr("iosim.validation.keeping.simulator", lambda: "other code")
    assert simulated_key(asked, REFERENCE) != told
    assert measured_key(asked) == real


def test_another_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sides.jsonl"
    Kept(path).put("measured a", "cell", ONE)
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(UsageError, match=r"sides\.jsonl:2: expected a line of"):
        Kept(path)
    with pytest.raises(UsageError, match="expected the folder"):
        Kept(tmp_path / "none" / "sides.jsonl")
    with pytest.raises(UsageError, match="cannot be read"):
        Kept(tmp_path)


def test_what_is_only_simulated_is_not_in_a_real_side_s_key() -> None:
    calm, noisy = (
        scenario(machine={"cores": 1, "host_noise": noise}) for noise in (None, {"stolen": {}})
    )
    assert measured_key(calm) == measured_key(noisy)
    assert simulated_key(calm, REFERENCE) != simulated_key(noisy, REFERENCE)
    assert measured_key(calm, {"load": "python"}) != measured_key(calm, {"load": None})
    assert measured_key(calm, {"load": None}) == measured_key(calm)
