"""The wheel: all that iosim needs is in it, and it runs in an empty folder far from the checkout.

It is built from the checkout and unpacked; no installer is asked, and no network. The sdist holds
what the wheel is built from, and the tests.
"""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(unpacked: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "iosim", "scenarios"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not tracked:
        pytest.skip("not a checkout")
    assert {re.sub("^scenarios/", "iosim/_scenarios/", path) for path in tracked} <= held
    assert {name.partition("/")[0] for name in held if not name.startswith("iosim-")} == {"iosim"}


def test_it_runs_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    where = run(unpacked, tmp_path, "-c", "import iosim; print(iosim.__file__)")
    assert Path(where.strip()) == unpacked / "iosim" / "__init__.py"
    assert "quickstart" in run(unpacked, tmp_path, "-m", "iosim", "examples")
    assert "quickstart.yaml\n" in run(unpacked, tmp_path, "-m", "iosim", "examples", "quickstart")
    tables = run(
        unpacked, tmp_path, "-m", "iosim", "run", "quickstart.yaml",
        "--set", "run.duration=5ms", "--replications", "2", "--jobs", "1",
    )  # fmt: skip
    assert "thread_pool_callbacks" in tables


def test_the_sdist_holds_what_the_wheel_is_built_from(tmp_path: Path) -> None:
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(built) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml", "LICENSE", "iosim/__init__.py", "scenarios/quickstart.yaml",
        "tests/docs/test_wheel.py", "docs/topics/machine.md",
    } <= held  # fmt: skip
