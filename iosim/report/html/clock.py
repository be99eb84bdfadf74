"""The time axis of a moment: to scale while a core works, cut short while none does.

Validated by: tests/report/test_lanes.py
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from iosim.report.timeline import Moment

NAMES = 92
"""Pixels for the lanes' names."""
GAP = 22.0
"""Pixels for a time in which no core works."""
MOST_PX_PER_US = 20.0
IN_VAIN = "spin"
"""Asking in vain is no work."""


@dataclass(frozen=True)
class Clock:
    """From instants to pixels: pieces between `at_ns`, of which those at `cut` are gaps."""

    at_ns: tuple[int, ...]
    at_px: tuple[float, ...]
    cut: tuple[int, ...]

    def __call__(self, ns: int) -> float:
        """The place of an instant within the moment."""
        ns = min(max(ns, self.at_ns[0]), self.at_ns[-1])
        after = min(bisect_right(self.at_ns, ns), len(self.at_ns) - 1)
        from_ns, to_ns = self.at_ns[after - 1], self.at_ns[after]
        from_px, to_px = self.at_px[after - 1], self.at_px[after]
        return from_px + (to_px - from_px) * (ns - from_ns) / max(to_ns - from_ns, 1)


def _stretches(moment: Moment) -> list[tuple[int, int, bool]]:
    """From, to, and whether a core works then."""
    work = sorted((s.from_ns, s.to_ns) for s in moment.spans if s.cause != IN_VAIN)
    found: list[tuple[int, int, bool]] = []
    now = moment.from_ns
    for start, stop in work:
        if start > now:
            found.append((now, start, False))
            now = start
        if stop > now:
            if found and found[-1][2]:
                found[-1] = (found[-1][0], stop, True)
            else:
                found.append((now, stop, True))
            now = stop
    if moment.to_ns > now:
        found.append((now, moment.to_ns, False))
    return found


def pixels_per_us(moments: Iterable[Moment], width: int) -> float:
    """The scale at which all of them fit on `width` pixels."""
    scales = [MOST_PX_PER_US]
    for moment in moments:
        stretches = _stretches(moment)
        gaps = sum(not works for _, _, works in stretches)
        busy_ns = sum(to_ns - from_ns for from_ns, to_ns, works in stretches if works)
        room = max(width - NAMES - gaps * GAP - 12, width / 4)
        scales.append(room / max(busy_ns / 1000, 1e-3))
    return min(scales)


def clock_of(moment: Moment, px_per_us: float) -> Clock:
    """The moment's clock at a scale."""
    at_ns, at_px, cut = [moment.from_ns], [float(NAMES)], []
    for from_ns, to_ns, works in _stretches(moment):
        length = (to_ns - from_ns) / 1000 * px_per_us
        if not works:
            if length > GAP:
                cut.append(len(at_ns) - 1)
            length = min(length, GAP)
        at_ns.append(to_ns)
        at_px.append(at_px[-1] + length)
    return Clock(tuple(at_ns), tuple(at_px), tuple(cut))
