"""Tables as text: columns, groups, intervals under or beside their values, colour or none."""

import io

import pytest

from iosim.report.layout import Cell, Column, Style, Table, lay_out, style_for, width_for

COLUMNS = (
    Column("model"),
    Column("rate", "req/s"),
    Column("p50", group="times"),
    Column("p99", group="times"),
)
ROWS = (
    (Cell("a"), Cell("10k", "±3%"), Cell("1us", "±0.1%"), Cell("20us")),
    (Cell("longer"), Cell("9.5k", "±12%"), Cell("12us"), Cell("345us", "±1%")),
)


def test_stacked() -> None:
    assert lay_out(Table("Title", COLUMNS, ROWS, ("A note.",), stacked=True)) == [
        "Title",
        "                  times",
        "model   req/s    p50    p99",
        "a         10k    1us   20us",
        "          ±3%  ±0.1%",
        "longer   9.5k   12us  345us",
        "         ±12%           ±1%",
        "A note.",
    ]


def test_beside() -> None:
    assert lay_out(Table("", COLUMNS, ROWS)) == [
        "                          times",
        "model       req/s        p50        p99",
        "a         10k ±3%  1us ±0.1%       20us",
        "longer  9.5k ±12%       12us  345us ±1%",
    ]


def test_a_long_title_goes_on_below() -> None:
    title = "profile.context_switch=x2, profile.idle_exit=x2"
    lines = lay_out(Table(title, COLUMNS, ROWS), width=40)
    assert lines[:2] == title.replace(", ", ",\n").splitlines()


def test_a_long_label_goes_on_below() -> None:
    rows = (
        (Cell("a label of more than twenty-two characters"), Cell("1", "±3%")),
        (Cell("thread_pool_callbacks_again"), Cell("2")),
        (Cell("x" * 30), Cell("3", "±4%")),
    )
    stacked = lay_out(Table("", COLUMNS[:2], rows, stacked=True))
    assert stacked[1:] == [
        "a label of more than        1",
        "twenty-two characters     ±3%",
        "thread_pool_callbacks_      2",
        "again",
        "xxxxxxxxxxxxxxxxxxxxxx      3",
        "xxxxxxxx                  ±4%",
    ]


@pytest.mark.parametrize(
    ("columns", "terminal", "width"),
    [(None, False, 80), ("200", False, 200), ("200", True, 200), ("40", True, 80), ("", False, 80)],
)
def test_lines_are_as_wide_as_the_terminal_says(
    monkeypatch: pytest.MonkeyPatch, columns: str | None, terminal: bool, width: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    assert width_for(stream) == width
    assert width_for(None) in (width, 80)


def test_a_wider_terminal_breaks_no_label() -> None:
    label = "a label of more than twenty-two characters"
    lines = lay_out(Table("", COLUMNS[:2], ((Cell(label), Cell("1")),)), width=100)
    assert lines[1] == f"{label}      1"


def test_labels_give_way_to_values() -> None:
    columns = (Column("model"), *(Column(f"column {i}") for i in range(7)))
    row = (Cell("thread_pool_callbacks"), *(Cell("123456789", "±12%") for _ in range(7)))
    lines = lay_out(Table("", columns, (row,), stacked=True))
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[1:]] == ["thread_", "pool_", "callbacks"]


def test_a_group_wider_than_its_columns_makes_room() -> None:
    columns = (Column("m"), Column("a", group="a wide group"), Column("b", group="a wide group"))
    lines = lay_out(Table("", columns, ((Cell("x"), Cell("1"), Cell("2")),)))
    assert "  a wide group" in lines[0]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_gaps_narrow_before_a_line_is_too_wide() -> None:
    columns = (Column("model"), *(Column(f"column {i}") for i in range(8)))
    row = (Cell("m"), *(Cell("12345678") for _ in range(8)))
    assert max(map(len, lay_out(Table("", columns, (row,))))) <= 80


def test_colour_is_a_style() -> None:
    table = Table("Title", COLUMNS, ROWS, stacked=True)
    coloured = lay_out(table, Style(colour=True))
    assert coloured[0] == "\x1b[1mTitle\x1b[0m"
    assert "\x1b" not in "".join(lay_out(table, Style()))
    assert Style(colour=True).bad("  ") == "  "


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_where_there_is_colour(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], colour: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    assert style_for(stream).colour is colour


def test_a_label_is_not_broken_where_a_narrower_gap_spares_it() -> None:
    # The group is wider than its columns, which counts: with gaps of two, 78 would be needed.
    grouped = (
        Column("first", group="a wide group name"),
        Column("other", group="a wide group name"),
    )
    wide = (Column("0123456789"),) * 4
    cells = (Cell("1"),) * 6
    table = Table("", (Column("model"), *grouped, *wide), ((Cell("coroutines!"), *cells),))
    lines = lay_out(table, width=74)
    assert lines[-1].startswith("coroutines! ")
    assert max(map(len, lines)) == 73
