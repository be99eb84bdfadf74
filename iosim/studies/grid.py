"""What a study varies: `--over path=values`, one axis each.

    machine.cores=1,2,4                             a list
    machine.network=loopback,{nic: {latency: 5us}}  of any values, as YAML
    models.thread_pool.threads=4..256               from 4 to 256, doubling: 4, 8, 16, ... 256
    models.thread_pool.threads=4..256:linear 8      8 values, evenly spaced
    devices.cache.remote.latency=1us..1ms:log 10    10 values, each as many times the one before
    workload.open.rate=1k/s,2k/s..64k/s             ranges within a list
    profile.context_switch=x0.5,x1,x2               a cost

Both ends of a range are in it. Where a study draws a sample, a range is drawn from evenly, by
its logarithm unless it is `linear`; a list gives each of its values the same chance. A path is
one of iosim.changes, or a cost's.

Scope: reading axes. which of their combinations are run, combinations.py says; what is wrong with a
path or a value, only the scenario can tell.
Validated by: tests/studies/test_grid.py
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from iosim.errors import Mismatch, UsageError, did_you_mean, shown
from iosim.studies import quantities
from iosim.studies.quantities import Quantity

Spacing = Literal["doubling", "linear", "log"]
SPACINGS: tuple[Spacing, ...] = ("linear", "log", "doubling")

MOST_VALUES = 100_000
"""Of one axis: more is most likely a slip."""


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included, in the unit of their quantity."""

    quantity: Quantity
    low: float
    high: float
    spacing: Spacing = "doubling"
    count: int | None = None
    """How many values; None where the spacing tells, or where samples are drawn."""

    def values(self) -> tuple[str, ...]:
        """Its values, as they would be written. Raises Mismatch where their number is missing."""
        if self.spacing == "doubling":
            doublings = math.ceil(math.log2(self.high / self.low) - 1e-9)
            numbers = [self.low * 2**doubling for doubling in range(doublings)]
            return tuple(map(self.quantity.canonical, [*numbers, self.high]))
        if self.count is None:
            raise Mismatch(f"how many values, as in ':{self.spacing} 8'", "no number")
        parts = range(self.count - 1)
        inner = [self.at(part / (self.count - 1)) for part in parts[1:]]
        ends = self.quantity.canonical(self.low), self.quantity.canonical(self.high)
        # Whole numbers may come twice where a range has fewer of them than it is to have values.
        return tuple(dict.fromkeys((ends[0], *inner, ends[1])))

    def at(self, part: float) -> str:
        """The value a part 0..1 of the way from low to high."""
        return self.quantity.spell(self._between(part), self.high - self.low)

    def _between(self, part: float) -> float:
        if self.spacing == "linear":
            return self.low + part * (self.high - self.low)
        return float(self.low * (self.high / self.low) ** part)


@dataclass(frozen=True)
class Axis:
    """One path of the scenario, and the values it takes, in the spelling of a scenario."""

    path: str
    text: str
    """The values as they were given."""
    parts: tuple[str | Range, ...]

    @cached_property
    def values(self) -> tuple[str, ...]:
        """All values, each once. Raises UsageError where a range does not say how many."""
        found: dict[str, None] = {}
        for part in self.parts:
            try:
                found |= dict.fromkeys((part,) if isinstance(part, str) else part.values())
            except Mismatch as mismatch:
                raise UsageError(f"--over {self.path}: {mismatch}") from None
        return tuple(found)

    def at(self, part: float) -> str:
        """The value a part 0 <= part < 1 of the way through: of a range any, of a list one."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Range):
            return self.parts[0].at(part)
        return self.values[int(part * len(self.values))]


def parse_over(text: str) -> Axis:
    """Read `path=values`. Raises UsageError."""
    path, equals, values = text.partition("=")
    if not equals or not path.strip():
        raise UsageError(f"--over {text}: expected path=values, such as machine.cores=1..16")
    return _axis(path.strip(), values)


def parse_all(over: Iterable[str] | Mapping[str, str | Iterable[object]]) -> tuple[Axis, ...]:
    """Read all axes: texts `path=values`, or a mapping of paths to values in text or in a list.

    Raises UsageError, which tells everything that is wrong.
    """
    if isinstance(over, str):
        over = (over,)
    axes: list[Axis] = []
    wrong: list[str] = []
    for each in over.items() if isinstance(over, Mapping) else over:
        try:
            axis = parse_over(each) if isinstance(each, str) else _from_python(*each)
            if axis.path in [other.path for other in axes]:
                raise UsageError(f"--over {axis.path}: expected each path once, found it again")
            axes.append(axis)
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    if not axes:
        raise UsageError("expected a path to vary, such as --over machine.cores=1..16, found none")
    return tuple(axes)


def _from_python(path: str, values: str | Iterable[object]) -> Axis:
    if isinstance(values, str):
        return _axis(path, values)
    from json import dumps

    parts = tuple(value if isinstance(value, str) else dumps(value) for value in values)
    if not parts:
        raise UsageError(f"--over {path}: expected a value, found an empty list")
    return Axis(path, ",".join(parts), parts)


def _axis(path: str, values: str) -> Axis:
    try:
        return Axis(path, values.strip(), tuple(_part(part.strip()) for part in _split(values)))
    except Mismatch as mismatch:
        raise UsageError(f"--over {path}: {mismatch}") from None


def _split(text: str) -> Iterator[str]:
    """Parts between commas that stand in no brackets and in no quotes."""
    depth, quote, start = 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "," and depth == 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]


_RANGE = re.compile(r"([^\s{}\[\]'\":]+?)\s*\.\.\s*([^\s{}\[\]'\":]+)\s*(?::(.*))?")


def _part(text: str) -> str | Range:
    """One value, or a range of them. Raises Mismatch."""
    if not text:
        raise Mismatch("a value between commas", "nothing")
    match = _RANGE.fullmatch(text)
    if match is None:
        if ".." in text and not text.startswith(("{", "[", "'", '"')):
            raise Mismatch("a range such as 4..256 or 1us..1ms:log 10", shown(text))
        return text
    quantity = quantities.shared(match[1], match[2])
    low, high = quantity.number(match[1]), quantity.number(match[2])
    if not low < high:
        raise Mismatch("a range from less to more", shown(text))
    spacing, count = _spacing(match[3])
    if spacing != "linear" and low <= 0:
        raise Mismatch(
            "a range that begins above 0", shown(text), "from 0 on, only ':linear 8' counts"
        )
    return Range(quantity, low, high, spacing, count)


def _spacing(text: str | None) -> tuple[Spacing, int | None]:
    """What stands behind a range's colon. Raises Mismatch."""
    if text is None:
        return "doubling", None
    word, _, number = text.strip().partition(" ")
    for spacing in SPACINGS:
        if word == spacing:
            break
    else:
        raise Mismatch(
            "linear or log, and how many values, as in ':log 10'",
            shown(text),
            did_you_mean(word, SPACINGS),
        )
    if not number:
        return spacing, None
    if spacing == "doubling" or not re.fullmatch(r"[0-9]{1,9}", number.strip()):
        raise Mismatch("linear or log, and how many values, as in ':log 10'", shown(text))
    if not 2 <= int(number) <= MOST_VALUES:
        raise Mismatch(f"from 2 to {MOST_VALUES:,} values", number.strip())
    return spacing, int(number)
