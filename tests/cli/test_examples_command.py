"""`iosim examples`: every shipped scenario is listed, and a copy runs where it was copied to."""

from pathlib import Path

import pytest
from commandline import iosim

from iosim.examples import examples, names
from iosim.scenario import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def test_all_are_listed_each_with_what_it_shows() -> None:
    shipped = {
        path.relative_to(SCENARIOS).with_suffix("").as_posix() for path in SCENARIOS.rglob("*.yaml")
    }
    assert set(names()) == shipped
    listed = iosim("examples").out
    for example in examples():
        assert example.name in listed
        assert len(example.shows.split()) > 2, example.name
        assert "yaml-language-server" not in example.shows


def test_a_copy_has_the_files_that_it_names(tmp_path: Path) -> None:
    done = iosim("examples", "trace_replay", "quickstart", "-o", tmp_path / "new")
    assert done.out.splitlines() == [
        str(tmp_path / "new" / f"{name}.yaml") for name in ("trace_replay", "quickstart")
    ]
    assert load(tmp_path / "new" / "trace_replay.yaml").models
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".yaml", ".csv"}


def test_all_are_copied_if_none_is_named_and_all_load(tmp_path: Path) -> None:
    iosim("examples", "-o", tmp_path)
    for name in names():
        text = (tmp_path / f"{name}.yaml").read_text(encoding="utf-8")
        assert "yaml-language-server" not in text  # its path holds beside the package alone
        assert load(tmp_path / f"{name}.yaml").models


def test_a_file_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quickstart.yaml").write_text("mine")
    refused = iosim("examples", "burst", "quickstart")
    assert refused.code == 2
    assert "quickstart.yaml exists already (--force overwrites it)" in refused.err
    assert Path("quickstart.yaml").read_text() == "mine"
    assert not Path("burst.yaml").exists()
    assert iosim("examples", "quickstart", "--force").code == 0
    assert load(Path("quickstart.yaml")).models


def test_an_unknown_name_is_told(tmp_path: Path) -> None:
    refused = iosim("examples", "quikstart", "nothing at all", "-o", tmp_path)
    assert refused.code == 2
    assert "did you mean 'quickstart'?" in refused.err
    assert "'nothing at all'" in refused.err


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("")
    refused = iosim("examples", "quickstart", "-o", tmp_path / "here")
    assert refused.code == 2
    assert "expected a folder to write to" in refused.err
