"""Two results side by side, and what follows from it.

Validated by: tests/studies/test_compare.py
"""

from collections.abc import Iterable, Iterator

from iosim.report.layout import Cell, Column, Table
from iosim.report.study import Answer
from iosim.report.values import change, short, shown, with_interval
from iosim.statistics import Estimate
from iosim.studies.comparing import Comparison, Pair
from iosim.studies.differences import Difference, Verdict

TITLES = {
    "throughput_per_s": "requests/s",
    "cpu_time_per_request_ns": "CPU/request",
    "voluntary_switches_per_request": "voluntary switches/req",
    "involuntary_switches_per_request": "involuntary sw./req",
    "syscalls_per_request": "syscalls/request",
}
"""What is shorter than a metric's name."""

_SHORT_VERDICTS: dict[Verdict, str] = {
    "better": "better",
    "worse": "worse",
    "differs": "other",
    "no difference shown": "same?",
    "unknown": "-",
}
CSV_COLUMNS = (
    *("a", "b", "metric", "unit", "a_mean", "b_mean"),
    *("difference", "difference_low", "difference_high"),
    *("ratio", "ratio_low", "ratio_high", "paired", "verdict"),
)


def title_of(metric: str) -> str:
    """What a metric is called where there is little room."""
    return TITLES.get(metric, short(metric))


def answer(comparison: Comparison) -> Answer:
    """A comparison, ready to be shown."""
    return Answer(
        title=f"{comparison.b} against {comparison.a}",
        tables=tuple(pair_table(pair, comparison.metrics) for pair in comparison.pairs),
        sentences=(*_sentences(comparison), *comparison.notes),
        document=comparison.to_document(),
        columns=CSV_COLUMNS,
        rows=tuple(
            csv_row(pair.a, pair.b, found)
            for pair in comparison.pairs
            for found in pair.differences.values()
        ),
    )


def csv_row(a: str, b: str, found: Difference) -> tuple[object, ...]:
    """A difference in the order of `CSV_COLUMNS`."""
    ratio = found.ratio or Estimate(None, None, None, 0)
    apart = found.difference
    return (
        *(a, b, found.metric, found.unit, found.a.mean, found.b.mean),
        *(apart.mean, apart.low, apart.high, ratio.mean, ratio.low, ratio.high),
        *(found.paired, found.verdict),
    )


def pair_table(pair: Pair, metrics: Iterable[str]) -> Table:
    """Two models, a metric a row; what neither knows is left out."""
    rows, notes = [], []
    for metric in metrics:
        found = pair.differences.get(metric)
        if found is None or not (found.missing or found.a.n or found.b.n):
            continue
        unit = found.unit
        rows.append(
            (
                Cell(title_of(metric)),
                Cell(_value(metric, unit, found.a)),
                Cell(_value(metric, unit, found.b)),
                Cell(with_interval(metric, unit, found.difference)),
                Cell(change(found.ratio)),
                Cell(_SHORT_VERDICTS[found.verdict]),
            )
        )
        if found.missing:
            notes.append(f"{title_of(metric)}: no verdict, as it is {found.missing}.")
    same = pair.a == pair.b
    heads = ("A", "B") if same or max(len(pair.a), len(pair.b)) > 8 else (pair.a, pair.b)
    columns = (*heads, "B - A" if heads == ("A", "B") else "difference", "change")
    if same:
        title = pair.a
    elif heads == ("A", "B"):
        title = f"A: {pair.a}, B: {pair.b}"
    else:
        title = ""
    how = (
        "Paired, replication by replication: both met the same arrivals."
        if pair.paired
        else "Not paired: the two did not meet the same random numbers."
    )
    return Table(
        title,
        (Column("metric"), *map(Column, columns), Column(f"{heads[1]} is")),
        tuple(rows),
        (f"{how} ±: 95% confidence. same?: no difference shown.", *notes),
    )


def _value(metric: str, unit: str, estimate: Estimate) -> str:
    return "-" if estimate.mean is None else shown(metric, unit, estimate.mean)


def _sentences(comparison: Comparison) -> Iterator[str]:
    for pair in comparison.pairs:
        yield from (f"Runs ended in an error: {error}" for error in pair.errors)
        yield verdict(pair, comparison.metrics)


def verdict(pair: Pair, metrics: Iterable[str]) -> str:
    """Who wins in what, in a sentence."""
    metrics = list(metrics)
    b, a = (pair.b, pair.a) if pair.a != pair.b else (f"{pair.b} in B", "A")
    told = [
        f"{verdict} in {', '.join(_named(found) for found in those)}"
        for verdict in ("better", "worse")
        if (those := pair.in_which(verdict, metrics))
    ]
    same = pair.in_which("no difference shown", metrics)
    partly = [
        title_of(found.metric) for found in pair.in_which("unknown", metrics) if found.missing
    ]
    if not told and not same and not partly:
        return f"{b} against {a}: one replication does not tell whether they differ."
    if not told and not partly:
        return f"{b} against {a}: no difference shown."
    if same:
        told.append(f"no difference shown in {', '.join(title_of(d.metric) for d in same)}")
    if partly:
        told.append(f"no verdict in {', '.join(partly)}")
    return f"{b} against {a}: {'; '.join(told)}."


def _named(found: Difference) -> str:
    if found.ratio is None:
        apart = with_interval(found.metric, found.unit, found.difference)
        return f"{title_of(found.metric)} ({apart})"
    return f"{title_of(found.metric)} ({change(found.ratio)})"
