"""The results directory of a study: rows as they come, safe against being killed at any moment.

    sweep.json             what was asked for: scenario, axes, version
    points.csv             the points of the latest sweep: number, hash, values
    recent.jsonl           the latest results, a point a line, written as soon as they are known
    parts/000001.parquet   what `recent.jsonl` becomes whenever it is full (.csv without pyarrow)

A part has one row for each point, model and metric:

    point      the hash of the point's content
    changes    what was changed, as a command line has it
    state      done, failed, or lost with its process
    model      empty where the point as a whole failed
    error
    warnings   of the model's runs, parted by semicolons
    metric     empty beside an error
    mean, low, high, n    over the replications, with the 95% interval

A line of `recent.jsonl` counts once it has ended: half a line tells where a study was killed, and
is dropped. Killed between writing a part and emptying `recent.jsonl`, a study has some points
twice, of which one is read.

Scope: one writer at a time, which a lock on the folder sees to. In memory: a hash for each point;
those of a part, while it is written. Not done: nothing is ever removed.
Validated by: tests/studies/test_store.py
"""

import csv
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.errors import UsageError
from iosim.studies import parts
from iosim.studies.parts import COLUMNS, Line
from iosim.studies.running import Outcome

if TYPE_CHECKING:
    import pandas as pd

POINTS_A_PART = 200
_PARTS, _POINTS, _RECENT = "parts", "points.csv", "recent.jsonl"


class Store:
    """A results directory that is open for writing."""

    def __init__(self, folder: Path) -> None:
        """Open or make it. Raises UsageError for a folder that is something else, or in use."""
        self.folder = folder
        if folder.is_dir() and any(folder.iterdir()) and not (folder / _PARTS).is_dir():
            raise UsageError(f"{folder}: expected a new folder, or that of a sweep, found another")
        try:
            (folder / _PARTS).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recent = _without_half_a_line(folder / _RECENT)
        except BlockingIOError:
            os.close(self._lock)
            raise UsageError(
                f"{folder}: expected a folder of its own, found another sweep at work in it"
            ) from None
        except OSError as error:
            os.close(self._lock)
            raise UsageError(f"{folder}: cannot be written: {error.strerror}") from None
        self._states: dict[str, str] = {}
        for path in parts.files(folder / _PARTS):
            self._states |= dict(parts.points(path))
        recent = {record["point"]: record["state"] for record in _records(folder)}
        self._states |= recent
        self._in_recent = len(recent)

    def state(self, point: str) -> str | None:
        """What is known of the point of this hash, if a result of it would be the same again."""
        state = self._states.get(point)
        return None if state == "lost" else state

    def add(self, point: str, changes: str, outcome: Outcome) -> None:
        """Keep a point's outcome, from now on whatever happens to this process."""
        record = {
            "point": point,
            "changes": changes,
            "state": outcome.state,
            "error": outcome.error,
            "rows": [
                [row.model, row.error, "; ".join(row.warnings), row.metrics] for row in outcome.rows
            ],
        }
        try:
            self._recent.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        except OSError as error:
            raise UsageError(f"{self.folder}: cannot be written: {error.strerror}") from None
        self._states[point] = outcome.state
        self._in_recent += 1
        if self._in_recent >= POINTS_A_PART:
            self.pack()

    def pack(self) -> None:
        """Turn what is in `recent.jsonl` into a part. Raises UsageError."""
        if self._in_recent:
            parts.write(self.folder / _PARTS, _lines(_records(self.folder)))
            self._recent.truncate(0)
            self._in_recent = 0

    @contextmanager
    def planning(self, paths: Iterable[str]) -> Iterator[Callable[[int, str, Iterable[str]], None]]:
        """Write down the points of a sweep, each by a call with its number, hash and values.

        The last sweep's stay there until all are written.
        """
        path = self.folder / _POINTS
        unfinished = path.with_name(f".{_POINTS}")
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("number", "point", *paths))
            yield lambda number, point, values: writer.writerow((number, point, *values))
        os.replace(unfinished, path)

    def planned(self) -> Iterator[tuple[int, str, list[str]]]:
        """The number, hash and values of each point of the sweep that was planned last."""
        with (self.folder / _POINTS).open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            for number, point, *values in rows:
                yield int(number), point, values

    def describe(self, what: dict[str, Any]) -> None:
        """Write down what was asked for."""
        text = json.dumps(what, indent=2, allow_nan=False) + "\n"
        (self.folder / "sweep.json").write_text(text, encoding="utf-8")

    def close(self) -> None:
        """Let others write; what was added stays."""
        self._recent.close()
        os.close(self._lock)


def read(folder: Path) -> "pd.DataFrame":
    """All rows of a results directory, with the columns of a part."""
    import pandas as pd

    frames = [parts.frame(path) for path in parts.files(folder / _PARTS)]
    recent = [*_lines(_records(folder))]
    if recent or not frames:
        frames.append(parts.typed(pd.DataFrame(recent, columns=[*COLUMNS])))
    rows = pd.concat(frames, ignore_index=True)
    known = rows[rows["state"] != "lost"]
    rows = rows[(rows["state"] != "lost") | ~rows["point"].isin(known["point"])]
    return rows.drop_duplicates(["point", "model", "metric"], keep="last", ignore_index=True)


def read_plan(folder: Path) -> "pd.DataFrame":
    """The points of the latest sweep: number, point (its hash), and the values at each path."""
    import pandas as pd

    frame = pd.read_csv(folder / _POINTS, dtype="str", keep_default_na=False)
    return frame.astype({"number": "int64"})


def _without_half_a_line(path: Path) -> Any:
    """The file, open for more lines, without one that was being written as its writer died."""
    file = path.open("ab", buffering=0)
    whole = path.read_bytes().rfind(b"\n") + 1
    file.truncate(whole)
    return file


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / _RECENT
    if path.exists():
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)


def _lines(records: Iterable[dict[str, Any]]) -> Iterator[Line]:
    for record in records:
        own = record["point"], record["changes"], record["state"]
        if not record["rows"]:
            yield Line(*own, "", record["error"] or "", "", "", None, None, None, 0)
        for model, error, warnings, metrics in record["rows"]:
            if error:
                yield Line(*own, model, error, warnings, "", None, None, None, 0)
            for metric, (mean, low, high, n) in metrics.items():
                yield Line(*own, model, "", warnings, metric, mean, low, high, n)
