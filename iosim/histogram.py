"""Response times in flat memory: a histogram that is linear within an octave, logarithmic across.

Values below 1,024 ns have a bucket each. Above, every octave (2**k to 2**(k+1)) is cut into 512
buckets of equal width, and a value is reported as the middle of its bucket: a percentile is off by
at most 1/1024 (below 0.1 %) of itself, from nanoseconds to centuries. The count, the sum, the
minimum and the maximum are exact.

Only the span of buckets between the smallest and the largest value seen is held: 4 KiB an octave,
30 to 60 KiB for typical response times, 220 KiB at worst. Saved and pickled, only buckets in use.

*Scope*: non-negative int64 nanoseconds, added in batches; histograms of parts of a run (or of
replications) merge into what one histogram of all values would hold, exactly.

*Not done*: no interpolation between neighbours. `percentile` follows numpy's "inverted_cdf": the
smallest recorded value that at least q percent of the values do not exceed, so it is always a
response time that some request really had (up to the bucket).

*Source*: HdrHistogram's bucket layout (Tene, hdrhistogram.org); percentile definition 1 of Hyndman
and Fan, "Sample quantiles in statistical packages", The American Statistician 50(4), 1996.

*Validated by*: tests/unit/test_histogram.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RELATIVE_ERROR = 1 / 1024
"""Largest distance of a reported percentile from the recorded value, relative to that value."""

_BUCKETS_PER_OCTAVE = 512
_EXACT_BITS = 10  # values of at most this many bits have a bucket each
_LOW_WORD = 0xFFFFFFFF


class Histogram:
    """Count response times, in ns. See the module for memory and error bounds.

    `count` values were added; `total_ns` is their exact sum; `min_ns` and `max_ns` are None while
    the histogram is empty.
    """

    __slots__ = ("_counts", "_first", "count", "max_ns", "min_ns", "total_ns")

    def __init__(self) -> None:
        import numpy as np

        self.count = 0
        self.total_ns = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None
        # _counts[i] belongs to the bucket with index _first + i.
        self._first = 0
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add_many(self, values_ns: NDArray[np.signedinteger[Any]] | Sequence[int]) -> None:
        """Add response times, in ns, each in 0..2**63-1.

        Raises TypeError for anything but signed integers, ValueError for a negative value; nothing
        is added then.
        """
        import numpy as np

        values = np.asarray(values_ns)
        if values.size == 0:
            return
        if values.dtype.kind != "i":
            raise TypeError(f"response times: expected int64 ns, found {values.dtype}")
        values = values.astype(np.int64, copy=False).ravel()
        low, high = int(values.min()), int(values.max())
        if low < 0:
            raise ValueError(f"response times: expected ns >= 0, found {low}")
        indices = _bucket_indices(values)
        first = int(indices.min())
        self._add_counts(first, np.bincount(indices - first))
        self._add_exact(values.size, _exact_sum(values, high), low, high)

    def merge(self, other: Histogram) -> None:
        """Add everything that `other` holds; `other` stays as it is."""
        if other.min_ns is None or other.max_ns is None:
            return
        self._add_counts(other._first, other._counts)
        self._add_exact(other.count, other.total_ns, other.min_ns, other.max_ns)

    @property
    def mean_ns(self) -> float | None:
        """Return the exact mean, in ns; None when empty."""
        return self.total_ns / self.count if self.count else None

    def percentile(self, q: float) -> int | None:
        """Return the q-th percentile, in ns, within RELATIVE_ERROR; None when empty.

        `q` is in 0..100 and read as the decimal number it prints as: the 99.9th percentile of
        1,000 values is the 999th, although 99.9 / 100 * 1000 is a little more than 999 in binary.
        Raises ValueError outside 0..100.
        """
        if not 0 <= q <= 100:
            raise ValueError(f"percentile: expected 0..100, found {q}")
        if self.min_ns is None or self.max_ns is None:
            return None
        return self.at_rank(max(1, ceil(Fraction(str(q)) * self.count / 100)))

    def at_rank(self, rank: int) -> int:
        """Return the `rank`-th smallest value, in ns, within RELATIVE_ERROR.

        Raises ValueError unless `rank` is in 1..count.
        """
        if self.min_ns is None or self.max_ns is None or not 1 <= rank <= self.count:
            raise ValueError(f"rank: expected 1..{self.count}, found {rank}")
        # The smallest and the largest value are known exactly.
        if rank == 1:
            return self.min_ns
        if rank == self.count:
            return self.max_ns
        # The first bucket by whose end at least `rank` values have been counted.
        index = self._first + int(self._counts.cumsum().searchsorted(rank))
        middle = _lowest_in(index) + _width_of(index) // 2
        return min(max(middle, self.min_ns), self.max_ns)

    def count_above(self, value_ns: float) -> int:
        """Return how many values lie in buckets above that of `value_ns` (>= 0, inf: none do)."""
        if self.max_ns is None or value_ns >= self.max_ns:
            return 0
        import numpy as np

        index = int(_bucket_indices(np.array([value_ns], np.int64))[0])
        return int(self._counts[max(index + 1 - self._first, 0) :].sum())

    def to_pairs(self) -> list[tuple[int, int]]:
        """Return (lowest value of the bucket in ns, count) of every bucket in use, ascending."""
        used = self._counts.nonzero()[0]
        return [
            (_lowest_in(self._first + offset), count)
            for offset, count in zip(used.tolist(), self._counts[used].tolist(), strict=True)
        ]

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[Sequence[int]],
        total_ns: int,
        min_ns: int | None,
        max_ns: int | None,
    ) -> Histogram:
        """Rebuild a histogram from `to_pairs()` and its exact sum, minimum and maximum.

        Raises ValueError if they cannot belong together.
        """
        import numpy as np

        histogram = cls()
        table = np.array([(low, count) for low, count in pairs], np.int64).reshape(-1, 2)
        lows, counts = table[:, 0], table[:, 1]
        if not lows.size:
            if (total_ns, min_ns, max_ns) != (0, None, None):
                raise ValueError("histogram: expected no sum, minimum or maximum without buckets")
            return histogram
        if lows.min() < 0 or counts.min() < 1:
            raise ValueError("histogram: expected buckets >= 0 ns with counts >= 1")
        indices = _bucket_indices(lows)
        first, last = int(indices.min()), int(indices.max())
        if (
            min_ns is None
            or max_ns is None
            or not min_ns <= max_ns
            or [first, last] != _bucket_indices(np.array([min_ns, max_ns], np.int64)).tolist()
        ):
            raise ValueError(
                f"histogram: minimum {min_ns} and maximum {max_ns} ns do not lie in its first"
                " and last buckets"
            )
        count = int(counts.sum())
        if not count * min_ns <= total_ns <= count * max_ns:
            raise ValueError(f"histogram: {count} values in its buckets cannot sum to {total_ns}")
        dense = np.zeros(last - first + 1, np.int64)
        np.add.at(dense, indices - first, counts)
        histogram._add_counts(first, dense)
        histogram._add_exact(count, total_ns, min_ns, max_ns)
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.__reduce__() == other.__reduce__()

    __hash__ = None  # type: ignore[assignment]  # it may be added to

    def __reduce__(self) -> tuple[Callable[..., Histogram], tuple[Any, ...]]:
        # Workers send their histograms back: only the buckets in use travel.
        return Histogram.from_pairs, (self.to_pairs(), self.total_ns, self.min_ns, self.max_ns)

    def _add_counts(self, first: int, counts: NDArray[np.int64]) -> None:
        import numpy as np

        if not self._counts.size:
            self._first, self._counts = first, counts.astype(np.int64)
            return
        start = min(first, self._first)
        end = max(first + counts.size, self._first + self._counts.size)
        if end - start > self._counts.size:
            wider = np.zeros(end - start, np.int64)
            wider[self._first - start :][: self._counts.size] = self._counts
            self._first, self._counts = start, wider
        self._counts[first - start :][: counts.size] += counts

    def _add_exact(self, count: int, total_ns: int, low_ns: int, high_ns: int) -> None:
        self.count += count
        self.total_ns += total_ns
        self.min_ns = low_ns if self.min_ns is None else min(self.min_ns, low_ns)
        self.max_ns = high_ns if self.max_ns is None else max(self.max_ns, high_ns)


def _bucket_indices(values: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    # frexp gives the bit length. Beyond 2**53 the conversion to float may round a value up to the
    # next power of two; its shift is then one too many, and the formula lands in the same bucket:
    # (e + 1) * 512 + 511 == e * 512 + 1023.
    bits = np.frexp(values.astype(np.float64))[1]
    shift = np.maximum(bits - _EXACT_BITS, 0).astype(np.int64)
    indices: NDArray[np.int64] = shift * _BUCKETS_PER_OCTAVE + (values >> shift)
    return indices


def _shift_of(index: int) -> int:
    return max(index // _BUCKETS_PER_OCTAVE - 1, 0)


def _lowest_in(index: int) -> int:
    shift = _shift_of(index)
    return (index - shift * _BUCKETS_PER_OCTAVE) << shift


def _width_of(index: int) -> int:
    return 1 << _shift_of(index)


def _exact_sum(values: NDArray[np.int64], largest: int) -> int:
    if largest * values.size < 2**63:
        return int(values.sum())
    # Halves of 32 bits cannot overflow their sums below 2**31 values; Python's integers then join.
    return (int((values >> 32).sum()) << 32) + int((values & _LOW_WORD).sum())
