"""The clients: busy connections, intended send times, refusals, timeouts, connecting."""

from collections.abc import Generator
from itertools import repeat
from typing import Any

from bench import Bench

from iosim.clients import COUNT_EVERY, SETTLING_NS, Clients
from iosim.machine.kernel import Kernel
from iosim.machine.request import ANSWERED, REFUSED, TIMED_OUT, Request
from iosim.machine.sockets import Socket
from iosim.recording import Recording

Steps = Generator[Any, Any, None]


class Line:
    """A network on which every message takes 10."""

    softirq_on_sender = False
    free_ns = 0
    fixed_delays_ns: tuple[int, int] | None = (10, 10)

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.next_delays_ns = (10, 10)

    def delays_ns(self) -> tuple[int, int]:
        return self.next_delays_ns

    def reply_arrival_ns(self, at_ns: int, delay_ns: int, size_bytes: int) -> int:
        return at_ns + delay_ns

    def deliver(self, socket: Socket, message: Any) -> None:
        message.delivered(self.bench.env._now)
        self.bench.machine.arrive(socket, message)


class Site:
    """Clients, and a server with a thread per connection that computes 100 a request."""

    def __init__(self, connections: int = 1, **how: Any) -> None:
        self.bench = bench = Bench(cores=connections)
        self.requests: dict[int, Request] = {}
        """Those that have ended, by number."""
        self.ended: list[tuple[int, int]] = []
        self.completed_requests: list[int] = []
        listener = bench.socket("listener")
        self.line = Line(bench)
        self.clients = Clients(
            bench.machine, self.line, listener, connections, self, repeat((100,)), 1, 1, **how
        )
        self.clients.on_ended = self.on_ended

        def serve(connection: Socket) -> Any:
            def program(kernel: Kernel) -> Steps:
                while True:
                    request = yield from kernel.recvfrom(connection)
                    yield from kernel.compute(request.amounts[0])
                    yield from kernel.sendto(connection, request, request.reply_bytes)

            return program

        def accept(kernel: Kernel) -> Steps:
            while True:
                connection = yield from kernel.accept4(listener)
                yield from kernel.spawn(connection.name, serve(connection))

        bench.spawn("main", accept)
        self.clients.connect(lambda: bench.note("start"))
        bench.run(SETTLING_NS + 1)
        self.start_ns = bench.env._now

    def on_ended(self, request: Request, at_ns: int) -> None:
        assert request.number not in self.requests  # a request ends once
        self.requests[request.number] = request
        self.ended.append((at_ns, request.number))

    def completed(self, request: Request) -> None:
        self.completed_requests.append(request.number)

    def count(self) -> None: ...

    def ask(self, at_ns: int, client: int = 0) -> None:
        """Let a request be sent at an instant after the start."""
        self.clients.offer_later(self.start_ns + at_ns, self.clients.clients[client])

    def run(self) -> list[tuple[int, int]]:
        """When each request ended, from the start."""
        self.bench.run(self.start_ns + 100_000)
        return [(at_ns - self.start_ns, number) for at_ns, number in self.ended]

    def fates(self) -> tuple[int, int, int, int, int]:
        clients = self.clients
        return (
            clients.offered,
            clients.answered,
            clients.refused,
            clients.timed_out,
            clients.in_flight,
        )


def test_the_load_starts_when_all_are_connected_and_the_server_has_settled() -> None:
    site = Site(connections=200)
    assert site.bench.log == [(SETTLING_NS, "start")]
    assert site.bench.calls()["accept4"] == 201  # and one more, asleep in it
    assert site.bench.socket().descriptor == 3 + 201


def test_the_load_does_not_start_while_the_server_still_computes_and_threads_wait() -> None:
    bench = Bench()
    listener = bench.socket("listener")
    recording = Recording(bench.machine, {})
    clients = Clients(bench.machine, Line(bench), listener, 1, recording, repeat(()), 1, 1)  # type: ignore[arg-type]
    long_ns = 3 * SETTLING_NS + 5

    def main(kernel: Kernel) -> Steps:
        yield from kernel.accept4(listener)
        yield from kernel.spawn("waits", bench.computes(1))
        yield from kernel.compute(long_ns)

    bench.spawn("main", main)
    clients.connect(lambda: bench.note("start"))
    # Looked at every 10 ms: at 40 ms nobody waits for the core any more.
    assert bench.run(10 * SETTLING_NS) == [(long_ns + 1, "done"), (4 * SETTLING_NS, "start")]


def test_a_request_there_and_back() -> None:
    site = Site()
    site.ask(0)
    # 10 there, 100, 10 back.
    assert site.run() == [(120, 0)]
    assert site.requests[0].answered_ns - site.requests[0].intended_ns == 120
    assert site.fates() == (1, 1, 0, 0, 0)
    assert site.completed_requests == [0]


def test_a_request_on_a_busy_connection_waits_at_the_client_and_counts_from_its_intended_time() -> (
    None
):
    site = Site()
    site.ask(0)
    site.ask(30)
    # The first is answered at 120; then the second is sent: 10, 100, 10.
    assert site.run() == [(120, 0), (240, 1)]
    second = site.requests[1]
    assert second.answered_ns - second.intended_ns == 210
    assert (second.client_ns, second.network_ns) == (90, 20)
    assert second.cpu_ns == 100


def test_another_connection_is_not_held_up() -> None:
    site = Site(connections=2)
    site.ask(0, client=0)
    site.ask(30, client=1)
    assert site.run() == [(120, 0), (150, 1)]


def test_a_request_sent_while_the_last_answer_is_on_its_way_waits_for_it() -> None:
    site = Site()
    site.ask(0)
    site.ask(104)
    # The first answer leaves at 110 and is there at 120; the second request arrives at the
    # server's end (104 + 10 = 114) only on paper: it is sent at 120.
    assert site.run() == [(120, 0), (240, 1)]


def test_more_than_the_backlog_are_refused() -> None:
    site = Site(backlog=2)
    for number in range(5):
        site.ask(number)
    # 0 is served; 1 and 2 wait; 3 and 4 are refused when they come, 10 after their time.
    assert site.run() == [(13, 3), (14, 4), (120, 0), (240, 1), (360, 2)]
    assert site.fates() == (5, 3, 2, 0, 0)
    states = {number: request.state for number, request in site.requests.items()}
    assert states == {0: ANSWERED, 1: ANSWERED, 2: ANSWERED, 3: REFUSED, 4: REFUSED}


def test_a_client_gives_up_at_the_timeout_and_the_late_answer_is_ignored() -> None:
    site = Site(timeout_ns=119)
    site.ask(0)
    site.ask(500)
    # Both would be answered 120 after they were meant to be sent.
    assert site.run() == [(119, 0), (619, 1)]
    assert site.fates() == (2, 0, 0, 2, 0)
    assert {request.state for request in site.requests.values()} == {TIMED_OUT}
    assert site.completed_requests == []


def test_an_answer_at_the_timeout_is_in_time() -> None:
    site = Site(timeout_ns=120)
    site.ask(0)
    assert site.run() == [(120, 0)]
    assert site.fates() == (1, 1, 0, 0, 0)


def test_a_connection_stays_busy_until_the_late_answer_has_come() -> None:
    site = Site(timeout_ns=60)
    site.ask(0)
    site.ask(20)
    # The answer to the first leaves at 110. The second waits for the connection and gives up
    # at 80: it is never sent.
    assert site.run() == [(60, 0), (80, 1)]
    assert site.fates() == (2, 0, 0, 2, 0)
    assert site.bench.calls()["sendto"] == 1


def test_timeouts_come_in_the_order_of_their_deadlines() -> None:
    site = Site(connections=2, timeout_ns=50)
    # Sent in one order, there in the other: the network may let one overtake.
    site.line.next_delays_ns = (5, 10)
    site.ask(40, client=0)
    site.line.next_delays_ns = (46, 10)
    site.ask(0, client=1)
    assert site.run() == [(50, 1), (90, 0)]


def test_what_is_under_way_at_the_end_is_in_flight() -> None:
    site = Site()
    for number in range(4):
        site.ask(number)
    site.bench.run(site.start_ns + 130)
    assert site.fates() == (4, 1, 0, 0, 3)
    assert list(site.requests) == [0]


def test_requests_that_have_ended_are_forgotten_on_the_way() -> None:
    site = Site(connections=4)
    requests = 5 * COUNT_EVERY
    for number in range(requests):
        site.ask(number * 1_000, client=number % 4)
    site.bench.run(site.start_ns + requests * 1_000)
    # Nobody has asked who is under way: what has ended was thrown out all the same.
    assert len(site.clients._begun) <= 2 * COUNT_EVERY
    assert site.fates() == (requests, requests, 0, 0, 0)
