"""A network card in detail: its link, coalescing, polling within a budget, receive queues."""

from collections import Counter
from typing import Any

import pytest
from bench import Bench, Letter

from iosim.devices import nic
from iosim.machine.kernel import Kernel
from iosim.machine.sockets import Socket
from iosim.machine.thread import Program
from iosim.streams import Streams


def card(bench: Bench, **options: Any) -> nic.Network:
    read = nic.Options.model_validate({"latency": "50us", **options})
    return nic.Network(read, bench.machine, Streams(1, 0))


def letters(bench: Bench, network: nic.Network, socket: Socket, *at_ns: int, size: int = 0) -> None:
    """Let letters, numbered from 1, come to the card."""
    for number, at in enumerate(at_ns, 1):
        letter = Letter(bench, str(number), bytes=size)
        bench.at(at, lambda letter=letter: network.deliver(socket, letter))


def delivered(log: list[tuple[int, str]]) -> list[int]:
    return [at_ns for at_ns, text in log if text.endswith("delivered")]


# --------------------------------------------------------------------------------- link


def test_messages_go_over_the_link_one_after_the_other() -> None:
    bench = Bench(receive_softirq_ns=30)
    network = card(bench, bandwidth="1GB/s")  # a byte takes 1 ns
    socket = bench.socket()
    letters(bench, network, socket, 1_000, 1_000, 1_250, 5_000, size=200)
    # Carried until 1,200, 1,400, 1,600 and 5,200; the softirq of each takes 30 then.
    assert delivered(bench.run(10_000)) == [1_230, 1_430, 1_630, 5_230]


def test_answers_have_the_other_direction_to_themselves() -> None:
    bench = Bench()
    network = card(bench, bandwidth="1GB/s")
    socket = bench.socket()
    letters(bench, network, socket, 1_000, size=1_000)
    bench.run(1_500)
    # 200 ns on the link and 50 on the way; the second waits until the first is through at 1,700.
    assert network.reply_arrival_ns(1_500, 50, 200) == 1_750
    assert network.reply_arrival_ns(1_600, 50, 200) == 1_950
    assert network.reply_arrival_ns(9_000, 50, 200) == 9_250


def test_a_part_of_a_nanosecond_is_rounded_up() -> None:
    network = card(Bench(), bandwidth="3GB/s")
    assert network.reply_arrival_ns(0, 0, 100) == 34


# --------------------------------------------------------------------------- coalescing


COALESCE = {"delay": "1us", "frames": 3}


def test_the_first_message_waits_no_longer_than_the_delay() -> None:
    bench = Bench(interrupt_ns=50, receive_softirq_ns=10)
    network = card(bench, coalesce=COALESCE)
    letters(bench, network, bench.socket(), 1_000, 1_900)
    # The interrupt comes at 2,000 and takes 50, then 10 for each.
    assert delivered(bench.run(10_000)) == [2_060, 2_070]
    assert bench.cpu() == {"softirq": 70, "idle": 9_930}


def test_enough_messages_interrupt_at_once() -> None:
    bench = Bench(interrupt_ns=50, receive_softirq_ns=10)
    network = card(bench, coalesce=COALESCE)
    letters(bench, network, bench.socket(), 1_000, 1_100, 1_200, 5_000)
    # The third makes it three: at 1,200; the fourth waits alone until 6,000.
    assert delivered(bench.run(10_000)) == [1_260, 1_270, 1_280, 6_060]
    assert bench.cpu()["softirq"] == 2 * 50 + 4 * 10


def test_while_the_core_polls_there_are_no_interrupts() -> None:
    bench = Bench(interrupt_ns=50, receive_softirq_ns=100)
    network = card(bench, coalesce={"delay": "0s", "frames": 1})
    letters(bench, network, bench.socket(), 1_000, 1_010, 1_140, 1_400)
    # One interrupt at 1,000: received at 1,150, and without another at 1,250 and 1,350. Then
    # the ring is empty and interrupts are on: 1,400 + 50 + 100.
    assert delivered(bench.run(10_000)) == [1_150, 1_250, 1_350, 1_550]
    assert bench.cpu()["softirq"] == 2 * 50 + 4 * 100


def test_beyond_the_budget_threads_get_as_long_as_the_round_has_taken() -> None:
    bench = Bench(interrupt_ns=50, receive_softirq_ns=100)
    network = card(bench, coalesce={"delay": "1us", "frames": 5, "budget": 2})
    bench.spawn("a", bench.computes(2_000))
    letters(bench, network, bench.socket(), *[1_000] * 5)
    # Interrupt and two messages until 1,250; a computes as long; two more until 1,700; a until
    # 1,900; the last until 2,000. Then a has what is left: 2,000 + 550 of softirq.
    log = bench.run(10_000)
    assert delivered(log) == [1_150, 1_250, 1_600, 1_700, 2_000]
    assert log[-1] == (2_550, "done")


def test_beyond_the_budget_polling_goes_on_if_no_thread_wants_the_core() -> None:
    bench = Bench(interrupt_ns=50, receive_softirq_ns=100)
    network = card(bench, coalesce={"delay": "1us", "frames": 5, "budget": 2})
    letters(bench, network, bench.socket(), *[1_000] * 5)
    assert delivered(bench.run(10_000)) == [1_150, 1_250, 1_350, 1_450, 1_550]


def test_a_thread_woken_by_the_first_runs_when_the_round_is_over() -> None:
    bench = Bench(interrupt_ns=50, receive_softirq_ns=100, recvfrom_ns=10)
    network = card(bench, coalesce={"delay": "1us", "frames": 4, "budget": 3})
    socket = bench.socket()

    def program(kernel: Kernel) -> Program:
        while True:
            yield from kernel.recvfrom(socket)
            yield from kernel.settle()
            bench.note("received")

    bench.spawn("a", program)
    letters(bench, network, socket, *[1_000] * 4)
    log = bench.run(10_000)
    # The round ends at 1,350; a takes the three; ksoftirqd is on again at 1,700.
    assert delivered(log) == [1_150, 1_250, 1_350, 1_800]
    assert [at_ns for at_ns, text in log if text == "received"] == [1_360, 1_370, 1_380, 1_810]


# -------------------------------------------------------------------------------- queues


def cores_used(connections: int, cores: int, **options: Any) -> Counter[int]:
    bench = Bench(cores=cores, receive_softirq_ns=1)
    network = card(bench, **options)
    for number in range(connections):
        letters(bench, network, bench.socket(), 1_000 + 100 * number)
    bench.run(1_000_000)
    return Counter({core: bench.cpu(core).get("softirq", 0) for core in range(cores)})


def test_connections_are_dealt_out_in_turn() -> None:
    assert cores_used(400, 4) == {0: 100, 1: 100, 2: 100, 3: 100}
    # Two queues for four cores: two cores receive nothing.
    assert cores_used(400, 4, queues=2) == {0: 200, 1: 200, 2: 0, 3: 0}
    # Three queues for two cores: core 0 has the first and the third.
    assert cores_used(300, 2, queues=3) == {0: 200, 1: 100}


def test_all_may_be_steered_to_the_first_core() -> None:
    assert cores_used(400, 4, steering="first_core") == {0: 400, 1: 0, 2: 0, 3: 0}


def test_a_hash_deals_out_unevenly_but_not_wildly() -> None:
    used = cores_used(400, 4, steering="hash")
    assert sum(used.values()) == 400
    assert used != {0: 100, 1: 100, 2: 100, 3: 100}
    assert all(60 < count < 140 for count in used.values())


@pytest.mark.parametrize("coalesce", [None, {"delay": "0s", "frames": 1}])
def test_a_connection_stays_with_its_core(coalesce: Any) -> None:
    bench = Bench(cores=4, receive_softirq_ns=1)
    network = card(bench, steering="hash", coalesce=coalesce)
    socket = bench.socket()
    letters(bench, network, socket, *range(1_000, 3_000, 100))
    bench.run(10_000)
    assert sorted(bench.cpu(core).get("softirq", 0) for core in range(4)) == [0, 0, 0, 20]


@pytest.mark.parametrize("steering", ["in_turn", "hash"])
def test_a_connection_has_its_core_before_it_is_accepted_and_when_another_takes_its_descriptor(
    steering: str,
) -> None:
    bench = Bench(cores=4, receive_softirq_ns=1)
    network = card(bench, steering=steering)
    machine, listener = bench.machine, bench.socket("listener")
    connections = [Socket(f"connection {n}", None) for n in range(8)]

    def cores() -> list[int]:
        before = [bench.cpu(core).get("softirq", 0) for core in range(4)]
        bench.run(bench.env.now + 1_000)
        after = [bench.cpu(core).get("softirq", 0) for core in range(4)]
        return [core for core in range(4) if after[core] > before[core]]

    seen: list[list[list[int]]] = [[] for _ in connections]
    for how in ("open", "not accepted", "accepted", "accepted in another order"):
        for number, connection in enumerate(connections):
            if how == "open":
                network.open(listener, connection)
            else:
                network.deliver(connection, Letter())
            seen[number].append(cores())
        for connection in connections:
            if connection.descriptor >= 0:
                machine.close_descriptor(connection)
        if how == "not accepted":
            for connection in connections:
                machine.open_descriptor(connection)
        elif how == "accepted":
            for connection in reversed(connections):
                machine.open_descriptor(connection)
    for of_one in seen:
        assert all(cores == of_one[0] for cores in of_one)
        assert len(of_one[0]) == 1
    # They are not all at the same core.
    assert len({tuple(of_one[0]) for of_one in seen}) > 2
