"""When each piece of a burst ran.

A core's work is given to the trace as it ends. An interrupt, or the host, pushes it aside
without leaving a mark in it, so each piece is laid out backwards from its end, around them.

Validated by: tests/cli/test_explain_command.py, tests/report/test_perfetto_simulated.py
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iosim.machine.thread import Segment

Place = tuple[int, int]
"""(from, to), in ns."""


def laid_out(
    segments: "Iterable[Segment]", from_ns: int, to_ns: int, others: Sequence[Place]
) -> "list[tuple[Segment, list[Place]]]":
    """The segments that ran for `to_ns - from_ns` ns until `to_ns`, in order, and where.

    `others`: what else had the core meanwhile, in order. Of the last segment there may be more
    to come: it is given as long as it ran.
    """
    pieces = []
    left_ns = to_ns - from_ns
    for cause, ns, label in segments:
        if left_ns <= 0:
            break
        pieces.append((cause, min(ns, left_ns), label))
        left_ns -= ns
    found = []
    end_ns = to_ns
    for piece in reversed(pieces):
        places = _around(others, piece[1], end_ns)
        if places:
            end_ns = places[-1][0]
        found.append((piece, places[::-1]))
    return found[::-1]


def _around(others: Sequence[Place], ns: int, end_ns: int) -> list[Place]:
    """Where `ns` of work lay that ended at `end_ns`, latest first: not while others ran."""
    pieces = []
    for start_ns, stop_ns in reversed(others):
        if start_ns >= end_ns:
            continue
        if stop_ns <= end_ns - ns:
            break
        if stop_ns < end_ns:
            pieces.append((stop_ns, end_ns))
            ns -= end_ns - stop_ns
        end_ns = start_ns
    if ns:
        pieces.append((end_ns - ns, end_ns))
    return pieces
