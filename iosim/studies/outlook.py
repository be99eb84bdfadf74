"""How long a capacity lasts, and what it costs.

    Growth.parse("10%/month").until(20_000, 31_000)    -> 4.6, months until today's load is as much
    Prices.parse("core=25/month,GiB=3/month").of(cores=4, memory_bytes=2**30)   -> 103 a month

Growth is compound: so much more of what there was, each time. A machine costs what its cores and
the memory at the peak cost; a load that one machine does not carry needs as many as carry it
together, each with its part.

Not done: prices by the hour of use, discounts; machines that share one queue.
Validated by: tests/studies/test_plan_outlook.py
"""

import math
from dataclasses import dataclass

from iosim.errors import UsageError, did_you_mean, shown
from iosim.units import QuantityError, parse_fraction

DAYS = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "quarter": 365.25 / 4, "year": 365.25}
GIB_BYTES = 2**30


@dataclass(frozen=True)
class Growth:
    """So much more load each `period`, of what it was."""

    text: str
    fraction: float
    period: str

    @classmethod
    def parse(cls, text: str) -> "Growth":
        """Read `10%/month`. Raises UsageError."""
        part, slash, period = (each.strip() for each in text.partition("/"))
        if not slash:
            raise UsageError(f"--growth {text}: expected a part and a time, such as 10%/month")
        try:
            fraction = parse_fraction(part)
        except QuantityError as error:
            raise UsageError(f"--growth {text}: {error}") from None
        if fraction <= 0:
            raise UsageError(f"--growth {text}: expected more than 0%, found {shown(part)}")
        return cls(text, fraction, _period("--growth", text, period))

    def until(self, load: float, capacity: float) -> float:
        """Periods until `load` has grown to `capacity`; 0 if it has already."""
        return max(0.0, math.log(capacity / load) / math.log1p(self.fraction))


@dataclass(frozen=True)
class Prices:
    """What a core and a GiB of memory cost each `period`, in any one currency."""

    text: str
    core: float
    gib: float
    period: str

    @classmethod
    def parse(cls, text: str) -> "Prices":
        """Read `core=25/month,GiB=3/month`. Raises UsageError."""
        found: dict[str, float] = {}
        periods = []
        for part in text.split(","):
            name, equals, price = (each.strip() for each in part.partition("="))
            amount, slash, period = (each.strip() for each in price.partition("/"))
            if name not in UNITS or name in found:
                hint = did_you_mean(name, UNITS)
                raise UsageError(
                    f"--cost {text}: expected each of {' and '.join(UNITS)} once at most, found "
                    f"{shown(name)}" + (f"; {hint}" if hint else "")
                )
            if not (equals and slash):
                raise UsageError(f"--cost {text}: expected {name}=25/month, found {shown(part)}")
            found[name] = _amount(text, amount)
            periods.append(_period("--cost", text, period))
        if len(set(periods)) > 1:
            raise UsageError(
                f"--cost {text}: expected one period for all, found {', '.join(periods)}"
            )
        return cls(text, found.get("core", 0.0), found.get("GiB", 0.0), periods[0])

    def of(self, cores: int, memory_bytes: float) -> float:
        """What such a machine costs each period."""
        return self.core * cores + self.gib * memory_bytes / GIB_BYTES


UNITS = ("core", "GiB")


def machines_for(load: float, capacity: float) -> int:
    """How many machines carry a load together, each with its part of it."""
    # A load that is the capacity but for a rounding error is carried.
    return max(1, math.ceil(load / capacity * (1 - 1e-9)))


def _amount(text: str, amount: str) -> float:
    try:
        price = float(amount)
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise UsageError(f"--cost {text}: expected a price, found {shown(amount)}")
    return price


def _period(option: str, text: str, period: str) -> str:
    if period not in DAYS:
        hint = did_you_mean(period, DAYS)
        raise UsageError(
            f"{option} {text}: expected a time ({', '.join(DAYS)}), found {shown(period)}"
            + (f"; {hint}" if hint else "")
        )
    return period
