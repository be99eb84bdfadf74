"""How probes in Python take time: statements in a loop, as timeit has them.

Validated by: tests/calibration/test_probes.py
"""

from collections.abc import Callable
from time import perf_counter_ns
from timeit import Timer

from iosim.calibration.probes.registry import Place, Series


def timed(place: Place, calls: int, statement: str, **names: object) -> Series:
    """Each sample the mean of `calls` times `statement`, with the loop around it (some ns)."""
    timer = Timer(statement, timer=perf_counter_ns, globals=names)
    timer.timeit(calls)  # the first round fills caches
    return [[timer.timeit(calls) / calls for _ in range(place.samples)]]


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
