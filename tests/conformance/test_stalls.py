"""Runs that cannot go on say so, and name who waits for what."""

import pickle
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from iosim.errors import Deadlock, Livelock, SimulationError, Stalled, Starved
from iosim.handler import Server, serve
from iosim.io_models import blocking
from iosim.machine import core
from iosim.machine.kernel import Kernel
from iosim.machine.locks import Mutex
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once, simulate

Steps = Generator[Any, Any, None]

OPEN = {"open": {"rate": "10k/s", "connections": {"total": 3}}}
CLOSED = {"closed": {"users": 3, "think": "1ms", "connections": {"total": 3}}}


def run(main: Any, workload: Any = CLOSED, profile: str = "reference") -> Record:
    """Simulate a model of which `main` is the program."""
    with replaced(main):
        return run_once(scenario(workload), scenario(workload).models[0], load(profile).costs, 0)


@contextmanager
def replaced(main: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "main", main)
        yield


def scenario(workload: Any) -> Any:
    return from_data(
        {
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": workload,
            "models": ["blocking"],
            "run": {"duration": "20ms", "warm_up": "none", "replications": 1},
        }
    )


def accepted(kernel: Kernel, server: Server) -> Generator[Any, Any, list[Any]]:
    connections = []
    for _ in range(server.connections):
        connections.append((yield from kernel.accept4(server.listener)))
    return connections


def test_a_model_that_never_accepts_is_stalled() -> None:
    def main(kernel: Kernel, server: Server, options: Any) -> Steps:
        kernel.accept4(server.listener)  # a forgotten `yield from`: nothing happens
        yield from kernel.pause()

    with pytest.raises(Stalled, match="main waits for a timer or signal"):
        run(main)


def test_a_model_that_has_ended_is_stalled() -> None:
    def main(kernel: Kernel, server: Server, options: Any) -> Steps:
        yield from accepted(kernel, server)

    with pytest.raises(Stalled):
        run(main)


def forgets_to_answer(kernel: Kernel, server: Server, options: Any) -> Steps:
    connections = yield from accepted(kernel, server)
    while True:
        for connection in connections:
            request = yield from kernel.recvfrom(connection)
            yield from serve(kernel, server, request)
            kernel.sendto(connection, request, 1)  # forgotten: no answer ever leaves


@pytest.mark.parametrize("workload", [CLOSED, OPEN])
def test_a_model_that_forgets_to_answer_does_not_look_fast(workload: Any) -> None:
    # Users wait for ever: stalled. At an open workload requests keep coming: none is answered.
    try:
        record = run(forgets_to_answer, workload)
    except Stalled as stalled:
        assert stalled.waits == (("main", "connection 0"),)
    else:
        assert workload is OPEN
        assert record.completed == 0
        assert record.in_flight == record.offered > 0
        assert record.responses.count == 0


def test_threads_that_wait_for_each_others_locks_are_deadlocked_under_any_load() -> None:
    def main(kernel: Kernel, server: Server, options: Any) -> Steps:
        connections = yield from accepted(kernel, server)
        first, second = Mutex("first"), Mutex("second")

        def worker(mine: Mutex, other: Mutex) -> Any:
            def program(kernel: Kernel) -> Steps:
                yield from kernel.lock(mine)
                yield from kernel.nanosleep(1_000_000)
                yield from kernel.lock(other)

            return program

        yield from kernel.recvfrom(connections[0])
        yield from kernel.spawn("worker 0", worker(first, second))
        yield from kernel.spawn("worker 1", worker(second, first))
        yield from kernel.pause()

    for workload in (CLOSED, OPEN):
        with pytest.raises(Deadlock) as caught:
            run(main, workload)
        assert sorted(caught.value.cycle) == [("worker 0", "second"), ("worker 1", "first")]


def test_threads_that_wait_for_a_lock_whose_holder_has_gone_are_stalled_under_any_load() -> None:
    def main(kernel: Kernel, server: Server, options: Any) -> Steps:
        connections = yield from accepted(kernel, server)
        mutex = Mutex("orphan")

        def careless(kernel: Kernel) -> Steps:
            yield from kernel.lock(mutex)

        yield from kernel.recvfrom(connections[0])
        yield from kernel.spawn("careless", careless)
        yield from kernel.nanosleep(1_000_000)
        yield from kernel.lock(mutex)

    for workload in (CLOSED, OPEN):
        with pytest.raises(Stalled) as caught:
            run(main, workload)
        assert caught.value.waits == (("main", "orphan"),)


@pytest.mark.parametrize("profile", ["free", "reference"])
def test_a_model_that_loops_without_consuming_time_is_a_livelock(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "LIVELOCK_STEPS", 1_000)

    def main(kernel: Kernel, server: Server, options: Any) -> Steps:
        yield from accepted(kernel, server)
        while True:
            yield from kernel.compute(0)

    with pytest.raises(Livelock, match="blocking, at .* ns: livelock: main made 1,001 steps"):
        run(main, profile=profile)


def test_a_model_that_cannot_go_on_is_an_error_of_its_own_and_the_others_results_stand() -> None:
    data = scenario(CLOSED).to_data()
    data["models"] = ["blocking", "epoll"]
    with replaced(forgets_to_answer):
        results = simulate(from_data(data))
    assert results["blocking"].error is not None
    assert "stalled, nothing can wake a thread: main waits for connection 0" in str(
        results["blocking"].error
    )
    assert results["epoll"].error is None
    assert results["epoll"].records[0].completed > 0


def test_every_such_error_says_model_and_instant() -> None:
    with pytest.raises(SimulationError) as caught:
        run(forgets_to_answer)
    assert caught.value.model == "blocking"
    assert caught.value.at_ns is not None and caught.value.at_ns > 10_000_000
    assert str(caught.value).startswith("blocking, at ")


def test_a_thread_that_never_leaves_the_core_is_named_and_soon() -> None:
    data = scenario(CLOSED).to_data()
    data["workload"] = OPEN
    data["models"] = [{"blocking": {"own_work_thread": True}}]
    data["server"]["own_work"] = {"chunk": "50us"}
    data["machine"] = {"cores": 1, "scheduler": "fifo"}
    starving = from_data(data)
    with pytest.raises(Starved, match="own work never leaves the core under fifo") as caught:
        run_once(starving, starving.models[0], load("reference").costs, 0)
    assert caught.value.hogs == ("own work",)
    assert "connection 0" in caught.value.waiting
    # It is told after a part of a second of simulated time, not after ten minutes of it.
    assert caught.value.at_ns is not None and caught.value.at_ns <= 300_000_000
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    # With a core more, or in turn, all are served.
    for machine in ({"cores": 2, "scheduler": "fifo"}, {"cores": 1}):
        data["machine"] = machine
        served = from_data(data)
        record = run_once(served, served.models[0], load("reference").costs, 0)
        assert record.completed > 0
