"""Readiness: select, poll, epoll, and asking around a ring."""

from collections.abc import Generator
from functools import partial
from typing import Any

import pytest
from bench import Bench, Letter, rr
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim.errors import DescriptorLimit
from iosim.machine.kernel import Kernel
from iosim.machine.readiness import DescriptorSet, Ring
from iosim.machine.sockets import Socket
from iosim.machine.thread import RUN, SPIN

Steps = Generator[Any, Any, None]


def names(sockets: list[Socket]) -> list[str]:
    return [socket.name for socket in sockets]


# -------------------------------------------------------------------------------- epoll


def watching(
    bench: Bench, sockets: list[Socket], rounds: int, max_events: int = 10, **how: Any
) -> Any:
    """Wait so many times; read each socket that is reported, unless `read` is False."""
    read, edge = how.get("read", True), how.get("edge", False)

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        for socket in sockets:
            yield from kernel.epoll_ctl_add(epoll, socket, edge)
        for _ in range(rounds):
            events = yield from kernel.epoll_wait(epoll, max_events)
            yield from kernel.settle()
            bench.note(" ".join(names(events)))
            for socket in events if read else ():
                yield from kernel.recvfrom(socket)

    return program


def test_epoll_costs_what_is_ready_not_what_is_watched() -> None:
    bench = Bench(
        syscall_ns=1,
        epoll_create1_ns=10,
        epoll_ctl_add_ns=20,
        epoll_wait_ns=5,
        epoll_wait_per_event_ns=100,
    )
    sockets = [bench.socket(f"{n}") for n in range(50)]
    for number in (7, 3):
        sockets[number].received.append(Letter())
    thread = bench.spawn("a", watching(bench, sockets, rounds=1))
    # 11, 50 x 21, 6, two events 200.
    assert bench.run(10_000) == [(11 + 1_050 + 6 + 200, "3 7")]
    assert thread.voluntary == 0
    assert bench.calls() == {"epoll_create1": 1, "epoll_ctl": 50, "epoll_wait": 1, "recvfrom": 2}
    assert (bench.machine.waits, bench.machine.wait_events) == (1, 2)


def test_epoll_reports_in_the_order_of_arrival() -> None:
    bench = Bench()
    sockets = [bench.socket(f"{n}") for n in range(4)]
    bench.spawn("a", watching(bench, sockets, rounds=2))
    bench.at(50, lambda: bench.spawn("busy", bench.computes(100, name="busy")))
    for at_ns, number in ((60, 3), (70, 1), (80, 2)):
        bench.arrive(at_ns, sockets[number])
    # Woken by the first, it runs at 150 and finds all three: batching emerges.
    assert bench.run(1_000) == [(150, "busy"), (150, "3 1 2")]
    assert bench.machine.wakeups == 1


def test_max_events_leaves_the_rest_for_the_next_call_behind_the_ready_list() -> None:
    bench = Bench()
    sockets = [bench.socket(f"{n}", Letter(), Letter()) for n in range(5)]
    bench.spawn("a", watching(bench, sockets, rounds=5, max_events=2))
    # What was reported goes to the back: 0 and 1 come again only after 4.
    assert [text for _, text in bench.run(1_000)] == ["0 1", "2 3", "4 0", "1 2", "3 4"]


def test_level_triggered_reports_as_long_as_there_is_something() -> None:
    bench = Bench()
    sockets = [bench.socket("a", Letter(), Letter(), Letter()), bench.socket("b", Letter())]
    bench.spawn("t", watching(bench, sockets, rounds=4))
    assert [text for _, text in bench.run(1_000)] == ["a b", "a", "a"]


def test_level_triggered_looks_again_at_what_it_reported() -> None:
    bench = Bench(epoll_wait_ns=5, epoll_wait_per_event_ns=10)
    sockets = [bench.socket("a", Letter())]
    thread = bench.spawn("t", watching(bench, sockets, rounds=2))
    bench.arrive(500, sockets[0])
    # 5 + 10 to report it; the next call, 5, finds it empty, 10, before it sleeps at 30;
    # 10 to report it again.
    assert bench.run(1_000) == [(15, "a"), (510, "a")]
    assert bench.moments("slept")[0] == (30, "slept", "t")
    assert thread.voluntary == 1


def test_edge_triggered_reports_once_until_more_arrives() -> None:
    bench = Bench(epoll_wait_ns=5, epoll_wait_per_event_ns=10)
    sockets = [bench.socket("a", Letter(), Letter())]
    thread = bench.spawn("t", watching(bench, sockets, rounds=3, edge=True))
    bench.arrive(500, sockets[0])
    # Reported once though two are there (one is left unread); not looked at again: asleep
    # at 20; the third arrival reports it anew.
    assert bench.run(1_000) == [(15, "a"), (510, "a")]
    assert bench.moments("slept")[0] == (20, "slept", "t")
    assert len(sockets[0].received) == 1
    assert thread.voluntary == 2


@pytest.mark.parametrize("per_event_ns", [0, 10])
@pytest.mark.parametrize("max_events", [1, 2, 3])
def test_what_is_stale_takes_no_room_from_what_is_ready(max_events: int, per_event_ns: int) -> None:
    bench = Bench(epoll_wait_per_event_ns=per_event_ns)
    sockets = [bench.socket(f"{n}", Letter()) for n in range(4)]

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        for socket in sockets:
            yield from kernel.epoll_ctl_add(epoll, socket)
        # 0, 1 and 2 are on the ready list, but have been read when it is looked at.
        for socket in sockets[:3]:
            yield from kernel.recvfrom(socket)
        events = yield from kernel.epoll_wait(epoll, max_events)
        yield from kernel.settle()
        bench.note(" ".join(names(events)))

    thread = bench.spawn("a", program)
    assert bench.run(1_000) == [(4 * per_event_ns, "3")]
    assert thread.voluntary == 0


def test_what_is_there_before_epoll_ctl_is_reported() -> None:
    for edge in (False, True):
        bench = Bench()
        sockets = [bench.socket("a", Letter())]
        bench.spawn("t", watching(bench, sockets, rounds=1, edge=edge))
        assert bench.run(100) == [(0, "a")]


def test_a_socket_taken_out_is_reported_no_more() -> None:
    bench = Bench(epoll_item_memory_bytes=160)
    first, second = bench.socket("first", Letter()), bench.socket("second", Letter())

    def program(kernel: Kernel) -> Steps:
        epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_ctl_add(epoll, first)
        yield from kernel.epoll_ctl_add(epoll, second)
        yield from kernel.epoll_ctl_del(epoll, first)
        bench.note(" ".join(names((yield from kernel.epoll_wait(epoll, 10)))))
        yield from kernel.close(second)
        bench.note(str((yield from kernel.epoll_wait(epoll, 10, timeout_ns=50))))

    bench.spawn("a", program)
    assert [text for _, text in bench.run(100)] == ["second", "second closed", "[]"]
    assert bench.machine.memory.in_use["epoll items"] == 0
    assert bench.machine.memory.peak["epoll items"] == 320


def test_an_eventfd_is_readable_while_it_is_not_zero() -> None:
    bench = Bench(syscall_ns=1, eventfd_write_ns=10, eventfd_read_ns=5)

    def program(kernel: Kernel) -> Steps:
        eventfd = yield from kernel.eventfd()
        epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_ctl_add(epoll, eventfd)
        for writes in (0, 1, 3):
            for _ in range(writes):
                yield from kernel.eventfd_write(eventfd)
            for _ in range(2):
                events = yield from kernel.epoll_wait(epoll, 10, timeout_ns=0)
                yield from kernel.settle()
                bench.note(f"{writes} {len(events)}")
            yield from kernel.eventfd_read(eventfd)

    bench.spawn("a", program)
    # eventfd2, epoll_create1, epoll_ctl and each wait 1, each write 11, each read 6.
    assert bench.run(1_000) == [
        (4, "0 0"),
        (5, "0 0"),
        (23, "1 1"),
        (24, "1 1"),
        (64, "3 1"),
        (65, "3 1"),
    ]


def test_who_writes_to_an_eventfd_pays_for_waking_once() -> None:
    bench = Bench(cores=2, eventfd_write_ns=10, wake_up_ns=7, wake_up_idle_core_ns=30)
    eventfd: list[Socket] = []

    def waiting(kernel: Kernel) -> Steps:
        eventfd.append((yield from kernel.eventfd()))
        epoll = yield from kernel.epoll_create1()
        yield from kernel.epoll_ctl_add(epoll, eventfd[0])
        yield from kernel.epoll_wait(epoll, 10)
        bench.note("awake")

    def writing(kernel: Kernel) -> Steps:
        yield from kernel.eventfd_write(eventfd[0])
        yield from kernel.settle()
        bench.note("woke somebody")
        yield from kernel.eventfd_write(eventfd[0])
        yield from kernel.settle()
        bench.note("woke nobody")

    bench.spawn("waiting", waiting)
    bench.at(100, lambda: bench.spawn("writing", writing))
    assert bench.run(1_000) == [(110, "awake"), (147, "woke somebody"), (157, "woke nobody")]


# ------------------------------------------------------------------------ select and poll


def polling(bench: Bench, call: str, sockets: list[Socket], timeouts: list[int | None]) -> Any:
    def program(kernel: Kernel) -> Steps:
        descriptors = DescriptorSet(bench.machine)
        for socket in sockets:
            descriptors.add(socket)
        for timeout_ns in timeouts:
            readable = yield from getattr(kernel, call)(descriptors, timeout_ns)
            yield from kernel.settle()
            bench.note(" ".join(names(readable)))
            for socket in readable:
                yield from kernel.recvfrom(socket)

    return program


POLL: dict[str, Any] = {
    "syscall_ns": 1,
    "poll_ns": 5,
    "poll_per_descriptor_ns": 10,
    "poll_register_ns": 100,
    "poll_answer_ns": 2,
}


@pytest.mark.parametrize("call", ["select", "poll"])
def test_a_call_that_blocks_registers_on_all_and_scans_twice(call: str) -> None:
    bench = Bench(**POLL)
    sockets = [bench.socket(f"{n}") for n in range(4)]
    thread = bench.spawn("a", polling(bench, call, sockets, [None]))
    bench.arrive(5_000, sockets[2])
    # First pass: 1 + 5 + 4 x 10, and joining 4 queues 200: asleep at 246.
    # Second pass: 40, leaving them 200, and the program's look at the answer: 4 x 2.
    assert bench.run(10_000) == [(5_248, "2")]
    assert bench.moments("slept")[0] == (246, "slept", "a")
    assert thread.voluntary == 1
    assert bench.calls() == {call: 1, "recvfrom": 1}
    assert bench.cpu()["user"] == 8


@pytest.mark.parametrize("call", ["select", "poll"])
def test_a_call_that_finds_one_ready_registers_up_to_it_and_scans_once(call: str) -> None:
    bench = Bench(**POLL)
    sockets = [bench.socket(f"{n}") for n in range(4)]
    sockets[3].received.append(Letter())
    sockets[2].received.append(Letter())
    bench.spawn("a", polling(bench, call, sockets, [None]))
    # 1 + 5 + 40, joining and leaving the two before the first ready one 200, the answer 8.
    assert bench.run(10_000) == [(254, "2 3")]


def test_a_call_that_does_not_wait_registers_on_none() -> None:
    bench = Bench(**POLL)
    sockets = [bench.socket(f"{n}") for n in range(4)]
    thread = bench.spawn("a", polling(bench, "poll", sockets, [0]))
    # 1 + 5 + 40 + 8.
    assert bench.run(10_000) == [(54, "")]
    assert thread.voluntary == 0


def test_the_price_of_a_descriptor_may_grow_with_their_number() -> None:
    bench = Bench(poll_per_descriptor_ns=((10, 10), (20, 30)))
    for count, each_ns in ((5, 10), (10, 10), (15, 20), (20, 30), (40, 30)):
        assert bench.machine.costs.descriptor_scan(count) == count * each_ns


def test_poll_answers_in_the_order_of_descriptors() -> None:
    bench = Bench()
    sockets = [bench.socket(f"{n}") for n in range(4)]
    for number in (3, 0, 2):
        sockets[number].received.append(Letter())
    bench.spawn("a", polling(bench, "poll", [sockets[n] for n in (2, 0, 3, 1)], [None]))
    assert bench.run(100) == [(0, "0 2 3")]


def test_select_takes_no_descriptor_from_1024_on_and_poll_does() -> None:
    bench = Bench()
    sockets = [bench.socket(f"{n}") for n in range(1_021)]
    assert sockets[-1].descriptor == 1_023
    last = bench.socket("last", Letter())
    assert last.descriptor == 1_024
    bench.spawn("a", polling(bench, "select", sockets, [0]))
    bench.run(10)
    assert bench.log == [(0, "")]
    bench.spawn("b", polling(bench, "poll", [*sockets, last], [0]))
    bench.run(20)
    assert bench.log[1:] == [(10, "last")]
    bench.spawn("c", polling(bench, "select", [*sockets, last], [0]))
    with pytest.raises(DescriptorLimit, match="select takes descriptors below 1,024, not 1,024"):
        bench.run(30)


def test_a_closed_socket_leaves_the_set() -> None:
    bench = Bench(poll_entry_memory_bytes=64)
    sockets = [bench.socket(f"{n}", Letter()) for n in range(3)]

    def program(kernel: Kernel) -> Steps:
        descriptors = DescriptorSet(bench.machine)
        for socket in sockets:
            descriptors.add(socket)
        yield from kernel.close(sockets[1])
        bench.note(" ".join(names((yield from kernel.poll(descriptors)))))
        bench.note(f"{len(descriptors)} {descriptors.highest}")

    bench.spawn("a", program)
    assert [text for _, text in bench.run(100)] == ["1 closed", "0 2", "2 5"]
    assert bench.machine.memory.in_use["poll entries"] == 128


# ------------------------------------------------------------- polling in user space


def asking(bench: Bench, ring: Ring, rounds: int | None = None) -> Any:
    """The leap: ask_each, and note what was found."""

    def program(kernel: Kernel) -> Steps:
        while True:
            socket = yield from kernel.ask_each(ring, rounds)
            if socket is None:
                yield from kernel.compute(100)
                continue
            yield from kernel.recvfrom(socket)
            bench.log.append((kernel.now_ns, socket.name))
            yield from kernel.compute(300)

    return program


def asking_one_by_one(bench: Bench, ring: Ring, rounds: int | None = None) -> Any:
    """The same, plainly: each ask looks when it begins, and costs `ask_ns` if in vain."""

    def program(kernel: Kernel) -> Steps:
        sockets, position = ring.sockets, 0
        while True:
            asks = 0
            yield from kernel.settle()
            while not sockets[position].received:
                if rounds is not None and asks == rounds * len(sockets):
                    break
                asks += 1
                kernel.syscalls["recvfrom"] += 1
                kernel.machine.wasted_polls += 1
                kernel.thread.charge(SPIN, kernel.ask_ns(), "EAGAIN")
                yield RUN
                position = (position + 1) % len(sockets)
            else:
                socket = sockets[position]
                position = (position + 1) % len(sockets)
                yield from kernel.recvfrom(socket)
                bench.log.append((kernel.now_ns, socket.name))
                yield from kernel.compute(300)
                continue
            yield from kernel.compute(100)

    return program


def polled(
    program: Any,
    count: int,
    rounds: int | None,
    arrivals: list[tuple[int, int]],
    interrupts: list[tuple[int, int]],
    other_ns: int,
) -> Any:
    bench = Bench(queue=rr("5030ns"), syscall_ns=40, recvfrom_ns=160, recvfrom_eagain_ns=60)
    ring = Ring(bench.machine)
    for number in range(count):
        ring.add(bench.socket(f"{number}", nonblocking=True))
    thread = bench.spawn("poller", program(bench, ring, rounds))
    if other_ns:
        bench.at(10_003, lambda: bench.spawn("other", bench.computes(other_ns, name="other")))

    def arrive(number: int) -> None:
        bench.machine.arrive(ring.sockets[number % count], Letter())

    only = bench.machine.cores[0]
    for at_ns, number in arrivals:
        bench.at(at_ns, partial(arrive, number))
    for at_ns, number in interrupts:
        # A message that comes by interrupt: several may be queued on the core.
        bench.at(at_ns, partial(only.interrupt, 300, partial(arrive, number)))
    bench.run(40_001)
    # Asks are counted when they are through: let the last ones come to an end alike.
    for socket in ring.sockets:
        bench.machine.arrive(socket, Letter())
    bench.run(60_001)
    received = bench.calls().get("recvfrom", 0) - bench.machine.wasted_polls
    return bench.log, received, thread.involuntary, bench.cpu()


# The machine's own instants are multiples of 100, or 30, 60, 90 beyond where slices of 5,030 cut:
# asks take 100, work 100 and more, interrupts 300. Nothing else falls on them, so that the order
# of equals does not matter.
ARRIVAL = st.tuples(st.integers(0, 300).map(lambda n: 100 * n + 37), st.integers(0, 6))
INTERRUPT = st.tuples(st.integers(0, 300).map(lambda n: 100 * n + 47), st.integers(0, 6))


@settings(max_examples=120)
@given(
    count=st.integers(1, 7),
    rounds=st.sampled_from([None, 1, 3]),
    arrivals=st.lists(ARRIVAL, max_size=12),
    interrupts=st.lists(INTERRUPT, max_size=5),
    other_ns=st.sampled_from([0, 7_000]),
)
def test_leaping_over_asks_in_vain_is_asking_them(
    count: int,
    rounds: int | None,
    arrivals: list[tuple[int, int]],
    interrupts: list[tuple[int, int]],
    other_ns: int,
) -> None:
    how = (count, rounds, arrivals, interrupts, other_ns)
    assert polled(asking, *how) == polled(asking_one_by_one, *how)


def test_asks_in_vain_are_counted_and_charged() -> None:
    bench = Bench(syscall_ns=4, recvfrom_ns=20, recvfrom_eagain_ns=6)
    ring = Ring(bench.machine)
    for number in range(3):
        ring.add(bench.socket(f"{number}", nonblocking=True))
    thread = bench.spawn("a", asking(bench, ring))
    bench.arrive(95, ring.sockets[1])
    # Asks begin at 0, 10, 20 ...; at 95 the one of socket 0 is under way (90), so socket 1
    # answers at 100: 10 asks in vain. Then 4 + 20.
    assert bench.run(110) == [(124, "1")]
    assert bench.machine.wasted_polls == 10
    assert bench.calls() == {"recvfrom": 11}
    assert bench.cpu()["spin"] == 100
    assert thread.voluntary == 0


def test_an_ask_that_has_begun_does_not_see_what_comes_then() -> None:
    bench = Bench(recvfrom_eagain_ns=10)
    ring = Ring(bench.machine)
    for number in range(3):
        ring.add(bench.socket(f"{number}", nonblocking=True))
    bench.spawn("a", asking(bench, ring))
    bench.arrive(15, ring.sockets[1])
    # Socket 1 is being asked, 10-20: it is found in the next round, at 40.
    assert bench.run(100)[:1] == [(40, "1")]


def test_spinning_leaves_nothing_behind() -> None:
    bench = Bench(recvfrom_eagain_ns=10, recvfrom_ns=10)
    ring = Ring(bench.machine)
    ring.add(bench.socket("0", nonblocking=True))
    bench.spawn("a", asking(bench, ring))
    count = 200
    for number in range(count):
        bench.arrive(1_000 * number, ring.sockets[0])
    bench.run(1_000 * count)
    assert len(bench.log) == count
    assert len(bench.env._queue) < 5
