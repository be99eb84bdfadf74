"""The process of one probe in Python: FAMILY FUNCTION SERVER_CPU OTHER_CPU SAMPLES ARGUMENT...

It says what the program in C says, which native/probe.h tells.
"""

import gc
import os
import sys
from importlib import import_module

from iosim.calibration.probes.registry import FAMILIES, Impossible, Place


def main(family: str, function: str, *numbers: str) -> int:
    """Run the probe, and say each figure's samples."""
    server_cpu, other_cpu, samples, *arguments = map(int, numbers)
    assert family in FAMILIES
    os.sched_setaffinity(0, {server_cpu})
    module = import_module(f"{__package__}.{family}")
    gc.disable()  # a sample is too short to hold a fair share of it
    try:
        series = getattr(module, function)(Place(server_cpu, other_cpu, samples), *arguments)
    except (OSError, Impossible) as error:
        sys.stdout.write(f"error {error}\n")
        return 1
    for each in series:
        sys.stdout.write(f"samples {' '.join(f'{sample:.1f}' for sample in each)}\n")
    sys.stdout.write("done\n")
    sys.stdout.flush()
    os._exit(0)  # threads that wait for ever do not hold it up


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
