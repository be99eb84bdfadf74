"""How probes in Python take time: statements in a loop, as timeit has them.

Validated by: tests/calibration/test_probes.py
"""

from collections.abc import Callable
from time import perf_counter_ns
from timeit import Timer

from iosim.calibration.probes.registry import Place, Series


def timed(place: Place, calls: int, statement: str, **names: object) -> Series:
    """Each sample the mean of `calls` times `statement`, with the loop around it (some ns)."""
    return in_turns(place, calls, statement, **names)


def in_turns(place: Place, calls: int, *statements: str, **names: object) -> Series:
    """The same of several statements, a sample of each in turn: what the machine does meanwhile,
    it does to all of them."""
    timers = [Timer(each, timer=perf_counter_ns, globals=names) for each in statements]
    for timer in timers:
        timer.timeit(calls)  # the first round fills caches
    found = [[timer.timeit(calls) / calls for timer in timers] for _ in range(place.samples)]
    return [list(samples) for samples in zip(*found, strict=True)]


def one_by_one(
    place: Place, act: Callable[[], object], begin: Callable[[], object] = int
) -> Series:
    """Each sample one call of `act`, after `begin`, which is not timed."""
    samples = []
    for _ in range(place.samples + 1):
        begin()
        begun_ns = perf_counter_ns()
        act()
        samples.append(float(perf_counter_ns() - begun_ns))
    return [samples[1:]]  # the first fills caches
