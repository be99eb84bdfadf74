"""Clients whose connections come and go, that send in pieces, in advance, or once more.

    connect -> request 1 -> answer 1 -> ... -> request n -> answer n -> close -> connect ...

What it models, on top of `iosim.clients`:

- *lifetime*: after so many requests the client closes its connection, and opens another
  for the next: the server pays accept, epoll_ctl and close for each. A connection that
  finds the listener's queue full is tried again after 1 s, 2 s, 4 s ...
- *pipelining*: up to so many requests under way on one connection; answers in any order.
- *pieces*: a slow client sends its request a few bytes at a time; a request larger than
  a read comes in pieces of that size, one after the other.
- *a slow reader*: an answer leaves the server's send buffer at a limited rate.
- *retries*: after a timeout the request is asked again, as a new one, a little later.
- *hanging up*: a client that gives up closes its connection; the late answer is lost.

Not modelled: SYN cookies, the end of SYN retries, TIME_WAIT, reset connections, keep-alive
time-outs of the server, congestion control; the clients' core is not occupied by pieces and
slow reading.
Source: listen(2), tcp(7) (tcp_syn_retries); Linux 6.18 net/ipv4/tcp_ipv4.c.
Validated by: tests/timeline/test_visitors.py, tests/conformance
"""

from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from iosim.clients import SETTLING_NS, Client, Clients
from iosim.machine.agenda import Agenda
from iosim.machine.alarm import Alarm
from iosim.machine.request import TIMED_OUT, WAITING, Request
from iosim.machine.sending import SendBuffer
from iosim.machine.sockets import EOF, READ_BYTES, Part, Socket

if TYPE_CHECKING:
    from iosim.workload import Requests

SYN_RETRY_NS: Final = 1_000_000_000
"""After so long a connection that found no room is tried again; then after twice as long."""


Sizes = tuple[int | None, int | None]
"""Bytes of a request and of its answer; None: as usual."""


@dataclass(frozen=True)
class Habits:
    """How clients use their connections."""

    lifetime: int | None
    """Requests after which a connection is closed; None: it stays."""
    pipeline: int
    """Requests under way at once on a connection."""
    slow: int
    """How many of the clients, the first ones, send slowly."""
    piece_bytes: int
    gap_ns: int
    """What they send at once, and from one piece to the next."""
    receive_bytes_per_s: int | None
    """How fast an answer is taken in; None: at once."""
    send_buffer_bytes: int
    """Room for answers in the server's socket."""
    retries: int
    """How often a request that has timed out is asked again."""
    backoff_ns: int
    """From the timeout to the next attempt."""
    hangs_up: bool
    """Whether a client that gives up closes its connection."""

    @property
    def come_and_go(self) -> bool:
        """Whether connections are closed, and others opened, under load."""
        return self.lifetime is not None or self.hangs_up


PLAIN: Final = Habits(None, 1, 0, 0, 0, None, 0, 0, 0, False)
"""Those of `iosim.clients`."""


class Visitor(Client):
    """One client; its connections follow one another."""

    __slots__ = (
        "_pending",
        "_sent",
        "_syns",
        "arrives_ns",
        "line_free_ns",
        "outstanding",
        "places_ns",
    )

    clients: "Visitors"

    def __init__(self, clients: "Visitors", number: int) -> None:
        super().__init__(clients, number)
        # Taken from the queue and not yet sent: the connection is being opened or closed.
        self._pending: deque[Request] = deque()
        # For each further request that may be under way: from when on. A heap.
        self.places_ns = [0] * clients.habits.pipeline
        # On the present connection: requests sent, and those that wait for their answer.
        self._sent = 0
        self.outstanding: set[Request] = set()
        self._syns = 0
        # When it will have sent its last piece, and when that will be at the server.
        self.line_free_ns = self.arrives_ns = 0
        if clients.habits.lifetime is not None:
            self.socket = None
        elif self.socket is not None:
            self._prepare(self.socket)

    def _prepare(self, socket: Socket) -> None:
        habits = self.clients.habits
        if habits.receive_bytes_per_s is not None:
            socket.outgoing = SendBuffer(
                self.clients.machine,
                socket,
                self,
                habits.send_buffer_bytes,
                habits.receive_bytes_per_s,
            )

    @property
    def busy(self) -> bool:
        """True if no further request can be under way on the connection."""
        return not self.places_ns

    @busy.setter
    def busy(self, _: bool) -> None:
        """Whether it is follows from what is under way."""

    # ------------------------------------------------------------------------ sending

    def take(self, request: Request) -> None:
        """Send `request` now, or as soon as there is a connection for it."""
        if request.state != WAITING:  # it has timed out on the way from the queue
            self._forget()
            return
        now = self.clients.machine.env._now
        request.client_ns = now - request.intended_ns
        lifetime = self.clients.habits.lifetime
        if self.socket is None or (lifetime is not None and self._sent == lifetime):
            self._pending.append(request)
            if self.socket is None and not self._syns:
                self._connect(now)
        else:
            self._send(request)

    def _forget(self) -> None:
        """One request less is under way: it has timed out before it was sent."""
        heappush(self.places_ns, self.clients.machine.env._now)
        self.clients.send_next(self)

    def _send(self, request: Request) -> None:
        assert self.socket is not None
        self._sent += 1
        self.outstanding.add(request)
        request.connection = self.socket
        self.clients.transmit(self, request)

    def _connect(self, at_ns: int) -> None:
        """Ask for a connection at `at_ns`."""
        self._syns += 1
        self.clients.later.at(at_ns, self._ask)

    def _ask(self) -> None:
        """Ask for a connection now: it reaches the server's accept queue a little later."""
        asked_ns = self.clients.machine.env._now
        arrives_ns, open_ns = self.clients.network.connect()
        self.clients.later.at(arrives_ns, partial(self._arrive, asked_ns, open_ns))

    def _arrive(self, asked_ns: int, open_ns: int) -> None:
        clients = self.clients
        if clients.listener_is_full(self):
            clients.listen_overflows += 1
            self._connect(asked_ns + (SYN_RETRY_NS << (self._syns - 1)))
            return
        clients.connections_opened += 1
        socket = Socket(f"connection {self.number}", self)
        self._prepare(socket)
        clients.network.open(clients.listener_of(self), socket)
        clients.later.at(open_ns, partial(self._opened, socket))

    def _opened(self, socket: Socket) -> None:
        self.socket = socket
        self._syns = 0
        self._sent = 0
        lifetime = self.clients.habits.lifetime
        while self._pending and self._sent != lifetime:
            request = self._pending.popleft()
            if request.state == WAITING:
                self._send(request)
            else:
                self._forget()

    # ---------------------------------------------------------------------- receiving

    def receive(self, socket: Socket, message: Request, at_ns: int) -> None:
        if socket is not self.socket:
            return  # it has hung up: the answer is lost
        last_ns, habits = self.free_ns, self.clients.habits
        super().receive(socket, message, at_ns)
        arrival_ns, self.free_ns = self.free_ns, max(last_ns, self.free_ns)
        if message.state == WAITING and habits.hangs_up:
            return  # it will come too late: the client will have hung up
        self.outstanding.remove(message)
        heappush(self.places_ns, arrival_ns)
        self.clients.send_next(self)
        if self._sent == habits.lifetime and not self.outstanding:
            self.hang_up(self.free_ns)

    def hang_up(self, at_ns: int) -> None:
        """Close the connection at `at_ns`; open another if one is wanted."""
        socket, self.socket = self.socket, None
        assert socket is not None
        self.line_free_ns = self.arrives_ns = 0
        clients = self.clients
        clients.later.at(clients.network.close(at_ns), partial(clients.hang_up, socket))
        if self._pending and not self._syns:
            self._connect(at_ns)

    def give_up(self, request: Request) -> None:
        """`request` has timed out: close the connection on which it is under way, if any."""
        if request not in self.outstanding:
            return  # it has not been sent, and will not be, or was lost with its connection
        now = self.clients.machine.env._now
        for _ in self.outstanding:  # the others' answers are lost as well
            heappush(self.places_ns, now)
        self.outstanding.clear()
        self.hang_up(now)
        self.clients.send_next(self)

    def closed(self, socket: Socket) -> None:
        if socket is self.socket:
            raise AssertionError("the server closed a connection that is in use")


class Visitors(Clients):
    """All clients of one run, with habits."""

    at_arrival = False

    def __init__(self, habits: Habits, *args: Any, **kwargs: Any) -> None:
        self.habits = habits
        super().__init__(*args, **kwargs)
        # What happens to connections, and requests whose time has come: plain calls.
        self.later = Agenda(self.machine.env, lambda call: call())

    def _client(self, number: int) -> Visitor:
        return Visitor(self, number)

    def connect(self, start: Any) -> None:
        """Start when the server is ready; connections that do not stay are opened on demand."""
        if self.habits.lifetime is None:
            super().connect(start)
            return
        self._start = start
        self._settling = Alarm(self._env, self._start_when_settled)
        self._settling.set(self._env._now + SETTLING_NS)

    def on_accepted(self, at_ns: int) -> None:
        if self.habits.lifetime is None:
            super().on_accepted(at_ns)

    # ----------------------------------------------------------------------- requests

    def offer_later(self, intended_ns: int, client: Client, sizes: Sizes | None = None) -> None:
        """Offer a request, of other than the usual sizes maybe, when it is meant to be sent."""
        due_ns = max(intended_ns, self._env._now)
        self.later.at(due_ns, partial(self._offer, intended_ns, client, sizes))

    def _offer(
        self,
        intended_ns: int,
        client: Any,
        sizes: Sizes | None,
        again: Request | None = None,
    ) -> None:
        """Offer a request now; if `again`, of the same class as that one."""
        amounts = self._amounts
        if again is not None:
            self._amounts = again.like
        request = self._new(intended_ns, client, self.network.delays_ns())
        self._amounts = amounts
        if sizes is not None:
            bytes_, reply_bytes = sizes
            request.bytes = bytes_ or request.bytes
            request.reply_bytes = reply_bytes or request.reply_bytes
        request.attempt = 0 if again is None else again.attempt + 1
        request.connection = None
        if client.busy:
            self._queue(request, client)
        else:
            self._take(request, client)

    def _take(self, request: Request, client: Visitor) -> None:
        """Let `client` have `request` as soon as there is a place for it."""
        place_ns = heappop(client.places_ns)
        if place_ns > self._env._now:  # the answer before is on its way
            self.later.at(place_ns, partial(client.take, request))
        else:
            client.take(request)

    def send_next(self, client: Any) -> None:
        while client.waiting and not client.busy:
            self._waiting -= 1
            waiting = client.waiting.popleft()
            if waiting.state == WAITING:
                self._take(waiting, client)

    def transmit(self, client: Visitor, request: Request) -> None:
        """`request` leaves its client now, whole or in pieces."""
        habits, now = self.habits, self._env._now
        if client.number < habits.slow:
            piece_bytes, gap_ns = habits.piece_bytes, habits.gap_ns
        elif request.bytes > READ_BYTES:
            piece_bytes, gap_ns = READ_BYTES, self.network.piece_ns(READ_BYTES)
        else:
            self._schedule(now, request.delays_ns, client, request)
            return
        start_ns = max(now, client.line_free_ns)
        client.line_free_ns = start_ns + -(-request.bytes // piece_bytes) * gap_ns
        self.later.at(
            start_ns, partial(self._send_piece, request, request.bytes, piece_bytes, gap_ns)
        )

    def _depart(self, start_ns: int, client: Client, request: Request) -> None:
        if not request.connection.hung_up:
            self.network.deliver(request.connection, request)

    def _send_piece(self, request: Request, left: int, piece_bytes: int, gap_ns: int) -> None:
        """Send the next piece of `request`, of which `left` bytes are to be sent."""
        client: Visitor = request.client
        if request.connection is not client.socket:
            return  # it has hung up
        now = self._env._now
        while True:
            size_bytes = min(left, piece_bytes)
            left -= size_bytes
            part = Part(request, size_bytes, last=not left)
            due_ns = max(client.arrives_ns, self.arrival_ns(now, request.delays_ns[0]))
            client.arrives_ns = due_ns  # they do not overtake each other
            self.later.at(due_ns, partial(self._deliver_part, request.connection, part))
            if not left:
                return
            if gap_ns:
                rest = partial(self._send_piece, request, left, piece_bytes, gap_ns)
                self.later.at(now + gap_ns, rest)
                return

    def _deliver_part(self, socket: Socket, part: Part) -> None:
        if not socket.hung_up:
            self.network.deliver(socket, part)

    # -------------------------------------------------------------------- connections

    def listener_of(self, client: Visitor) -> Socket:
        """Where `client`'s next connection arrives."""
        return self._listener

    def listener_is_full(self, client: Visitor) -> bool:
        """True if `client`'s next connection finds no room."""
        return self.listener_of(client).full

    def hang_up(self, socket: Socket) -> None:
        """The client's end of `socket` has been closed: the server hears of it now."""
        socket.hung_up = True
        if socket.outgoing is not None:
            socket.outgoing.discard()
        self.network.deliver(socket, EOF)

    def _give_up(self, request: Request, now: int) -> None:
        request.state = TIMED_OUT
        self.timed_out += 1
        if self.habits.hangs_up:
            request.client.give_up(request)
        if request.attempt < self.habits.retries:
            self.retries += 1
            again_ns = now + self.habits.backoff_ns
            sizes = request.bytes, request.reply_bytes
            offer = partial(self._offer, again_ns, request.client, sizes, request)
            self.later.at(again_ns, offer)
        else:
            self._ended(request, now)


def habits_of(
    options: "Requests", send_buffer_bytes: int, largest_request_bytes: int
) -> Habits | None:
    """The clients' habits; None: their connections stay, one whole request at a time on each."""
    connections, slow, retry = options.connections, options.connections.slow, options.retry
    habits = Habits(
        lifetime=connections.lifetime,
        pipeline=connections.pipeline,
        slow=connections.slow_count,
        piece_bytes=slow.piece if slow else 0,
        gap_ns=slow.gap if slow else 0,
        receive_bytes_per_s=connections.receive_rate,
        send_buffer_bytes=send_buffer_bytes,
        retries=retry.attempts if retry else 0,
        backoff_ns=retry.backoff if retry else 0,
        hangs_up=options.on_timeout == "close",
    )
    if habits == replace(PLAIN, send_buffer_bytes=send_buffer_bytes) and (
        largest_request_bytes <= READ_BYTES
    ):
        return None
    return habits
