"""Probes of waking a thread on another core, from how long that core has idled.

Gaps are those at which a profile's tables have their points, and some between.

Validated by: tests/calibration/test_probes.py
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from mmap import mmap
from random import Random
from statistics import median
from struct import Struct
from time import perf_counter_ns, thread_time_ns
from typing import Final

from iosim.calibration.probes.needs import TWO_CORES
from iosim.calibration.probes.registry import Place, Series, native, probe
from iosim.calibration.probes.sockets import connected

GAPS_US: Final = (10, 15, 30, 60, 100, 240, 500, 1000)
"""At most eight, as the program in C takes them."""
LONG_GAPS_US: Final = (2000, 4000, 8000)
"""They take their time: fewer samples, and none where it is to be quick."""

for _number, _way in enumerate(("read_eventfd", "epoll", "futex")):
    for _gap_us, _gap in ((5, "gap5us"), (100, "gap100us"), (1000, "gap1ms")):
        native(
            __name__, "wake_idle_core",
            f"wake_idle_core_{_way}|{_gap}", f"wake_idle_core_{_way}_waker_cost|{_gap}",
            arguments=[(_number, _gap_us)], samples=400, needs=[TWO_CORES],
            quick=_gap_us == 100,
        )  # fmt: skip
native(
    __name__, "wake_awake_core",
    "wake_awake_core_read_eventfd|gap100us", "wake_awake_core_read_eventfd_waker_cost|gap100us",
    samples=400, needs=[TWO_CORES],
)  # fmt: skip
for _gaps_us, _samples in ((GAPS_US, 1000), (LONG_GAPS_US, 100)):
    native(
        __name__, "wake_random_gap",
        *(
            f"wake_random_gap_{what}|gap={gap_us}us"
            for gap_us in _gaps_us
            for what in ("latency", "sleeper_cpu", "waker_cpu")
        ),
        arguments=[_gaps_us], samples=_samples, needs=[TWO_CORES], quick=_gaps_us is GAPS_US,
    )  # fmt: skip


_FIELDS = 18
_LAYOUT = Struct(f"{_FIELDS}q")
"""A message of 144 B."""
_WIDTH = 0.2
"""A gap at random is within so much of what it is called."""
_ASLEEP, _WOKEN, _CPU = range(3)
"""Where in the shared memory: when the sleeper was about to sleep (0: it has woken), when it had
woken, and the CPU time it was charged with meanwhile; all in ns."""


@probe(
    *(
        f"wake_random_gap_{what}|gap={gap_us}us"
        for gap_us in GAPS_US
        for what in ("latency", "sleeper_cpu", "waker_cpu")
    ),
    arguments=[GAPS_US], samples=200, needs=[TWO_CORES],
)  # fmt: skip
def wake_random_gap(place: Place, *gaps_us: int) -> Series:
    """Wake-ups of another process' read at random gaps, for where there is no compiler: until it
    runs, the CPU time it is charged with, and the waker's. A few hundred ns of CPython and of
    reading clocks are in each."""
    series: Series = [[] for _ in range(3 * len(gaps_us))]
    for i, told in _wake_another(place, gaps_us, _WIDTH, _sleep):
        for part, sample in enumerate(told):
            series[3 * i + part].append(float(sample))
    return series


def _wake_another(
    place: Place,
    gaps_us: Sequence[int],
    width: float,
    sleep: Callable[[int, "memoryview[int]", int], None],
) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Wake another process, which does `sleep`, after each of the gaps, in a random order, as often
    as there are to be samples: which of them it was, and what `_wake` tells."""
    fd = os.eventfd(0)
    shared = memoryview(mmap(-1, 4096)).cast("q")
    if not (sleeper := os.fork()):
        os.sched_setaffinity(0, {place.server_cpu})
        sleep(fd, shared, len(gaps_us) * place.samples)
        os._exit(0)
    os.sched_setaffinity(0, {place.other_cpu})
    random = Random(1)
    order = [*range(len(gaps_us))] * place.samples
    random.shuffle(order)
    for i in order:
        gap_ns = round(gaps_us[i] * 1000 * random.uniform(1 - width, 1 + width))
        yield i, _wake(fd, shared, gap_ns)
    os.waitpid(sleeper, 0)


def _sleep(fd: int, shared: "memoryview[int]", times: int) -> None:
    for _ in range(times):
        before_ns = thread_time_ns()
        shared[_ASLEEP] = perf_counter_ns()
        os.read(fd, 8)
        shared[_WOKEN] = perf_counter_ns()
        shared[_CPU] = thread_time_ns() - before_ns
        shared[_ASLEEP] = 0


def _wake(fd: int, shared: "memoryview[int]", gap_ns: int) -> tuple[int, int, int]:
    """Latency, the sleeper's CPU time and the waker's, in ns."""
    while not (asleep_ns := shared[_ASLEEP]):
        pass
    while perf_counter_ns() < asleep_ns + gap_ns:
        pass
    before_ns = thread_time_ns()
    begun_ns = perf_counter_ns()
    os.eventfd_write(fd, 1)
    waker_ns = thread_time_ns() - before_ns
    while shared[_ASLEEP] == asleep_ns:
        pass
    return shared[_WOKEN] - begun_ns, shared[_CPU], waker_ns


COLD_GAPS_US: Final = (20, 100, 170, 300, 1000)
_HOT_ROUNDS = 20
"""So often in a row is done what is compared with the same after a sleep."""


@probe(
    *(f"cold_execution|gap={gap_us}us" for gap_us in COLD_GAPS_US),
    arguments=[COLD_GAPS_US], samples=200, needs=[TWO_CORES],
)  # fmt: skip
def cold_execution(place: Place, *gaps_us: int) -> Series:
    """CPU time that a program in CPython takes longer for a message, sent and received by TCP,
    taken apart and put together, after its core has idled than when it did the same just
    before. Begins when it runs Python again: leaving idle, and the way back, are left out."""
    series: Series = [[] for _ in gaps_us]
    for i, (_, colder_ns, _) in _wake_another(place, gaps_us, 0, _sleep_and_work):
        series[i].append(float(colder_ns))
    return series


@probe(
    *(f"cold_execution|gap={gap_us}us" for gap_us in LONG_GAPS_US),
    arguments=[LONG_GAPS_US], samples=60, needs=[TWO_CORES], quick=False,
)  # fmt: skip
def cold_execution_after_long(place: Place, *gaps_us: int) -> Series:
    """The same after gaps that take their time."""
    return cold_execution(place, *gaps_us)


def _sleep_and_work(fd: int, shared: "memoryview[int]", times: int) -> None:
    sender, receiver = connected()
    table: dict[int, deque[tuple[int, ...]]] = {}

    def work() -> int:
        begun_ns = thread_time_ns()
        sender.send(_LAYOUT.pack(*range(_FIELDS)))
        fields = _LAYOUT.unpack(receiver.recv(65_536))
        queue = table.setdefault(fields[1], deque())
        queue.append(fields)
        if len(queue) > _FIELDS:
            queue.popleft()
        return thread_time_ns() - begun_ns

    for _ in range(times):
        hot_ns = median(work() for _ in range(_HOT_ROUNDS))
        shared[_ASLEEP] = perf_counter_ns()
        os.read(fd, 8)
        cold_ns = work()
        shared[_CPU] = cold_ns - round(hot_ns)
        shared[_WOKEN] = perf_counter_ns()
        shared[_ASLEEP] = 0
