"""What is known while the runs go on: each model's percentiles, and how their intervals narrow.

    simulated 12.0 s of 30.0 s

    model     runs  req/s         p50          p99
    epoll        2  20.0k  62.0us ±3%  210us ±12%
    blocking     1  20.0k  71.0us       1.20ms

Scope: text; who draws it again and again is the command line.
Validated by: tests/report/test_live_table.py
"""

from iosim.report.layout import Cell, Column, Table
from iosim.report.table import LABEL, NONE, cell, duration
from iosim.results import ModelResult, Results
from iosim.units import format_count, format_duration_ns

PERCENTILES = ("p50", "p90", "p99")


def so_far(results: Results, total: int) -> Table:
    """The runs that have finished, of `total` in all."""
    done = sum(len(model.records) for model in results.models)
    run_ns = results.scenario.run.duration
    return Table(
        f"simulated {format_duration_ns(done * run_ns)} of {format_duration_ns(total * run_ns)}",
        (LABEL, Column("runs"), Column("req/s"), *map(Column, PERCENTILES)),
        tuple(_row(model) for model in results.models),
    )


def _row(model: ModelResult) -> tuple[Cell, ...]:
    if model.error:
        return Cell(model.label), Cell("error"), *(Cell(NONE) for _ in range(4))
    return (
        Cell(model.label),
        Cell(str(len(model.records))),
        cell(model.metrics.get("throughput_per_s"), format_count),
        *(cell(model.metrics.get(f"response_time_{p}_ns"), duration) for p in PERCENTILES),
    )
