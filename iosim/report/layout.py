"""Text in columns: a table laid out for a terminal of 80 columns or more, in colour or not.

A cell is a value and, if it is a mean, its interval. In a stacked table the interval
stands under the value, otherwise beside it:

    model      req/s     p50            model      utilization
    epoll      20.0k  62.0us            epoll       40.1% ±0.3%
               ±0.4%     ±3%

Scope: left-aligned first column, the others to the right; a label too long for its
column goes on in the next line.
Not done: characters twice as wide as others.
Validated by: tests/cli/test_layout.py
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap
from typing import TextIO

WIDTH = 80
LONGEST_LABEL = 22
SHORTEST_LABEL = 8
"""What a label's column is at most, and what it is left with where the others need much."""


@dataclass(frozen=True)
class Cell:
    """A value as shown, and the half width of its interval."""

    text: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.interval}" if self.interval else self.text


@dataclass(frozen=True)
class Column:
    """`title` says it in full; in a terminal `head` stands under `group`, if it has one."""

    title: str
    head: str = ""
    group: str = ""

    @property
    def short(self) -> str:
        """What stands right above the values."""
        return self.head or self.title


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of each a label; notes are sentences under it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Style:
    """Colour, or none."""

    colour: bool = False

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text.strip() else text

    def strong(self, text: str) -> str:
        """A heading."""
        return self._in("1", text)

    def faint(self, text: str) -> str:
        """What is looked at second."""
        return self._in("2", text)

    def good(self, text: str) -> str:
        """As it should be."""
        return self._in("32", text)

    def doubtful(self, text: str) -> str:
        """Not known, or to be taken with care."""
        return self._in("33", text)

    def bad(self, text: str) -> str:
        """Failed."""
        return self._in("31", text)


def style_for(stream: TextIO | None) -> Style:
    """Colour on a terminal, unless NO_COLOR (no-color.org) or TERM=dumb forbids it."""
    import os

    forbidden = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(stream is not None and stream.isatty() and not forbidden)


def width_for(stream: TextIO | None) -> int:
    """How wide COLUMNS or the terminal says lines may be; at least, and otherwise, `WIDTH`."""
    import os
    import shutil

    told = os.environ.get("COLUMNS") or (stream is not None and stream.isatty())
    return max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if told else WIDTH


def lay_out(table: Table, style: Style | None = None, width: int = WIDTH) -> list[str]:
    """The lines of a table, none longer than `width` if its cells leave a choice."""
    style = style or Style()
    longest = max((len(row[0].text) for row in table.rows), default=0)
    # What a wider terminal has more is the labels'.
    most = LONGEST_LABEL + max(0, width - WIDTH)
    label_width = max(min(most, longest), len(table.columns[0].short))
    gap, widths = 2, _widths(table, 2)
    if label_width + sum(widths) > width:
        gap, widths = 1, _widths(table, 1)
    label_width = min(label_width, max(width - sum(widths), SHORTEST_LABEL))
    lines = [style.strong(line) for line in wrap(table.title, width)]
    groups = _group_line(table.columns[1:], widths, gap)
    if groups.strip():
        lines.append(style.faint(" " * label_width + groups.rstrip()))
    heads = [column.short for column in table.columns]
    lines.append(style.faint(_line(heads, label_width, widths)))
    for row in table.rows:
        lines += _row(row, label_width, widths, table.stacked, style)
    for note in table.notes:
        lines += [style.faint(line) for line in wrap(note, width)]
    return lines


def _widths(table: Table, gap: int) -> list[int]:
    """Of each column but the first, with `gap` before it."""
    widths = [_width(table, index) + gap for index in range(1, len(table.columns))]
    _make_room_for_groups(table.columns[1:], widths, gap)
    return widths


def _width(table: Table, index: int) -> int:
    cells = [row[index] for row in table.rows if index < len(row)]
    if table.stacked:
        shown = [len(text) for cell in cells for text in (cell.text, cell.interval)]
    else:
        shown = [len(str(cell)) for cell in cells]
    return max([len(table.columns[index].short), *shown])


def _make_room_for_groups(columns: Sequence[Column], widths: list[int], gap: int) -> None:
    """Widen the first column of a group whose name is wider than its columns."""
    index = 0
    for group, members in groupby(columns, key=lambda column: column.group):
        count = len(list(members))
        missing = len(group) + gap - sum(widths[index : index + count])
        if group and missing > 0:
            widths[index] += missing
        index += count


def _group_line(columns: Sequence[Column], widths: Sequence[int], gap: int) -> str:
    line, index = "", 0
    for group, members in groupby(columns, key=lambda column: column.group):
        count = len(list(members))
        span = sum(widths[index : index + count])
        line += " " * gap + group.center(span - gap) if count > 1 else group.rjust(span)
        index += count
    return line


def _line(texts: Iterable[str], label_width: int, widths: Sequence[int]) -> str:
    label, *others = texts
    cells = (text.rjust(width) for text, width in zip(others, widths, strict=False))
    return (label.ljust(label_width) + "".join(cells)).rstrip()


def _row(
    row: Sequence[Cell], label_width: int, widths: Sequence[int], stacked: bool, style: Style
) -> list[str]:
    labels = _broken(row[0].text, label_width)
    texts = [cell.text if stacked else str(cell) for cell in row[1:]]
    intervals = [cell.interval for cell in row[1:]] if stacked else []
    lines = [_line([labels[0], *texts], label_width, widths)]
    second = labels[1] if len(labels) > 1 else ""
    if second or any(intervals):
        line = _line(["", *intervals], label_width, widths)
        lines.append((second.ljust(label_width) + style.faint(line[label_width:])).rstrip())
    return lines + labels[2:]


def _broken(label: str, width: int) -> list[str]:
    """A label in pieces of at most `width`, broken behind a blank or `_` if there is one."""
    pieces = []
    while len(label) > width:
        at = max(label.rfind(char, 0, width) for char in " _-") + 1 or width
        pieces.append(label[:at].rstrip())
        label = label[at:]
    return [*pieces, label]


def paragraph(text: str, width: int = WIDTH) -> list[str]:
    """A sentence in lines; what follows the first is set in."""
    return wrap(text, width, subsequent_indent="  ", break_long_words=False)
