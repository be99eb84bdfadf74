"""How values and their intervals are shown."""

import pytest

from iosim.report.table import COLUMNS, cell, cells, duration, half_width, per_request
from iosim.results import ModelResult
from iosim.statistics import Estimate


@pytest.mark.parametrize(
    ("low", "mean", "high", "shown"),
    [
        (97.0, 100.0, 103.0, "±3%"),
        (96.99, 100.0, 103.01, "±3.1%"),
        (99.99, 100.0, 100.01, "±0.1%"),
        (100.0, 100.0, 100.0, "±0"),
        (87.5, 100.0, 112.5, "±13%"),
        (-1100.0, 100.0, 1300.0, "±1200%"),
        (0.0, 0.0, 0.0, ""),
        (None, 100.0, None, ""),
        (None, None, None, ""),
    ],
)
def test_half_widths_are_rounded_up(
    low: float | None, mean: float | None, high: float | None, shown: str
) -> None:
    assert half_width(Estimate(mean, low, high, 5)) == shown


def test_values() -> None:
    assert [duration(ns) for ns in (0, 0.2, 999, 62_000, 1_234_567)] == [
        "0ns",
        "<1ns",
        "999ns",
        "62.0us",
        "1.23ms",
    ]
    assert [per_request(count) for count in (0, 0.004, 2, 99.99, 123.4, 12_345)] == [
        "0",
        "0.00",
        "2.00",
        "99.99",
        "123",
        "12.3k",
    ]


def test_what_does_not_exist_is_a_dash() -> None:
    assert str(cell(None, duration)) == "-"
    assert str(cell(Estimate(None, None, None, 0), duration)) == "-"


def test_a_models_row_for_notebooks() -> None:
    model = ModelResult(
        "epoll", "mine", (), metrics={"response_time_p50_ns": Estimate(62e3, 60e3, 64e3, 5)}
    )
    shown = dict(zip((column.title for column in COLUMNS), cells(model), strict=True))
    assert shown["model"] == "mine"
    assert shown["p50"] == "62.0us ±3.3%"
    assert shown["p99"] == "-"
