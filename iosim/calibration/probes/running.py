"""One probe, in a process of its own.

Validated by: tests/calibration/test_probes.py
"""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from iosim.calibration.probes.registry import Figure, Place, Probe
from iosim.errors import MeasurementError
from iosim.real import compiler
from iosim.real.child import Child

LIMIT_S: Final = 60
"""For all samples of a probe: a machine on which it takes longer is beyond calibrating."""
SOURCES: Final = Path(__file__).parents[1] / "native"


@cache
def program() -> Path:
    """The probes in C, compiled if they are not yet. Raises compiler.CannotCompile."""
    return compiler.program("probes", sorted(SOURCES.glob("*.c")))


def run(probe: Probe, place: Place) -> dict[Figure, Sequence[float]]:
    """Each figure's samples, in the probe's unit. Raises MeasurementError."""
    numbers = (place.server_cpu, place.other_cpu, place.samples, *probe.arguments)
    found: dict[Figure, Sequence[float]] = {}
    with Child(f"probe {probe}", _command(probe), *numbers) as child:
        for figure in probe.figures:
            name, text = _told(child.expect("samples", LIMIT_S))
            if name not in (None, figure):
                raise MeasurementError(f"the probe {probe} gave {name} where {figure} was due")
            found[figure] = [float(word) for word in text.split()]
        child.expect("done")
    return found


def _told(line: str) -> tuple[Figure | None, str]:
    """The figure, if the line names it, and its samples."""
    *named, text = line.split("|")
    return ((named[0], named[1]) if named else None), text


def _command(probe: Probe) -> list[str]:
    if probe.lang == "c":
        return [str(program()), probe.function]
    return [sys.executable, "-m", __package__, probe.family, probe.function]
