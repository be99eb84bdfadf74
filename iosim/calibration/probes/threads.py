"""Probes of starting threads and of handing over from one to another.

Validated by: tests/calibration/test_probes.py
"""

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import Protocol

from iosim.calibration.probes.needs import TWO_CORES
from iosim.calibration.probes.registry import Place, Series, native, probe
from iosim.calibration.probes.timing import one_by_one

native(__name__, "thread_create_join", "thread_create+join|same_core", samples=300)
native(
    __name__, "thread_create_join", "thread_create+join|2cores",
    samples=300, arguments=[(1,)], needs=[TWO_CORES],
)  # fmt: skip
native(__name__, "sched_yield_switch", "sched_yield_switch|2thr_same_core")
for _function, _figure, _samples in (
    ("futex_pingpong", "futex_pingpong_oneway", 60),
    ("pipe_pingpong", "pipe_pingpong_oneway", 60),
    ("pool_hop", "threadpool_hop_roundtrip", 1000),
):
    native(__name__, _function, f"{_figure}|same_core", arguments=[(0,)], samples=_samples)
    native(
        __name__, _function, f"{_figure}|cross_core",
        arguments=[(1,)], samples=_samples, needs=[TWO_CORES],
    )  # fmt: skip
native(
    __name__, "ring_of_threads", "ring_of_threads|n={0}",
    arguments=[(2,), (16,), (128,), (512,)], samples=60,
)  # fmt: skip

_HAND_OVERS = 100
"""In a sample."""


@probe("thread_start+join|same_core", samples=200)
def thread_start_join(place: Place) -> Series:
    """Starting a threading.Thread that does nothing, and joining it, on one core."""

    def start_and_join() -> None:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    return one_by_one(place, start_and_join)


def _hand_over(
    place: Place, cpu: int, there: Callable[[], object], back: Callable[[], object]
) -> Series:
    """One way of a ping-pong: `there` gives the turn and awaits it, `back` the other way round."""

    def answer() -> None:
        os.sched_setaffinity(0, {cpu})
        while True:
            back()

    threading.Thread(target=answer, daemon=True).start()
    samples = []
    for _ in range(place.samples + 1):
        begun_ns = perf_counter_ns()
        for _ in range(_HAND_OVERS // 2):
            there()
        samples.append((perf_counter_ns() - begun_ns) / _HAND_OVERS)
    return [samples[1:]]


def _by_locks(place: Place, cpu: int) -> Series:
    ping, pong = threading.Lock(), threading.Lock()
    ping.acquire()
    pong.acquire()

    def there() -> None:
        ping.release()
        pong.acquire()

    def back() -> None:
        ping.acquire()
        pong.release()

    return _hand_over(place, cpu, there, back)


class _Queue(Protocol):
    """What queue.Queue and queue.SimpleQueue have in common."""

    def put(self, item: int) -> None: ...
    def get(self) -> int: ...


def _by_queues(place: Place, cpu: int, ping: _Queue, pong: _Queue) -> Series:
    def there() -> None:
        ping.put(1)
        pong.get()

    def back() -> None:
        pong.put(ping.get())

    return _hand_over(place, cpu, there, back)


@probe("lock_pingpong_oneway|same_core", samples=30)
def lock_pingpong(place: Place) -> Series:
    """One way of a ping-pong by locks between two threads, with the interpreter lock, one core."""
    return _by_locks(place, place.server_cpu)


@probe("lock_pingpong_oneway|2cores", samples=30, needs=[TWO_CORES])
def lock_pingpong_across(place: Place) -> Series:
    """The same with the other thread on another core, which may have to be woken."""
    return _by_locks(place, place.other_cpu)


@probe("SimpleQueue_pingpong_oneway|same_core", samples=30)
def simple_queue_pingpong(place: Place) -> Series:
    """One way by queue.SimpleQueue, a put and a get that waits, on one core."""
    return _by_queues(place, place.server_cpu, queue.SimpleQueue(), queue.SimpleQueue())


@probe("SimpleQueue_pingpong_oneway|2cores", samples=30, needs=[TWO_CORES])
def simple_queue_pingpong_across(place: Place) -> Series:
    """The same with the other thread on another core, which may have to be woken."""
    return _by_queues(place, place.other_cpu, queue.SimpleQueue(), queue.SimpleQueue())


@probe("Queue_pingpong_oneway|same_core", samples=30)
def queue_pingpong(place: Place) -> Series:
    """One way by queue.Queue, whose lock and conditions are in Python, on one core."""
    return _by_queues(place, place.server_cpu, queue.Queue(), queue.Queue())


@probe("Queue_pingpong_oneway|2cores", samples=30, needs=[TWO_CORES])
def queue_pingpong_across(place: Place) -> Series:
    """The same with the other thread on another core, which may have to be woken."""
    return _by_queues(place, place.other_cpu, queue.Queue(), queue.Queue())


@probe("ThreadPoolExecutor_submit+result|2cores", samples=400, needs=[TWO_CORES])
def executor_round_trip_across(place: Place) -> Series:
    """A job for one worker of a pool, and its result, the kernel placing both on two cores."""
    os.sched_setaffinity(0, {place.server_cpu, place.other_cpu})
    return executor_round_trip(place)


@probe("ThreadPoolExecutor_submit+result|same_core", samples=400)
def executor_round_trip(place: Place) -> Series:
    """A job for one worker of a pool, and its result: two hand-overs and a future, on one core."""
    pool = ThreadPoolExecutor(1)
    return one_by_one(place, lambda: pool.submit(int).result())
