"""Several threads wait for the same: in one epoll, in several on one socket, in accept."""

from collections.abc import Generator
from typing import Any

import pytest
from bench import Bench, Letter

from iosim.machine.kernel import Kernel
from iosim.machine.readiness import EPOLLIN, Epoll
from iosim.machine.sockets import EAGAIN, Socket
from iosim.machine.thread import Herd

Steps = Generator[Any, Any, None]


class Shared:
    """An epoll that several threads know."""

    epoll: Epoll


def waiting(bench: Bench, name: str, shared: Shared, at_ns: int, work_ns: int = 0) -> None:
    """A thread that comes to `shared` at an instant, notes what it is told of, and reads it."""

    def program(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(at_ns)
        while True:
            events = yield from kernel.epoll_wait(shared.epoll, 1)
            yield from kernel.settle()
            for socket in events:
                message = yield from kernel.recvfrom(socket)
                yield from kernel.settle()
                bench.note(f"{name} {'nothing' if message is EAGAIN else socket.name}")
                yield from kernel.compute(work_ns)

    bench.spawn(name, program)


def watched(bench: Bench, shared: Shared, *sockets: Socket, **how: bool) -> None:
    def program(kernel: Kernel) -> Steps:
        shared.epoll = yield from kernel.epoll_create1()
        for socket in sockets:
            yield from kernel.epoll_ctl_add(shared.epoll, socket, **how)

    bench.spawn("main", program)


# ------------------------------------------------------------------------- one epoll shared


def test_the_thread_that_came_last_is_woken_first() -> None:
    bench, shared = Bench(cores=2), Shared()
    socket = bench.socket("x", nonblocking=True)
    watched(bench, shared, socket, edge=True)
    for number in range(3):
        waiting(bench, f"t{number}", shared, at_ns=10 * (number + 1), work_ns=5)
    for at_ns in (100, 200, 202, 300):
        bench.arrive(at_ns, socket)
    # t2 came last: it is woken, works for 5, comes back and is the last again. While it works,
    # at 202, the next to last is, which comes back at 207 and then is the last.
    assert bench.run(1_000) == [(100, "t2 x"), (200, "t2 x"), (202, "t1 x"), (300, "t1 x")]
    assert bench.machine.wakeups == 3 + 4
    assert bench.machine.spurious_wakeups == 0


def test_level_triggered_a_report_wakes_the_next_thread_in_vain() -> None:
    bench, shared = Bench(epoll_wait_per_event_ns=10, recvfrom_ns=100), Shared()
    socket = bench.socket("x", nonblocking=True)
    watched(bench, shared, socket)
    for number in range(3):
        waiting(bench, f"t{number}", shared, at_ns=10 * (number + 1))
    bench.arrive(1_000, socket)
    # One core: t2, reporting x, has put it back and wakes t1, which runs when t2, having read x,
    # comes back: t2 has thrown the item out by then. So t1 finds an empty list, and sleeps on.
    assert bench.run(5_000) == [(1_110, "t2 x")]
    assert bench.moments("woke")[3:] == [(1_000, "woke", "t2"), (1_010, "woke", "t1")]
    assert bench.machine.spurious_wakeups == 1
    assert bench.calls()["recvfrom"] == 1


def test_level_triggered_on_two_cores_two_threads_are_told_of_the_same() -> None:
    bench, shared = Bench(cores=2, epoll_wait_per_event_ns=10, recvfrom_ns=100), Shared()
    socket = bench.socket("x", nonblocking=True)
    watched(bench, shared, socket)
    for number in range(3):
        waiting(bench, f"t{number}", shared, at_ns=10 * (number + 1))
    bench.arrive(1_000, socket)
    # t2 begins to read at 1,010, when t1 is woken on the other core and finds x empty at 1,020.
    assert bench.run(5_000) == [(1_110, "t2 x")]
    assert bench.machine.spurious_wakeups == 1


def test_a_one_shot_socket_is_reported_again_only_after_it_has_been_armed() -> None:
    bench, shared = Bench(syscall_ns=1, epoll_ctl_mod_ns=30), Shared()
    socket = bench.socket("x", nonblocking=True)

    def program(kernel: Kernel) -> Steps:
        shared.epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_ctl_add(shared.epoll, socket, oneshot=True)
        while True:
            events = yield from kernel.epoll_wait(shared.epoll, 10)
            yield from kernel.settle()
            bench.note(" ".join(s.name for s in events))

    bench.spawn("main", program)
    for at_ns in (100, 200, 300):
        bench.arrive(at_ns, socket)

    def arming(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(499)
        yield from kernel.recvfrom(socket)
        yield from kernel.epoll_ctl_mod(shared.epoll, socket, EPOLLIN)
        bench.note("armed")
        yield from kernel.nanosleep(500)
        yield from kernel.recvfrom(socket)
        yield from kernel.recvfrom(socket)
        yield from kernel.epoll_ctl_mod(shared.epoll, socket, EPOLLIN)

    bench.at(0, lambda: bench.spawn("worker", arming))
    bench.arrive(1_200, socket)
    # Armed at 500 + 1 + 31: two letters are there, so it is reported at once, and then not for
    # that of 1,200 ... until armed again at 1,000 and some, with nothing there.
    log = bench.run(2_000)
    assert log[0] == (100, "x")
    assert [text for _, text in log] == ["x", "armed", "x", "x"]
    assert log[3] == (1_200, "x")


def test_arming_what_has_nothing_wakes_nobody() -> None:
    bench, shared = Bench(), Shared()
    socket = bench.socket("x", nonblocking=True)
    watched(bench, shared, socket, oneshot=True)
    waiting(bench, "t", shared, at_ns=10)

    def arming(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(200)
        yield from kernel.epoll_ctl_mod(shared.epoll, socket, EPOLLIN)

    bench.spawn("worker", arming)
    for at_ns in (100, 150, 300):
        bench.arrive(at_ns, socket)
    # That of 150 waits until the socket is armed at 200.
    assert bench.run(1_000) == [(100, "t x"), (200, "t x")]


def test_a_disarmed_socket_can_be_closed() -> None:
    bench, shared = Bench(epoll_item_memory_bytes=100), Shared()
    socket = bench.socket("x", nonblocking=True)
    watched(bench, shared, socket, oneshot=True)
    waiting(bench, "t", shared, at_ns=10)
    bench.arrive(100, socket)

    def closing(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(200)
        yield from kernel.close(socket)

    bench.spawn("worker", closing)
    bench.run(1_000)
    assert bench.machine.memory.in_use["epoll items"] == 0
    assert not socket.watchers
    assert not shared.epoll.interest


# ------------------------------------------------------------- several epolls on a listener


def accepting(bench: Bench, name: str, listener: Socket, at_ns: int, **how: bool) -> None:
    """A thread with an epoll of its own, which watches `listener` from an instant on."""

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        yield from kernel.nanosleep(at_ns)
        yield from kernel.epoll_ctl_add(epoll, listener, **how)
        while True:
            yield from kernel.epoll_wait(epoll, 10)
            connection = yield from kernel.accept4(listener)
            yield from kernel.settle()
            what = "in vain" if connection is EAGAIN else connection.name
            bench.note(f"{name} {what}")
            yield from kernel.compute(50)

    bench.spawn(name, program)


def connections(bench: Bench, listener: Socket, *at_ns: int) -> None:
    for number, when_ns in enumerate(at_ns):
        connection = bench.socket(f"c{number}")
        bench.machine.close_descriptor(connection)
        bench.at(when_ns, lambda one=connection: bench.machine.arrive(listener, one))


def accepted(log: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(at_ns, text) for at_ns, text in log if text[0] == "t"]


def test_without_epollexclusive_all_are_woken_the_latest_first() -> None:
    bench = Bench()
    listener = bench.socket("listener", nonblocking=True)
    for number in range(3):
        accepting(bench, f"t{number}", listener, at_ns=10 * (number + 1))
    connections(bench, listener, 100)
    # One core, in turn: t2 accepts; the other two look when it has worked, and find nothing.
    assert accepted(bench.run(1_000)) == [(100, "t2 c0")]
    assert [name for _, _, name in bench.moments("woke")[3:]] == ["t2", "t1", "t0"]
    assert bench.machine.spurious_wakeups == 2


def test_on_cores_enough_all_are_told_and_all_but_one_accept_in_vain() -> None:
    bench = Bench(cores=3, epoll_wait_per_event_ns=10)
    listener = bench.socket("listener", nonblocking=True)
    for number in range(3):
        accepting(bench, f"t{number}", listener, at_ns=10 * (number + 1))
    connections(bench, listener, 100)
    log = accepted(bench.run(1_000))
    # Each looks from 100 to 110 and reports the listener; then t2 is the first to accept.
    assert sorted(text.split(maxsplit=1)[1] for _, text in log) == ["c0", "in vain", "in vain"]
    assert bench.machine.spurious_wakeups == 2


def test_accepting_until_eagain_is_no_wake_up_in_vain() -> None:
    bench = Bench()
    listener = bench.socket("listener", nonblocking=True)

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_ctl_add(epoll, listener)
        yield from kernel.epoll_wait(epoll, 10)
        while (connection := (yield from kernel.accept4(listener))) is not EAGAIN:
            bench.note(f"t {connection.name}")

    bench.spawn("t", program)
    connections(bench, listener, 100)
    assert accepted(bench.run(1_000)) == [(100, "t c0")]
    assert bench.machine.spurious_wakeups == 0


def test_with_epollexclusive_the_first_to_have_been_added_is_woken_alone() -> None:
    bench = Bench(cores=4)
    listener = bench.socket("listener", nonblocking=True)
    for number in range(3):
        accepting(bench, f"t{number}", listener, at_ns=10 * (number + 1), exclusive=True)
    connections(bench, listener, 100, 200, 210, 300)
    # t0 has each that comes while it waits; that of 210 comes while it works, and is t1's.
    assert accepted(bench.run(1_000)) == [
        (100, "t0 c0"),
        (200, "t0 c1"),
        (210, "t1 c2"),
        (300, "t0 c3"),
    ]
    # Busy, t0 has been told nevertheless, and looks; it finds nothing, but has not slept for it.
    assert bench.machine.spurious_wakeups == 0
    assert bench.machine.wakeups == 3 + 4


def test_an_exclusive_watcher_is_forgotten_when_the_listener_is_closed() -> None:
    bench = Bench(epoll_item_memory_bytes=100)
    listener = bench.socket("listener", nonblocking=True)
    for number in range(2):
        accepting(bench, f"t{number}", listener, at_ns=10, exclusive=True)

    def closing(kernel: Kernel) -> Steps:
        yield from kernel.nanosleep(100)
        yield from kernel.close(listener)

    bench.spawn("closer", closing)
    bench.run(1_000)
    assert bench.machine.memory.in_use["epoll items"] == 0


# --------------------------------------------------------------------------- blocked in accept


def blocked(bench: Bench, name: str, listener: Socket) -> None:
    def program(kernel: Kernel) -> Steps:
        while True:
            connection = yield from kernel.accept4(listener)
            yield from kernel.settle()
            bench.note(f"{name} {connection.name}")
            yield from kernel.compute(50)

    bench.spawn(name, program)


@pytest.mark.parametrize("herd", [False, True])
def test_a_herd_is_woken_as_a_whole_and_all_but_one_sleep_again(herd: bool) -> None:
    bench = Bench(context_switch_ns=7)
    listener = bench.socket("listener")
    if herd:
        listener.wait_queue = Herd("listener")
    for number in range(4):
        blocked(bench, f"t{number}", listener)
    connections(bench, listener, 1_000, 2_000)
    log = accepted(bench.run(3_000))
    if not herd:  # whoever has slept longest, for one switch
        assert log == [(1_007, "t0 c0"), (2_007, "t1 c1")]
        assert bench.machine.spurious_wakeups == 0
        assert bench.machine.voluntary == 4 + 2
        return
    # The first accepts, works and is back before the others get the core, for nothing.
    assert log == [(1_007, "t0 c0"), (2_007, "t0 c1")]
    assert bench.machine.spurious_wakeups == 2 * 3
    assert bench.machine.voluntary == 4 + 2 * 4
    assert bench.cpu()["switch"] == 4 * 7 + 2 * 4 * 7


def test_a_letter_read_by_another_is_no_wake_up() -> None:
    bench = Bench()
    socket = bench.socket("x", Letter(), nonblocking=True)

    def program(kernel: Kernel) -> Steps:
        yield from kernel.recvfrom(socket)
        assert (yield from kernel.recvfrom(socket)) is EAGAIN

    bench.spawn("t", program)
    bench.run(100)
    assert bench.machine.spurious_wakeups == 0


# ------------------------------------------------------------------------------- SO_REUSEPORT


def test_with_reuseport_a_hash_says_whose_a_connection_is() -> None:
    bench = Bench(syscall_ns=1)
    # 32 bits laid over three listeners: thirds.
    third = 2**32 // 3
    bench.machine.flow_hashes = iter([0, third + 1, 2**32 - 1, third - 1, 2 * third + 2])
    port = bench.socket("port")
    # Two have come before the listeners are opened: they are dealt out like the others.
    early = [bench.socket(f"c{number}") for number in range(2)]
    for connection in early:
        bench.machine.close_descriptor(connection)
        bench.machine.arrive(port, connection)

    def program(kernel: Kernel) -> Steps:
        listeners = yield from kernel.listen_reuseport(port, 3)
        for number, listener in enumerate(listeners):
            yield from kernel.spawn(f"t{number}", lambda k, one=listener: accepts(k, one))

    def accepts(kernel: Kernel, listener: Socket) -> Steps:
        while True:
            connection = yield from kernel.accept4(listener)
            yield from kernel.settle()
            bench.note(f"{kernel.thread.name} {connection.name}")

    bench.spawn("main", program)
    for number, at_ns in ((2, 100), (3, 200), (4, 300)):
        connection = bench.socket(f"c{number}")
        bench.machine.close_descriptor(connection)
        bench.at(at_ns, lambda one=connection: bench.machine.arrive(port, one))
    log = accepted(bench.run(1_000))
    assert [text for _, text in log] == ["t0 c0", "t1 c1", "t2 c2", "t0 c3", "t2 c4"]
    assert [at_ns for at_ns, _ in log[2:]] == [100, 200, 300]
    assert bench.machine.spurious_wakeups == 0
    calls = bench.calls()
    assert {calls[name] for name in ("socket", "setsockopt", "bind", "listen")} == {3}


# --------------------------------------------------------------------------------- processes


def test_a_process_costs_its_fork_and_has_memory_of_its_own() -> None:
    bench = Bench(
        syscall_ns=1,
        fork_ns=100,
        thread_create_ns=10,
        thread_memory_bytes=5,
        forked_process_memory_bytes=70,
    )

    def main(kernel: Kernel) -> Steps:
        yield from kernel.fork("child", bench.computes(1_000, name="child"))
        yield from kernel.spawn("thread", bench.computes(10, name="thread"))

    bench.spawn("main", main)
    bench.run(500)
    assert bench.calls() == {"clone": 1, "clone3": 1}
    assert bench.moments("spawned")[1:] == [(101, "spawned", "child"), (112, "spawned", "thread")]
    assert bench.machine.memory.peak == {"threads": 10, "processes": 70}
    assert bench.run(3_000)[-1][1] == "thread"
    assert bench.machine.memory.in_use["processes"] == 0


def test_in_cpython_a_process_has_an_interpreter_lock_of_its_own() -> None:
    def ends(how: str) -> list[tuple[int, str]]:
        bench = Bench(cores=2, cpython=True, cpython_fork_ns=7)

        def main(kernel: Kernel) -> Steps:
            yield from getattr(kernel, how)("other", bench.computes(1_000_000, name="other"))
            yield from bench.computes(1_000_000, name="main")(kernel)

        bench.spawn("main", main)
        log = bench.run(10_000_000)
        # Its locks' times are summed.
        held_ns = sum(lock.held_ns(bench.env.now) for lock in bench.machine.interpreters)
        assert len(bench.machine.interpreters) == (2 if how == "fork" else 1)
        assert held_ns == 2_000_000 + 7 * (how == "fork")
        return log

    # A forked process computes at the same time; a thread waits until main ends.
    assert ends("fork") == [(1_000_007, "main"), (1_000_007, "other")]
    assert ends("spawn") == [(1_000_000, "main"), (2_000_000, "other")]
