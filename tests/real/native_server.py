"""A native server under test, its clients, and the devices that it calls: all in this process."""

import os
import selectors
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from iosim.real import compiler
from iosim.real.plan import (
    FAILED,
    FIXED_COLUMNS,
    HEADER,
    QUERY,
    QUERY_BYTES,
    REPLY_FILL,
    REQUEST_FILL,
    DevicePlan,
    Plan,
    Step,
    flat,
    write,
)

PATIENCE_S = 20
"""Nothing that is to happen takes so long, however busy the machine is."""


class Devices:
    """What every device answers to: a query comes back after its service time."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port = self.listener.getsockname()[1]
        self.queries: list[tuple[int, int, int]] = []
        self.connections = 0
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            due: list[tuple[float, socket.socket, bytes]] = []
            while True:
                timeout = max(0.0, min(due)[0] - time.monotonic()) if due else None
                for key, _ in selector.select(timeout):
                    if key.fileobj is self._stopped:
                        for other in tuple(selector.get_map().values()):
                            other.fileobj.close()  # type: ignore[union-attr]
                        return
                    if key.fileobj is self.listener:
                        connection, _ = self.listener.accept()
                        self.connections += 1
                        selector.register(connection, selectors.EVENT_READ)
                    else:
                        self._receive(key.fileobj, selector, due)  # type: ignore[arg-type]
                now = time.monotonic()
                for entry in [entry for entry in due if entry[0] <= now]:
                    due.remove(entry)
                    with suppress(OSError):  # it has ended
                        # In two pieces: an answer may come so.
                        entry[1].sendall(entry[2][:5])
                        entry[1].sendall(entry[2][5:])

    def _receive(self, connection: socket.socket, selector: Any, due: list[Any]) -> None:
        try:
            query = connection.recv(QUERY_BYTES, socket.MSG_WAITALL)
        except ConnectionResetError:  # the server has ended before it was answered
            query = b""
        if not query:
            selector.unregister(connection)
            connection.close()
            return
        row, device, failed, service_ns = QUERY.unpack_from(query)
        self.queries.append((row, device, failed))
        due.append((time.monotonic() + service_ns / 1e9, connection, query))

    def close(self) -> None:
        """End the thread."""
        self._stop.close()
        self._thread.join(PATIENCE_S)


class Server:
    """The server's process."""

    def __init__(self, folder: Path, devices_port: int, prefix: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, str(compiler.server()), str(folder), str(devices_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        word, *rest = self.line().split(maxsplit=1)
        self.error = rest[0].strip() if word == "error" else None
        self.port = int(rest[0]) if word == "listening" else 0

    def line(self) -> str:
        """Its next line on stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def say(self, line: str) -> None:
        """A line on its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")

    def mark(self) -> dict[str, int]:
        """Its counters."""
        self.say("mark")
        word, *values = self.line().split()
        assert word == "mark"
        pairs = dict(value.split("=") for value in values)
        self.served = [int(n) for n in pairs.pop("served", "").split(",") if n]
        return {name: int(value) for name, value in pairs.items()}

    def counted(self, name: str, value: int) -> dict[str, int]:
        """Its counters, once `name` is `value`: who answers may count a moment later."""
        end = time.monotonic() + PATIENCE_S
        while (found := self.mark())[name] != value and time.monotonic() < end:
            time.sleep(0.01)
        assert found[name] == value
        return found

    def until_asleep(self) -> None:
        """Wait until all its threads sleep."""
        end = time.monotonic() + PATIENCE_S
        while any(state != "S" for state in self._states()):
            assert time.monotonic() < end

    def _states(self) -> Iterator[str]:
        for process in (self.process.pid, *self.forked()):
            for task in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError):  # it has ended
                    yield (task / "stat").read_text().rpartition(")")[2].split()[0]

    def forked(self) -> list[int]:
        """The processes that it has forked."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self) -> int:
        """Close its stdin; its exit code."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.stdout.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type | None, error: object, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for file in (self.process.stdin, self.process.stdout):
            assert file is not None
            file.close()


class Client:
    """A connection that asks, and compares each answer with what it is to be."""

    def __init__(self, server: Server, rows: Sequence[Sequence[int]]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rows = rows

    def request(self, row: int) -> bytes:
        """The bytes of a request."""
        size = self._rows[row][2]
        return HEADER.pack(row, size).ljust(size, REQUEST_FILL)

    def ask(self, *rows: int) -> None:
        """Send these requests, all at once."""
        self.socket.sendall(b"".join(map(self.request, rows)))

    def answer(self, failed: bool = False) -> int:
        """Receive an answer; the row that it is for."""
        row, size = HEADER.unpack(self._receive(HEADER.size))
        assert bool(size & FAILED) == failed
        assert size & ~FAILED == self._rows[row][3]
        assert self._receive((size & ~FAILED) - HEADER.size).strip(REPLY_FILL) == b""
        return int(row)

    def _receive(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            data = self.socket.recv(size - len(found))
            assert data, "the server has closed the connection"
            found += data
        return bytes(found)

    def is_closed(self) -> bool:
        """Whether the server closes it without a word more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Close it so that the server is sent a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type | None, error: object, trace: TracebackType | None) -> None:
        self.socket.close()


def rows_of(
    sizes: Sequence[tuple[int, int]], steps: Sequence[int] = (), count: int = 1
) -> list[list[int]]:
    """Rows of `requests`: (request, reply) bytes, then the steps' columns."""
    return [[0, 0, request, reply, *steps] for _ in range(count) for request, reply in sizes]


@contextmanager
def serving(
    folder: Path,
    model: str,
    options: Mapping[str, str],
    rows: Sequence[Sequence[int]],
    steps: Sequence[Step] = (),
    devices: Sequence[DevicePlan] = (),
    prefix: Sequence[str] = (),
    **numbers: Any,
) -> Iterator[tuple[Server, Devices]]:
    """A server, and the devices that it calls."""
    plan = Plan(
        model=model,
        runtime="native",
        arrivals=numbers.pop("arrivals", "times"),
        server_cpus=tuple(os.sched_getaffinity(0)),
        client_cpus=(),
        duration_ns=numbers.pop("duration_ns", 0),
        warm_up_ns=0,
        limit_s=numbers.pop("limit_s", 120),
        options=options,
        steps=tuple(steps),
        devices=tuple(devices),
        rows=len(rows),
        columns=len(rows[0]) if rows else FIXED_COLUMNS,
        request_bytes=min((row[2] for row in rows if len(row) > 2), default=HEADER.size),
        **numbers,
    )
    folder.mkdir(exist_ok=True)
    write(folder, plan, flat(rows), None)
    there = Devices()
    try:
        with Server(folder, there.port, prefix) as server:
            yield server, there
    finally:
        there.close()
