"""The clients: connections, and the fate of every request.

What it models: each client holds one connection and has at most one request under way
on it; a request whose connection is busy waits at the client, and its response time
still counts from the moment it was meant to be sent. A request ends in one of four ways:

    offered = completed + refused + timed out + in flight

refused: more than `backlog` requests were waiting at the clients; timed out: no answer
within `timeout` of the intended send time (the connection stays busy until the late
answer comes, which is then ignored).

The load starts when the server has accepted all connections.

Not modelled: what `iosim.visitors` adds: connections that come and go, pipelining, retries.
Validated by: tests/conformance, tests/timeline/test_clients.py
"""

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, Protocol

from iosim.devices import Network
from iosim.machine.agenda import Agenda
from iosim.machine.alarm import Alarm
from iosim.machine.machine import Machine
from iosim.machine.request import ANSWERED, REFUSED, TIMED_OUT, WAITING, Request
from iosim.machine.sockets import Socket

SETTLING_NS = 10_000_000
"""From the last accepted connection to the start of the load: so long at least, and again
as long while threads wait for a core on their way to their first sleep."""

CONNECTING = 64
"""Connections in the accept queue at once while the clients connect."""


COUNT_EVERY = 1024
"""Requests offered from one time that what has ended is counted and forgotten to the next."""


class Recorder(Protocol):
    """Who is told of each completed request."""

    @property
    def completed(self) -> Callable[[Request], object]:
        """What is called with each request that has been answered, at its `answered_ns`."""

    def count(self) -> None:
        """Called every so often: what has been told since need not be kept any longer."""


class Client:
    """One connection's client side; the peer of the server's socket."""

    __slots__ = ("busy", "clients", "free_ns", "number", "socket", "softirq_on_sender", "waiting")

    def __init__(self, clients: "Clients", number: int) -> None:
        self.clients = clients
        self.number = number
        self.softirq_on_sender = clients.network.softirq_on_sender
        # None while it has no connection.
        self.socket: Any = Socket(f"connection {number}", self)
        self.busy = False
        # When the client has received its last answer.
        self.free_ns = 0
        # Requests that wait for the connection; most clients never have one.
        self.waiting: deque[Request] | None = None

    def accepted(self, socket: Socket, at_ns: int) -> None:
        self.clients.on_accepted(at_ns)

    def receive(self, socket: Socket, message: Request, at_ns: int) -> None:
        """The server's answer leaves it at `at_ns`."""
        clients = self.clients
        self.free_ns = arrival_ns = clients.network.reply_arrival_ns(
            at_ns, message.delays_ns[1], message.reply_bytes
        )
        if message.state == WAITING and (
            clients.timeout_ns is None or arrival_ns <= message.intended_ns + clients.timeout_ns
        ):
            message.state = ANSWERED
            message.network_ns += arrival_ns - at_ns
            clients.answered += 1
            message.answered_ns = arrival_ns
            completed = clients.completed  # called as an attribute, it would be looked for in vain
            completed(message)
            if clients.on_ended is not None:
                clients.on_ended(message, arrival_ns)
        if self.waiting:
            clients.send_next(self)
        else:
            self.busy = False

    def closed(self, socket: Socket) -> None:
        raise AssertionError("the server closed a connection that is in use")


class Clients:
    """All clients of one run."""

    at_arrival = True
    """Whether requests may be offered when they arrive, and not when they are sent."""
    retries = listen_overflows = connections_opened = 0

    def __init__(
        self,
        machine: Machine,
        network: Network,
        listener: Socket,
        connections: int,
        recorder: Recorder,
        amounts: Iterator[Any],
        request_bytes: int,
        reply_bytes: int,
        backlog: int | None = None,
        timeout_ns: int | None = None,
        request: Callable[[int, int, Any, int, int], Request] = Request,
    ) -> None:
        self.machine = machine
        self.network = network
        self.offered = self.answered = self.refused = self.timed_out = 0
        # Requests that have been offered; of those that have ended some are still there.
        self._begun: list[Request] = []
        self._most_begun = COUNT_EVERY
        # Called with each request that has ended, however it ended, and when.
        self.on_ended: Callable[[Request, int], None] | None = None
        self._env = machine.env
        self._listener = listener
        self._recorder = recorder
        self.completed = recorder.completed
        self._amounts = amounts
        self._request_bytes = request_bytes
        self._reply_bytes = reply_bytes
        self._request = request
        self._backlog = backlog
        self._waiting = 0
        self.timeout_ns = timeout_ns
        # Where the clients' side does the receiving softirq's work, too, an arrival costs
        # the server's cores nothing.
        self.quiet = network.softirq_on_sender
        self._deadlines: list[tuple[int, int, Request]] = []
        self._deadline_alarm = Alarm(machine.env, self._on_deadline, self.quiet)
        self._sending = Agenda(machine.env, self._send_due, self.quiet)
        self.clients = [self._client(number) for number in range(connections)]
        self._accepted = 0
        self._connecting = 0
        self._start: Callable[[], None] | None = None

    def _client(self, number: int) -> Client:
        return Client(self, number)

    @property
    def under_way(self) -> list[Request]:
        """Requests that have been offered and have not ended."""
        self._forget_ended()
        return self._begun

    def _forget_ended(self) -> None:
        self._begun = [request for request in self._begun if request.state == WAITING]

    @property
    def in_flight(self) -> int:
        """How many those are."""
        return len(self.under_way)

    # --------------------------------------------------------------------- connecting

    def connect(self, start: Callable[[], None]) -> None:
        """Open all connections, then, when the server has settled, call `start`."""
        self._start = start
        for _ in range(CONNECTING):
            self._connect_next()

    def _connect_next(self) -> None:
        if self._connecting == len(self.clients):
            return
        client = self.clients[self._connecting]
        self._connecting += 1
        self.machine.arrive(self._listener, client.socket)

    def on_accepted(self, at_ns: int) -> None:
        """The server takes a connection from the accept queue at `at_ns`."""
        self._accepted += 1
        self._connect_next()
        if self._accepted == len(self.clients):
            self._settling = Alarm(self._env, self._start_when_settled)
            self._settling.set(at_ns + SETTLING_NS)

    def _start_when_settled(self) -> None:
        """Start the load unless threads are still waiting to get to their first sleep."""
        if any(core.run_queue.waiting for core in self.machine.cores):
            self._settling.set(self._env._now + SETTLING_NS)
        else:
            assert self._start is not None
            self._start()

    # ----------------------------------------------------------------------- requests

    def arrival_ns(self, intended_ns: int, delay_ns: int) -> int:
        """When a message meant to be sent at `intended_ns` reaches the server, at best."""
        free_ns = self.network.free_ns
        return (intended_ns if intended_ns > free_ns else free_ns) + delay_ns

    def offer(self, intended_ns: int, client: Client, delays_ns: tuple[int, int]) -> None:
        """The next request reaches the server now, if its connection is free; else it waits."""
        request = self._new(intended_ns, client, delays_ns)
        request.connection = socket = client.socket
        if client.busy:
            self._queue(request, client)
        else:
            client.busy = True
            if client.free_ns > intended_ns:  # its last answer is still on its way
                self._send_later(client, request)
            else:
                self.network.deliver(socket, request)

    def _new(self, intended_ns: int, client: Client, delays_ns: tuple[int, int]) -> Request:
        number = self.offered
        self.offered = number + 1
        make = self._request
        request = make(
            number, intended_ns, next(self._amounts), self._request_bytes, self._reply_bytes
        )
        begun = self._begun
        begun.append(request)
        request.client = client
        request.delays_ns = delays_ns
        if self.timeout_ns is not None:
            self._expect(request, intended_ns + self.timeout_ns)
        if len(begun) > self._most_begun:
            self._recorder.count()
            self._forget_ended()
            self._most_begun = 2 * len(self._begun) + COUNT_EVERY
        return request

    def _queue(self, request: Request, client: Client) -> None:
        if self._backlog is not None and self._waiting >= self._backlog:
            self.refused += 1
            request.state = REFUSED
            self._ended(request, self._env._now)
        else:
            self._waiting += 1
            if client.waiting is None:
                client.waiting = deque()
            client.waiting.append(request)

    def offer_later(self, intended_ns: int, client: Client) -> None:
        """Offer a request when a message meant to be sent at `intended_ns` arrives."""
        self._schedule(intended_ns, self.network.delays_ns(), client, None)

    def _send_later(self, client: Client, request: Request) -> None:
        """Send a request that had to wait, as soon as its client can."""
        start_ns = max(client.free_ns, request.intended_ns)
        self._schedule(start_ns, request.delays_ns, client, request)

    def _schedule(
        self, start_ns: int, delays_ns: tuple[int, int], client: Client, request: Request | None
    ) -> None:
        due_ns = self.arrival_ns(start_ns, delays_ns[0])
        self._sending.at(due_ns, (start_ns, delays_ns, client, request))

    def _send_due(self, entry: tuple[int, tuple[int, int], Client, Request | None]) -> None:
        start_ns, delays_ns, client, request = entry
        due_ns = self.arrival_ns(start_ns, delays_ns[0])
        if due_ns > self._env._now:  # the clients' core has been busy meanwhile
            self._sending.at(due_ns, entry)
        elif request is None:
            self.offer(start_ns, client, delays_ns)
        else:
            self._depart(start_ns, client, request)

    def _depart(self, start_ns: int, client: Client, request: Request) -> None:
        request.client_ns = start_ns - request.intended_ns
        self.network.deliver(client.socket, request)

    def send_next(self, client: Client) -> None:
        """Send the next request that waits for `client`'s connection, if it still matters."""
        while client.waiting:
            self._waiting -= 1
            waiting = client.waiting.popleft()
            if waiting.state == WAITING:
                self._send_later(client, waiting)
                return
        client.busy = False

    def _ended(self, request: Request, at_ns: int) -> None:
        if self.machine.trace is not None:
            self.machine.trace.over(request, at_ns)
        if self.on_ended is not None:
            self.on_ended(request, at_ns)

    # ----------------------------------------------------------------------- timeouts

    def _expect(self, request: Request, deadline_ns: int) -> None:
        heappush(self._deadlines, (deadline_ns, request.number, request))
        self._set_deadline_alarm()

    def _set_deadline_alarm(self) -> None:
        self._deadline_alarm.set(max(self._deadlines[0][0], self._env._now))

    def _on_deadline(self) -> None:
        now = self._env._now
        deadlines = self._deadlines
        # Those answered in time are thrown out here, when they come to the top.
        while deadlines and (deadlines[0][0] <= now or deadlines[0][2].state != WAITING):
            _, _, request = heappop(deadlines)
            if request.state == WAITING:
                self._give_up(request, now)
        if deadlines:
            self._set_deadline_alarm()

    def _give_up(self, request: Request, now: int) -> None:
        request.state = TIMED_OUT
        self.timed_out += 1
        self._ended(request, now)
