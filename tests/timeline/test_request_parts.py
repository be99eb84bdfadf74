"""Where a request's response time goes: parts by hand, and their sum."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from bench import Bench, rr

from iosim.machine.kernel import Kernel
from iosim.machine.locks import Mutex
from iosim.machine.request import Request
from iosim.machine.sockets import Socket

Steps = Generator[Any, Any, None]


@dataclass
class Asked:
    """A client that sends requests at given instants and keeps their parts."""

    bench: Bench
    softirq_on_sender: bool = False

    def __post_init__(self) -> None:
        self.answered: list[tuple[int, Request]] = []

    def ask(self, socket: Socket, intended_ns: int, arrives_ns: int) -> Request:
        request = Request(0, intended_ns, (), 0, 0)

        def arrive() -> None:
            request.delivered(self.bench.env._now)
            self.bench.machine.arrive(socket, request)

        self.bench.at(arrives_ns, arrive)
        return request

    def accepted(self, socket: Socket, at_ns: int) -> None: ...

    def closed(self, socket: Socket) -> None: ...

    def receive(self, socket: Socket, message: Request, at_ns: int) -> None:
        self.answered.append((at_ns, message))


def connect(bench: Bench) -> tuple[Asked, Socket]:
    asked = Asked(bench)
    socket = Socket("socket", asked)
    bench.machine.open_descriptor(socket)
    return asked, socket


def parts(request: Request) -> dict[str, int]:
    names = ("client", "network", "queue", "wake_up", "run_queue", "cpu", "lock", "device")
    return {name: ns for name in names if (ns := getattr(request, f"{name}_ns"))}


def serving(socket: Socket, *computes_ns: int) -> Any:
    def program(kernel: Kernel) -> Steps:
        for ns in computes_ns:
            request = yield from kernel.recvfrom(socket)
            yield from kernel.compute(ns)
            yield from kernel.sendto(socket, request, 0)

    return program


def test_a_request_that_wakes_its_thread() -> None:
    bench = Bench(idle_exit_ns=100, cold_execution_ns=20, recvfrom_ns=30, sendto_ns=40)
    asked, socket = connect(bench)
    bench.spawn("server", serving(socket, 50))
    request = asked.ask(socket, 900, 1_000)
    bench.run(5_000)
    # Meant for 900, there at 1,000; idle exit and cold execution 120; then 30 + 50 + 40.
    assert parts(request) == {"network": 100, "wake_up": 120, "cpu": 120}
    assert asked.answered == [(1_240, request)]


def test_a_request_that_waits_for_the_core() -> None:
    bench = Bench(context_switch_ns=10)
    asked, socket = connect(bench)
    bench.spawn("server", serving(socket, 50))
    bench.at(500, lambda: bench.spawn("busy", bench.computes(700)))
    request = asked.ask(socket, 1_000, 1_000)
    bench.run(5_000)
    # busy until 1,210 (switch 10); the switch to the server 10; 50.
    assert parts(request) == {"run_queue": 210, "wake_up": 10, "cpu": 50}
    assert asked.answered == [(1_270, request)]


def test_a_request_that_waits_for_another_on_the_same_thread() -> None:
    bench = Bench(recvfrom_ns=5)
    asked, socket = connect(bench)
    bench.spawn("server", serving(socket, 100, 50))
    first, second = asked.ask(socket, 1_000, 1_000), asked.ask(socket, 1_030, 1_040)
    bench.run(5_000)
    assert parts(first) == {"cpu": 105}
    # There at 1,040; its thread is busy with the first until 1,105.
    assert parts(second) == {"network": 10, "queue": 65, "cpu": 55}
    assert [at_ns for at_ns, _ in asked.answered] == [1_105, 1_160]


def test_a_request_whose_thread_is_preempted() -> None:
    bench = Bench(queue=rr("100ns"), context_switch_ns=7)
    asked, socket = connect(bench)
    bench.spawn("server", serving(socket, 150))
    request = asked.ask(socket, 1_000, 1_000)
    bench.at(1_020, lambda: bench.spawn("other", bench.computes(60)))
    bench.run(5_000)
    # A switch of 7 from the idle task, computing until 1,100; (7 + 60) of the other, then a
    # switch of 7; the remaining 57.
    ready = parts(request)
    assert sum(ready.values()) == asked.answered[0][0] - 1_000
    assert ready == {"run_queue": 67, "wake_up": 14, "cpu": 150}


def test_a_request_whose_thread_waits_for_a_lock() -> None:
    bench = Bench(cores=2, lock_ns=1, futex_ns=10)
    asked, socket = connect(bench)
    mutex = Mutex("mutex")

    def server(kernel: Kernel) -> Steps:
        request = yield from kernel.recvfrom(socket)
        yield from kernel.lock(mutex)
        yield from kernel.compute(50)
        yield from kernel.sendto(socket, request, 0)

    def holder(kernel: Kernel) -> Steps:
        yield from kernel.lock(mutex)
        yield from kernel.compute(400)
        yield from kernel.unlock(mutex)

    bench.spawn("server", server)
    bench.at(900, lambda: bench.spawn("holder", holder))
    request = asked.ask(socket, 1_000, 1_000)
    bench.run(5_000)
    # Lock 1 and futex 10 until 1,011; the holder (since 900) unlocks at 1,302 and wakes it at
    # 1,312: 301 for the lock. Then 50.
    assert parts(request) == {"cpu": 11 + 50, "lock": 301}
    assert asked.answered == [(1_362, request)]


def test_a_request_that_an_interrupt_delays_counts_it_as_cpu() -> None:
    bench = Bench()
    asked, socket = connect(bench)
    bench.spawn("server", serving(socket, 50))
    request = asked.ask(socket, 1_000, 1_000)
    bench.at(1_020, lambda: bench.machine.cores[0].interrupt(30, lambda: None))
    bench.run(5_000)
    assert parts(request) == {"cpu": 80}
    assert asked.answered == [(1_080, request)]


def test_a_request_that_is_handed_over_waits_again() -> None:
    bench = Bench(cores=2, idle_exit_ns=20)
    asked, socket = connect(bench)
    inbox = bench.socket("inbox")

    def first(kernel: Kernel) -> Steps:
        request = yield from kernel.recvfrom(socket)
        yield from kernel.compute(50)
        yield from kernel.settle()
        request.pause(kernel.now_ns)
        bench.machine.arrive(inbox, request)

    def second(kernel: Kernel) -> Steps:
        request = yield from kernel.recvfrom(inbox)
        yield from kernel.compute(70)
        yield from kernel.sendto(socket, request, 0)

    bench.spawn("first", first)
    bench.spawn("second", second)
    request = asked.ask(socket, 1_000, 1_000)
    bench.run(5_000)
    # 20 to wake the first, 50; 20 to wake the second, 70.
    assert parts(request) == {"wake_up": 40, "cpu": 120}
    assert asked.answered == [(1_160, request)]


def test_time_at_a_device_is_the_devices() -> None:
    request = Request(0, 100, (), 0, 0)
    bench = Bench()
    thread = bench.spawn("server", bench.computes(1))
    request.delivered(120)
    request.begin(thread, 130)
    request.pause(150)
    request.device_done(450)
    request.begin(thread, 460)
    request.pause(500)
    # 20 network; 10 + 10 in queues; 20 + 40 worked on; 300 at the device.
    assert parts(request) == {"network": 20, "queue": 20, "cpu": 60, "device": 300}
    assert sum(parts(request).values()) == 500 - 100
