"""`iosim run --live`: drawn on a terminal, and nowhere else."""

import json
import os
import re
from pathlib import Path

import pytest
from commandline import TINY, start

COLOUR = re.compile(r"\x1b\[[\d;]*m")
DRAWING = re.compile(r"\x1b\[[\d?;]*[A-Za-ln-z]")


def run(folder: Path, *args: str, terminal: bool, **env: str) -> tuple[str, str]:
    """What comes on stdout and on stderr, which is a terminal or not."""
    path = folder / "tiny.yaml"
    path.write_text(TINY)
    told, writer = os.openpty() if terminal else os.pipe()
    env = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **env}
    out = folder / "out"
    with out.open("wb") as file:
        process = start("run", path, "--live", *args, env=env, stdout=file, stderr=writer)
    os.close(writer)
    pieces = []
    try:
        while piece := os.read(told, 65_536):
            pieces.append(piece)
    except OSError:  # how a terminal whose other side is closed ends
        pass
    finally:
        os.close(told)
    assert process.wait(timeout=60) == 0
    return out.read_text(), b"".join(pieces).decode()


def test_on_a_terminal_percentiles_are_drawn_as_they_narrow(tmp_path: Path) -> None:
    out, err = run(tmp_path, "--json", "--jobs", "2", terminal=True)
    assert len(json.loads(out)["models"]) == 3
    assert "simulated 120 ms of 120 ms" in err
    plain = DRAWING.sub("", COLOUR.sub("", err))
    last = plain.rpartition("simulated 120 ms")[2]
    assert re.search(r"epoll +2 +\S+ ±\S+ +\S+us ±\S+", last)
    assert COLOUR.search(err)
    # Gone at the end, the cursor shown again.
    assert "\x1b[2K" in err.rpartition("simulated")[2] and "\x1b[?25h" in err


def test_without_colour_if_that_is_wanted(tmp_path: Path) -> None:
    _, err = run(tmp_path, terminal=True, NO_COLOR="1")
    assert "simulated" in err and not COLOUR.search(err)


@pytest.mark.parametrize(("terminal", "env"), [(False, {}), (True, {"TERM": "dumb"})])
def test_elsewhere_nothing_moves(terminal: bool, env: dict[str, str], tmp_path: Path) -> None:
    out, err = run(tmp_path, terminal=terminal, **env)
    assert "epoll" in out
    assert "simulated" not in err and "\x1b[2K" not in err
