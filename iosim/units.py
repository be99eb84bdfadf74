"""Quantities: the only parser of `20us`, `64KiB`, `10k/s`, `10%`, `10k`, and their formatter.

Three spellings of one number, never mixed up:

- what a user writes: text with a unit (`1.5ms`), read exactly, in decimal;
- what iosim holds: int nanoseconds, int bytes, float per second, float 0..1, int count;
- what a report shows: three significant digits (`12.3 us`), not meant to be read back.

``canonical_*`` returns the first from the second, without loss: ``parse(canonical(x)) == x``.

*Scope*: ``parse_*`` for text, the annotated types (`Duration`, `Size`, `Bandwidth`, `Rate`,
`Fraction`, `Count`)
for pydantic fields, ``format_*`` for people. The types take text only, in Python as in YAML: 20 is
no duration in either. A count has no unit, so it may be a bare whole number.

*Not done*: no sums (`1min30s`), no `_` between digits, no signs, no locale. A decimal prefix is
1000 (`kB`, `10k`), a binary one 1024 (`KiB`). The largest duration, size and count is 2**63 - 1.

*Validated by*: tests/unit/test_units.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic_core import core_schema

from iosim.errors import Mismatch, did_you_mean, shown

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.fields import FieldInfo
    from pydantic.json_schema import JsonSchemaValue

LARGEST_INT = 2**63 - 1
LARGEST_PER_S = 1e18

# Longest unit first within each dict: canonical text takes the first that divides the value.
DURATION_NS: Mapping[str, int] = {
    "h": 3_600_000_000_000,
    "min": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
SIZE_BYTES: Mapping[str, int] = {
    "GiB": 1024**3,
    "MiB": 1024**2,
    "KiB": 1024,
    "GB": 1000**3,
    "MB": 1000**2,
    "kB": 1000,
    "B": 1,
}
PREFIX: Mapping[str, int] = {"G": 10**9, "M": 10**6, "k": 10**3, "": 1}
RATE_PER: Mapping[str, int] = {"h": 3600, "min": 60, "s": 1, "ms": 1}

# What people write for a unit that is spelled otherwise here, or is two units at once.
_MEANT_DURATION = {
    "µs": "'us'",
    "μs": "'us'",
    "u": "'us'",
    "usec": "'us'",
    "nsec": "'ns'",
    "msec": "'ms'",
    "sec": "'s'",
    "seconds": "'s'",
    "m": "'ms' or 'min'",
    "minutes": "'min'",
    "hour": "'h'",
    "hours": "'h'",
}
_KILO, _MEGA, _GIGA = "'KiB' or 'kB' (1000)", "'MiB' or 'MB' (1000 kB)", "'GiB' or 'GB' (1000 MB)"
_MEANT_SIZE = {
    "b": "'B'",
    "bytes": "'B'",
    **dict.fromkeys(("k", "K", "kb", "Kb", "KB"), _KILO),
    **dict.fromkeys(("m", "M", "mb", "Mb"), _MEGA),
    **dict.fromkeys(("g", "G", "gb", "Gb"), _GIGA),
}
_MEANT_COUNT = {"K": "'k'"}
_MEANT_PER = {
    "m": "min",
    "minute": "min",
    "sec": "s",
    "second": "s",
    "msec": "ms",
    "hr": "h",
    "hour": "h",
}
_RATE_UNITS = "the units are /s, /ms, /min and /h, after k, M or G if need be"

_NUMBER_PATTERN = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
_QUANTITY = re.compile(rf"({_NUMBER_PATTERN}) ?([^0-9\s._+-]\S*)?")
_LONGEST_TEXT = 60
# Wide enough for every digit that fits _LONGEST_TEXT times the largest unit: nothing is rounded.
_EXACT = Context(prec=100)


class QuantityError(Mismatch):
    """Text, or another value, that is not the quantity expected."""


def parse_duration(text: object) -> int:
    """Read a duration such as `20us` into whole nanoseconds >= 0. Raises QuantityError."""
    number, unit = _split(text, _DURATION)
    if unit not in DURATION_NS:
        raise _unknown_unit(text, unit, _DURATION, DURATION_NS, _MEANT_DURATION)
    return _whole(number, DURATION_NS[unit], text, _DURATION, "a whole number of nanoseconds")


def parse_size(text: object) -> int:
    """Read a size such as `64KiB` into whole bytes >= 0. Raises QuantityError."""
    number, unit = _split(text, _SIZE)
    if unit not in SIZE_BYTES:
        raise _unknown_unit(text, unit, _SIZE, SIZE_BYTES, _MEANT_SIZE)
    return _whole(number, SIZE_BYTES[unit], text, _SIZE, "a whole number of bytes")


def parse_bandwidth(text: object) -> int:
    """Read a bandwidth such as `500MB/s` into whole bytes a second. Raises QuantityError."""
    number, unit = _split(text, _BANDWIDTH)
    size_unit, slash, per = unit.partition("/")
    if size_unit not in SIZE_BYTES or slash + per != "/s":
        known = [f"{size_unit}/s" for size_unit in SIZE_BYTES]
        raise _unknown_unit(text, unit, _BANDWIDTH, known, {})
    factor = SIZE_BYTES[size_unit]
    return _whole(number, factor, text, _BANDWIDTH, "a whole number of bytes a second")


def parse_rate(text: object) -> float:
    """Read a rate such as `10k/s` into a number per second >= 0. Raises QuantityError."""
    number, unit = _split(text, _RATE, _RATE_UNITS)
    prefix, slash, per = unit.partition("/")
    if not slash or prefix not in PREFIX or per not in RATE_PER:
        prefix = "k" if prefix == "K" else prefix
        per = _MEANT_PER.get(per, per) if slash else "s"
        meant = prefix in PREFIX and per in RATE_PER and unit
        hint = f"did you mean '{prefix}/{per}'?" if meant else _RATE_UNITS
        raise QuantityError(_RATE, shown(text), hint)
    scaled = _EXACT.multiply(number, Decimal(PREFIX[prefix] * (1000 if per == "ms" else 1)))
    per_s = float(scaled) / RATE_PER[per]
    if per_s > LARGEST_PER_S:
        raise QuantityError("a rate of at most 1e18/s", shown(text))
    return per_s


def parse_fraction(text: object) -> float:
    """Read a percentage such as `10%` into a fraction 0..1. Raises QuantityError."""
    number, unit = _split(text, _FRACTION)
    if unit != "%":
        raise QuantityError(_FRACTION, shown(text))
    if number > 100:
        raise QuantityError("at most 100%", shown(text))
    return float(number.scaleb(-2, _EXACT))


def parse_count(value: object) -> int:
    """Read a count such as `10k`, 10000 or 1e4 into an int >= 0. Raises QuantityError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(_COUNT, shown(value))
    if not isinstance(value, str):
        if not 0 <= value <= LARGEST_INT:
            raise QuantityError(f"a count from 0 to {LARGEST_INT}", shown(value))
        if value != int(value):
            raise QuantityError("a whole number", shown(value))
        return int(value)
    number, prefix = _split(value, _COUNT)
    if prefix not in PREFIX:
        raise _unknown_unit(value, prefix, _COUNT, [name for name in PREFIX if name], _MEANT_COUNT)
    return _whole(number, PREFIX[prefix], value, _COUNT, "a whole number")


_DURATION = "a duration with its unit, such as 20us"
_SIZE = "a size with its unit, such as 64KiB"
_BANDWIDTH = "a bandwidth with its unit, such as 500MB/s"
_RATE = "a rate with its unit, such as 10k/s"
_FRACTION = "a percentage with its sign, such as 10%"
_COUNT = "a count, such as 100 or 10k"


def _split(text: object, expected: str, hint: str | None = None) -> tuple[Decimal, str]:
    """Part the exact number >= 0 from the unit that follows it, '' if none does."""
    if not isinstance(text, str):
        number = isinstance(text, int | float) and not isinstance(text, bool)
        raise QuantityError(expected, shown(text), hint if number else None)
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        negative = text.startswith("-") and _QUANTITY.fullmatch(text[1:61])
        raise QuantityError(f"{expected}, not negative" if negative else expected, shown(text))
    return Decimal(match[1]), match[2] or ""


def _whole(number: Decimal, unit: int, text: object, expected: str, whole: str) -> int:
    """Return number * unit if that is an int from 0 to LARGEST_INT."""
    value = _EXACT.multiply(number, Decimal(unit))
    # Compared before int() is taken: int(Decimal("1e999")) would be a thousand digits of work.
    if value > LARGEST_INT:
        raise QuantityError(f"{expected}, below 2**63", shown(text))
    if value != value.to_integral_value():
        raise QuantityError(whole, shown(text))
    return int(value)


def _unknown_unit(
    text: object,
    unit: str,
    expected: str,
    known: Mapping[str, int] | list[str],
    meant: Mapping[str, str],
) -> QuantityError:
    """Build the error for a missing or unknown unit."""
    if not unit:
        return QuantityError(expected, shown(text))
    hint = f"did you mean {meant[unit]}?" if unit in meant else did_you_mean(unit, known)
    if hint is None:
        units = ", ".join(known) if isinstance(known, Mapping) else None
        hint = f"the units are {units}" if units else None
    return QuantityError(expected, shown(text), hint)


# Canonical text


def canonical_duration(value_ns: int) -> str:
    """Spell whole nanoseconds >= 0 in the largest unit that divides them: 20000 is `20us`."""
    return "0s" if value_ns == 0 else _in_largest_unit(value_ns, DURATION_NS)


def canonical_size(value_bytes: int) -> str:
    """Spell whole bytes >= 0 in the largest unit that divides them: 65536 is `64KiB`."""
    return "0B" if value_bytes == 0 else _in_largest_unit(value_bytes, SIZE_BYTES)


def canonical_bandwidth(value_bytes_per_s: int) -> str:
    """Spell whole bytes a second in the largest unit that divides them."""
    return f"{canonical_size(value_bytes_per_s)}/s"


def canonical_rate(value_per_s: float) -> str:
    """Spell a rate per second in the fewest digits that read back as the same float."""
    if value_per_s.is_integer() and 0 < value_per_s < 2**53:
        return _in_largest_unit(int(value_per_s), PREFIX) + "/s"
    return f"{value_per_s!r}/s"


def canonical_fraction(value: float) -> str:
    """Spell a fraction 0..1 as a percentage that reads back as the same float."""
    percent = Decimal(repr(value)).scaleb(2).normalize(_EXACT)
    text = f"{percent:f}"
    return f"{text if len(text) < _LONGEST_TEXT else percent}%"


def _in_largest_unit(value: int, units: Mapping[str, int]) -> str:
    for unit, factor in units.items():
        if value % factor == 0:
            return f"{value // factor}{unit}"
    raise AssertionError("the last unit of every table is 1")


# Text for people: three significant digits, never read back.


def format_duration_ns(value_ns: float) -> str:
    """Format nanoseconds for people: 12345.6 is `12.3 us`. NaN is `n/a`."""
    steps = [(unit, DURATION_NS[unit]) for unit in ("ns", "us", "ms", "s", "min", "h")]
    return _scaled(value_ns, steps, " ")


def format_size(value_bytes: float) -> str:
    """Format bytes for people, in binary units: 65536 is `64.0 KiB`. NaN is `n/a`."""
    return _scaled(value_bytes, [(u, SIZE_BYTES[u]) for u in ("B", "KiB", "MiB", "GiB")], " ")


def format_count(value: float) -> str:
    """Format a count, or a mean of counts, for people: 12345 is `12.3k`. NaN is `n/a`."""
    return _scaled(value, [(unit, PREFIX[unit]) for unit in ("", "k", "M", "G")], "")


def format_percent(fraction: float) -> str:
    """Format a fraction as a percentage for people: 0.1234 is `12.3%`. NaN is `n/a`."""
    text = _three_digits(fraction * 100)
    return text if text == _NOT_A_NUMBER else f"{text}%"


_NOT_A_NUMBER = "n/a"


def _scaled(value: float, steps: list[tuple[str, int]], gap: str) -> str:
    """Format a value in the largest unit of which it has at least one, after rounding."""
    if not math.isfinite(value):
        return _three_digits(value)
    if value == 0 or (abs(value) < steps[1][1] and value == int(value)):
        return f"{int(value)}{gap}{steps[0][0]}"
    rounded = float(f"{value:.2e}")
    unit, factor = steps[0]
    for unit_above, factor_above in steps[1:]:
        # 999.96 us rounds to 1000 us, which is said as 1.00 ms.
        if abs(rounded) < factor_above:
            break
        unit, factor = unit_above, factor_above
    return f"{_three_digits(value / factor)}{gap}{unit}"


def _three_digits(value: float) -> str:
    """Format with three significant digits, in plain notation from 0.0001 up."""
    if math.isnan(value):
        return _NOT_A_NUMBER
    if math.isinf(value) or value == 0:
        return f"{value:g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    power = int(exponent)
    if power < -4:
        return f"{mantissa}e{power}"
    return f"{float(f'{value:.2e}'):,.{max(0, 2 - power)}f}"


# The types of pydantic fields


@dataclass(frozen=True, slots=True)
class _Quantity:
    """Make a pydantic field read quantity text and write it back in canonical form."""

    parse: Callable[[object], Any]
    canonical: Callable[[Any], Any]
    pattern: str
    example: str
    expected: str
    zero: bool

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.canonical, when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        text: JsonSchemaValue = {"type": "string", "pattern": self.pattern}
        if self.parse is not parse_count:
            return {**text, "examples": [self.example]}
        least = {"minimum": 0} if self.zero else {"minimum": 1}
        return {"anyOf": [{"type": "integer", **least}, text], "examples": [self.example]}

    def _validate(self, value: object) -> int | float:
        if not self.zero and isinstance(value, int | float) and value < 0:
            raise QuantityError(f"{self.expected}, more than 0", shown(value))
        number: int | float = self.parse(value)
        if number == 0 and not self.zero:
            raise QuantityError(f"{self.expected}, more than 0", shown(value))
        return number


@dataclass(frozen=True, slots=True)
class Most:
    """Marks a count of which more is most likely a slip: `Annotated[PositiveCount, Most(100)]`.

    It is a scenario's limit and not the type's: `--force` lifts it.
    """

    value: int


def is_count(field: FieldInfo) -> bool:
    """Whether a pydantic field holds a `Count`, a `PositiveCount`, or one of them or none."""
    marks = list(field.metadata)
    for member in get_args(field.annotation):
        marks += getattr(member, "__metadata__", ())
    return any(isinstance(mark, _Quantity) and mark.parse is parse_count for mark in marks)


def _pattern(units: str) -> str:
    return f"^{_NUMBER_PATTERN} ?{units}$"


def _duration(zero: bool) -> _Quantity:
    pattern = _pattern("(ns|us|ms|s|min|h)")
    return _Quantity(parse_duration, canonical_duration, pattern, "20us", _DURATION, zero)


def _size(zero: bool) -> _Quantity:
    pattern = _pattern("(B|KiB|MiB|GiB|kB|MB|GB)")
    return _Quantity(parse_size, canonical_size, pattern, "64KiB", _SIZE, zero)


def _count(zero: bool) -> _Quantity:
    return _Quantity(parse_count, int, _pattern("[kMG]?"), "10k", _COUNT, zero)


Duration = Annotated[int, _duration(zero=True)]
"""Nanoseconds >= 0, written `20us`."""
PositiveDuration = Annotated[int, _duration(zero=False)]
"""Nanoseconds > 0, written `20us`."""
Size = Annotated[int, _size(zero=True)]
"""Bytes >= 0, written `64KiB`."""
PositiveSize = Annotated[int, _size(zero=False)]
"""Bytes > 0, written `64KiB`."""
Bandwidth = Annotated[
    int,
    _Quantity(
        parse_bandwidth,
        canonical_bandwidth,
        _pattern("(B|KiB|MiB|GiB|kB|MB|GB)/s"),
        "500MB/s",
        _BANDWIDTH,
        zero=False,
    ),
]
"""Bytes per second > 0, written `500MB/s`."""
Rate = Annotated[
    float,
    _Quantity(
        parse_rate, canonical_rate, _pattern("[kMG]?/(ms|s|min|h)"), "10k/s", _RATE, zero=False
    ),
]
"""A number per second > 0, written `10k/s`."""
RateOrZero = Annotated[
    float,
    _Quantity(
        parse_rate, canonical_rate, _pattern("[kMG]?/(ms|s|min|h)"), "10k/s", _RATE, zero=True
    ),
]
"""A number per second >= 0, written `10k/s`."""
Fraction = Annotated[
    float,
    _Quantity(parse_fraction, canonical_fraction, _pattern("%"), "10%", _FRACTION, zero=True),
]
"""A fraction 0..1, written `10%`."""
Count = Annotated[int, _count(zero=True)]
"""A whole number >= 0, written 10000 or `10k`."""
PositiveCount = Annotated[int, _count(zero=False)]
"""A whole number > 0, written 10000 or `10k`."""
