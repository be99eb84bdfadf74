"""Connections that come and go, pipelining, pieces, retries, hanging up: by hand."""

from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import repeat
from typing import Any

import pytest
from bench import Bench

from iosim.clients import SETTLING_NS
from iosim.handler import CPU, OwnWork, Server, serve
from iosim.machine.kernel import Kernel
from iosim.machine.request import Request, request_type
from iosim.machine.sockets import EOF, PARTIAL, READ_BYTES, Part, Socket
from iosim.visitors import PLAIN, SYN_RETRY_NS, Visitors

Steps = Generator[Any, Any, None]


class Line:
    """A network on which everything takes 10 one way, and a piece 5 to leave."""

    softirq_on_sender = False
    free_ns = 0
    fixed_delays_ns: tuple[int, int] | None = (10, 10)

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.next_piece_ns = 5

    def delays_ns(self) -> tuple[int, int]:
        return (10, 10)

    def reply_arrival_ns(self, at_ns: int, delay_ns: int, size_bytes: int) -> int:
        return at_ns + delay_ns

    def deliver(self, socket: Socket, message: Any) -> None:
        message.delivered(self.bench.env._now)
        if isinstance(message, Part) and message is not EOF:
            number = message.message.number
            self.bench.note(f"{message.bytes} of {number}{' last' if message.last else ''}")
        self.bench.machine.arrive(socket, message)

    def connect(self) -> tuple[int, int]:
        now = self.bench.env._now
        return now + 10, now + 20

    def open(self, listener: Socket, connection: Socket) -> None:
        self.bench.machine.arrive(listener, connection)

    def close(self, at_ns: int) -> int:
        return at_ns + 10

    def piece_ns(self, size_bytes: int) -> int:
        return self.next_piece_ns


class Site:
    """Visitors, and a server with a thread per connection that computes `steps` a request."""

    def __init__(
        self,
        connections: int = 1,
        backlog: int = 10,
        accept_ns: int = 0,
        steps: tuple[int, ...] = (100,),
        cancel: bool = False,
        request_bytes: int = 1,
        reply_bytes: int = 1,
        requests_backlog: int | None = None,
        timeout_ns: int | None = None,
        **habits: Any,
    ) -> None:
        self.bench = bench = Bench(cores=8)
        self.ended: list[tuple[int, int]] = []
        self.requests: dict[int, Request] = {}
        listener = Socket("listener", None, backlog)
        bench.machine.open_descriptor(listener)
        self.line = Line(bench)
        server = Server(listener, OwnWork(0), None, cancel=cancel)
        request = request_type(None, tuple((CPU, None) for _ in steps))
        request.like = repeat(steps)
        self.clients = Visitors(
            replace(PLAIN, **habits),
            bench.machine,
            self.line,
            listener,
            connections,
            self,
            request.like,
            request_bytes,
            reply_bytes,
            requests_backlog,
            timeout_ns,
            request,
        )
        self.clients.on_ended = self.on_ended

        def converse(connection: Socket) -> Callable[[Kernel], Steps]:
            def program(kernel: Kernel) -> Steps:
                while True:
                    request = yield from kernel.recvfrom(connection)
                    if request is EOF:
                        break
                    if request is PARTIAL:
                        bench.note("PARTIAL")
                        continue
                    bench.note(f"got {request.number}")
                    yield from serve(kernel, server, request)
                    yield from kernel.settle()
                    bench.note(f"served {request.number}")
                    yield from kernel.sendto(connection, request, request.reply_bytes)
                yield from kernel.settle()
                bench.note("EOF")
                yield from kernel.close(connection)

            return program

        def accept(kernel: Kernel) -> Steps:
            while True:
                connection = yield from kernel.accept4(listener)
                yield from kernel.settle()
                bench.note("accepted")
                yield from kernel.spawn(connection.name, converse(connection))
                if accept_ns:
                    yield from kernel.nanosleep(accept_ns)

        bench.spawn("main", accept)
        self.clients.connect(lambda: bench.note("start"))
        bench.run(SETTLING_NS + 1)
        assert bench.log[-1] == (SETTLING_NS, "start")
        bench.log.clear()
        self.start_ns = bench.env._now

    def completed(self, request: Request) -> None: ...

    def count(self) -> None: ...

    def on_ended(self, request: Request, at_ns: int) -> None:
        assert request.number not in self.requests  # a request ends once
        self.requests[request.number] = request
        self.ended.append((at_ns - self.start_ns, request.number))

    def ask(self, *at_ns: int, client: int = 0) -> None:
        """Let requests be sent at instants after the start."""
        for at in at_ns:
            self.clients.offer_later(self.start_ns + at, self.clients.clients[client])

    def run(self, until: int = 100_000) -> list[tuple[int, int]]:
        """When each request ended, from the start."""
        self.bench.run(self.start_ns + until)
        self.check()
        return self.ended

    def check(self) -> None:
        """The clients' books are in order: nothing is counted twice, no place is lost."""
        clients = self.clients
        assert len(self.ended) + clients.retries + clients.in_flight == clients.offered
        if not clients.in_flight:
            assert not clients._waiting
            for client in clients.clients:
                assert len(client.places_ns) == clients.habits.pipeline  # type: ignore[attr-defined]

    def fates(self) -> tuple[int, int, int, int, int]:
        clients = self.clients
        return (
            clients.offered,
            clients.answered,
            clients.refused,
            clients.timed_out,
            clients.in_flight,
        )

    def log(self, *words: str) -> list[tuple[int, str]]:
        """What the server noted that begins with one of `words`; all without any."""
        return [
            (at_ns - self.start_ns, text)
            for at_ns, text in self.bench.log
            if not words or text.startswith(words)
        ]


# ------------------------------------------------------------------- connections' lives


def test_a_connection_lives_for_so_many_requests() -> None:
    site = Site(lifetime=2)
    site.ask(0, 30, 60)
    # SYN 0, there 10, back 20; 20 + 10 + 100 + 10 = 140, and 120 more: 260. Then the close is
    # at the server at 270, as the next connection is, which its client has at 280.
    assert site.run() == [(140, 0), (260, 1), (400, 2)]
    assert site.log("accepted", "EOF") == [(10, "accepted"), (270, "EOF"), (270, "accepted")]
    assert site.log("got") == [(30, "got 0"), (150, "got 1"), (290, "got 2")]
    assert site.clients.connections_opened == 2
    assert site.bench.calls()["close"] == 1


def test_without_more_to_send_no_connection_is_opened() -> None:
    site = Site(lifetime=1)
    site.ask(0, 1_000)
    assert site.run() == [(140, 0), (1_140, 1)]
    assert site.log("accepted") == [(10, "accepted"), (1_010, "accepted")]
    assert site.log("EOF") == [(150, "EOF"), (1_150, "EOF")]


def test_a_connection_stays_open_until_all_that_was_sent_on_it_is_answered() -> None:
    site = Site(lifetime=2, pipeline=3)
    site.ask(0, 0, 0)
    # Both sent at 20; served one after the other until 130 and 230. Closed at 240; the third
    # goes over the next connection: 240 + 20 + 120.
    assert site.run() == [(140, 0), (240, 1), (380, 2)]
    assert site.log("EOF") == [(250, "EOF")]


def test_a_connection_that_finds_the_queue_full_is_tried_again() -> None:
    site = Site(connections=3, lifetime=1, backlog=0, accept_ns=SYN_RETRY_NS + 500)
    site.ask(0, client=0)
    site.ask(1, client=1)
    site.ask(2, client=2)
    # 0 is accepted at 10 and main sleeps; 1 is queued at 11, as the queue holds one more than
    # its backlog (sk_acceptq_is_full); 2 finds no room at 12. Its second
    # SYN, 1 s after the first, is there at 1 s + 12, still before main accepts 1 at 1 s + 510;
    # the third, 2 s after the second, is there at 3 s + 12: main is awake again.
    site.run(4 * SYN_RETRY_NS)
    assert site.ended == [
        (140, 0),
        (SYN_RETRY_NS + 510 + 110, 1),
        (3 * SYN_RETRY_NS + 2 + 140, 2),
    ]
    assert site.clients.listen_overflows == 2
    assert site.clients.connections_opened == 3


# -------------------------------------------------------------------------- pipelining


def test_a_pipeline_has_so_many_under_way_at_once() -> None:
    site = Site(pipeline=2)
    site.ask(0, 0, 0)
    # Two are there at 10; the third is sent when the first is answered, at 120, and is there
    # at 130, before the second is served at 210.
    assert site.run() == [(120, 0), (220, 1), (320, 2)]
    assert site.log("got") == [(10, "got 0"), (110, "got 1"), (210, "got 2")]
    assert [site.requests[number].client_ns for number in range(3)] == [0, 0, 120]


def test_a_request_waits_for_an_answer_that_is_on_its_way() -> None:
    site = Site(retries=1)
    site.ask(0, 115)
    # The first answer leaves at 110 and is there at 120: only then is the second sent.
    assert site.run() == [(120, 0), (240, 1)]
    assert site.requests[1].client_ns == 5


def test_of_a_pipeline_only_the_place_of_the_answer_on_its_way_is_taken() -> None:
    site = Site(pipeline=2)
    site.ask(0, 115, 116)
    # One place is free at 115. The other is at 120, when the first answer is there.
    site.run()
    assert [site.requests[number].client_ns for number in range(3)] == [0, 0, 4]


# ------------------------------------------------------------------------------- pieces


def test_a_slow_client_sends_in_pieces() -> None:
    site = Site(connections=2, slow=1, piece_bytes=4, gap_ns=50, request_bytes=10)
    site.ask(0, client=0)
    site.ask(0, client=1)
    # 4 bytes at 10 and at 60, 2 at 110; then 100 and 10 back. The other client is not slow.
    assert site.run() == [(120, 1), (220, 0)]
    assert site.log("4 of", "2 of") == [(10, "4 of 0"), (60, "4 of 0"), (110, "2 of 0 last")]
    assert site.log("PARTIAL", "got 0") == [(10, "PARTIAL"), (60, "PARTIAL"), (110, "got 0")]


def test_pieces_that_have_gathered_are_read_at_once() -> None:
    site = Site(slow=1, piece_bytes=4, gap_ns=40, request_bytes=10, pipeline=2)
    site.ask(0, 0)
    # The first's pieces leave at 0, 40, 80: served until 190. The second's leave at 120, 160
    # and 200: two are there when the server reads again, at 190, and the last at 210.
    assert site.run() == [(200, 0), (320, 1)]
    assert site.log("PARTIAL", "got 1")[2:] == [(190, "PARTIAL"), (210, "got 1")]


def test_a_request_larger_than_a_read_comes_in_several() -> None:
    site = Site(request_bytes=2 * READ_BYTES + 7)
    site.ask(0)
    # Pieces leave at 0, 5 and 10.
    assert site.run() == [(130, 0)]
    assert site.log()[:6] == [
        (10, f"{READ_BYTES} of 0"),
        (10, "PARTIAL"),
        (15, f"{READ_BYTES} of 0"),
        (15, "PARTIAL"),
        (20, "7 of 0 last"),
        (20, "got 0"),
    ]


@pytest.mark.parametrize("piece_ns", [0, 5])
def test_pieces_of_two_requests_do_not_mix(piece_ns: int) -> None:
    site = Site(request_bytes=READ_BYTES + 7, pipeline=2)
    site.line.next_piece_ns = piece_ns
    site.ask(0, 0)
    site.run()
    arrived = [text for _, text in site.log(str(READ_BYTES), "7 of")]
    assert arrived == [
        f"{READ_BYTES} of 0",
        "7 of 0 last",
        f"{READ_BYTES} of 1",
        "7 of 1 last",
    ]


@pytest.mark.parametrize("size_bytes", [1, 3, 4, 5, 1_001])
def test_no_byte_of_a_request_in_pieces_is_lost(size_bytes: int) -> None:
    site = Site(slow=1, piece_bytes=4, gap_ns=3, request_bytes=size_bytes)
    site.ask(0, 10)
    site.run()
    pieces = [text for _, text in site.log() if " of " in text]
    assert sum(int(text.split()[0]) for text in pieces) == 2 * size_bytes
    assert len(pieces) == 2 * -(-size_bytes // 4)


# ------------------------------------------------------------------------- receive rate


def test_a_slow_reader_has_an_answer_when_its_last_byte_has_left() -> None:
    # 20 bytes at a byte each 10 ns.
    site = Site(receive_bytes_per_s=100_000_000, send_buffer_bytes=1_000, reply_bytes=20)
    site.ask(0)
    assert site.run() == [(110 + 200 + 10, 0)]
    assert (site.requests[0].cpu_ns, site.requests[0].network_ns) == (100, 220)


# ------------------------------------------------------------------------------ retries


def test_what_has_timed_out_is_asked_again_so_often() -> None:
    site = Site(timeout_ns=50, retries=2, backoff_ns=1_000)
    site.ask(0)
    # Timed out at 50, 1,100 and 2,150; the request has ended with the last attempt.
    assert site.run() == [(2_150, 2)]
    assert site.clients.retries == 2
    assert site.fates() == (3, 0, 0, 3, 0)
    assert site.requests[2].attempt == 2
    assert site.log("got") == [(10, "got 0"), (1_060, "got 1"), (2_110, "got 2")]


def test_an_attempt_that_is_answered_is_the_last() -> None:
    site = Site(timeout_ns=150, retries=5, backoff_ns=100)
    site.ask(0, 0)
    # The second is sent at 120 and times out at 150. Its late answer is there at 240; asked
    # again at 250, it is answered at 370.
    assert site.run() == [(120, 0), (370, 2)]
    assert site.clients.retries == 1
    assert site.fates() == (3, 2, 0, 1, 0)


# --------------------------------------------------------------------------- hanging up


def test_who_hangs_up_loses_the_answer_and_opens_another_connection() -> None:
    site = Site(timeout_ns=50, hangs_up=True)
    site.ask(0, 1_000)
    # Closed at 50, at the server at 60; its thread sees that when it has answered, at 110.
    # The next request has to connect: there at 1,030, given up at 1,050.
    assert site.run() == [(50, 0), (1_050, 1)]
    assert site.log() == [
        (10, "got 0"),
        (110, "served 0"),
        (110, "EOF"),
        (1_010, "accepted"),
        (1_030, "got 1"),
        (1_130, "served 1"),
        (1_130, "EOF"),
    ]
    assert site.fates() == (2, 0, 0, 2, 0)
    assert site.clients.connections_opened == 1


def test_who_hangs_up_asks_again_on_another_connection() -> None:
    site = Site(timeout_ns=145, hangs_up=True, retries=1, steps=(130,))
    site.ask(0)
    # An answer at 150 is too late, though it leaves the server in time, at 140.
    # Asked again at 145: 20 to connect make it later still.
    assert site.run() == [(290, 1)]
    assert site.log("accepted") == [(155, "accepted")]
    assert site.fates() == (2, 0, 0, 2, 0)


def test_all_that_is_under_way_on_a_connection_is_lost_with_it() -> None:
    site = Site(timeout_ns=150, hangs_up=True, pipeline=2)
    site.ask(0, 100, 300)
    site.ask(100)
    # 0 is answered at 120; 1 would be at 220 and 3, sent at 120, at 320. 1 and 3 end at 250, 1 in
    # time. 3's hanging up does not hold up 2: connected at 320, there at 330, answered at 440.
    assert site.run() == [(120, 0), (220, 1), (250, 2), (440, 3)]
    assert site.fates() == (4, 3, 0, 1, 0)


def test_the_other_requests_of_a_lost_connection_give_back_their_places() -> None:
    site = Site(timeout_ns=150, hangs_up=True, pipeline=3, steps=(200,))
    site.ask(0, 20, 40)
    site.ask(2_000, 2_000)
    # Nothing is answered in time; 1 and 2 die with 0's connection, which is the only one closed.
    assert site.run() == [(150, 0), (170, 1), (190, 2), (2_150, 3), (2_150, 4)]
    assert site.clients.connections_opened == 1


def test_a_new_connection_does_not_wait_for_pieces_of_the_old() -> None:
    site = Site(
        timeout_ns=300, hangs_up=True, slow=1, piece_bytes=1, gap_ns=100, request_bytes=5, retries=1
    )
    site.ask(0)
    # Pieces at 0, 100, 200, and none at 300, when the client closes. From 320 on the next.
    assert site.run() == [(600, 1)]
    pieces = [at_ns for at_ns, _ in site.log("1 of")]
    assert pieces == [10, 110, 210, 330, 430, 530]
    assert site.log("EOF") == [(310, "EOF"), (610, "EOF")]


def test_a_request_that_times_out_before_there_is_a_connection_is_never_sent() -> None:
    site = Site(timeout_ns=15, lifetime=1, hangs_up=True)
    site.ask(0)
    assert site.run() == [(15, 0)]
    assert site.log() == [(10, "accepted")]


# ------------------------------------------------------------------------- cancellation


@pytest.mark.parametrize(("cancel", "served_ns", "user_ns"), [(False, 310, 300), (True, 110, 100)])
def test_cancelling_stops_before_the_next_step(cancel: bool, served_ns: int, user_ns: int) -> None:
    site = Site(timeout_ns=50, hangs_up=True, cancel=cancel, steps=(100, 200))
    site.ask(0)
    # The server hears of the close at 60, in the midst of the first step.
    assert site.run() == [(50, 0)]
    assert site.log("served") == [(served_ns, "served 0")]
    assert sum(site.bench.cpu(core).get("user", 0) for core in range(8)) == user_ns


# -------------------------------------------------------------------------------- fates


@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("lifetime", [None, 1, 3])
@pytest.mark.parametrize("pipeline", [1, 4])
@pytest.mark.parametrize("slow", [0, 2])
def test_the_fates_always_add_up(
    hangs_up: bool, lifetime: int | None, pipeline: int, slow: int
) -> None:
    site = Site(
        connections=4,
        backlog=2,
        requests_backlog=3,
        request_bytes=10,
        reply_bytes=50,
        timeout_ns=400,
        lifetime=lifetime,
        pipeline=pipeline,
        slow=slow,
        piece_bytes=4,
        gap_ns=30,
        receive_bytes_per_s=1_000_000_000,
        send_buffer_bytes=40,
        retries=2,
        backoff_ns=70,
        hangs_up=hangs_up,
    )
    for client in range(4):
        site.ask(*range(client, 3_000, 60 + 17 * client), client=client)
    for until in range(7, 6_000, 7):
        site.bench.run(site.start_ns + until)
        assert sum(site.fates()[1:]) == site.fates()[0]
        assert site.fates()[4] >= 0
    site.run(3 * SYN_RETRY_NS)
    _, answered, _, timed_out, in_flight = site.fates()
    assert in_flight == 0
    assert answered > 0
    assert timed_out > 0
