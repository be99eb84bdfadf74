"""What changes do to a baseline: how much, and which part of it.

Each change has three tables: metrics as changes of the baseline's, then the parts of the mean
response time and of a request's CPU time as differences; and a sentence for each model.

Validated by: tests/studies/test_what_if.py
"""

from collections.abc import Iterable, Iterator
from functools import partial

from iosim.report.comparison import CSV_COLUMNS, csv_row, title_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.study import Answer
from iosim.report.table import NONE, main_table
from iosim.report.values import at_most, change, farthest, shown, signed, with_interval
from iosim.statistics import Estimate
from iosim.studies.causes import Cause
from iosim.studies.differences import Difference
from iosim.studies.what_if import Change, Effect, WhatIf

COLUMNS = {
    "throughput_per_s": "req/s",
    "response_time_mean_ns": "mean",
    "response_time_p50_ns": "p50",
    "response_time_p99_ns": "p99",
    "cpu_time_per_request_ns": "CPU/req",
    "voluntary_switches_per_request": "vol.",
    "involuntary_switches_per_request": "invol.",
    "syscalls_per_request": "syscalls",
}
SAME = "="
PARTLY = "?"
TIME_HEADS = {"wake_up": "wake-up", "run_queue": "run q.", "cpu": "CPU"}


def answer(found: WhatIf) -> Answer:
    """A what-if, ready to be shown."""
    baseline = found.baseline
    tables = [main_table(baseline)]
    for each in found.changes:
        tables += [table for table in _tables(each) if table.rows]
    return Answer(
        title=f"{baseline.scenario.name}: {len(found.changes)} change"
        + "s" * (len(found.changes) != 1),
        tables=tuple(tables),
        sentences=tuple(_sentences(found)),
        document=found.to_document(),
        columns=("change", "model", *CSV_COLUMNS[2:]),
        rows=tuple(_rows(found)),
        main=(_main(found),),
    )


def _rows(found: WhatIf) -> Iterator[tuple[object, ...]]:
    for each in found.changes:
        for effect in each.effects:
            for difference in effect.pair.differences.values():
                yield csv_row(each.text, effect.label, difference)


def _main(found: WhatIf) -> Table:
    """What each change does to each model's metrics, and what there is no figure of."""
    effects = [(each, effect) for each in found.changes for effect in each.effects]
    one = len(found.changes) == 1
    partly = dict.fromkeys(note for each in found.changes for note in _partly(each))
    failed = (_of(each, _told(effect)) for each, effect in effects if effect.pair.errors)
    return Table(
        found.changes[0].text if one else "",
        (Column("model" if one else "change: model"), *map(Column, COLUMNS.values())),
        tuple(
            _metrics(effect, effect.label if one else _of(each, effect.label))
            for each, effect in effects
        ),
        (_how(effect for _, effect in effects), *partly, *failed, *_left_out(found)),
        stacked=True,
    )


def _of(each: Change, text: str) -> str:
    return f"{each.text}: {text}"


def _how(effects: Iterable[Effect]) -> str:
    how = "paired" if all(effect.pair.paired for effect in effects) else "not all paired"
    return (
        f"Change from the baseline, ± its 95% interval, {how}. {SAME}: no difference shown, and "
        "how far the interval goes to either side."
    )


def _tables(each: Change) -> Iterator[Table]:
    yield Table(
        each.text,
        (Column("model"), *map(Column, COLUMNS.values())),
        tuple(_metrics(effect, effect.label) for effect in each.effects),
        (_how(each.effects), *_partly(each)),
        stacked=True,
    )
    yield _parts(
        each, "Of this, in the mean response time", [effect.time for effect in each.effects]
    )
    yield _parts(
        each, "Of this, in the CPU time of a request", [effect.cpu for effect in each.effects]
    )


def _partly(each: Change) -> Iterator[str]:
    for effect in each.effects:
        for metric in COLUMNS:
            found = effect.pair.differences.get(metric)
            if found is not None and found.missing:
                yield (
                    f"{PARTLY}: {effect.label}, {title_of(metric)}: no verdict, as it is "
                    f"{found.missing}."
                )


def _metrics(effect: Effect, label: str) -> tuple[Cell, ...]:
    cells = (_cell(effect.pair.differences.get(metric)) for metric in COLUMNS)
    return (Cell(label), *cells)


def _cell(found: Difference | None) -> Cell:
    if found is not None and found.missing:
        return Cell(PARTLY)
    if found is None or found.difference.mean is None:
        return Cell(NONE)
    if found.ratio is None:
        return _absolute(found)
    if found.judged and not found.shown:
        return Cell(SAME, at_most(found.ratio))
    text, _, interval = change(found.ratio).partition(" ")
    return Cell(text, interval)


def _absolute(found: Difference) -> Cell:
    if found.judged and not found.shown:
        return Cell(SAME, f"±{shown(found.metric, found.unit, farthest(found.difference))}")
    text, _, interval = with_interval(found.metric, found.unit, found.difference).partition(" ")
    return Cell(text, interval)


def _parts(each: Change, title: str, causes: Iterable[Cause | None]) -> Table:
    """Parts of one whole as differences, without those that nowhere moved."""
    rows = [
        (effect.label, cause)
        for effect, cause in zip(each.effects, causes, strict=True)
        if cause is not None and (cause.movers or cause.whole.shown)
    ]
    names = dict.fromkeys(
        name for _, cause in rows for name in cause.parts if name in dict(cause.movers)
    )
    ordered = [name for name in (rows[0][1].parts if rows else ()) if name in names]
    columns = ("model", "in all", *(TIME_HEADS.get(name, name) for name in ordered))
    return Table(
        title,
        tuple(map(Column, columns)),
        tuple(
            (
                Cell(label),
                _part(cause.whole),
                *(_part(cause.parts.get(name)) for name in ordered),
            )
            for label, cause in rows
        ),
        stacked=True,
    )


def _part(found: Difference | None) -> Cell:
    return Cell(NONE) if found is None else _absolute(found)


def _sentences(found: WhatIf) -> Iterator[str]:
    for each in found.changes:
        yield from (_of(each, _told(effect)) for effect in each.effects)
    yield from _left_out(found)


def _left_out(found: WhatIf) -> Iterator[str]:
    for each in found.changes:
        if each.alone:
            yield _of(each, f"only one of the two has {', '.join(each.alone)}.")
    if found.interrupted:
        yield "Interrupted: the changes that are missing had not finished."


def _told(effect: Effect) -> str:
    if effect.pair.errors:
        return f"{effect.label}: {effect.pair.errors[0]}"
    told = [_cause(cause) for cause in (effect.time, effect.cpu) if cause is not None]
    counts = [
        f"{title_of(name)} {_value(count.a)} to {_value(count.b)}"
        for name, count in effect.counts.items()
        if count.shown and _value(count.a) != _value(count.b)
    ]
    return f"{effect.label}: {'; '.join([*told, *counts])}."


def _value(estimate: Estimate) -> str:
    return NONE if estimate.mean is None else shown("", "1/request", estimate.mean)


def _cause(cause: Cause) -> str:
    whole = cause.whole
    if whole.missing:
        return f"no verdict in {cause.name}"
    if whole.difference.mean is None:
        return f"{cause.name} unknown"
    if whole.judged and not whole.shown:
        return f"no difference shown in {cause.name}"
    movers = ", ".join(
        f"{TIME_HEADS.get(name, name.replace('_', ' '))} "
        f"{partial(signed, '', 'ns')(part.difference.mean or 0.0)}"
        for name, part in cause.movers
    )
    of_it = f" (of it {movers})" if movers else ""
    return f"{cause.name} {with_interval('', 'ns', whole.difference)}{of_it}"
