"""Sockets: sleeping in recvfrom and accept4, EAGAIN, EOF, when a message leaves."""

from collections.abc import Generator
from typing import Any

from bench import Bench, Letter, Outside

from iosim.machine.kernel import Kernel
from iosim.machine.sockets import EAGAIN, EOF, Socket

Steps = Generator[Any, Any, None]


def test_recvfrom_takes_what_is_there_without_sleeping() -> None:
    bench = Bench(syscall_ns=5, recvfrom_ns=20, recvfrom_per_kib_ns=100)
    socket = bench.socket("socket", Letter(bench, bytes=512))

    def program(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        bench.note("received")

    thread = bench.spawn("a", program)
    # Begun when the call begins; entry 5, work 20, half a KiB 50.
    assert bench.run(1_000) == [(0, "letter begun by a"), (75, "received")]
    assert thread.voluntary == 0
    assert bench.calls() == {"recvfrom": 1}
    assert bench.cpu() == {"syscall": 75, "idle": 925}


def test_recvfrom_sleeps_until_something_comes() -> None:
    bench = Bench(syscall_ns=5, recvfrom_ns=20)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        bench.note("received")

    thread = bench.spawn("a", program)
    bench.at(100, lambda: bench.machine.arrive(socket, Letter(bench)))
    # The entry is paid before the sleep, the rest after it.
    assert bench.run(1_000) == [(100, "letter begun by a"), (120, "received")]
    assert bench.moments("slept", "woke") == [(5, "slept", "a"), (100, "woke", "a")]
    assert thread.voluntary == 1
    assert bench.calls() == {"recvfrom": 1}


def test_what_arrives_during_the_entry_is_found() -> None:
    bench = Bench(syscall_ns=5, recvfrom_ns=20)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        yield from kernel.settle()
        bench.note("received")

    thread = bench.spawn("a", program)
    bench.arrive(3, socket)
    assert bench.run(1_000) == [(25, "received")]
    assert thread.voluntary == 0


def test_a_nonblocking_socket_answers_eagain() -> None:
    bench = Bench(syscall_ns=5, recvfrom_ns=20, recvfrom_eagain_ns=3)
    socket = bench.socket(nonblocking=True)
    answers = []

    def program(kernel: Kernel) -> Steps:
        answers.append((yield from kernel.recvfrom(socket)))
        yield from kernel.settle()
        bench.note("answered")

    thread = bench.spawn("a", program)
    assert bench.run(1_000) == [(8, "answered")]
    assert answers == [EAGAIN]
    assert (thread.voluntary, bench.machine.wasted_polls) == (0, 1)


def test_the_end_of_a_connection_is_received_as_eof() -> None:
    bench = Bench(recvfrom_ns=20)
    socket = bench.socket("socket", EOF)
    answers = []

    def program(kernel: Kernel) -> Steps:
        answers.append((yield from kernel.recvfrom(socket)))
        yield from kernel.close(socket)

    bench.spawn("a", program)
    assert bench.run(1_000) == [(20, "socket closed")]
    assert answers == [EOF]
    assert socket.descriptor == -1


def test_a_message_leaves_at_the_end_of_sendto() -> None:
    bench = Bench(syscall_ns=5, sendto_ns=20, sendto_per_kib_ns=100)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.compute(50)
        yield from kernel.sendto(socket, Letter(bench), 2_048)
        yield from kernel.compute(7)
        yield from kernel.settle()
        bench.note("end")

    bench.spawn("a", program)
    # 50, then 5 + 20 + 2 x 100.
    assert bench.run(1_000) == [(275, "letter paused"), (275, "socket sent"), (282, "end")]
    assert bench.cpu() == {"user": 57, "syscall": 225, "idle": 718}


def test_a_message_leaves_later_if_an_interrupt_comes_in_between() -> None:
    bench = Bench(sendto_ns=100)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.sendto(socket, Letter(), 0)

    bench.spawn("a", program)
    bench.at(50, lambda: bench.machine.cores[0].interrupt(10, lambda: None))
    assert bench.run(1_000) == [(110, "socket sent")]


def test_on_loopback_the_sender_does_the_receivers_softirq_work() -> None:
    bench = Bench(sendto_ns=20, receive_softirq_ns=30)
    socket = Socket("near", Outside(bench, softirq_on_sender=True))

    def program(kernel: Kernel) -> Steps:
        yield from kernel.sendto(socket, Letter(), 0)

    bench.spawn("a", program)
    assert bench.run(100) == [(50, "near sent")]
    assert bench.cpu() == {"syscall": 20, "softirq": 30, "idle": 50}


def test_accept4_takes_connections_in_the_order_of_their_arrival() -> None:
    bench = Bench(syscall_ns=5, accept4_ns=20)
    listener = bench.socket("listener")
    accepted = []

    def program(kernel: Kernel) -> Steps:
        while True:
            accepted.append((yield from kernel.accept4(listener)))
            yield from kernel.settle()
            bench.note("accepted")

    thread = bench.spawn("a", program)
    first, second = (Socket(name, Outside(bench)) for name in ("first", "second"))
    bench.at(100, lambda: bench.machine.arrive(listener, first))
    bench.at(101, lambda: bench.machine.arrive(listener, second))
    # Asleep from 5; woken at 100, 20 for the first; entry 5 and 20 for the second. A
    # connection is accepted at the end of its call.
    assert bench.run(1_000) == [
        (120, "first accepted"),
        (120, "accepted"),
        (145, "second accepted"),
        (145, "accepted"),
    ]
    assert accepted == [first, second]
    assert [socket.descriptor for socket in accepted] == [4, 5]
    assert thread.voluntary == 2  # again after the second


def test_accept4_on_a_nonblocking_listener_answers_eagain() -> None:
    bench = Bench(syscall_ns=5)
    listener = bench.socket("listener", nonblocking=True)
    answers = []

    def program(kernel: Kernel) -> Steps:
        answers.append((yield from kernel.accept4(listener)))
        bench.note("answered")

    bench.spawn("a", program)
    assert bench.run(100) == [(5, "answered")]
    assert answers == [EAGAIN]


def test_of_two_threads_asleep_on_a_socket_the_first_gets_the_message() -> None:
    bench = Bench(cores=2)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)

    for name in "ab":
        bench.spawn(name, program)
    for at_ns in (10, 20):
        bench.at(at_ns, lambda: bench.machine.arrive(socket, Letter(bench)))
    assert bench.run(100) == [(10, "letter begun by a"), (20, "letter begun by b")]


def test_who_finds_the_message_gone_sleeps_again() -> None:
    bench = Bench(cores=2, idle_exit_ns=50)
    socket = bench.socket()

    def sleeper(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)

    def thief(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(1_000)
        yield from kernel.compute(20)
        yield from kernel.settle()
        yield from kernel.recvfrom(socket)
        bench.note("stolen")

    thread = bench.spawn("sleeper", sleeper)
    bench.spawn("thief", thief)
    # The thief runs from 1,100 (50 late twice) to 1,120; the sleeper, woken at 1,110, would
    # receive at 1,160.
    bench.at(1_110, lambda: bench.machine.arrive(socket, Letter(bench)))
    bench.at(5_000, lambda: bench.machine.arrive(socket, Letter(bench)))
    assert bench.run(10_000) == [
        (1_120, "letter begun by thief"),
        (1_120, "stolen"),
        (5_050, "letter begun by sleeper"),
    ]
    assert thread.voluntary == 2
