"""Measured rows: what a probe found, in the form that a profile's `rows` refer to.

A row is one figure - a language, a name, a parameter - with its spread over many samples.
Several passes give several rows of one name: how far they lie apart says how much the machine
itself moves, which the samples of one pass cannot.

    pass,lang,name,param,unit,median,q1,q3,min,p99,n
    1,c,null_syscall,getppid,ns,110.5,104.1,115.5,81.1,156.8,300

Scope: reading and writing such files, and rows from samples.
Not done: no cost is worked out here.
Validated by: tests/calibration/test_rows.py
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one pass; all but `count` in `unit`, which is ns but for counts."""

    number: int
    """Of the pass, from 1."""
    lang: str
    """`c` or `py`."""
    name: str
    param: str
    unit: str
    median: float
    q1: float
    q3: float
    least: float
    p99: float
    count: int
    """Samples."""

    @property
    def key(self) -> str:
        """What a profile calls it."""
        return f"{self.lang} {self.name} {self.param}".strip()


COLUMNS = ("pass", "lang", "name", "param", "unit", "median", "q1", "q3", "min", "p99", "n")


def of_samples(
    number: int, lang: str, name: str, param: str, samples: Sequence[float], unit: str = "ns"
) -> Row:
    """The row of one pass' samples, of which there must be two."""
    q1, _, q3 = quantiles(samples, n=4, method="inclusive")
    p99 = quantiles(samples, n=100, method="inclusive")[98]
    return Row(
        number, lang, name, param, unit, median(samples), q1, q3, min(samples), p99, len(samples)
    )


def read(path: Path) -> list[Row]:
    """The rows of a file. Raises ValueError for one that is none."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        return [_row(line) for line in lines]


def _row(line: Sequence[str]) -> Row:
    number, lang, name, param, unit, *figures, count = line
    middle, q1, q3, least, p99 = map(float, figures)
    return Row(int(number), lang, name, param, unit, middle, q1, q3, least, p99, int(count))


def to_csv(rows: Iterable[Row]) -> str:
    """Rows as a file's text."""
    assert len(COLUMNS) == len(fields(Row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        [f"{value:.10g}" if isinstance(value, float) else value for value in astuple(row)]
        for row in rows
    )
    return text.getvalue()
