"""A service that answers with errors, or stalls; what becomes of the requests then."""

from collections.abc import Generator
from itertools import repeat
from typing import Any

import pytest
from bench import Bench

from iosim.devices import loopback, remote
from iosim.handler import NO_STEP, Query
from iosim.machine.kernel import Kernel
from iosim.machine.request import Request
from iosim.machine.sockets import Socket
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once
from iosim.streams import Streams

Steps = Generator[Any, Any, None]


# ----------------------------------------------------------------------------- a query


def test_a_call_that_cannot_fail_has_one_attempt() -> None:
    query = Query(Request(0, 0, (), 0, 0), 500)
    assert (query.service_ns, query.failed) == (500, False)
    assert not query.try_again()
    assert not query.request.failed


def test_attempts_come_one_after_the_other_until_one_succeeds() -> None:
    query = Query(Request(0, 0, (), 0, 0), ((500, True), (300, True), (200, False), (9, True)))
    assert (query.service_ns, query.failed) == (500, True)
    assert query.try_again()
    assert (query.service_ns, query.failed) == (300, True)
    assert query.try_again()
    assert (query.service_ns, query.failed) == (200, False)
    assert not query.try_again()
    assert not query.request.failed
    assert query.request.next_step != NO_STEP


def test_when_the_last_attempt_fails_so_does_the_request() -> None:
    query = Query(Request(0, 0, (), 0, 0), ((500, True), (300, True)))
    assert query.try_again()
    assert not query.try_again()
    assert query.request.failed
    assert query.request.next_step == NO_STEP


# ------------------------------------------------------------------------------ stalls


def stalls(gap: int, length: int) -> remote.Stalls:
    return remote.Stalls(repeat(gap), repeat(length))


def test_a_call_that_is_over_before_the_stall_is_not_touched() -> None:
    # From the first call on: 1,100 to 1,130, 1,230 to 1,260, ...
    assert stalls(100, 30).end_ns(1_000, 99) == 1_099
    assert stalls(100, 30).end_ns(1_000, 100) == 1_100


def test_calls_under_way_make_no_progress_in_a_stall() -> None:
    assert stalls(100, 30).end_ns(1_000, 101) == 1_131
    # 100 until 1,100, 100 from 1,130 to 1,230, 50 from 1,260.
    assert stalls(100, 30).end_ns(1_000, 250) == 1_310


def test_a_call_in_a_stall_begins_when_it_is_over() -> None:
    service = stalls(100, 30)
    assert service.end_ns(1_000, 5) == 1_005
    assert service.end_ns(1_110, 5) == 1_135
    assert service.end_ns(1_130, 5) == 1_135
    # Long after: 2,010 to 2,040 is the eighth stall.
    assert service.end_ns(2_009, 5) == 2_044
    assert service.end_ns(2_015, 5) == 2_045


def test_a_stall_without_gaps_would_never_end() -> None:
    with pytest.raises(ValueError, match="gap"):
        remote.Stalling.model_validate({"gap": "0s", "length": "1ms"})


# ----------------------------------------------------------------------------- service


def service(bench: Bench, **options: Any) -> tuple[remote.Device, Socket]:
    chosen = remote.Options.model_validate({"latency": "1us", "concurrency": 1, **options})
    network: Any = loopback.Network(loopback.Options(), bench.machine, Streams(1, 0))
    device = remote.Device("db", chosen, bench.machine, network, Streams(1, 0))
    socket = Socket("connection", device)
    bench.machine.open_descriptor(socket)

    def program(kernel: Kernel) -> Steps:
        while True:
            answer = yield from kernel.recvfrom(socket)
            yield from kernel.settle()
            bench.note(f"{'error' if answer.failed else 'answer'} to {answer.request.number}")

    bench.spawn("client", program)
    return device, socket


def ask(bench: Bench, device: remote.Device, socket: Socket, at_ns: int, amount: Any) -> None:
    query = Query(Request(len(bench.log), 0, (), 0, 0), amount)
    query.request.number = at_ns
    query.request.ready_ns = at_ns
    query.request.thread = bench.machine.threads[0]
    bench.at(at_ns, lambda: device.receive(socket, query, at_ns))


def test_a_late_error_takes_a_place_as_any_answer() -> None:
    bench = Bench()
    device, socket = service(bench, error_rate="50%")
    ask(bench, device, socket, 100, ((500, True),))
    ask(bench, device, socket, 200, ((50, False),))
    assert bench.run(5_000) == [(600, "error to 100"), (650, "answer to 200")]
    assert device.usage().busy_ns == 550


def test_an_error_at_once_takes_none() -> None:
    bench = Bench()
    device, socket = service(bench, error_rate="50%", errors="at once")
    ask(bench, device, socket, 100, ((500, False),))
    ask(bench, device, socket, 200, ((50, True),))
    assert bench.run(5_000) == [(200, "error to 200"), (600, "answer to 100")]
    assert (device.usage().calls, device.usage().busy_ns) == (2, 500)


def test_a_stall_holds_up_the_queue_too() -> None:
    bench = Bench()
    device, socket = service(bench, stalls={"gap": "300ns", "length": "1us"})
    ask(bench, device, socket, 100, 500)
    ask(bench, device, socket, 200, 50)
    # Stalled from 400 to 1,400: 300 done by then, 200 left. The second from 1,600.
    assert bench.run(5_000)[:2] == [(1_600, "answer to 100"), (1_650, "answer to 200")]
    assert (device.usage().busy_ns, device.usage().queued_ns) == (1_550, 1_400)


# ---------------------------------------------------------------------- whole servers


MODELS = [
    "blocking",
    "nonblocking",
    "select",
    "epoll",
    "aio",
    {"aio": {"notify": "thread"}},
    "thread_pool_callbacks",
    {"thread_pool_callbacks": {"offload": "handler"}},
    "coroutine",
]


def served(model: Any, interface: str = "socket", attempts: int = 1, **db: Any) -> Record:
    """Ten requests, 1 ms apart, each calling a service that takes 100 us, then computing 10."""
    retry = {"on_error": "retry", "attempts": attempts} if attempts > 1 else {}
    scenario = from_data(
        {
            "server": {"handler": [{"call": "db", **retry}, {"cpu": "10us"}]},
            "devices": {"db": {"remote": {"latency": "100us", "interface": interface, **db}}},
            "workload": {
                "open": {
                    "rate": "1k/s",
                    "arrivals": "deterministic",
                    "connections": {"total": 4},
                }
            },
            "models": [model],
            "run": {"duration": "10500us", "warm_up": "none"},
        }
    )
    profile = "reference" if model == "nonblocking" else "free"
    return run_once(scenario, scenario.models[0], load(profile).costs, 0)


@pytest.mark.parametrize("interface", ["socket", "blocking"])
@pytest.mark.parametrize("model", MODELS, ids=str)
class TestWhateverTheModel:
    def test_a_failed_call_ends_the_request_with_an_error(self, model: Any, interface: str) -> None:
        record = served(model, interface, error_rate="100%")
        assert (record.completed, record.failed) == (record.offered, record.offered)
        assert record.offered >= 10
        # Nothing more is done for it: the 10 us are not computed.
        assert record.cores_ns[0]["user"] < 10_000 * record.offered
        assert record.devices["db"].calls == record.offered

    def test_another_attempt_takes_another_call(self, model: Any, interface: str) -> None:
        record = served(model, interface, attempts=3, error_rate="100%")
        assert (record.completed, record.failed) == (record.offered, record.offered)
        assert record.devices["db"].calls == 3 * record.offered
        if model != "nonblocking":
            assert record.responses.total_ns == 300_000 * record.offered

    def test_one_that_succeeds_saves_the_request(self, model: Any, interface: str) -> None:
        record = served(model, interface, attempts=30, error_rate="50%")
        assert record.failed == 0
        assert record.completed == record.offered
        assert record.devices["db"].calls > record.offered
        assert record.cores_ns[0]["user"] >= 10_000 * record.offered


def test_errors_are_drawn_alike_for_every_model() -> None:
    calls = {
        served(model, attempts=30, error_rate="50%").devices["db"].calls
        for model in ("epoll", "blocking", "coroutine", "aio")
    }
    assert len(calls) == 1


def test_the_first_attempts_are_the_same_with_errors_and_without() -> None:
    latency = {"latency": {"exponential": "1ms"}}
    plain = remote.Options.model_validate(latency).amounts(Streams(1, 0), 2, 1)
    failing = remote.Options.model_validate({**latency, "error_rate": "30%"})
    drawn = failing.amounts(Streams(1, 0), 2, 2)
    rows = [next(drawn) for _ in range(2_000)]
    assert [row[0][0] for row in rows] == [next(plain) for _ in range(2_000)]
    assert {len(row) for row in rows} == {2}
    for attempt in (0, 1):
        assert 0.26 < sum(row[attempt][1] for row in rows) / 2_000 < 0.34
    assert [row[0][0] for row in rows] != [row[1][0] for row in rows]
