"""A real server as a process, clients that speak its protocol, and a scripted device."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from iosim.real import plan as plans

PATIENCE_S = 20
"""Whoever has not answered by then never will."""
SECOND_NS = 1_000_000_000

PLAN = plans.Plan(
    model="",
    runtime="cpython",
    arrivals="times",
    server_cpus=tuple(sorted(os.sched_getaffinity(0))),
    client_cpus=tuple(sorted(os.sched_getaffinity(0))),
    duration_ns=SECOND_NS,
    warm_up_ns=0,
    limit_s=60,
    send_buffer_bytes=1 << 18,  # large answers do not fit
    request_bytes=64,
)


class Device:
    """What answers each query after the time that it asks for."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.queries = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            while query := receive(connection, plans.QUERY_BYTES):
                self.queries += 1
                time.sleep(plans.QUERY.unpack_from(query)[3] / SECOND_NS)
                connection.sendall(query[:50])
                time.sleep(0.001)
                connection.sendall(query[50:])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Serving:
    """A server that runs; `rows` as in the plan's `requests`, less the fixed first two.

    A pipeline has a `table` instead.
    """

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any],
        rows: Sequence[Sequence[int]],
        port: int = 0,
        table: Sequence[Sequence[int]] = (),
        **changes: Any,
    ) -> None:
        self.rows = [tuple(row) for row in table] or [(0, 0, *row) for row in rows]
        texts = {
            name: "-" if value is None else str(int(value) if type(value) is bool else value)
            for name, value in options.items()
        }
        self.plan = replace(
            PLAN,
            model=model,
            options=texts,
            rows=len(self.rows),
            columns=len(self.rows[0]),
            **{"lifetime": 1, **changes},  # connections come and go
        )
        self._clients: list[socket.socket] = []
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        plans.write(self.folder, self.plan, plans.flat(self.rows), None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "iosim.real.serve", str(self.folder), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first_line = self.read_line()

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        """A client's connection."""
        client = socket.socket()
        self._clients.append(client)
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(PATIENCE_S)
        word, port = self.first_line.split()
        assert word == "listening"
        client.connect(("127.0.0.1", int(port)))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def request(self, row: int) -> bytes:
        size_bytes = self.rows[row][2]
        return plans.HEADER.pack(row, size_bytes).ljust(size_bytes, plans.REQUEST_FILL)

    def reply(self, row: int, failed: bool = False) -> bytes:
        size_bytes = self.rows[row][3]
        flag = plans.FAILED if failed else 0
        return plans.HEADER.pack(row, size_bytes | flag).ljust(size_bytes, plans.REPLY_FILL)

    def ask(self, client: socket.socket, row: int, failed: bool = False) -> None:
        """A request, and its answer byte for byte."""
        client.sendall(self.request(row))
        assert receive(client, self.rows[row][3]) == self.reply(row, failed)

    def mark(self) -> dict[str, int]:
        """The server's counters."""
        self.say("mark")
        word, *words = self.read_line().split()
        assert word == "mark"
        return {
            name: int(text)
            for name, _, text in (each.partition("=") for each in words)
            if name != "served"
        }

    def mark_when(self, name: str, value: int) -> dict[str, int]:
        """The counters, once this one has this value; empty if it never has."""
        late = time.monotonic() + PATIENCE_S
        while time.monotonic() < late:
            if (found := self.mark())[name] == value:
                return found
            time.sleep(0.01)
        return {}

    def fall_asleep(self) -> None:
        """Let time pass until all its threads sleep: nothing is left to be done."""
        late = time.monotonic() + PATIENCE_S
        tasks = Path(f"/proc/{self.process.pid}/task")
        while any(state(task) != "S" for task in tasks.iterdir()) and time.monotonic() < late:
            time.sleep(0.0005)

    def end(self) -> tuple[int, str]:
        """Close its stdin: its exit code, and what it has said besides."""
        out, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out + errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        out, errors = self.process.communicate()
        self._folder.cleanup()
        if error is not None:
            error.add_note(out + errors)


def state(process: Path) -> str:
    """What /proc says of a process or thread: S asleep, R runnable, Z ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def receive(client: socket.socket, size_bytes: int) -> bytes:
    """So many bytes, or what came before the end."""
    got = bytearray()
    while len(got) < size_bytes:
        data = client.recv(min(size_bytes - len(got), 1 << 16))
        if not data:
            break
        got += data
    return bytes(got)


def reset(client: socket.socket) -> None:
    """Close it with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
