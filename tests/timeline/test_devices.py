"""What lies outside: loopback, network card, remote service."""

from collections.abc import Generator
from typing import Any

from bench import Bench, Letter

from iosim.devices import loopback, nic, remote
from iosim.handler import Query
from iosim.machine.kernel import Kernel
from iosim.machine.request import Request
from iosim.machine.sockets import Socket
from iosim.streams import Streams

Steps = Generator[Any, Any, None]


def receiving(bench: Bench, socket: Socket) -> Any:
    def program(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.recvfrom(socket)
            yield from kernel.settle()
            bench.note(f"{socket.name} received")

    return program


# ----------------------------------------------------------------------------- loopback


def near(bench: Bench) -> loopback.Network:
    return loopback.Network(loopback.Options(), bench.machine, Streams(1, 0))


def test_on_loopback_a_message_takes_what_sending_and_receiving_cost_the_client() -> None:
    network = near(Bench(syscall_ns=5, sendto_ns=20, receive_softirq_ns=30, recvfrom_ns=7))
    assert network.delays_ns() == (55, 12)
    assert network.fixed_delays_ns == (55, 12)
    assert network.softirq_on_sender


def test_the_clients_receive_one_answer_at_a_time() -> None:
    network = near(Bench(syscall_ns=5, recvfrom_ns=20))
    # Each takes 25 of the clients' core: the second, 10 later, waits 15 for it.
    assert network.reply_arrival_ns(100, 25, 64) == 125
    assert network.reply_arrival_ns(110, 25, 64) == 150
    assert network.free_ns == 150
    assert network.reply_arrival_ns(1_000, 25, 64) == 1_025


def test_on_loopback_arrival_costs_the_server_nothing() -> None:
    bench = Bench(receive_softirq_ns=30)
    network = near(bench)
    socket = bench.socket()
    bench.spawn("a", receiving(bench, socket))
    bench.at(100, lambda: network.deliver(socket, Letter(bench)))
    assert bench.run(1_000)[0] == (100, "letter delivered")
    assert bench.log[-1] == (100, "socket received")
    assert bench.cpu() == {"idle": 1_000}


# --------------------------------------------------------------------------------- card


def card(bench: Bench, latency: Any = "50us") -> nic.Network:
    options = nic.Options.model_validate({"latency": latency})
    return nic.Network(options, bench.machine, Streams(1, 0))


def test_a_card_interrupts_the_core_that_the_connection_is_steered_to() -> None:
    bench = Bench(cores=2, receive_softirq_ns=30, idle_exit_ns=100)
    network = card(bench)
    first, second = bench.socket("first"), bench.socket("second")
    bench.spawn("busy", bench.computes(1_000, name="busy"))  # core 0, from 100
    bench.at(500, lambda: network.deliver(first, Letter(bench, "first")))
    bench.at(500, lambda: network.deliver(second, Letter(bench, "second")))
    # The first that the card sees is core 0's, which is busy: 30 later it is there, and busy
    # ends 30 later. Core 1 has to wake: 130.
    assert bench.run(5_000) == [
        (530, "first delivered"),
        (630, "second delivered"),
        (1_130, "busy"),
    ]
    assert bench.cpu(0)["softirq"] == bench.cpu(1)["softirq"] == 30


def test_messages_by_interrupt_wake_their_thread_once_the_softirq_is_done() -> None:
    bench = Bench(receive_softirq_ns=30, recvfrom_ns=10, idle_exit_ns=100)
    network = card(bench)
    socket = bench.socket()
    bench.spawn("a", receiving(bench, socket))
    for _ in range(2):
        bench.at(500, lambda: network.deliver(socket, Letter()))
    # Idle exit until 600, both interrupts until 660 (messages at 630 and 660); the thread,
    # woken by the first, runs when the second is through.
    assert bench.run(5_000) == [(670, "socket received"), (680, "socket received")]
    assert bench.machine.wakeups == 1


def test_a_cards_latency_is_one_way_and_drawn_for_each_way() -> None:
    network = card(Bench())
    assert [network.delays_ns() for _ in range(3)] == [(50_000, 50_000)] * 3
    assert network.reply_arrival_ns(7, 50_000, 64) == 50_007
    assert not network.softirq_on_sender
    random = card(Bench(), {"uniform": {"low": "1us", "high": "90us"}})
    ways = [way for _ in range(50) for way in random.delays_ns()]
    assert len(set(ways)) > 95
    assert all(1_000 <= way <= 90_000 for way in ways)


# ------------------------------------------------------------------------------- remote


def service(bench: Bench, concurrency: int) -> tuple[remote.Device, list[Socket]]:
    options = remote.Options.model_validate({"latency": "100us", "concurrency": concurrency})
    network: Any = near(bench)
    device = remote.Device("db", options, bench.machine, network, Streams(1, 0))
    sockets = [Socket(f"{n}", device) for n in range(5)]
    for socket in sockets:
        bench.machine.open_descriptor(socket)
        bench.spawn(socket.name, receiving(bench, socket))
    return device, sockets


def query(bench: Bench, device: remote.Device, socket: Socket, at_ns: int, ns: int) -> Query:
    asked = Query(Request(0, 0, (), 0, 0), ns)
    asked.request.ready_ns = at_ns
    asked.request.thread = bench.machine.threads[0]
    bench.at(at_ns, lambda: device.receive(socket, asked, at_ns))
    return asked


def test_a_service_with_room_for_all_answers_each_after_its_own_time() -> None:
    bench = Bench()
    device, sockets = service(bench, concurrency=10)
    for socket, ns in zip(sockets, (500, 300, 100), strict=False):
        query(bench, device, socket, at_ns=1_000, ns=ns)
    assert bench.run(10_000) == [
        (1_100, "2 received"),
        (1_300, "1 received"),
        (1_500, "0 received"),
    ]
    usage = device.usage()
    assert (usage.calls, usage.busy_ns, usage.queued_ns) == (3, 900, 0)


def test_calls_beyond_the_services_places_wait_in_order_of_arrival() -> None:
    bench = Bench()
    device, sockets = service(bench, concurrency=2)
    asked = [
        query(bench, device, socket, at_ns=1_000 + n, ns=ns)
        for n, (socket, ns) in enumerate(zip(sockets, (500, 300, 100, 100), strict=False))
    ]
    # Places: 0 1,000-1,500; 1 1,001-1,301, then 2 1,301-1,401, then 3 1,401-1,501.
    assert bench.run(10_000) == [
        (1_301, "1 received"),
        (1_401, "2 received"),
        (1_500, "0 received"),
        (1_501, "3 received"),
    ]
    usage = device.usage()
    # In service 500 + 300 + 100 + 100; waiting 1,002-1,301 and 1,003-1,401.
    assert (usage.calls, usage.busy_ns, usage.queued_ns) == (4, 1_000, 299 + 398)
    assert [each.request.device_ns for each in asked] == [500, 300, 399, 498]


def test_a_service_is_used_as_seen_from_any_instant() -> None:
    bench = Bench()
    device, sockets = service(bench, concurrency=1)
    query(bench, device, sockets[0], at_ns=1_000, ns=500)
    query(bench, device, sockets[1], at_ns=1_100, ns=200)
    seen = []
    for at_ns in (1_000, 1_050, 1_250, 1_600, 5_000):
        bench.at(at_ns, lambda: seen.append((device.usage().busy_ns, device.usage().queued_ns)))
    bench.run(10_000)
    # In service 1,000-1,500-1,700; waiting 1,100-1,500.
    assert seen == [(0, 0), (50, 0), (250, 150), (600, 400), (700, 400)]
