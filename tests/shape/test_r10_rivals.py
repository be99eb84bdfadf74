"""R10: faults that ten-line checks find in other simulators of servers.

One event loop is one server, however many cores there are: 400 requests a second of 2 ms
answer as M/D/1 at rho 0.8, mean 2 + 0.8 * 2/(2 * 0.2) = 6.0 ms, not as M/D/4, 2.0 ms.
Two runs with one seed are the same. And eight CPU-bound threads of 50 ms on one core
switch 7 times first in, first out, 39 times in slices of 10 ms: 40 slices in a row.
"""

from typing import Any

from iosim.machine.clock import Clock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.thread import Program
from iosim.profile import load
from iosim.record import Record
from iosim.scenario import from_data
from iosim.schedulers import fifo, round_robin
from iosim.simulation import run_once
from iosim.statistics import student_t

MS = 1_000_000
FREE = load("free").costs


def event_loop(cores: int, replication: int, seed: int = 1, model: str = "epoll") -> Record:
    scenario = from_data(
        {
            "machine": {"cores": cores},
            "server": {"handler": [{"cpu": "2ms"}]},
            "workload": {"open": {"rate": "400/s", "connections": {"total": 1_000}}},
            "models": [model],
            "run": {"duration": "25s", "warm_up": "2s", "seed": seed},
        }
    )
    return run_once(scenario, scenario.models[0], FREE, replication)


def test_an_event_loop_on_four_cores_is_one_server() -> None:
    records = [event_loop(4, replication) for replication in range(12)]
    means = [record.responses.total_ns / record.responses.count for record in records]
    estimate = student_t(means, 0.999)
    assert estimate.low is not None and estimate.high is not None
    assert estimate.low <= 6.0 * MS <= estimate.high
    assert estimate.high - estimate.low < 1.0 * MS
    # Where it runs makes no difference to it.
    assert event_loop(1, 0).responses.to_pairs() == records[0].responses.to_pairs()


def test_one_seed_one_run() -> None:
    once, again, other = event_loop(4, 0), event_loop(4, 0), event_loop(4, 0, seed=2)
    assert _plain(once) == _plain(again)
    assert _plain(once) != _plain(other)


def _plain(record: Record) -> dict[str, Any]:
    return {**vars(record), "responses": record.responses.to_pairs()}


def eight_threads(run_queue: Any, costs: Any = FREE) -> Machine:
    machine = Machine(
        Clock(),
        1,
        run_queue,
        costs,
        lambda thread, machine, native: Kernel(thread, machine),
    )

    def program(kernel: Kernel) -> Program:
        yield from kernel.compute(50 * MS)

    for number in range(8):
        machine.spawn(f"thread {number}", program)
    machine.env.run()
    assert machine.ended_threads == 8
    return machine


def test_first_in_first_out_switches_seven_times() -> None:
    machine = eight_threads(lambda: fifo.Queue(fifo.Options()))
    assert machine.cores[0].switches == 7
    assert (machine.voluntary, machine.involuntary) == (0, 0)
    assert machine.env.now == 400 * MS


def test_round_robin_switches_after_each_slice() -> None:
    machine = eight_threads(lambda: round_robin.Queue(round_robin.Options()))
    assert machine.cores[0].switches == 39
    # Each thread is preempted after all its slices but the last.
    assert (machine.voluntary, machine.involuntary) == (0, 32)
    assert machine.env.now == 400 * MS


def test_each_switch_takes_its_time() -> None:
    """With real costs the same switches, and each of them in the account."""
    costs = load("reference").costs
    machine = eight_threads(lambda: fifo.Queue(fifo.Options()), costs)
    assert machine.cores[0].switches == 7
    switching_ns = machine.cores[0].account()[2]
    assert switching_ns >= 8 * costs.context_switch_ns
    assert machine.env.now == sum(machine.cores[0].account())
