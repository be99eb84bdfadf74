"""The process that spins on one core: CPU DURATION_S; what it saw goes to stdout in lines.

    spun    how long it spun, and how long of that other processes of this machine had the core
    stolen  start and length of each interruption, in turn
    laps    how long a fixed number of readings took, now and then

All in ns. It is Python, whose reading of a clock takes some 60 ns: a thousandth of what it is
after.

Validated by: tests/calibration/test_noise.py
"""

import gc
import os
import resource
import sys
from time import perf_counter_ns
from typing import Final

from iosim.calibration.noise import LENGTH_LEAST_NS

READINGS: Final = 200
"""In a lap, some 20 us."""
LAPS_APART_NS: Final = 1_000_000
"""One lap in so long is kept."""


def spin(duration_ns: int) -> tuple[int, int, list[int], list[int]]:
    """How long it spun; switched away; starts and lengths in turn; laps. All in ns."""
    stolen: list[int] = []
    laps: list[int] = []
    switched_ns = 0
    switches = _switches()
    begun = now = perf_counter_ns()
    next_lap = begun
    while now - begun < duration_ns:
        lap_begun, whole = now, True
        for _ in range(READINGS):
            before, now = now, perf_counter_ns()
            if now - before < LENGTH_LEAST_NS:
                continue
            whole = False
            switches_before, switches = switches, _switches()
            if switches == switches_before:
                stolen += (before - begun, now - before)
            else:
                switched_ns += now - before
            now = perf_counter_ns()  # counting is not to look like a theft
        if whole and now >= next_lap:
            laps.append(now - lap_begun)
            next_lap = now + LAPS_APART_NS
    return now - begun, switched_ns, stolen, laps


def _switches() -> int:
    """How often this process has left its core."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def _line(word: str, numbers: list[int]) -> str:
    return f"{word} {' '.join(map(str, numbers))}\n"


def main(cpu: str, duration_s: str) -> None:
    """Spin on `cpu`, and say what was seen."""
    os.sched_setaffinity(0, {int(cpu)})
    gc.disable()
    spun_ns, switched_ns, stolen, laps = spin(round(float(duration_s) * 1e9))
    for word, numbers in (("spun", [spun_ns, switched_ns]), ("stolen", stolen), ("laps", laps)):
        sys.stdout.write(_line(word, numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
