"""Probes of calls that do next to nothing in the kernel, and of what CPython adds to them.

Validated by: tests/calibration/test_probes.py
"""

import os
import time

from iosim.calibration.probes.registry import Place, Series, native, probe
from iosim.calibration.probes.timing import timed

native(__name__, "clock_gettime_vdso", "clock_gettime_vdso")
native(__name__, "null_syscall", "null_syscall|getppid", samples=300)
native(__name__, "clock_gettime_thread_cputime", "clock_gettime_thread_cputime")
native(__name__, "getrusage_self", "getrusage|RUSAGE_SELF")
native(__name__, "fcntl_getfl", "fcntl_getfl")
native(__name__, "eventfd_write_read", "eventfd_write+read", samples=200)
native(__name__, "pipe_write_read", "pipe_write+read|{0}B", arguments=[(64,), (4096,)])
native(__name__, "pread_file_cached", "pread_file_cached|64B")
native(__name__, "sched_yield_alone", "sched_yield|alone")


@probe("empty_call")
def empty_call(place: Place) -> Series:
    """A call of a function that does nothing, with the loop around it."""
    return timed(place, 2000, "call()", call=lambda: None)


@probe("getppid")
def getppid(place: Place) -> Series:
    """The least that a syscall costs in CPython. Leaves out giving the interpreter lock away."""
    return timed(place, 1000, "getppid()", getppid=os.getppid)


@probe("perf_counter_ns")
def perf_counter_ns(place: Place) -> Series:
    """Reading the clock by which the other probes in Python take time."""
    return timed(place, 1000, "clock()", clock=time.perf_counter_ns)


@probe("time.monotonic")
def monotonic(place: Place) -> Series:
    """The clock that asyncio reads twice a pass."""
    return timed(place, 1000, "clock()", clock=time.monotonic)


@probe("pipe_write+read|64B")
def pipe_write_read(place: Place) -> Series:
    """64 B into a pipe and out, for which nobody waits."""
    reading, writing = os.pipe()
    return timed(
        place,
        200,
        "write(writing, data); read(reading, 64)",
        write=os.write,
        read=os.read,
        reading=reading,
        writing=writing,
        data=bytes(64),
    )
