"""The producer-consumer pipeline: the order of coroutines and of threads, and deadlock."""

from typing import Any

import pytest
from bench import round_costs

from iosim.errors import Deadlock
from iosim.record import Record
from iosim.scenario import from_data
from iosim.simulation import run_once

COSTS = round_costs(
    syscall_ns=100, futex_ns=100, lock_ns=20, context_switch_ns=1_000, wake_up_ns=100,
    idle_exit_ns=2_000, coroutine_switch_ns=50, queue_operation_ns=30,
)  # fmt: skip


def run(
    model: Any,
    produce: Any = "10us",
    consume: Any = "10us",
    seed: int = 1,
    costs: Any = COSTS,
    duration: str = "10ms",
    **how: Any,
) -> Record:
    cores = how.pop("cores", 1)
    scheduler = how.pop("scheduler", "eevdf")
    scenario = from_data(
        {
            "machine": {"cores": cores, "scheduler": scheduler},
            "workload": {"producer_consumer": {"produce": produce, "consume": consume, **how}},
            "models": [model],
            "run": {"duration": duration, "warm_up": "none", "seed": seed},
        }
    )
    return run_once(scenario, scenario.models[0], costs, 0)


RANDOM = {"exponential": "10us"}


def test_coroutines_hand_over_item_by_item_whatever_things_cost() -> None:
    for produce, consume, seed in (("10us", "10us", 1), ("50us", "1us", 1), (RANDOM, RANDOM, 7)):
        record = run("coroutines", produce, consume, seed)
        assert record.order == "PC" * 32
        assert record.voluntary_switches == record.involuntary_switches == 0
        assert "futex" not in record.syscalls
        # Into the producer and into the consumer.
        assert record.coroutine_switches in (2 * record.offered, 2 * record.offered + 1)


def test_a_coroutine_pipeline_takes_what_making_and_using_take() -> None:
    record = run("coroutines", "10us", "30us")
    # 40 us and two switches of 50 ns each an item.
    assert record.completed == 10_000_000 // 40_100
    assert record.responses.total_ns == record.completed * (30_000 + 50)


def test_the_order_of_threads_depends_on_the_seed() -> None:
    orders = {run("threads", RANDOM, RANDOM, seed, cores=2).order for seed in range(8)}
    assert len(orders) > 4
    for order in orders:
        waiting = 0
        for step in order:
            waiting += 1 if step == "P" else -1
            assert 0 <= waiting <= 10 + 1  # made and not yet put in the buffer


def test_the_order_of_threads_depends_on_the_scheduler() -> None:
    # Alone on a core, FIFO lets the producer fill the buffer before the consumer runs.
    fifo = run("threads", scheduler="fifo", capacity=4).order
    assert fifo.startswith("PPPPC")
    rr = run("threads", scheduler={"round_robin": {"slice": "15us"}}, capacity=4).order
    assert not rr.startswith("PPPPC")


@pytest.mark.parametrize("model", ["threads", "coroutines"])
@pytest.mark.parametrize(("producers", "consumers"), [(1, 1), (3, 2)])
def test_no_item_is_lost(model: str, producers: int, consumers: int) -> None:
    for cores in (1, 2):
        record = run(
            model, RANDOM, RANDOM, producers=producers, consumers=consumers, capacity=3, cores=cores
        )
        assert record.offered == record.completed + record.in_flight
        assert 0 <= record.in_flight <= 3 + producers + consumers
        assert record.completed > 100


def test_a_pipeline_of_threads_is_bound_by_its_slower_side() -> None:
    # Two cores, so both sides run at once: an item each 20 us of the consumer, and the locks.
    record = run("threads", "10us", "20us", cores=2)
    assert 400 <= record.completed <= 500
    # One core: 30 us an item.
    record = run("threads", "10us", "20us")
    assert 280 <= record.completed <= 333


def test_two_locks_in_opposite_order_deadlock_and_the_cycle_is_named() -> None:
    with pytest.raises(Deadlock) as caught:
        for seed in range(20):
            run({"threads": {"second_lock": "misordered"}}, RANDOM, RANDOM, seed, cores=2)
    cycle = dict(caught.value.cycle)
    assert cycle == {"producer 0": "statistics lock", "consumer 0": "buffer lock"}
    assert "consumer 0 holds statistics lock, waits for buffer lock (held by producer 0)" in str(
        caught.value
    )


def test_two_locks_in_the_same_order_do_not() -> None:
    for seed in range(5):
        record = run({"threads": {"second_lock": "ordered"}}, RANDOM, RANDOM, seed, cores=2)
        assert record.completed > 100


def test_capacity_bounds_how_far_the_producer_runs_ahead() -> None:
    for capacity in (1, 3):
        order = run("threads", "1us", "50us", capacity=capacity, cores=2).order
        ahead = most = 0
        for step in order:
            ahead += 1 if step == "P" else -1
            most = max(most, ahead)
        assert most == capacity
