"""The clients' process in Python, where no C compiler is: `python -m iosim.real.load FOLDER`.

One thread sends each request at its time, takes the answers, and is every device as well: it
looks around all the time (`spin`), or sleeps in epoll_wait in between.

Scope: it keeps up with some thousand requests a second, and tells its lateness.
Not done: clients that send slowly or read slowly, retries; native/load.c does them.
Validated by: tests/real/test_plan.py
"""

import os
import select
import socket as sockets
import sys
import time
from array import array
from collections import deque
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

from iosim.real import plan as plans
from iosim.real.plan import FAILED, HEADER, QUERY, QUERY_BYTES, REPLY_FILL, REQUEST_FILL
from iosim.real.process import PR_SET_TIMERSLACK, give_up, prctl, say, settle_in

IN_FLIGHT, ANSWERED, REFUSED, TIMED_OUT, ANSWERED_WITH_ERROR = range(5)
READ_BYTES = 1 << 18
NEVER_NS = 1 << 62


class Offered:
    """A request, from the moment when it is to be sent."""

    __slots__ = ("answered_ns", "client", "due_ns", "intended_ns", "row", "sent_ns", "state")

    def __init__(self, row: int, intended_ns: int, client: "Client") -> None:
        self.row = row
        self.intended_ns = intended_ns
        self.client = client
        self.due_ns = intended_ns
        self.sent_ns = self.answered_ns = -1
        self.state = IN_FLIGHT


class Client:
    """One client, its connection, and what is under way on it."""

    __slots__ = ("number", "outstanding", "received", "sent", "socket", "unsent", "waiting")

    def __init__(self, number: int) -> None:
        self.number = number
        self.socket: sockets.socket | None = None
        self.waiting: deque[Offered] = deque()
        self.outstanding: list[Offered] = []
        self.received = b""
        self.unsent = b""
        # Requests sent on the present connection.
        self.sent = 0


class Devices:
    """All devices: stations with places, which answer after a time."""

    def __init__(self, plan: plans.Plan) -> None:
        self._free = [device.concurrency or 1 << 30 for device in plan.devices]
        self._queues: list[deque[tuple[sockets.socket, bytes, int]]] = [
            deque() for _ in plan.devices
        ]
        self._due: list[tuple[int, int, int, sockets.socket, bytes]] = []
        self._number = count()
        self._received: dict[int, bytes] = {}

    def readable(self, connection: sockets.socket) -> bool:
        """Take the queries that have come; False at the end of the connection."""
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            return False
        data = self._received.pop(connection.fileno(), b"") + data
        while len(data) >= QUERY_BYTES:
            query, data = data[:QUERY_BYTES], data[QUERY_BYTES:]
            _, device, _, service_ns = QUERY.unpack_from(query)
            self._queues[device].append((connection, query, service_ns))
            self._start(device)
        if data:
            self._received[connection.fileno()] = data
        return True

    def _start(self, device: int) -> None:
        while self._free[device] and self._queues[device]:
            self._free[device] -= 1
            connection, query, service_ns = self._queues[device].popleft()
            due_ns = time.monotonic_ns() + service_ns
            heappush(self._due, (due_ns, next(self._number), device, connection, query))

    @property
    def next_ns(self) -> int:
        """When the next answer is due."""
        return self._due[0][0] if self._due else NEVER_NS

    def answer(self, now_ns: int) -> None:
        """Give the answers that are due."""
        while self._due and self._due[0][0] <= now_ns:
            _, _, device, connection, query = heappop(self._due)
            self._free[device] += 1
            self._start(device)
            with suppress(OSError):  # the server has ended
                connection.sendall(query)


class Load:
    """The clients of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.plan = plan = plans.read(folder)
        if plan.slow or plan.receive_bytes_per_s or plan.retries:
            give_up("clients that are slow or ask again need the native load: a C compiler")
        settle_in(plan.client_cpus, plan.limit_s)
        prctl(PR_SET_TIMERSLACK, 1)
        self._table = plans.table(folder, "requests")
        self._think = plans.table(folder, "think") if plan.users else None
        self._asked = [0] * plan.users
        self._next_row = 0
        self._clients = [Client(number) for number in range(plan.connections)]
        self._offered: list[Offered] = []
        # (when, number, what to do with what): what is to happen at a time.
        self._due: list[tuple[int, int, Any, Any]] = []
        self._number = count()
        self._waiting = 0
        self._epoll = select.epoll()
        self._handlers: dict[int, Any] = {}
        self._devices = Devices(plan)
        self._start_ns = 0
        self._port = 0
        self.wrong = self.opened = self.failures = 0
        self._late: list[int] = []

    # ------------------------------------------------------------------- connections

    def listen(self) -> int:
        """Listen for queries to devices; the port."""
        listener = sockets.create_server(("127.0.0.1", 0), backlog=4096)
        listener.setblocking(False)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    return
                connection.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
                connection.setblocking(False)
                self._watch(connection, partial(self._on_query, connection))

        self._watch(listener, accept)
        port: int = listener.getsockname()[1]
        return port

    def _on_query(self, connection: sockets.socket) -> None:
        if not self._devices.readable(connection):
            self._forget(connection)
            connection.close()

    def _watch(self, socket: sockets.socket, handler: Any, events: int = select.EPOLLIN) -> None:
        self._handlers[socket.fileno()] = handler
        self._epoll.register(socket.fileno(), events)

    def _forget(self, socket: sockets.socket) -> None:
        del self._handlers[socket.fileno()]
        self._epoll.unregister(socket.fileno())

    def connect(self, port: int) -> None:
        """Open all connections, if they stay."""
        self._port = port
        if not self.plan.lifetime:
            for client in self._clients:
                self._open(client)
                self._look(0)

    def _open(self, client: Client) -> None:
        try:
            client.socket = sockets.create_connection(("127.0.0.1", self._port), timeout=5)
        except OSError as error:
            give_up(f"connection {client.number}: {error}")
        client.socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        client.socket.setblocking(False)
        client.received = client.unsent = b""
        client.sent = 0
        self._watch(client.socket, lambda: self._on_socket(client))

    def _hang_up(self, client: Client) -> None:
        if client.socket is not None:
            self._forget(client.socket)
            client.socket.close()
            client.socket = None

    # ---------------------------------------------------------------------- requests

    def run(self, start_ns: int) -> None:
        """The load, from `start_ns` of CLOCK_MONOTONIC on."""
        self._start_ns = start_ns
        if self.plan.workload == "closed":
            for user in range(self.plan.users):
                self._ask(user, 0)
        else:
            self._schedule_next(0)
        end_ns = start_ns + self.plan.duration_ns
        while (now_ns := time.monotonic_ns()) < end_ns:
            while self._due and self._due[0][0] <= now_ns - start_ns:
                _, _, act, what = heappop(self._due)
                act(what)
            self._devices.answer(now_ns)
            next_ns = min(self._due[0][0] + start_ns if self._due else NEVER_NS, end_ns)
            next_ns = min(next_ns, self._devices.next_ns)
            idle_ns = 0 if self.plan.spin else max(0, next_ns - time.monotonic_ns())
            self._look(idle_ns)

    def _look(self, timeout_ns: int) -> None:
        # A time-out of milliseconds is for the far future: what is near is waited for awake.
        for fd, _ in self._epoll.poll(max(0, timeout_ns - 1_000_000) // 1_000_000 / 1_000):
            if fd in self._handlers:
                self._handlers[fd]()

    def _at(self, at_ns: int, act: Any, what: Any) -> None:
        heappush(self._due, (at_ns, next(self._number), act, what))

    def _ask(self, user: int, now_ns: int) -> None:
        assert self._think is not None
        turn = self._asked[user] % plans.THINK_TIMES
        self._asked[user] += 1
        at_ns = now_ns + self._think[user * plans.THINK_TIMES + turn]
        self._at(at_ns, self._ask_now, (user, at_ns))

    def _ask_now(self, what: tuple[int, int]) -> None:
        user, intended_ns = what
        row, self._next_row = self._next_row, (self._next_row + 1) % self.plan.rows
        self._offer(Offered(row, intended_ns, self._clients[user]))

    def _schedule_next(self, row: int) -> None:
        if row < self.plan.rows:
            self._at(self._table[row * self.plan.columns], self._offer_row, row)

    def _offer_row(self, row: int) -> None:
        self._schedule_next(row + 1)
        intended_ns, client = self._table[row * self.plan.columns : row * self.plan.columns + 2]
        self._offer(Offered(row, intended_ns, self._clients[client]))

    def _offer(self, request: Offered) -> None:
        self._offered.append(request)
        client = request.client
        if self.plan.timeout_ns:
            self._at(request.intended_ns + self.plan.timeout_ns, self._time_out, request)
        if len(client.outstanding) < self.plan.pipeline:
            self._send(request)
        elif self.plan.waiting and self._waiting >= self.plan.waiting:
            request.state = REFUSED
            self._ended(request)
        else:
            self._waiting += 1
            client.waiting.append(request)

    def _send(self, request: Offered) -> None:
        client = request.client
        if self.plan.lifetime and client.sent == self.plan.lifetime and client.outstanding:
            client.waiting.appendleft(request)
            self._waiting += 1
            return
        if self.plan.lifetime and (client.socket is None or client.sent == self.plan.lifetime):
            self._hang_up(client)
        if client.socket is None:
            self._open(client)
            self.opened += 1
        assert client.socket is not None
        size_bytes = self._table[request.row * self.plan.columns + 2]
        client.unsent += HEADER.pack(request.row, size_bytes).ljust(size_bytes, REQUEST_FILL)
        client.sent += 1
        client.outstanding.append(request)
        request.sent_ns = self._now()
        self._late.append(request.sent_ns - request.due_ns)
        self._flush(client)

    def _now(self) -> int:
        return time.monotonic_ns() - self._start_ns

    def _flush(self, client: Client) -> None:
        assert client.socket is not None
        try:
            client.unsent = client.unsent[client.socket.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return  # heard of when it is read
        events = select.EPOLLIN | (select.EPOLLOUT if client.unsent else 0)
        if client.unsent or events != select.EPOLLIN:
            self._epoll.modify(client.socket.fileno(), events)

    def _on_socket(self, client: Client) -> None:
        assert client.socket is not None
        if client.unsent:
            self._flush(client)
            if not client.unsent:
                self._epoll.modify(client.socket.fileno(), select.EPOLLIN)
        try:
            data = client.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the server has hung up
            self._hang_up(client)
            if client.outstanding:
                self.failures += 1
            return
        data = client.received + data
        while len(data) >= HEADER.size:
            row, size = HEADER.unpack_from(data)
            size_bytes = size & ~FAILED
            if len(data) < size_bytes:
                break
            self._answered(client, row, data[:size_bytes], bool(size & FAILED))
            data = data[size_bytes:]
        client.received = data
        self._send_next(client)

    def _answered(self, client: Client, row: int, answer: bytes, failed: bool) -> None:
        request = next((each for each in client.outstanding if each.row == row), None)
        if request is None:
            self.wrong += 1
            return
        client.outstanding.remove(request)
        size_bytes = self._table[row * self.plan.columns + 3]
        if len(answer) != size_bytes or answer.count(REPLY_FILL, HEADER.size) != (
            size_bytes - HEADER.size
        ):
            self.wrong += 1
        if request.state == IN_FLIGHT:
            request.answered_ns = self._now()
            request.state = ANSWERED_WITH_ERROR if failed else ANSWERED
            self._ended(request)

    def _ended(self, request: Offered) -> None:
        if self.plan.workload == "closed":
            self._ask(request.client.number, self._now())

    def _send_next(self, client: Client) -> None:
        while client.waiting and len(client.outstanding) < self.plan.pipeline:
            self._waiting -= 1
            request = client.waiting.popleft()
            if request.state == IN_FLIGHT:
                request.due_ns = max(request.due_ns, self._now())
                self._send(request)

    def _time_out(self, request: Offered) -> None:
        if request.state != IN_FLIGHT:
            return
        request.state = TIMED_OUT
        client = request.client
        if self.plan.close_on_timeout and request in client.outstanding:
            client.outstanding.clear()
            self._hang_up(client)
        self._ended(request)
        self._send_next(client)

    # ------------------------------------------------------------------------ the end

    def write(self) -> str:
        """Write `responses`; what to say of the load."""
        rows = array("q")
        for each in self._offered:
            rows.extend((each.row, each.intended_ns, each.sent_ns, each.answered_ns, each.state))
        (self._folder / "responses").write_bytes(rows.tobytes())
        late = sorted(self._late) or [0]
        found = {
            "late_p50_ns": late[len(late) // 2],
            "late_p99_ns": late[len(late) * 99 // 100],
            "late_max_ns": late[-1],
            "wrong": self.wrong,
            "retries": 0,
            "connections_opened": self.opened,
            "connect_failures": self.failures,
        }
        return " ".join(f"{name}={value}" for name, value in found.items())


def main() -> None:
    """Be the clients of the plan in the folder that the command line names."""
    load = Load(Path(sys.argv[1]))
    say(f"devices {load.listen()}")
    lines = sys.stdin
    for line in lines:
        word, *rest = line.split()
        if word == "connect":
            load.connect(int(rest[0]))
            say("ready")
        elif word == "start":
            load.run(int(rest[0]))
            say(f"done {load.write()}")
    os._exit(0)


if __name__ == "__main__":
    main()
