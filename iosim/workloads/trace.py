"""A trace: requests replayed from a file, each at its time and on its connection.

    time_s,connection,request_bytes,reply_bytes
    0.000120,0,128,1024
    0.000125,7,300,65536

What it models: an open workload whose arrivals were recorded elsewhere. `time_s` counts
from the start of the load and may not go back; `connection` counts from 0 among the active
ones; the sizes may be left out, as columns or in a line. The file is read line by line as the
run goes on, once before it to find mistakes, and again in each replication.

Not modelled: what a request makes the handler do; a trace that starts again at its end.
Source: recorded arrivals; Schroeder, Wierman, Harchol-Balter, "Open Versus Closed", NSDI 2006, for
why a trace is replayed without waiting for answers.
Validated by: tests/unit/test_trace_workload.py, tests/conformance
"""

import csv
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import Field

from iosim.errors import Problem, ScenarioError, did_you_mean, shown
from iosim.machine.alarm import Alarm
from iosim.workload import Requests

if TYPE_CHECKING:
    from iosim.clients import Clients
    from iosim.streams import Streams

TRAFFIC = "requests"

NEEDED = ("time_s", "connection")
SIZES = ("request_bytes", "reply_bytes")

LATEST_S = 864_000
"""Ten days: no run lasts longer."""
MOST_BYTES = 1 << 30
LONGEST_LINE = 4_096

Row = tuple[int, int, int, int]
"""Intended ns from the start, connection, bytes of the request, bytes of its answer."""


class Options(Requests):
    """Requests are replayed from a CSV file: time_s, connection, sizes."""

    file: str = Field(min_length=1, description="The file's path, from the scenario's folder.")

    @property
    def largest_request(self) -> int:
        """As large as a line of the file may say."""
        return MOST_BYTES


def rows(options: Options, folder: Path) -> Iterator[Row]:
    """The file's requests, one by one. Raises ScenarioError at the first mistake."""
    path = folder / options.file
    reader = csv.reader(_lines(path), strict=True)
    try:
        yield from _rows(reader, path, options)
    except csv.Error as error:
        _refuse(path, reader.line_num, 1, "a line of comma-separated values", str(error))


def _rows(reader: Any, path: Path, options: Options) -> Iterator[Row]:
    columns = [name.strip() for name in next(reader, [])]
    _check_columns(path, columns)
    connections = options.connections.active_count
    last_ns = -1
    for cells in reader:
        line = reader.line_num
        if not cells:
            continue
        if len(cells) != len(columns):
            _refuse(path, line, 1, f"{len(columns)} values", str(len(cells)))
        found = dict(zip(columns, cells, strict=True))
        begins: dict[str, int] = {}
        column = 1
        for name, cell in found.items():
            begins[name] = column
            column += len(cell) + 1
        time_ns = _time_ns(path, line, begins["time_s"], found["time_s"])
        if time_ns < last_ns:
            _refuse(
                path,
                line,
                begins["time_s"],
                f"times that do not go back, so at least {Decimal(last_ns) / 10**9} here",
                found["time_s"].strip(),
            )
        last_ns = time_ns
        whole = [
            _whole(path, line, begins["connection"], found["connection"], 0, connections - 1),
            *(
                _whole(path, line, begins[name], found[name], 1, MOST_BYTES)
                if found.get(name, "").strip()
                else usual
                for name, usual in zip(SIZES, (options.request, options.reply), strict=True)
            ),
        ]
        yield time_ns, whole[0], whole[1], whole[2]
    if last_ns < 0:
        _refuse(path, 0, 0, "a request in a line of its own", "none")


def _lines(path: Path) -> Iterator[str]:
    try:
        if path.exists() and not path.is_file():
            _refuse(path, 0, 0, "a readable file", "something else")
        with path.open("rb") as file:
            number = 0
            while data := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(data) > LONGEST_LINE:
                    what = f"a line of at most {LONGEST_LINE:,} bytes"
                    _refuse(path, number, 1, what, "a longer one")
                try:
                    text = data.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    text = "\0"
                if "\0" in text:
                    _refuse(path, number, 1, "text", "binary data")
                yield text
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        _refuse(path, 0, 0, "a readable file", why)


def _check_columns(path: Path, columns: list[str]) -> None:
    if not any(columns):
        _refuse(path, 1, 1, f"a first line that names the columns {', '.join(NEEDED)}", "nothing")
    known = (*NEEDED, *SIZES)
    for name in columns:
        if name not in known:
            hint = did_you_mean(name, known)
            _refuse(path, 1, 1, f"columns among {', '.join(known)}", shown(name), hint)
        if columns.count(name) > 1:
            _refuse(path, 1, 1, "each column once", f"{shown(name)} twice")
    for name in NEEDED:
        if name not in columns:
            _refuse(path, 1, 1, f"a column {shown(name)}", ", ".join(columns))


def _time_ns(path: Path, line: int, column: int, text: str) -> int:
    try:
        seconds = Decimal(text.strip())
    except InvalidOperation:
        seconds = Decimal("nan")
    # Compared before it is multiplied: an exponent can be anything.
    if not (seconds.is_finite() and 0 <= seconds <= LATEST_S):
        _refuse(path, line, column, f"seconds from 0 to {LATEST_S:,}", shown(text.strip()))
    return round(seconds * 10**9)


def _whole(path: Path, line: int, column: int, text: str, low: int, high: int) -> int:
    text = text.strip()
    if not re.fullmatch("[0-9]{1,18}", text) or not low <= int(text) <= high:
        _refuse(path, line, column, f"a whole number from {low} to {high:,}", shown(text))
    return int(text)


def _refuse(
    path: Path, line: int, column: int, expected: str, found: str, hint: str | None = None
) -> NoReturn:
    raise ScenarioError((Problem(str(path), line, column, "", expected, found, hint),)) from None


def check_files(options: Options, folder: Path) -> None:
    """Read the whole file, and keep nothing. Raises ScenarioError."""
    for _ in rows(options, folder):
        pass


class Source:
    """Offers the file's requests to the clients, reading one line ahead."""

    def __init__(
        self, options: Options, clients: "Clients", streams: "Streams", folder: Path
    ) -> None:
        self._clients: Any = clients  # Visitors, as requests may be large
        self._rows = rows(options, folder)
        self._env = clients.machine.env
        self._alarm = Alarm(self._env, self._send)
        self._start_ns = 0
        self._row: Row | None = None

    def start(self) -> None:
        """The server is ready: the clock of the trace starts now."""
        self._start_ns = self._env._now
        self._set_next()

    def _set_next(self) -> None:
        self._row = next(self._rows, None)
        if self._row is not None:
            self._alarm.set(self._start_ns + self._row[0])

    def _send(self) -> None:
        assert self._row is not None
        time_ns, connection, *sizes = self._row
        clients = self._clients
        clients.offer_later(self._start_ns + time_ns, clients.clients[connection], tuple(sizes))
        self._set_next()
