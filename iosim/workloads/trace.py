"""A trace: requests replayed from a file, each at its time and on its connection.

    time_s,connection,request_bytes,reply_bytes
    0.000120,0,128,1024
    0.000125,7,300,65536

What it models: an open workload whose arrivals were recorded elsewhere. `time_s` counts
from the start of the load and may not go back; `connection` counts from 0 among the active
ones; the sizes may be left out, as columns or in a line. The file is read line by line as the
run goes on, once before it to find mistakes, and again in each replication. What comes after
the run's duration is left out; where the two lengths differ by more than a factor of two, a warning
says so.

Not modelled: what a request makes the handler do; a trace that starts again at its end.
Source: recorded arrivals; Schroeder, Wierman, Harchol-Balter, "Open Versus Closed", NSDI 2006, for
why a trace is replayed without waiting for answers.
Validated by: tests/unit/test_trace_workload.py, tests/conformance
"""

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from iosim import csv_source
from iosim.csv_source import refuse
from iosim.errors import did_you_mean, shown
from iosim.machine.alarm import Alarm
from iosim.units import canonical_duration, format_duration_ns
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

MUCH = 2
"""A run so many times as long as its trace, or as short, is most likely not what was meant."""
WHOLE = re.compile("[0-9]{1,18}")

Request = tuple[int, int, int | None, int | None]
"""Intended ns from the start, connection, bytes of the request and its answer, if it says them."""


class Options(Requests):
    """Requests are replayed from a CSV file: time_s, connection, sizes."""

    file: str = Field(min_length=1, description="The file's path, from the scenario's folder.")

    @property
    def largest_request(self) -> int:
        """As large as a line of the file may say."""
        return MOST_BYTES


def rows(options: Options, folder: Path) -> Iterator[Request]:
    """The file's requests, one by one. Raises ScenarioError at the first mistake."""
    path = folder / options.file
    last_ns = -1
    connections = options.connections.active_count
    for row in csv_source.rows(path, _check_columns):
        found = dict(zip(row.names, row.cells, strict=True))
        time_ns = _time_ns(row, found["time_s"])
        if time_ns < last_ns:
            row.refuse(
                "time_s",
                f"times that do not go back, so at least {Decimal(last_ns) / 10**9} here",
                found["time_s"].strip(),
            )
        last_ns = time_ns
        connection = _whole(row, "connection", found["connection"], 0, connections - 1)
        request_bytes, reply_bytes = (
            _whole(row, name, found[name], 1, MOST_BYTES) if found.get(name, "").strip() else None
            for name in SIZES
        )
        yield time_ns, connection, request_bytes, reply_bytes
    if last_ns < 0:
        refuse(path, 0, 0, "a request in a line of its own", "none")


def _check_columns(path: Path, columns: list[str]) -> None:
    if not any(columns):
        refuse(path, 1, 1, f"a first line that names the columns {', '.join(NEEDED)}", "nothing")
    known = (*NEEDED, *SIZES)
    for name in columns:
        if name not in known:
            hint = did_you_mean(name, known)
            refuse(path, 1, 1, f"columns among {', '.join(known)}", shown(name), hint)
        if columns.count(name) > 1:
            refuse(path, 1, 1, "each column once", f"{shown(name)} twice")
    for name in NEEDED:
        if name not in columns:
            refuse(path, 1, 1, f"a column {shown(name)}", ", ".join(columns))


def _time_ns(row: csv_source.Row, text: str) -> int:
    try:
        seconds = Decimal(text.strip())
    except InvalidOperation:
        seconds = Decimal("nan")
    # Compared before it is multiplied: an exponent can be anything.
    if not (seconds.is_finite() and 0 <= seconds <= LATEST_S):
        row.refuse("time_s", f"seconds from 0 to {LATEST_S:,}", shown(text.strip()))
    return round(seconds * 10**9)


def _whole(row: csv_source.Row, name: str, text: str, low: int, high: int) -> int:
    text = text.strip()
    if not WHOLE.fullmatch(text) or not low <= int(text) <= high:
        row.refuse(name, f"a whole number from {low} to {high:,}", shown(text))
    return int(text)


def check_files(options: Options, folder: Path, duration_ns: int) -> Iterator[str]:
    """Read the whole file, and keep nothing; yield what is odd about it.

    Raises ScenarioError.
    """
    count = replayed = first_ns = last_ns = 0
    for last_ns, *_ in rows(options, folder):
        if not count:
            first_ns = last_ns
        count += 1
        replayed += last_ns <= duration_ns
    file, run = shown(options.file), f"the run of {canonical_duration(duration_ns)}"
    if not replayed:
        first = format_duration_ns(first_ns)
        yield f"trace {file}: its first request, at {first}, comes after {run}: there is no load"
    elif last_ns > MUCH * duration_ns:
        yield (
            f"trace {file}: {run} replays the first {replayed:,} of its {count:,} requests, which "
            f"last {format_duration_ns(last_ns)}"
        )
    elif MUCH * last_ns < duration_ns:
        last = format_duration_ns(last_ns)
        yield f"trace {file}: its last request comes at {last}, then {run} goes on without load"


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
        self._row: Request | None = None

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
