"""Quantities that a range runs over: what is written, as a number between two others.

    shared("1us", "1ms")           duration
    duration.number("1us")         1000 ns
    rate.spell(1234.567, 9_000)    '1235/s'

A number is in the unit that iosim holds it in: ns, bytes, per second, 0..1, a count.

Scope: the quantities of iosim.units, numbers without a unit, and factors on a cost (`x0.5`).
Validated by: tests/studies/test_grid.py
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from iosim import units
from iosim.errors import Mismatch, shown


@dataclass(frozen=True, slots=True)
class Quantity:
    """One kind of quantity: how it is read, and written down again."""

    noun: str
    parse: Callable[[object], float]
    canonical: Callable[[float], str]
    whole: bool

    def number(self, text: str) -> float:
        """What `text` says. Raises Mismatch."""
        return self.parse(text)

    def spell(self, number: float, width: float) -> str:
        """A number of a range `width` wide: whole, or to a thousandth of itself or of the width.

        Of the two, what is finer: nobody wants to read 2154.4346900318824/s.
        """
        if self.whole:
            return self.canonical(round(number))
        finest = min(abs(number), width) or width
        return self.canonical(round(number, 3 - math.floor(math.log10(finest))))


def _parse_number(text: object) -> float:
    if not isinstance(text, str) or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        raise Mismatch("a number", shown(text))
    return float(text)


def _parse_factor(text: object) -> float:
    if not isinstance(text, str) or not text.startswith("x"):
        raise Mismatch("a factor such as x0.5", shown(text))
    return _parse_number(text[1:])


def _canonical_number(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _canonical_factor(number: float) -> str:
    return f"x{_canonical_number(number)}"


def _whole(canonical: Callable[[int], str]) -> Callable[[float], str]:
    return lambda number: canonical(int(number))


QUANTITIES = (
    Quantity("a count", units.parse_count, _whole(str), whole=True),
    Quantity("a duration", units.parse_duration, _whole(units.canonical_duration), whole=True),
    Quantity("a size", units.parse_size, _whole(units.canonical_size), whole=True),
    Quantity("a bandwidth", units.parse_bandwidth, _whole(units.canonical_bandwidth), whole=True),
    Quantity("a rate", units.parse_rate, units.canonical_rate, whole=False),
    Quantity("a percentage", units.parse_fraction, units.canonical_fraction, whole=False),
    Quantity("a factor", _parse_factor, _canonical_factor, whole=False),
    Quantity("a number", _parse_number, _canonical_number, whole=False),
)
"""A text of several kinds (4 is a count and a number) is of the first of them."""


def kind_of(text: str) -> Quantity | None:
    """The quantity that `text` is one of; None if it is none."""
    return next((quantity for quantity in QUANTITIES if _is(quantity, text)), None)


def shared(low: str, high: str) -> Quantity:
    """The quantity that both are of. Raises Mismatch."""
    for quantity in QUANTITIES:
        if _is(quantity, low) and _is(quantity, high):
            return quantity
    told = []
    for text in (low, high):
        kind = kind_of(text)
        told.append(f"{shown(text)}, which is {kind.noun if kind else 'no quantity'}")
    raise Mismatch("two of one quantity, such as 1us..1ms", ", and ".join(told))


def numbers(texts: tuple[str, ...]) -> tuple[float, ...] | None:
    """All texts as numbers of one quantity; None if they are not of one."""
    for quantity in QUANTITIES:
        if all(_is(quantity, text) for text in texts):
            return tuple(quantity.number(text) for text in texts)
    return None


def _is(quantity: Quantity, text: str) -> bool:
    try:
        quantity.number(text)
    except Mismatch:
        return False
    return True
