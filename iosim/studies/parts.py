"""Parts of a results directory: files of rows, Parquet where pyarrow is there, else CSV.

Both hold every number to the bit: a CSV has as many digits as it takes.

A file is written beside its place and then moved there. Parts are read in the order of their
numbers, of whichever format they are.

Validated by: tests/studies/test_store.py
"""

import csv
import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from iosim.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


class Line(NamedTuple):
    """One row: a point, a model, a metric."""

    point: str
    changes: str
    state: str
    model: str
    error: str
    warnings: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    n: int


COLUMNS = Line._fields
_NUMBERS = ("mean", "low", "high")


def files(folder: Path) -> list[Path]:
    """The parts of a folder, the oldest first."""
    suffixes = (".parquet", ".csv")
    found = (path for path in folder.iterdir() if path.stem.isdigit() and path.suffix in suffixes)
    return sorted(found)


def write(folder: Path, lines: Iterable[Line]) -> None:
    """Add a part. Raises UsageError where it cannot be written."""
    number = 1 + max((int(path.stem) for path in files(folder)), default=0)
    parquet = find_spec("pyarrow") is not None
    path = folder / f"{number:06}{'.parquet' if parquet else '.csv'}"
    unfinished = folder / f".{path.name}"
    try:
        (_write_parquet if parquet else _write_csv)(unfinished, lines)
        os.replace(unfinished, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def points(path: Path) -> Iterator[tuple[str, str]]:
    """Each row's point and state, and nothing else of it."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row["point"], row["state"]
        return
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, columns=["point", "state"])
    yield from zip(table["point"].to_pylist(), table["state"].to_pylist(), strict=True)


def frame(path: Path) -> "pd.DataFrame":
    """All of a part."""
    import pandas as pd

    if path.suffix == ".csv":
        # Not by pandas, of which not every version reads each number to the last bit.
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            lines = [(*row[:7], *map(_number, row[7:10]), int(row[10])) for row in rows]
        return typed(pd.DataFrame(lines, columns=[*COLUMNS]))
    return typed(pd.read_parquet(path))


def typed(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Rows whose numbers are numbers, also where none of them exists."""
    return rows.astype({**dict.fromkeys(_NUMBERS, "float64"), "n": "int64"})


def _number(text: str) -> float | None:
    return float(text) if text else None


def _write_csv(path: Path, lines: Iterable[Line]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(lines)


def _write_parquet(path: Path, lines: Iterable[Line]) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    kinds = [pa.string()] * 7 + [pa.float64()] * 3 + [pa.int64()]
    columns = [*zip(*lines, strict=True)] or [()] * len(COLUMNS)
    table = pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)],
        names=[*COLUMNS],
    )
    pyarrow.parquet.write_table(table, path)
