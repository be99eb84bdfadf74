"""Probes of switches between coroutines: stackful ones in C, generators, greenlets.

Validated by: tests/calibration/test_probes.py
"""

from collections.abc import Generator

from iosim.calibration.probes.needs import GREENLET
from iosim.calibration.probes.registry import Place, Series, native, probe
from iosim.calibration.probes.timing import timed

native(__name__, "swapcontext_switch", "swapcontext_switch", samples=200)
native(__name__, "longjmp_switch", "longjmp_switch", samples=200)
native(__name__, "assembly_switch", "asm_coroutine_switch(x2)", samples=200)


def _yields() -> Generator[None, None, None]:
    while True:
        yield


def _yields_from() -> Generator[None, None, None]:
    yield from _yields()


@probe("generator_send|round trip")
def generator_send(place: Place) -> Series:
    """Into a generator and back: leaves out what it would do there."""
    generator = _yields()
    next(generator)
    return timed(place, 2000, "send(None)", send=generator.send)


@probe("generator_send_yield_from_depth2|round trip")
def generator_send_deep(place: Place) -> Series:
    """Into a generator under another one, which hands through by `yield from`, and back."""
    generator = _yields_from()
    next(generator)
    return timed(place, 2000, "send(None)", send=generator.send)


@probe("greenlet_switch|round trip (2 switches)", needs=[GREENLET])
def greenlet_switch(place: Place) -> Series:
    """Into a greenlet and back: its part of the C stack is copied, or not, as it overlaps."""
    from greenlet import getcurrent, greenlet

    here = getcurrent()

    def back() -> None:
        while True:
            here.switch()

    there = greenlet(back)
    there.switch()
    return timed(place, 1000, "switch()", switch=there.switch)
