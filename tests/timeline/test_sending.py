"""The send buffer: what fits, when there is room again, who is told."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest
from bench import Bench, Letter

from iosim.machine.kernel import Kernel
from iosim.machine.readiness import EPOLLOUT
from iosim.machine.sending import SendBuffer
from iosim.machine.sockets import Socket

Steps = Generator[Any, Any, None]


@dataclass(eq=False)
class Answer(Letter):
    """A letter that notes when there is room for the rest of it."""

    def has_room(self, now: int) -> None:
        self._note("has room", now)


def narrow(
    bench: Bench, size_bytes: int = 90, bytes_per_s: int = 100_000_000, nonblocking: bool = False
) -> Socket:
    """A socket with a send buffer; a byte leaves every 10 ns unless told otherwise."""
    socket = bench.socket(nonblocking=nonblocking)
    assert socket.peer is not None
    socket.outgoing = SendBuffer(bench.machine, socket, socket.peer, size_bytes, bytes_per_s)
    return socket


def sending(bench: Bench, socket: Socket, *sizes: int, name: str = "sent") -> Any:
    """Send answers of these sizes, and note how much went of each."""

    def program(kernel: Kernel) -> Steps:
        for size_bytes in sizes:
            sent_bytes = yield from kernel.sendto(socket, Answer(), size_bytes)
            yield from kernel.settle()
            bench.note(f"{name} {sent_bytes}")

    return program


def test_an_answer_is_with_its_peer_when_its_last_byte_has_left() -> None:
    bench = Bench()
    socket = narrow(bench)
    bench.spawn("a", sending(bench, socket, 30, 40))
    # Both fit: 30 and then 40 bytes leave, 10 ns each.
    assert bench.run(5_000) == [
        (0, "sent 30"),
        (0, "sent 40"),
        (300, "socket sent"),
        (700, "socket sent"),
    ]


def test_bytes_leave_from_when_they_come_if_the_buffer_is_empty() -> None:
    bench = Bench()
    socket = narrow(bench)
    for at_ns in (1_000, 5_000):
        bench.at(at_ns, lambda: bench.spawn("a", sending(bench, socket, 30)))
    sent = [at_ns for at_ns, text in bench.run(9_000) if text == "socket sent"]
    assert sent == [1_300, 5_300]


def test_sendto_takes_what_fits() -> None:
    bench = Bench(sendto_per_kib_ns=1_024)
    socket = narrow(bench, nonblocking=True)
    bench.spawn("a", sending(bench, socket, 60, 60, 60))
    # Each byte copied costs 1. At 60 all 60 are in; at that moment 30 fit of the second; at 90,
    # 3 of the first have left, and they make room for 3 of the third.
    assert bench.run(91) == [(60, "sent 60"), (90, "sent 30")]
    assert bench.run(95) == [(60, "sent 60"), (90, "sent 30"), (93, "sent 3")]


def test_a_full_buffer_takes_nothing() -> None:
    bench = Bench()
    socket = narrow(bench, nonblocking=True)
    bench.spawn("a", sending(bench, socket, 90, 10))
    assert bench.run(1)[:2] == [(0, "sent 90"), (0, "sent 0")]


def test_a_third_of_the_buffer_makes_it_writable() -> None:
    bench = Bench()
    socket = narrow(bench, nonblocking=True)
    bench.spawn("a", sending(bench, socket, 90))
    bench.run(299)
    assert socket.outgoing is not None
    assert (socket.outgoing.writable(), socket.outgoing.room_bytes) == (False, 29)
    bench.run(300)
    assert (socket.outgoing.writable(), socket.outgoing.room_bytes) == (True, 30)


def test_epoll_tells_of_room_at_a_third_free() -> None:
    bench = Bench()
    socket = narrow(bench, nonblocking=True)

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_ctl_add(epoll, socket)
        yield from kernel.epoll_ctl_mod(epoll, socket, EPOLLOUT)
        answer, left_bytes = Answer(bench, "answer"), 200
        while True:
            sent_bytes = yield from kernel.sendto(socket, answer, left_bytes)
            bench.note(f"sent {sent_bytes}")
            left_bytes -= sent_bytes
            if not left_bytes:
                break
            yield from kernel.epoll_wait(epoll, 1)

    bench.spawn("a", program)
    # 90 at once; 30 are free after 300, 600, 900: 90 + 30 + 30 + 30 + 20.
    log = [moment for moment in bench.run(9_000) if "sent" in moment[1]]
    assert log == [
        (0, "sent 90"),
        (300, "sent 30"),
        (600, "sent 30"),
        (900, "sent 30"),
        (1_200, "sent 20"),
        (2_000, "socket sent"),
    ]


def test_a_blocking_sender_sleeps_and_goes_on() -> None:
    bench = Bench()
    socket = narrow(bench)

    def program(kernel: Kernel) -> Steps:
        sent_bytes = yield from kernel.sendto(socket, Answer(bench, "answer"), 130)
        bench.note(f"sent {sent_bytes}")

    thread = bench.spawn("a", program)
    # 90 at 0, 30 at 300, 10 at 600; the last byte leaves at 1,300.
    assert bench.run(9_000) == [
        (0, "answer paused"),
        (300, "answer has room"),
        (300, "answer begun by a"),
        (300, "answer paused"),
        (600, "answer has room"),
        (600, "answer begun by a"),
        (600, "answer paused"),
        (600, "sent 130"),
        (1_300, "answer has room"),
        (1_300, "socket sent"),
    ]
    assert thread.voluntary == 2
    assert bench.calls()["sendto"] == 1


def test_two_blocking_senders_are_both_told_of_room() -> None:
    bench = Bench(cores=2)
    socket = narrow(bench)
    bench.spawn("a", sending(bench, socket, 100, name="a"))
    bench.spawn("b", sending(bench, socket, 10, name="b"))
    # At 300 there is room for 30: 10 of each.
    assert bench.run(9_000) == [
        (300, "a 100"),
        (300, "b 10"),
        (1_000, "socket sent"),
        (1_100, "socket sent"),
    ]


@pytest.mark.parametrize("bytes_per_s", [3, 7_000_000, 3_000_000_000, 70_000_000_000])
@pytest.mark.parametrize("size_bytes", [1, 2, 100])
def test_room_is_never_less_than_none_and_bytes_leave_at_the_rate(
    bytes_per_s: int, size_bytes: int
) -> None:
    bench = Bench()
    socket = narrow(bench, size_bytes, bytes_per_s)
    outgoing = socket.outgoing
    assert outgoing is not None
    for _ in range(size_bytes):
        outgoing.put(Answer(), 1, last=True)
    assert outgoing.room_bytes == 0
    whole_ns = -(-size_bytes * 1_000_000_000 // bytes_per_s)
    bench.run(whole_ns + 1)
    assert outgoing.room_bytes == size_bytes
    assert bench.log[-1] == (whole_ns, "socket sent")


@pytest.mark.parametrize("bytes_per_s", [3, 7_000_000, 300_000_000])
@pytest.mark.parametrize("size_bytes", [1, 2, 100])
def test_when_watchers_are_told_the_socket_is_writable(bytes_per_s: int, size_bytes: int) -> None:
    bench = Bench()
    socket = narrow(bench, size_bytes, bytes_per_s)
    outgoing = socket.outgoing
    assert outgoing is not None
    told: list[bool] = []

    class Watcher:
        def on_readable(self, socket: Socket) -> None: ...

        def on_closed(self, socket: Socket) -> None: ...

        def on_writable(self, socket: Socket) -> None:
            told.append(outgoing.writable())

    socket.watchers.append(Watcher())
    outgoing.put(Answer(), size_bytes, last=False)
    outgoing.wait_for_room(Answer())
    bench.run(2 + size_bytes * 1_000_000_000 // bytes_per_s)
    assert told == [True]


def test_when_the_peer_hangs_up_nobody_waits_and_nothing_arrives() -> None:
    bench = Bench()
    socket = narrow(bench)
    assert socket.outgoing is not None
    bench.spawn("a", sending(bench, socket, 300))
    bench.at(50, socket.outgoing.discard)
    # 90 were in the buffer; the rest goes nowhere, at once.
    assert bench.run(9_000) == [(50, "sent 300")]


def test_what_is_sent_to_a_peer_that_has_hung_up_is_kept_nowhere() -> None:
    bench = Bench()
    socket = narrow(bench, nonblocking=True)
    assert socket.outgoing is not None
    bench.at(50, socket.outgoing.discard)
    bench.at(100, lambda: bench.spawn("a", sending(bench, socket, 300, 300)))
    # As a whole each, in a buffer of 90: nobody is told to wait for room.
    assert bench.run(9_000) == [(100, "sent 300"), (100, "sent 300")]


@pytest.mark.parametrize(("cpython", "work_ns"), [(False, 100), (True, 700)])
@pytest.mark.parametrize("buffered", [False, True])
def test_a_program_works_on_a_message_before_it_sends_it(
    cpython: bool, work_ns: int, buffered: bool
) -> None:
    bench = Bench(cpython=cpython, message_ns=100, cpython_message_ns=700, sendto_ns=10)
    socket = narrow(bench) if buffered else bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.sendto(socket, Answer(), 30)
        yield from kernel.settle()
        bench.note("done")

    bench.spawn("a", program)
    assert (work_ns + 10, "done") in bench.run(5_000)
    work = [(to_ns, cause) for _, _, to_ns, cause, label in bench.watch.work if label == "message"]
    assert work == [(work_ns, "user")]
