"""CSV files that a scenario names: read line by line, each mistake with its line and column.

The first line names the columns; lines without anything are skipped. Nothing is kept, so that
a file may have any number of lines.

Scope: lines and columns; what a value means, whoever asked for it knows.
Validated by: tests/unit/test_trace_workload.py, tests/unit/test_empirical.py
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from iosim.errors import Problem, ScenarioError

LONGEST_LINE = 4_096


class Row(NamedTuple):
    """One line's values, as text."""

    path: Path
    line: int
    names: list[str]
    cells: list[str]

    def refuse(self, name: str, expected: str, found: str) -> NoReturn:
        """Raise ScenarioError for the value in the column called `name`."""
        before = self.cells[: self.names.index(name)]
        column = 1 + sum(len(cell) + 1 for cell in before)
        refuse(self.path, self.line, column, expected, found)


def rows(path: Path, check_columns: Callable[[Path, list[str]], None]) -> Iterator[Row]:
    """The file's lines, one by one. Raises ScenarioError at the first mistake."""
    reader = csv.reader(_lines(path), strict=True)
    try:
        yield from _rows(reader, path, check_columns)
    except csv.Error as error:
        refuse(path, reader.line_num, 1, "a line of comma-separated values", str(error))


def _rows(
    reader: Any, path: Path, check_columns: Callable[[Path, list[str]], None]
) -> Iterator[Row]:
    names = [name.strip() for name in next(reader, [])]
    check_columns(path, names)
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(names):
            refuse(path, reader.line_num, 1, f"{len(names)} values", str(len(cells)))
        yield Row(path, reader.line_num, names, cells)


def _lines(path: Path) -> Iterator[str]:
    try:
        if path.exists() and not path.is_file():
            refuse(path, 0, 0, "a readable file", "something else")
        with path.open("rb") as file:
            number = 0
            while data := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(data) > LONGEST_LINE:
                    what = f"a line of at most {LONGEST_LINE:,} bytes"
                    refuse(path, number, 1, what, "a longer one")
                try:
                    text = data.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    text = "\0"
                if "\0" in text:
                    refuse(path, number, 1, "text", "binary data")
                yield text
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        refuse(path, 0, 0, "a readable file", why)


def refuse(
    path: Path, line: int, column: int, expected: str, found: str, hint: str | None = None
) -> NoReturn:
    """Raise ScenarioError for a place in the file; line 0 is the file as a whole."""
    raise ScenarioError((Problem(str(path), line, column, "", expected, found, hint),)) from None
