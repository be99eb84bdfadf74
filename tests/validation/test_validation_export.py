"""A validation as files."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from test_report import assessed, at_most, cell

from iosim.errors import UsageError
from iosim.validation.assessing import Assessment
from iosim.validation.export import (
    BEGIN,
    END,
    require_writable,
    to_json,
    to_markdown,
    to_text,
    write_all,
)


@pytest.fixture
def found() -> Assessment:
    return assessed(at_most(), cell(cpu=26_000))


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is not JSON")


def test_json_has_both_sides_of_every_figure(found: Assessment) -> None:
    document = json.loads(to_json(found), parse_constant=refuse)
    assert document["within_tolerance"] is False
    at_saturation, half = document["cells"]
    assert (at_saturation["load"], half["load"], half["rate_per_s"]) == ("saturation", "50%", 5e3)
    (cpu,) = [f for f in half["figures"] if f["metric"] == "cpu_time_per_request_ns"]
    assert cpu["measured"] == {"mean": 20_000, "ci95": [20_000, 20_000], "n": 3}
    assert (cpu["error"], cpu["relative_error"], cpu["allowed"]) == (6_000, 0.3, 1_000)
    (tail,) = [f for f in half["figures"] if f["metric"] == "response_time_p99_ns"]
    assert tail["not_scored"] == "host"


def test_csv_has_a_line_for_each_figure(found: Assessment, tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    write_all(found, [path])
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.scored.figures)
    (cpu,) = [row for row in rows if row["metric"] == "cpu_time_per_request_ns"]
    assert (cpu["model"], cpu["load"], cpu["measured"], cpu["error"]) == (
        *("epoll", "50%", "20000.0", "6000.0"),
    )


def test_markdown_replaces_what_is_between_the_marks_of_a_page(
    found: Assessment, tmp_path: Path
) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"# Title\n\nProse.\n\n{BEGIN}\nold\n{END}\n\nMore prose.\n")
    for _ in range(2):  # once more changes nothing
        write_all(found, [path])
        page = path.read_text()
        assert page.startswith(f"# Title\n\nProse.\n\n{BEGIN}\n")
        assert page.endswith(f"{END}\n\nMore prose.\n")
        assert "old" not in page and page.count("Errors by metric") == 1
    plain = tmp_path / "plain.md"
    plain.write_text("no marks")
    write_all(found, [plain])
    assert plain.read_text() == to_markdown(found)


def test_of_many_cells_the_terminal_shows_what_they_come_to(found: Assessment) -> None:
    assert "made up, epoll, 50%" in to_text(found)
    assert "made up, epoll, 50% (" not in to_text(found, quiet=True)
    many = to_text(assessed(*[cell() for _ in range(20)]))
    assert "made up, epoll, 50% (" not in many and "Errors by metric" in many


def test_what_could_not_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        require_writable([Path("x.pgn"), tmp_path / "none" / "x.md", tmp_path / "fine.svg"])
    first, second = str(caught.value).splitlines()
    assert "did you mean '.png'" in first
    assert "expected the folder" in second


def test_of_nothing_no_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "v.md"
    write_all(assessed(), [path])
    assert not path.exists()
