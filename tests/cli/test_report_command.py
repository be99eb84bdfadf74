"""`iosim report` and `iosim plot`: files in, one file out."""

from pathlib import Path

import pytest
from commandline import TINY, iosim, run


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "tiny.json"
    assert run(TINY, "--export", path).code == 0
    return path


def test_a_page_is_written_and_its_name_told(result: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = iosim("report", result, "-o", page)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{page}: ")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "step by step" in page.read_text()


def test_the_timeline_can_be_left_out(result: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert iosim("report", result, "-o", page, "--no-timeline").code == 0
    assert "step by step" not in page.read_text()


def test_all_that_cannot_be_read_is_told_at_once(result: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{")
    page = tmp_path / "page.html"
    done = iosim("report", result, other, tmp_path / "none.json", "-o", page)
    assert done.code == 2
    assert len(done.err.splitlines()) == 2
    assert not page.exists()


def test_a_place_that_cannot_be_written_is_told_first(result: Path, tmp_path: Path) -> None:
    done = iosim("report", result, "-o", tmp_path / "none" / "page.html")
    assert done.code == 2
    assert "to exist" in done.err


def test_a_plot_is_written(result: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "p50.svg"
    done = iosim("plot", result, "--x", "model", "--y", "mean", "-o", picture)
    assert (done.code, done.out, done.err) == (0, f"{picture}\n", "")
    assert b"epoll" in picture.read_bytes()


def test_a_plot_of_what_is_not_known_is_refused(result: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = iosim("plot", result, "--y", "p98", "-o", tmp_path / "a.svg")
    assert done.code == 2
    assert "did you mean 'p9" in done.err
