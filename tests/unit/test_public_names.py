"""`import iosim`: what is public is found, and shown by completion before it is first used."""

import subprocess
import sys
from pathlib import Path

import pytest

import iosim


def test_dir_shows_every_public_name_before_its_first_use() -> None:
    program = "import iosim; print(*set(iosim.__all__) - set(dir(iosim)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


@pytest.mark.parametrize("path", ["a\0b", "none.yaml", "."])
def test_what_is_no_file_is_told(path: str) -> None:
    with pytest.raises(iosim.ScenarioError, match="expected a readable file, found"):
        iosim.load(path)
