"""What every scheduler owes its threads."""

import itertools
import random
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.machine.alarm import NEVER
from iosim.machine.clock import Clock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.thread import ENDED, IDLE, USER
from iosim.plugins import kinds
from iosim.profile import load
from iosim.scenario import from_data
from iosim.simulation import run_once

SCHEDULERS = list(kinds("schedulers"))
every_scheduler = pytest.mark.parametrize("name", SCHEDULERS)

Steps = Generator[Any, Any, None]


def queue_of(name: str) -> Any:
    module = kinds("schedulers")[name]
    return lambda: module.Queue(module.Options())


def machine(name: str, cores: int, profile: str = "free") -> Machine:
    return Machine(
        Clock(initial_time=0),
        cores,
        queue_of(name),
        load(profile).costs,
        lambda thread, machine, native: Kernel(thread, machine),
    )


def preempts(name: str) -> bool:
    """Whether a scheduler has slices."""
    own = machine(name, 1)
    queue = own.cores[0].run_queue
    thread = own.spawn("a", lambda kernel: iter(()))  # type: ignore[arg-type, return-value]
    return queue.slice_end_ns(thread, 0) != NEVER


@every_scheduler
@given(
    seed=st.integers(0, 10**6),
    cores=st.integers(1, 3),
    threads=st.integers(1, 8),
    profile=st.sampled_from(["free", "reference"]),
)
def test_every_thread_comes_to_its_end_and_no_time_is_wasted(
    name: str, seed: int, cores: int, threads: int, profile: str
) -> None:
    rng = random.Random(seed)
    own = machine(name, cores, profile)
    plans = [
        [(rng.randrange(1, 5_000_000), rng.choice([0, 0, 100, 3_000_000])) for _ in range(4)]
        for _ in range(threads)
    ]

    def program(plan: list[tuple[int, int]]) -> Any:
        def steps(kernel: Kernel) -> Steps:
            for compute_ns, sleep_ns in plan:
                yield from kernel.compute(compute_ns)
                if sleep_ns:
                    yield from kernel.nanosleep(sleep_ns)

        return steps

    started = [own.spawn(str(n), program(plan)) for n, plan in enumerate(plans)]
    own.env.run(until=10**9)
    assert all(thread.state == ENDED for thread in started)
    demand_ns = sum(ns for plan in plans for ns, _ in plan)
    accounts = [core.account() for core in own.cores]
    assert sum(account[USER] for account in accounts) == demand_ns
    assert all(sum(account) == 10**9 and min(account) >= 0 for account in accounts)
    # Work conserving: one core has idled at most as long as all threads slept at once.
    if profile == "free" and cores == 1:
        slept_ns = sum(ns for plan in plans for _, ns in plan)
        busy_until_ns = 10**9 - accounts[0][IDLE]
        assert busy_until_ns == demand_ns
        assert slept_ns >= 0
    waiting = [core.run_queue.waiting for core in own.cores]
    assert waiting == [0] * cores


@every_scheduler
@pytest.mark.parametrize("chunk_ns", [1_000_000, 100_000, 77_777, 50_000_000])
def test_no_thread_starves_where_there_are_slices(name: str, chunk_ns: int) -> None:
    own = machine(name, 1)

    def endless(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.compute(chunk_ns)
            yield from kernel.settle()

    threads = [own.spawn(str(n), endless) for n in range(3)]
    own.env.run(until=1_000_000_000)
    own.cores[0]._sync(own.env._now)
    ran_ns = [thread.cpu_ns for thread in threads]
    assert sum(ran_ns) == 1_000_000_000
    if preempts(name):
        # Equal shares, to within a slice (or a chunk that is not shared).
        assert max(ran_ns) - min(ran_ns) <= 20_000_000
    else:
        assert ran_ns == [1_000_000_000, 0, 0]


@every_scheduler
def test_who_sleeps_often_is_not_starved_by_who_computes(name: str) -> None:
    if not preempts(name):
        return
    own = machine(name, 1)

    def endless(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.compute(1_000_000)
            yield from kernel.settle()

    turns = []

    def sleeper(kernel: Kernel) -> Steps:
        while True:
            yield from kernel.nanosleep(100_000)
            yield from kernel.compute(10_000)
            yield from kernel.settle()
            turns.append(kernel.now_ns)

    for number in range(3):
        own.spawn(str(number), endless)
    own.spawn("sleeper", sleeper)
    own.env.run(until=1_000_000_000)
    # Every turn within all others' slices: at most 3 x 10 ms and a tick.
    assert len(turns) >= 1_000_000_000 / 35_000_000
    gaps = [b - a for a, b in itertools.pairwise(turns)]
    assert max(gaps) <= 35_000_000


@every_scheduler
@pytest.mark.parametrize("cores", [1, 2, 3])
def test_every_model_serves_under_every_scheduler(name: str, cores: int) -> None:
    scenario = from_data(
        {
            "machine": {"cores": cores, "scheduler": name},
            "server": {"handler": [{"cpu": {"exponential": "30us"}}]},
            "workload": {"open": {"rate": "15k/s", "connections": {"total": 10}}},
            "models": ["blocking", "epoll", "thread_pool_callbacks", "aio"],
            "run": {"duration": "20ms", "warm_up": "none"},
        }
    )
    for model in scenario.models:
        record = run_once(scenario, model, load("reference").costs, 0)
        assert record.completed > 0.8 * record.offered, model.kind
        for core in record.cores_ns:
            assert sum(core.values()) == record.window_ns
