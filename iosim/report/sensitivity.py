"""Tornados: which costs move a metric, how far, and whose order they could overturn.

    cost                 low   high   at low  at high
    context_switch     477ns  895ns  -1.2us  +2.1us      ---|------

Validated by: tests/studies/test_sensitivity.py
"""

from collections.abc import Iterable, Iterator

from iosim.profile import CostEntry
from iosim.report.comparison import title_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.study import Answer
from iosim.report.table import duration
from iosim.report.values import shown, signed
from iosim.statistics import Estimate
from iosim.studies.sensitivity import Overturn, Sensitivity, Swing
from iosim.units import format_size

MOST_ROWS = 10
SMALL = 0.01
"""A cost that moves the metric by less of its mean is no row."""
HALF_BAR = 9


def answer(found: Sensitivity) -> Answer:
    """A sensitivity, ready to be shown."""
    name = found.baseline.scenario.name
    tables = tuple(_tornado(found, label) for label in found.swings)
    return Answer(
        title=f"{name}: {title_of(found.metric)} by the costs' spreads, one at a time",
        tables=tables,
        main=tables,
        sentences=tuple(_sentences(found)),
        document=found.to_document(),
        columns=("model", "cost", "low", "high", "at_low", "at_high", "swing", "matters"),
        rows=tuple(
            (
                *(label, swing.cost, swing.low, swing.high),
                *(swing.at_low.difference.mean, swing.at_high.difference.mean),
                *(swing.size, swing.matters),
            )
            for label, swings in found.swings.items()
            for swing in swings
        ),
    )


def level(entry: CostEntry, value: float) -> str:
    """A cost's level as people read it: a factor, for a table."""
    if isinstance(entry.value, tuple):
        return f"x{value:g}"
    return duration(value) if entry.unit == "ns" else format_size(value).replace(" ", "")


def _tornado(found: Sensitivity, label: str) -> Table:
    mean = found.baseline[label].metrics[found.metric].mean or 0.0
    swings = found.swings[label]
    large = [swing for swing in swings if swing.matters and swing.size >= SMALL * mean]
    most = large[0].size if large else 0.0
    unit = _unit(found)
    rows = tuple(
        (
            Cell(swing.cost),
            Cell(level(found.entries[swing.cost], swing.low)),
            Cell(level(found.entries[swing.cost], swing.high)),
            _end(found.metric, unit, swing.at_low.difference),
            _end(found.metric, unit, swing.at_high.difference),
            Cell(f"{100 * swing.size / mean:.1f}%" if mean else "-"),
            Cell(_bar(swing, most)),
        )
        for swing in large[:MOST_ROWS]
    )
    columns = ("cost", "low", "high", "at low", "at high", "swing", "")
    others = [swing for swing in swings if swing not in large]
    less = sum(swing.within(SMALL * mean) for swing in others)
    return Table(
        f"{label}: {title_of(found.metric)} {shown(found.metric, unit, mean)}",
        tuple(map(Column, columns)),
        rows,
        tuple(_rest(len(large) - len(rows), less, len(others) - less)),
    )


def _rest(large: int, less: int, open_: int) -> Iterator[str]:
    """So many costs are no row: what of them is shown, and what is not."""
    if large:
        yield f"Costs that move it by {SMALL:.0%} or more, but by less than these: {large}."
    if less:
        yield f"Costs that move it by less than {SMALL:.0%}, as the whole interval says: {less}."
    if open_:
        yield f"Costs of which it is not shown whether they move it by {SMALL:.0%}: {open_}."


def _unit(found: Sensitivity) -> str:
    from iosim.metrics import describe

    return describe(found.metric).unit


def _end(metric: str, unit: str, estimate: Estimate) -> Cell:
    return Cell("-" if estimate.mean is None else signed(metric, unit, estimate.mean))


def _bar(swing: Swing, most: float) -> str:
    """Both ends around the baseline, to scale."""
    ends = [end.difference.mean or 0.0 for end in (swing.at_low, swing.at_high)]
    left, right = -min(*ends, 0.0), max(*ends, 0.0)
    chars = [round(HALF_BAR * side / most) if most else 0 for side in (left, right)]
    return f"{'-' * chars[0]:>{HALF_BAR}}|{'-' * chars[1]:<{HALF_BAR}}"


def _sentences(found: Sensitivity) -> Iterator[str]:
    tried = "each" if not found.interrupted else f"{len(found.tried)} of them, then interrupted,"
    yield (
        f"{len(found.touched)} costs are paid by these models; {tried} was set to both ends of its "
        "spread, all others unchanged, on the same random numbers."
    )
    if found.without_spread:
        yield f"Of no known spread, and so not tried: {', '.join(found.without_spread)}."
    if found.pairs:
        yield from _about_order(found)
    elif len(found.baseline) > 1:
        yield f"By {title_of(found.metric)} none of the models is ahead of another for certain."
    if found.interrupted:
        yield "Of the costs that had not been tried nothing is known."


def _about_order(found: Sensitivity) -> Iterator[str]:
    tried = " that was tried" if found.interrupted else ""
    certain = [each for each in found.overturns if each.certain]
    for overturn in certain:
        yield (
            f"{_at(found, overturn)}, {overturn.behind} is ahead of {overturn.ahead}: "
            "the order is overturned."
        )
    doubtful = [each for each in found.overturns if not each.certain]
    for pair, each in _by_pair(doubtful):
        where = ", ".join(_at(found, one) for one in each)
        yield f"{pair[0]} is ahead of {pair[1]}, but no longer for certain {where}."
    if not found.overturns:
        yield (
            f"No single cost{tried}, within its spread, changes the order of the models by "
            f"{title_of(found.metric)} ({found.pairs} pairs)."
        )
    elif not certain:
        yield f"No single cost{tried}, within its spread, overturns the order of the models."


def _by_pair(
    overturns: Iterable[Overturn],
) -> Iterable[tuple[tuple[str, str], list[Overturn]]]:
    pairs: dict[tuple[str, str], list[Overturn]] = {}
    for each in overturns:
        pairs.setdefault((each.ahead, each.behind), []).append(each)
    return pairs.items()


def _at(found: Sensitivity, overturn: Overturn) -> str:
    return f"with {overturn.cost} at {level(found.entries[overturn.cost], overturn.level)}"
