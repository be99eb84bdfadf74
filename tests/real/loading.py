"""A load to try: its plan written by hand, its process, and a scripted server in threads."""

import contextlib
import os
import select
import socket as sockets
import subprocess
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iosim.real import plan as plans
from iosim.real.plan import FAILED, HEADER, QUERY, QUERY_BYTES, REPLY_FILL, REQUEST_FILL

IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR = range(5)
MS = 1_000_000
FIXED: dict[str, Any] = {
    "model": "epoll",
    "runtime": "native",
    "arrivals": "times",
    "server_cpus": (0,),
    "client_cpus": tuple(os.sched_getaffinity(0)),
    "duration_ns": 500 * MS,
    "warm_up_ns": 0,
    "limit_s": 60,
    "spin": 0,
}


@dataclass(frozen=True)
class Response:
    """A row of `responses`."""

    row: int
    intended_ns: int
    sent_ns: int
    answered_ns: int
    state: int


@dataclass
class Outcome:
    """What a load has left: what it said with `done`, and `responses`."""

    done: dict[str, float]
    responses: list[Response]

    @property
    def states(self) -> list[int]:
        """How each request has ended, in the order in which they were offered."""
        return [response.state for response in self.responses]


class Load:
    """The load's process on a plan in `folder`; killed if it is there at the end."""

    def __init__(
        self,
        program: Sequence[str | Path],
        folder: Path,
        rows: Iterable[Iterable[int]],
        think: "Iterable[Iterable[int]] | None" = None,
        **numbers: Any,
    ) -> None:
        self.folder = folder
        table = [tuple(row) for row in rows]
        plan = plans.Plan(
            **{
                **FIXED,
                "rows": len(table),
                "columns": len(table[0]) if table else plans.FIXED_COLUMNS,
                **numbers,
            }
        )
        folder.mkdir(exist_ok=True)
        plans.write(folder, plan, plans.flat(table), None if think is None else plans.flat(think))
        self.process = subprocess.Popen(
            [*program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def tell(self, line: str) -> None:
        """A line for the load."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def hear(self, word: str) -> str:
        """What the load's next line says after `word`."""
        assert self.process.stdout is not None
        first, _, rest = self.process.stdout.readline().strip().partition(" ")
        assert first == word, f"{first} {rest}"
        return rest

    def start(self, port: int) -> None:
        """Let it connect to `port`, and start."""
        self.tell(f"connect {port}")
        self.hear("ready")
        self.tell(f"start {time.monotonic_ns()}")

    def outcome(self) -> Outcome:
        """Wait for the end of the load."""
        done = dict(word.split("=") for word in self.hear("done").split())
        numbers = array("q", (self.folder / "responses").read_bytes())
        rows = [Response(*numbers[first : first + 5]) for first in range(0, len(numbers), 5)]
        return Outcome({name: float(value) for name, value in done.items()}, rows)

    def leave(self) -> int:
        """Close its stdin; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)

    def run(self, port: int) -> Outcome:
        """The whole conversation, on the parent's side."""
        self.hear("devices")
        self.start(port)
        outcome = self.outcome()
        assert self.leave() == 0
        return outcome


class Hungup(Exception):
    """The load has closed the connection."""


@dataclass
class Connection:
    """The server's end of a connection."""

    socket: sockets.socket
    number: int
    rows: list[int] = field(default_factory=list)
    """Of all requests that have come on it."""

    def request(self) -> int:
        """The next request, which must be well-formed: its row."""
        row, size_bytes = HEADER.unpack(self._exactly(HEADER.size))
        body = self._exactly(size_bytes - HEADER.size)
        assert body == REQUEST_FILL * len(body)
        self.rows.append(row)
        return int(row)

    def _exactly(self, size_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < size_bytes:
            part = self.socket.recv(size_bytes - len(data))
            if not part:
                raise Hungup
            data += part
        return bytes(data)

    def answer(self, row: int, size_bytes: int = 16, failed: bool = False) -> None:
        """Answer as told."""
        self.socket.sendall(reply(row, size_bytes, failed))

    def is_silent(self) -> bool:
        """Whether nothing comes for a while."""
        return not select.select([self.socket], [], [], 0.05)[0]


def reply(row: int, size_bytes: int = 16, failed: bool = False) -> bytes:
    """An answer's bytes."""
    header = HEADER.pack(row, size_bytes | (FAILED if failed else 0))
    return header.ljust(size_bytes, REPLY_FILL)


Script = Callable[[Connection], None]


def echo(connection: Connection) -> None:
    """Answer each request at once, with 16 bytes."""
    while True:
        connection.answer(connection.request())


def silence(connection: Connection) -> None:
    """Take requests and never answer."""
    while True:
        connection.request()


class Server:
    """Runs `script` for each connection; ends with the load. `failures`: what went wrong there."""

    def __init__(self, script: Script) -> None:
        self.connections: list[Connection] = []
        self.ended: list[Connection] = []
        self.failures: list[BaseException] = []
        self._script = script
        self._threads: list[threading.Thread] = []
        self._last: object = None
        self._listener = sockets.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            socket, address = self._listener.accept()
            if address == self._last:
                socket.close()
                return
            connection = Connection(socket, len(self.connections))
            self.connections.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: Connection) -> None:
        try:
            with connection.socket:
                self._script(connection)
        except (Hungup, ConnectionError):
            self.ended.append(connection)
        except BaseException as error:
            self.failures.append(error)

    @property
    def rows(self) -> list[int]:
        """Of all requests that have come, by connection."""
        return [row for connection in self.connections for row in connection.rows]

    def close(self) -> None:
        """The load has ended: wait for the threads."""
        # Behind all other connections, which may not have been accepted yet.
        with sockets.socket() as last:
            last.bind(("127.0.0.1", 0))
            self._last = last.getsockname()
            last.connect(("127.0.0.1", self.port))
            self._accepting.join(20)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        assert not self.failures


@contextlib.contextmanager
def serving(script: Script) -> "Iterator[Server]":
    """A server that runs `script` for each connection. The load must have ended before it."""
    server = Server(script)
    try:
        yield server
    finally:
        server.close()


def query(
    port: int, row: int, service_ns: int, device: int = 0, failed: bool = False
) -> sockets.socket:
    """A connection to the devices, on which a query has been sent."""
    connection = sockets.create_connection(("127.0.0.1", port))
    connection.sendall(query_bytes(row, service_ns, device, failed))
    return connection


def query_bytes(row: int, service_ns: int, device: int = 0, failed: bool = False) -> bytes:
    """A query's bytes."""
    return QUERY.pack(row, device, failed, service_ns).ljust(QUERY_BYTES, b"\0")


def answers(connections: Sequence[sockets.socket]) -> list[int]:
    """The rows of the answers on `connections`, in the order of their coming; closes them."""
    rows = []
    left = list(connections)
    while left:
        ready, _, _ = select.select(left, [], [], 20)
        assert ready
        for connection in ready:
            data = connection.recv(QUERY_BYTES, sockets.MSG_WAITALL)
            assert len(data) == QUERY_BYTES
            rows.append(int(QUERY.unpack_from(data)[0]))
            left.remove(connection)
            connection.close()
    return rows
