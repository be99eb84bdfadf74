"""The clients: the fate of every request.

    offer -> wait for a place -> wait for a connection -> send -> receive -> ended
             `waiting`           `pending`                `under_way`

A client has `pipeline` places, one for each request that may be under way at once. A request
ends answered (with an error maybe), refused (too many were waiting), or timed out; its place is
free again when its answer has been read, however late, or its connection is closed.

Mirrors iosim/clients.py and iosim/visitors.py, whose terms it uses.
Validated by: tests/real/test_load.py
"""

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from heapq import heappop, heappush
from itertools import count, pairwise
from pathlib import Path
from time import monotonic_ns

from iosim.real import plan as plans
from iosim.real.connecting import Connections
from iosim.real.connections import CLOSED, MOST_BYTES, Connection
from iosim.real.loop import NEVER_NS, Loop
from iosim.real.plan import HEADER
from iosim.real.process import give_up
from iosim.real.request import (
    ANSWERED,
    ANSWERED_WITH_ERROR,
    IN_FLIGHT,
    REFUSED,
    TIMED_OUT,
    Request,
)


class Clients:
    """All clients of a plan."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.loop = loop
        self.plan = plan = plans.read(folder)
        self._table = plans.table(folder, "requests")
        self._by_users = plan.arrivals == plans.USERS
        self._think = plans.table(folder, "think") if self._by_users else None
        self._check()
        self._connections = Connections(loop, plan, self._table)
        self._clients = [
            Client(number, self, self._connections) for number in range(plan.connections)
        ]
        self._requests: list[Request] = []
        self._next_row = 0
        self._next_ns = NEVER_NS
        # Of requests, answered ones included until they come up.
        self._deadlines: list[tuple[int, int, Client, Request]] = []
        self._number = count()
        self.n_waiting = 0
        self._start_ns = self._end_ns = NEVER_NS

    def _check(self) -> None:
        plan, table = self.plan, self._table
        if plan.arrivals not in (plans.TIMES, plans.USERS):
            give_up(f"arrivals of {plan.arrivals}?")
        if plan.users > plan.connections or (self._by_users and not plan.rows):
            give_up(f"{plan.users} users, {plan.connections} connections, {plan.rows} rows")
        if plan.slow and (plan.piece_bytes <= 0 or plan.gap_ns <= 0):
            give_up(f"slow clients send {plan.piece_bytes} bytes every {plan.gap_ns} ns")
        columns = plans.FIXED_COLUMNS + sum(step.columns for step in plan.steps)
        if plan.columns < columns:
            give_up(f"plan.txt: {columns} columns are needed")
        if len(table) < plan.rows * plan.columns:
            give_up("requests: too short")
        if self._think is not None and len(self._think) < plan.users * plans.THINK_TIMES:
            give_up("think: too short")
        if not plan.rows:
            return
        for sizes in (table[2 :: plan.columns], table[3 :: plan.columns]):
            if min(sizes) < HEADER.size or max(sizes) > MOST_BYTES:
                give_up(f"a request of {min(sizes)} bytes to one of {max(sizes)}, or an answer")
        if self._by_users:
            return
        clients = table[1 :: plan.columns]
        if min(clients) < 0 or max(clients) >= plan.connections:
            give_up(f"client {max(clients)} of {plan.connections}")
        for before_ns, after_ns in pairwise(table[:: plan.columns]):
            if after_ns < before_ns:
                give_up(f"a request at {after_ns} ns after one at {before_ns} ns")

    def connect(self, port: int, on_all_open: Callable[[], None]) -> None:
        """Open all connections, if they stay."""
        self._connections.address = ("127.0.0.1", port)
        if self.plan.lifetime or not self._clients:
            on_all_open()
        else:
            self._connections.open_all(list(self._clients), on_all_open)

    def open_wanted(self) -> int:
        """Open the connections that are wanted; not while a batch of events is gone through."""
        return self._connections.open_wanted()

    def start(self, start_ns: int) -> None:
        """The time of the load is known now."""
        self._start_ns, self._end_ns = start_ns, start_ns + self.plan.duration_ns
        if self._by_users:
            for client in self._clients[: self.plan.users]:
                self._think_then_ask(client, start_ns)
        else:
            self._schedule_next()

    def _schedule_next(self) -> None:
        self._next_ns = NEVER_NS
        if self._next_row < self.plan.rows:
            due_ns = self._start_ns + self._table[self._next_row * self.plan.columns]
            if due_ns < self._end_ns:
                self._next_ns = due_ns

    def run_due(self, now_ns: int) -> int:
        """Offer the requests that are due, give up those that have timed out; how many."""
        done = 0
        while self._next_ns <= now_ns:
            row, due_ns = self._next_row, self._next_ns
            self._next_row += 1
            self._schedule_next()
            client = self._clients[self._table[row * self.plan.columns + 1]]
            self._offer(client, row, due_ns, 0)
            done += 1
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            _, _, client, request = heappop(self._deadlines)
            if request.state == IN_FLIGHT:
                self.time_out(client, request, monotonic_ns())
            done += 1
        return done

    @property
    def due_ns(self) -> int:
        """When there will be something to do, if nothing comes."""
        # Those that have ended are not worth waking up for.
        while self._deadlines and self._deadlines[0][3].state != IN_FLIGHT:
            heappop(self._deadlines)
        return min(self._next_ns, self._deadlines[0][0] if self._deadlines else NEVER_NS)

    # ------------------------------------------------------------------- requests begin

    def _think_then_ask(self, client: "Client", at_ns: int) -> None:
        assert self._think is not None
        turn = client.thoughts % plans.THINK_TIMES
        client.thoughts += 1
        due_ns = at_ns + self._think[client.number * plans.THINK_TIMES + turn]
        if due_ns < self._end_ns:
            self.loop.at(due_ns, self._ask, client)

    def _ask(self, client: "Client", due_ns: int) -> None:
        row = self._next_row
        self._next_row = (row + 1) % self.plan.rows
        self._offer(client, row, due_ns, 0)

    def _offer(self, client: "Client", row: int, intended_ns: int, attempt: int) -> None:
        request = Request(row, intended_ns, attempt)
        self._requests.append(request)
        if self.plan.timeout_ns:
            deadline_ns = intended_ns + self.plan.timeout_ns
            heappush(self._deadlines, (deadline_ns, next(self._number), client, request))
        if client.places:
            client.take(request, intended_ns)
        elif self.plan.waiting and self.n_waiting >= self.plan.waiting:
            request.state = REFUSED
            self._ended(client, monotonic_ns())
        else:
            self.n_waiting += 1
            client.waiting.append(request)

    # --------------------------------------------------------------------- requests end

    def _ended(self, client: "Client", at_ns: int) -> None:
        if self._by_users:
            self._think_then_ask(client, at_ns)

    def time_out(self, client: "Client", request: Request, now_ns: int) -> None:
        """The client gives up waiting; it may try again."""
        at_ns = request.intended_ns + self.plan.timeout_ns
        request.state = TIMED_OUT
        if self.plan.close_on_timeout and request.under_way:
            client.close()
            client.send_next(now_ns)
        if request.attempt >= self.plan.retries:
            self._ended(client, at_ns)
        elif at_ns + self.plan.backoff_ns < self._end_ns:
            self._connections.counts.retries += 1
            self.loop.at(at_ns + self.plan.backoff_ns, self._try_again, client, request)

    def _try_again(self, client: "Client", request: Request, due_ns: int) -> None:
        self._offer(client, request.row, due_ns, request.attempt + 1)

    def answered(self, client: "Client", request: Request, failed: bool, now_ns: int) -> None:
        """It has its answer, and nobody has given it up."""
        request.state = ANSWERED_WITH_ERROR if failed else ANSWERED
        request.answered_ns = now_ns
        self._ended(client, now_ns)

    # ----------------------------------------------------------------------- the result

    def write(self, folder: Path) -> None:
        """Write `responses`."""
        rows = array("q")
        for each in self._requests:
            times_ns = (each.intended_ns, each.sent_ns, each.answered_ns)
            since_ns = [-1 if at_ns < 0 else at_ns - self._start_ns for at_ns in times_ns]
            rows.extend((each.row, *since_ns, each.state))
        (folder / "responses").write_bytes(rows.tobytes())

    def done(self) -> dict[str, int]:
        """What `done` says of the clients."""
        late = sorted(each.late_ns for each in self._requests if each.sent_ns >= 0) or [0]
        parts = {"late_p50_ns": 0.5, "late_p99_ns": 0.99, "late_max_ns": 1.0}
        return {
            **{name: late[int((len(late) - 1) * part)] for name, part in parts.items()},
            **asdict(self._connections.counts),
        }


class Client(Connection):
    """One client: its places, and what waits for them."""

    __slots__ = ("_clients", "_pending", "places", "thoughts", "waiting")

    def __init__(self, number: int, clients: Clients, connections: Connections) -> None:
        super().__init__(number, connections)
        self._clients = clients
        # Further requests that may be under way.
        self.places = max(1, clients.plan.pipeline)
        # Requests without a place, and those that have one but no connection.
        self.waiting: deque[Request] = deque()
        self._pending: deque[Request] = deque()
        # Of a user: times it has asked.
        self.thoughts = 0

    def take(self, request: Request, could_ns: int) -> None:
        """`request` gets a place, and could be sent from `could_ns` on: send it when there is a
        connection."""
        self.places -= 1
        if self.may_send:
            self.send(request, could_ns)
            return
        self._pending.append(request)
        if self.state == CLOSED:
            self.want()

    def send_next(self, now_ns: int) -> None:
        """A place is free, or several: send what waits."""
        while self.waiting and self.places:
            request = self.waiting.popleft()
            self._clients.n_waiting -= 1
            if request.state == IN_FLIGHT:
                self.take(request, now_ns)

    def close(self) -> None:
        """Close the connection; another is opened if one is wanted."""
        self.places += self.hang_up()
        if self._pending:
            self.want()

    def on_open(self) -> None:
        """Send those that have waited for it."""
        now_ns = monotonic_ns()
        while self._pending and self.may_send:
            request = self._pending.popleft()
            if request.state == IN_FLIGHT:
                self.send(request, now_ns)
            else:
                self.places += 1
                self.send_next(now_ns)

    def on_lost(self, now_ns: int) -> None:
        """What waits goes on the next connection."""
        self.close()
        self.send_next(now_ns)

    def on_answer(self, request: Request, failed: bool, now_ns: int) -> None:
        """Its place is free; the connection may have lived long enough."""
        socket, plan = self._socket, self._plan
        in_flight = request.state == IN_FLIGHT
        if in_flight and plan.timeout_ns and now_ns > request.intended_ns + plan.timeout_ns:
            # Its deadline is due and has not come up yet.
            self._clients.time_out(self, request, now_ns)
            if self._socket is not socket:
                return
        self.under_way.remove(request)
        request.under_way = False
        self.places += 1
        if request.state == IN_FLIGHT:
            self._clients.answered(self, request, failed, now_ns)
        self.send_next(now_ns)
        spent = 0 < plan.lifetime == self.sent
        if self._socket is socket and spent and not self.under_way:
            self.close()
