"""Name lookups: at hand, asked for, asked for again; instants by hand."""

from collections.abc import Generator
from typing import Any

from bench import Bench

from iosim.devices import dns, loopback
from iosim.handler import Query
from iosim.machine.kernel import Kernel
from iosim.machine.request import Request
from iosim.streams import Streams

Steps = Generator[Any, Any, None]

SERVER: Any = None
"""A lookup uses none of its connections."""


def lookup(bench: Bench, amount: Any, **options: Any) -> tuple[dns.Device, Query]:
    """A thread that looks a name up and notes when it has done so."""
    chosen = dns.Options.model_validate({"latency": "1us", "timeout": "10us", **options})
    network: Any = loopback.Network(loopback.Options(), bench.machine, Streams(1, 0))
    device = dns.Device("names", chosen, bench.machine, network, Streams(1, 0))
    query = Query(Request(0, 0, (), 0, 0), amount)

    def program(kernel: Kernel) -> Steps:
        query.request.ready_ns = 0
        query.begin(kernel.thread, 0)
        yield from device.perform(kernel, SERVER, query)
        yield from kernel.settle()
        query.pause(kernel.now_ns)
        bench.note("failed" if query.request.failed else "resolved")

    bench.spawn("a", program)
    return device, query


COSTS = {
    "syscall_ns": 1,
    "getaddrinfo_ns": 100,
    "connect_ns": 20,
    "sendto_ns": 30,
    "poll_ns": 5,
    "recvfrom_ns": 7,
    "close_ns": 9,
}


def test_a_name_at_hand_asks_nobody() -> None:
    bench = Bench(**COSTS)
    device, _ = lookup(bench, 0)
    assert bench.run(50_000) == [(100, "resolved")]
    assert bench.calls() == {}
    assert device.usage().calls == 0


def test_another_is_asked_for_and_waited_for() -> None:
    bench = Bench(**COSTS)
    device, query = lookup(bench, ((1_000, False),))
    # 100, connect 21, sendto 31: asked at 152, answered at 1,152; poll meanwhile, recvfrom 8,
    # close 10.
    assert bench.run(50_000) == [(1_170, "resolved")]
    assert bench.calls() == {"close": 1, "connect": 1, "poll": 1, "recvfrom": 1, "sendto": 1}
    assert (device.usage().calls, device.usage().busy_ns) == (1, 1_000)
    assert (query.request.device_ns, query.request.cpu_ns) == (1_000, 170)
    assert bench.machine.memory.in_use["sockets"] == 0


def test_a_lost_question_is_asked_again_after_the_timeout() -> None:
    bench = Bench(**COSTS)
    device, query = lookup(bench, ((1_000, True), (2_000, False)))
    # Asked at 152; poll goes to sleep at 158, for 10 us; asked again 31 later, at 10,189;
    # answered at 12,189; 18 more.
    assert bench.run(50_000) == [(12_207, "resolved")]
    assert bench.calls()["sendto"] == bench.calls()["poll"] == 2
    assert not query.request.failed
    assert device.usage().calls == 1
    assert query.request.device_ns == 10_000 + 2_000


def test_when_all_are_lost_the_call_has_failed() -> None:
    bench = Bench(**COSTS)
    _, query = lookup(bench, ((1_000, True), (1_000, True)))
    # 158 + 10,000 + 31 + 6 + 10,000 and close 10: nothing is received.
    assert bench.run(50_000) == [(20_205, "failed")]
    assert "recvfrom" not in bench.calls()
    assert query.request.device_ns == 20_000


def test_the_timer_is_late_by_its_slack() -> None:
    bench = Bench(**COSTS, timer_slack_ns=500)
    lookup(bench, ((1_000, True),))
    assert bench.run(50_000) == [(158 + 10_500 + 10, "failed")]


def test_in_cpython_the_lock_is_dropped_once_around_it_all() -> None:
    bench = Bench(cpython=True, cpython_call_ns=1_000, getaddrinfo_ns=100)
    lookup(bench, ((3_000, False),))
    # One call's way, not one for each of the five syscalls.
    assert bench.run(50_000) == [(4_100, "resolved")]


def amounts(count: int = 4_000, attempts: int = 1, **options: Any) -> list[Any]:
    chosen = dns.Options.model_validate({"latency": {"exponential": "1ms"}, **options})
    drawn = chosen.amounts(Streams(1, 0), 0, attempts)
    return [next(drawn) for _ in range(count)]


def test_what_is_drawn_for_a_lookup() -> None:
    assert amounts(10, cached="100%") == [0] * 10
    assert all(len(each) == 2 and not each[0][1] for each in amounts(loss="0%", timeout="1min"))
    assert all(len(each) == 6 for each in amounts(10, attempts=3))
    drawn = amounts(cached="75%", loss="10%")
    asked = [each for each in drawn if each]
    assert 0.22 < len(asked) / len(drawn) < 0.28
    assert 0.07 < sum(each[0][1] for each in asked) / len(asked) < 0.13
    # Another ratio at hand changes nothing for those that ask.
    assert all(a == b for a, b in zip(drawn, amounts(loss="10%"), strict=True) if a)


def test_an_answer_as_late_as_the_timeout_is_lost() -> None:
    assert all(first[1] for first, _ in amounts(10, latency="5s"))
    assert not any(first[1] for first, _ in amounts(10, latency="4999ms"))


def test_two_threads_ask_at_once() -> None:
    bench = Bench(cores=2)
    lookup(bench, ((1_000, False),))
    lookup(bench, ((500, False),))
    assert bench.run(50_000) == [(500, "resolved"), (1_000, "resolved")]
