"""Plug-ins: iosim's own, and a third party's that is found through its entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iosim.errors import PluginError
from iosim.plugins import NEEDS, first_line, kinds

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).parents[1] / "plugin_package"

FOLDERS = sorted(NEEDS)
EVERY_KIND = [(folder, name) for folder in FOLDERS for name in kinds(folder)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_one_file_is_one_kind(folder: str) -> None:
    files = {path.stem for path in (ROOT / "iosim" / folder).glob("*.py")} - {"__init__"}
    assert files <= set(kinds(folder))
    assert files


@pytest.mark.parametrize(("folder", "name"), EVERY_KIND)
def test_a_kind_says_what_it_is(folder: str, name: str) -> None:
    module = kinds(folder)[name]
    assert 10 < len(first_line(module)) <= 100
    if folder == "metrics":
        for metric in (*module.NAMES.values(), *getattr(module, "PATTERNS", {}).values()):
            assert metric.unit
            assert metric.description.endswith(".")
        return
    options = module.Options
    assert options.__doc__
    assert options.model_config["frozen"]
    for key, field in options.model_fields.items():
        assert field.description, key
        assert field.description.endswith("."), key


def announced(folder: Path, name: str, value: str) -> Path:
    """Write what an installed distribution with one I/O model leaves behind."""
    info = folder / "iosim_third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: iosim-third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[iosim.io_models]\n{name} = {value}\n")
    return folder


def run(program: str, *folders: Path, **scenario: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter that finds these folders."""
    path = os.pathsep.join(str(folder) for folder in (ROOT, PACKAGE, *folders))
    return subprocess.run(
        [sys.executable, "-c", program, json.dumps(scenario)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SIMULATE = """
import json, sys
from iosim.scenario import from_data
from iosim.simulation import simulate
results = simulate(from_data(json.loads(sys.argv[1])))
for model in results.models:
    record = model.records[0]
    print(model.label, record.offered == record.completed + record.in_flight, record.completed,
          all(sum(core.values()) == record.window_ns for core in record.cores_ns))
"""


def test_a_third_partys_model_is_found_and_runs(tmp_path: Path) -> None:
    done = run(
        SIMULATE,
        announced(tmp_path, "one_by_one", "iosim_one_by_one"),
        workload={"open": {"rate": "1k/s", "connections": {"total": 2}}},
        server={"handler": [{"cpu": "20us"}]},
        models=["one_by_one", {"one_by_one": {"rounds": 2, "label": "two by two"}}, "epoll"],
        run={"duration": "50ms", "replications": 1, "warm_up": "none"},
    )
    assert done.stderr == ""
    lines = [line.rsplit(maxsplit=3) for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["one_by_one", "two by two", "epoll"]
    for label, nothing_lost, completed, accounted in lines:
        assert (nothing_lost, accounted) == ("True", "True")
        assert int(completed) > 0
        # It waits on one connection for what comes on the other.
        assert int(completed) < 49 or label == "epoll"


def test_without_its_entry_point_it_is_not_known(tmp_path: Path) -> None:
    done = run(
        SIMULATE,
        tmp_path,
        workload={"open": {"rate": "1k/s"}},
        models=["one_by_one"],
        run={"duration": "50ms"},
    )
    assert "models[0]: expected one I/O model: " in done.stderr
    assert "found 'one_by_one'" in done.stderr


def iosim(*args: str, folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in an interpreter that finds a third party's package."""
    path = os.pathsep.join(str(each) for each in (ROOT, PACKAGE, folder))
    return subprocess.run(
        [sys.executable, "-m", "iosim", *args],
        env={**os.environ, "PYTHONPATH": path},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SMALL = """\
workload: {open: {rate: 1k/s, connections: {total: 2}}}
models: [MODEL]
run: {duration: 5ms, replications: 1, warm_up: none}
"""

MODULE = '"""A model of a third party."""\nfrom iosim.choice import Options as Base\n'
BROKEN = {
    "no Options": ('"""A model."""\ndef main(kernel, server, options): yield', "lacks Options"),
    "Options of another kind": (
        '"""A model."""\nclass Options: pass\ndef main(kernel, server, options): yield',
        "has Options that do not derive from iosim.choice.Options",
    ),
    "no program": (f"{MODULE}class Options(Base): pass", "lacks main"),
    "a label of its own": (
        f"{MODULE}class Options(Base):\n    label: str = ''\ndef main(k, s, o): yield",
        "has an option 'label'",
    ),
    "an option of no known type": (
        f"{MODULE}class Options(Base):\n    a: object.__init__\ndef main(k, s, o): yield",
        "has Options that pydantic refuses: ",
    ),
    "a slip": ('"""A model."""\nimport no_such_module', "cannot be imported: ModuleNotFoundError"),
    "no Python": ('"""A model."""\ndef main(:', "cannot be imported: SyntaxError"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_plug_in_breaks_nothing_but_itself(how: str, tmp_path: Path) -> None:
    text, reason = BROKEN[how]
    (tmp_path / "theirs.py").write_text(f"{text}\n")
    folder = announced(tmp_path, "mymodel", "theirs")
    listed = iosim("list", "models", folder=folder)
    assert (listed.returncode, listed.stderr) == (0, "")
    told = " ".join(listed.stdout.split())
    assert f"mymodel broken, and left out: theirs {reason}" in told
    assert "epoll" in told
    fine = iosim("run", "-", folder=folder, stdin=SMALL.replace("MODEL", "epoll"))
    assert (fine.returncode, fine.stderr) == (0, "")
    for model in ("mymodel", "{mymodel: {}}"):
        named = iosim("run", "-", folder=folder, stdin=SMALL.replace("MODEL", model))
        assert named.returncode == 2
        assert "found 'mymodel'; it is installed, but broken: theirs" in named.stderr
        assert reason in named.stderr
        assert len(named.stderr.splitlines()) == 1


def test_who_asks_for_a_broken_plug_in_is_told_why(tmp_path: Path) -> None:
    text, reason = BROKEN["no Options"]
    (tmp_path / "theirs.py").write_text(f"{text}\n")
    folder = announced(tmp_path, "mymodel", "theirs")
    for command in (("explain", "mymodel"), ("list", "models", "mymodel")):
        asked = iosim(*command, folder=folder)
        assert asked.returncode == 2
        assert reason in asked.stderr
        assert len(asked.stderr.splitlines()) == 1


def test_a_name_that_is_taken_stays_whose_it_is(tmp_path: Path) -> None:
    folder = announced(tmp_path, "epoll", "iosim_one_by_one")
    told = " ".join(iosim("list", "models", folder=folder).stdout.split())
    assert "left out: iosim_one_by_one: iosim.io_models has a 'epoll' already" in told
    assert iosim("explain", "epoll", folder=folder).stdout.startswith("epoll: ")


def test_iosims_own_must_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(kinds("io_models")["poll"], "Options")
    with pytest.raises(PluginError, match="'poll' in iosim.io_models\\) lacks Options"):
        kinds.__wrapped__("io_models")
