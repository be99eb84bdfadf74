"""The host's noise: when it takes a core away, and for how long, as a spinning probe sees it.

A process of its own on each core does nothing but read the clock. Where two readings lie apart,
it did not run:

    clock  ||||||||||          ||||||||||||||||||||          ||||||||
                    |- length -|                  |- length -|
                               |------- gap ------|

What is left out:
- readings less than LENGTH_LEAST_NS apart: an interrupt's entry is as long;
- another process of this machine had the core: the kernel has counted a switch meanwhile;
- the timer's tick, which comes at one phase of its period: lengths below TICK_MOST_NS at the phase
  at which most of them lie. Ticks at 250 Hz take 20 to 100 us of a virtual core.

Scope: gaps and lengths of all cores together, as distributions in at most POINTS quantiles, of
which a simulated core can be robbed independently of others. The time before the first length
and after the last one is a gap, too: so the share of time that is stolen is kept.
Not done: what a gap and the length after it have to do with each other; cores that are robbed
together; what is stolen while a core is idle, which a spinning probe never is.
Source: jHiccup (Tene), and the steal clock of Linux Documentation/virt/kvm/x86/msr.rst.
Validated by: tests/calibration/test_noise.py
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, pi, sin
from statistics import fmean
from typing import Final

from iosim.calibration.probes import needs
from iosim.calibration.speeds import TwoSpeeds, two_speeds
from iosim.real.child import Child
from iosim.real.disturbance import OTHERS_MOST
from iosim.units import format_percent

QUICK_S: Final = 3.0
FULL_S: Final = 20.0
FAREWELL_S: Final = 10.0

LENGTH_LEAST_NS: Final = 10_000
TICK_MOST_NS: Final = 100_000
TICK_PERIODS_NS: Final = (10_000_000, 4_000_000, 3_333_333, 1_000_000)
"""Of CONFIG_HZ=100, 250, 300 and 1000: the kernel does not tell a program which it has."""
TICK_CONCENTRATION: Final = 0.5
"""The least mean resultant length of the phases of ticks among all short lengths, in [0, 1]."""
TICK_EVIDENCE: Final = 10.0
"""The least n R^2 (Rayleigh's test): starts at random come to it once in e^10 times."""
TICK_PHASE: Final = 0.05
"""How far off the phase a tick may be, of its period."""

POINTS: Final = 32
SPELLS: Final = 10
"""Parts of the record that are held against each other."""
UNLIKELY: Final = 0.001
"""What is less probable than this, were the noise stationary, shows that it is not."""

Quantiles = tuple[tuple[float, int], ...]
"""(quantile in [0, 1], ns), both rising; empty where there was nothing."""


@dataclass(frozen=True, slots=True)
class CoreRecord:
    """What a spinning probe saw on one core."""

    duration_ns: int
    stolen_ns: tuple[tuple[int, int], ...]
    """(start since it began, length), in order; ticks are among them."""
    switched_ns: int = 0
    """In all, while other processes of this machine had the core."""
    laps_ns: tuple[float, ...] = ()
    """The times of a fixed number of readings, now and then, in which nothing was stolen."""


@dataclass(frozen=True, slots=True)
class HostNoise:
    """The noise of a host, as it can be simulated."""

    lengths_ns: Quantiles
    gaps_ns: Quantiles
    """From the end of a length to the start of the next."""
    share: float
    """Of the cores' time that was stolen."""
    count: int
    """Lengths that were seen."""
    ticks_per_s: float
    """By core; left out."""
    others_share: float
    """Of the cores' time that other processes of this machine had: left out, but a warning."""
    stationary: bool | None
    """Whether the noise stayed as it was. If not, the distributions are of a mixture. None: on a
    core there was too little of it to tell, and on no core a change."""
    speeds: TwoSpeeds | None = None
    """If the cores ran at two speeds."""


def record(quick: bool = False) -> HostNoise:
    """Spin on every core that may be used, for 3 s if `quick`, else 20 s, and say what was stolen.

    Raises MeasurementError if a probe ends before its time.
    """
    return of_records(spin(needs.usable_cpus(), QUICK_S if quick else FULL_S))


def spin(cpus: Sequence[int], duration_s: float) -> list[CoreRecord]:
    """What a probe on each of `cpus` sees, all at once."""
    command = [sys.executable, "-m", "iosim.calibration.spinning"]
    with ExitStack() as stack:
        children = [
            stack.enter_context(Child(f"probe of core {cpu}", command, cpu, duration_s))
            for cpu in cpus
        ]
        return [_told(child, duration_s + FAREWELL_S) for child in children]


def _told(child: Child, limit_s: float) -> CoreRecord:
    duration_ns, switched_ns = map(int, child.expect("spun", limit_s).split())
    numbers = [int(word) for word in child.expect("stolen").split()]
    laps_ns = tuple(float(word) for word in child.expect("laps").split())
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return CoreRecord(duration_ns, pairs, switched_ns, laps_ns)


def of_records(records: Sequence[CoreRecord]) -> HostNoise:
    """The noise of one host, of the records of its cores."""
    all_ns = sum(each.duration_ns for each in records)
    parted = [without_ticks(each.stolen_ns) for each in records]
    lengths = [length for stolen in parted for _, length in stolen]
    gaps = [
        gap
        for stolen, each in zip(parted, records, strict=True)
        for gap in _gaps(stolen, each.duration_ns)
    ]
    ticks = sum(len(each.stolen_ns) for each in records) - len(lengths)
    return HostNoise(
        lengths_ns=quantiles(lengths),
        gaps_ns=quantiles(gaps),
        share=sum(lengths) / all_ns,
        count=len(lengths),
        ticks_per_s=ticks / (all_ns / 1e9),
        others_share=sum(each.switched_ns for each in records) / all_ns,
        stationary=_of_all(
            [
                is_stationary(stolen, each.duration_ns)
                for stolen, each in zip(parted, records, strict=True)
            ]
        ),
        speeds=two_speeds([lap for each in records for lap in each.laps_ns]),
    )


def warnings(noise: HostNoise) -> list[str]:
    """Why not to believe it."""
    told = []
    if noise.others_share > OTHERS_MOST:
        told.append(
            f"other processes had {format_percent(noise.others_share)} of the cores while the "
            "host's noise was recorded: there is more of it than was seen"
        )
    if noise.stationary is False:
        told.append("the host's noise did not stay as it was: tails cannot be compared")
    # Too few thefts to tell are no reason to doubt: the profile says that it is not known.
    return told


def _of_all(told: Sequence[bool | None]) -> bool | None:
    """Whether all are true: not if one is false, and else unknown if one is."""
    if False in told:
        return False
    return None if None in told else True


def _gaps(stolen: Sequence[tuple[int, int]], duration_ns: int) -> list[int]:
    """As many as lengths: what is before the first and after the last is one."""
    if not stolen:
        return []
    between = [start - (before + length) for (before, length), (start, _) in pairwise(stolen)]
    last, length = stolen[-1]
    return [*between, stolen[0][0] + duration_ns - (last + length)]


def without_ticks(stolen: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The (start, length) that are not the timer's tick."""
    found = list(stolen)
    short = [start for start, length in found if length < TICK_MOST_NS]
    tick = _tick(short)
    if tick is None:
        return found
    period_ns, phase = tick
    return [
        (start, length)
        for start, length in found
        if length >= TICK_MOST_NS or _apart(start / period_ns, phase) > TICK_PHASE
    ]


def _tick(starts_ns: Sequence[int]) -> tuple[int, float] | None:
    """The longest period at whose one phase most of the starts lie, and that phase in [0, 1)."""
    if not starts_ns:
        return None
    for period_ns in TICK_PERIODS_NS:
        angles = [2 * pi * (start % period_ns) / period_ns for start in starts_ns]
        length = hypot(fmean(map(cos, angles)), fmean(map(sin, angles)))
        if length >= TICK_CONCENTRATION and length**2 * len(angles) >= TICK_EVIDENCE:
            return period_ns, _fullest_phase(angles)
    return None


def _fullest_phase(angles: Sequence[float]) -> float:
    """The middle of the fullest tenth of the circle: a mean would be drawn to what is no tick."""
    cells = 20
    counts = [0] * cells
    for angle in angles:
        counts[int(angle / (2 * pi) * cells) % cells] += 1
    first = max(range(cells), key=lambda i: counts[i] + counts[(i + 1) % cells])
    return (first + 1) / cells % 1


def _apart(phase: float, other: float) -> float:
    """How far two phases lie apart on their circle, in [0, 0.5]."""
    distance = (phase - other) % 1
    return min(distance, 1 - distance)


def quantiles(values: Sequence[int]) -> Quantiles:
    """Their distribution by at most `POINTS` quantiles, straight in between, from 0 to 1.

    With all of them the mean is the values' own. Of more, those are kept without which the mean
    would change most: of long tails many, of what is straight few.
    """
    found = sorted(values)
    if not found:
        return ()
    middles = [((i + 0.5) / len(found), value) for i, value in enumerate(found)]
    curve = [(0.0, found[0]), *middles, (1.0, found[-1])]
    kept = [0, len(curve) - 1]
    spans = {(0, len(curve) - 1): _off_straight(curve, 0, len(curve) - 1)}
    while len(kept) < POINTS:
        first, last = max(spans, key=lambda span: spans[span][0])
        area, middle = spans.pop((first, last))
        if not area:
            break
        kept.append(middle)
        for span in ((first, middle), (middle, last)):
            spans[span] = _off_straight(curve, *span)
    return tuple(curve[i] for i in sorted(kept))


def _off_straight(curve: Sequence[tuple[float, int]], first: int, last: int) -> tuple[float, int]:
    """How much of the mean lies between the curve and a straight line, and where they are
    farthest apart; from the point `first` to `last`."""
    (x0, y0), (x1, y1) = curve[first], curve[last]
    slope = (y1 - y0) / (x1 - x0)
    apart = [abs(y - y0 - slope * (x - x0)) for x, y in curve[first + 1 : last]]
    if not apart:
        return 0.0, first
    farthest = max(range(len(apart)), key=apart.__getitem__)
    return fmean(apart) * (x1 - x0), first + 1 + farthest


def is_stationary(stolen: Sequence[tuple[int, int]], duration_ns: int) -> bool | None:
    """Whether there is no sign that thefts became more or fewer, longer or shorter.

    None: there are fewer than two a part, too few to tell.

    Their numbers in `SPELLS` parts of the time are held against equal ones (chi-squared), the
    lengths of the first half against those of the second (Kolmogorov and Smirnov).
    """
    if len(stolen) < 2 * SPELLS:
        return None
    from scipy.stats import chisquare, ks_2samp

    counts = [0] * SPELLS
    for start, _ in stolen:
        counts[min(SPELLS - 1, start * SPELLS // duration_ns)] += 1
    lengths = [length for _, length in stolen]
    middle = len(lengths) // 2
    probable = min(chisquare(counts).pvalue, ks_2samp(lengths[:middle], lengths[middle:]).pvalue)
    return bool(probable >= UNLIKELY)
