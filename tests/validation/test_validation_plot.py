"""The picture of a validation: what is drawn, of few models and of many."""

from pathlib import Path

import pytest
from test_report import assessed, at_most, cell

from iosim.errors import UsageError
from iosim.validation.plot import PANELS, draw

pytest.importorskip("matplotlib")


def test_few_models_are_lines_over_load(tmp_path: Path) -> None:
    path = tmp_path / "v.svg"
    draw(assessed(at_most(), cell(), at_most("select"), cell("select")), path)
    text = path.read_text()
    for title, _ in PANELS.values():
        assert f"<!-- {title} -->" in text
    assert "<!-- native epoll, measured -->" in text
    assert "<!-- native select, simulated -->" in text


def test_many_are_marks_beside_a_diagonal(tmp_path: Path) -> None:
    path = tmp_path / "v.svg"
    models = ["epoll", "select", "poll", "blocking", "coroutine", "nonblocking", "io_uring"]
    draw(assessed(*map(at_most, models), *map(cell, models)), path)
    text = path.read_text()
    assert "<!-- measured -->" in text and "<!-- saturation -->" in text
    assert "<!-- 50% -->" in text


def test_a_png_is_one(tmp_path: Path) -> None:
    path = tmp_path / "v.png"
    draw(assessed(at_most(), cell()), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="cannot be written"):
        draw(assessed(at_most(), cell()), tmp_path / "none" / "v.png")
