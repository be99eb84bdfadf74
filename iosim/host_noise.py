"""Host noise as measured: how long a host takes a core away, and how long it leaves it alone.

    host_noise:                                    # in a profile
      length: [[0%, 20us], [50%, 310us], [100%, 9.4ms]]
      gap: [[0%, 1ms], [50%, 82ms], [100%, 700ms]]
      stolen: 1.2%
      stationary: true

`length` and `gap` are quantiles: half of the intervals were no longer than 310us. Between two of
them every duration is equally likely. `stolen` is the part of the time that was taken, and
`stationary` whether the noise stayed as it was while it was recorded: `true`, `false`, or `unknown`
where there was too little of it to tell. Unless it is `true`, tails cannot be compared. A scenario
replays it with `machine: {host_noise: {stolen: {}}}`.

Scope: reading, drawing.
Not done: gaps are independent of lengths and of each other, and cores of cores.
Validated by: tests/calibration/test_replaying.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iosim.errors import Mismatch, did_you_mean, shown
from iosim.machine.costs import Table
from iosim.units import parse_duration, parse_fraction

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MILLION = 1_000_000
UNKNOWN = "unknown"
"""How `stationary` is written where it is None."""
Path = tuple[str | int, ...]
Problem = Callable[[Path, Mismatch], None]


@dataclass(frozen=True)
class HostNoise:
    """Quantiles in parts per million with their ns, from 0 to a million."""

    length_ns: Table
    gap_ns: Table
    stolen: float
    """Part of the time, 0 to 1."""
    stationary: bool | None
    """None: there was too little of it to tell."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution of durations by quantiles in parts per million, straight in between."""

    table: Table

    def mean_ns(self) -> float:
        """Return the exact mean in ns."""
        pairs = zip(self.table, self.table[1:], strict=False)
        return sum((q1 - q0) * (ns0 + ns1) / 2 for (q0, ns0), (q1, ns1) in pairs) / MILLION

    def sample(self, rng: "np.random.Generator", n: int) -> "npt.NDArray[np.int64]":
        """Draw `n` durations in ns."""
        import numpy as np

        quantiles, durations_ns = zip(*self.table, strict=True)
        drawn = np.interp(rng.random(n) * MILLION, quantiles, durations_ns)
        whole: npt.NDArray[np.int64] = np.rint(drawn).astype(np.int64)
        return whole


def read(data: object, problem: Problem) -> HostNoise | None:
    """Read a profile's section; what is wrong with it goes to `problem`, all of it."""
    keys = ("length", "gap", "stolen", "stationary")
    if not isinstance(data, dict):
        problem((), Mismatch(f"a mapping with the keys {', '.join(keys)}", shown(data)))
        return None
    found: list[Mismatch] = []

    def refuse(path: Path, mismatch: Mismatch) -> None:
        found.append(mismatch)
        problem(path, mismatch)

    for key in data:
        if key not in keys:
            expected = f"one of the keys {', '.join(keys)}"
            refuse((key,), Mismatch(expected, shown(key), did_you_mean(key, keys)))
    for key in keys:
        if key not in data:
            refuse((), Mismatch(f"a key {key!r}", "none"))
    if found:
        return None
    length_ns = _table(data["length"], "length", refuse)
    gap_ns = _table(data["gap"], "gap", refuse)
    stolen = 0.0
    try:
        stolen = parse_fraction(data["stolen"])
    except Mismatch as mismatch:
        refuse(("stolen",), mismatch)
    stationary = None if data["stationary"] == UNKNOWN else data["stationary"]
    if not isinstance(stationary, bool | None) or data["stationary"] is None:
        refuse(("stationary",), Mismatch(f"true, false or {UNKNOWN}", shown(data["stationary"])))
    return None if found else HostNoise(length_ns, gap_ns, stolen, stationary)


def _table(data: Any, key: str, refuse: Problem) -> Table:
    if not isinstance(data, list) or len(data) < 2:
        expected = "quantiles [[0%, duration], ..., [100%, duration]]"
        refuse((key,), Mismatch(expected, shown(data)))
        return ()
    points: list[tuple[int, int]] = []
    for i, pair in enumerate(data):
        try:
            if not isinstance(pair, list) or len(pair) != 2:
                raise Mismatch("a pair [quantile, duration]", shown(pair))
            points.append((round(parse_fraction(pair[0]) * MILLION), parse_duration(pair[1])))
        except Mismatch as mismatch:
            refuse((key, i), mismatch)
    if len(points) < len(data):
        return ()
    quantiles, durations_ns = zip(*points, strict=True)
    if quantiles[0] or quantiles[-1] != MILLION or sorted(set(quantiles)) != list(quantiles):
        refuse((key,), Mismatch("quantiles that rise from 0% to 100%", shown(data)))
    elif sorted(durations_ns) != list(durations_ns):
        refuse((key,), Mismatch("durations that do not fall", shown(data)))
    elif not durations_ns[-1]:
        refuse((key,), Mismatch("a duration of more than 0", shown(data)))
    return tuple(points)
