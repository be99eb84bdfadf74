"""What a probe may need of the machine, and why it is not there.

Whatever only the probe itself can find out - that the kernel refuses io_uring - it says.

Validated by: tests/calibration/test_probes.py
"""

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iosim.calibration.probes.registry import Probe
from iosim.calibration.probes.running import program
from iosim.real.compiler import CannotCompile

COMPILER: Final = "compiler"
TWO_CORES: Final = "two cores"
IO_URING: Final = "io_uring"
GREENLET: Final = "greenlet"
LIBURING: Final = "liburing"
UVLOOP: Final = "uvloop"


def usable_cpus() -> list[int]:
    """The cores that this process may use, in order."""
    return sorted(os.sched_getaffinity(0))


@cache
def _compiler() -> str | None:
    try:
        program()
    except CannotCompile as error:
        return str(error)
    return None


def _two_cores() -> str | None:
    return None if len(usable_cpus()) > 1 else "it needs two cores, and may use one"


def _io_uring() -> str | None:
    switch = Path("/proc/sys/kernel/io_uring_disabled")  # since Linux 6.6
    refused = switch.exists() and switch.read_text().strip() != "0"
    return f"{switch} is not 0" if refused else None


def _package(name: str) -> str | None:
    return None if find_spec(name) else f"{name} is not installed (iosim[real] has it)"


_WHY_NOT: Mapping[str, Callable[[], str | None]] = {
    COMPILER: _compiler,
    TWO_CORES: _two_cores,
    IO_URING: _io_uring,
    GREENLET: partial(_package, "greenlet"),
    LIBURING: partial(_package, "liburing"),
    UVLOOP: partial(_package, "uvloop"),
}


def missing(probe: Probe) -> str | None:
    """Why it cannot run here; None if it can."""
    reasons = [_WHY_NOT[need]() for need in sorted(probe.needs)]
    return next((reason for reason in reasons if reason), None)
