"""Tables as HTML: a caption, and headings that a screen reader can follow.

Validated by: tests/report/test_page.py
"""

from collections.abc import Callable, Iterable, Sequence

from iosim.documents import Document, ModelDocument
from iosim.report.html.markup import Markup, tag
from iosim.report.html.study import Study, load_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import COLUMNS, Measure, cell
from iosim.units import format_count


def table_of(table: Table) -> Markup:
    """Any table; a wide one is scrolled by itself, not with the page."""
    head = tag("tr", [tag("th", _breakable(column.title), scope="col") for column in table.columns])
    rows = [
        tag("tr", tag("th", row[0].text, scope="row"), [_cell(one) for one in row[1:]])
        for row in table.rows
    ]
    whole = tag(
        "table",
        tag("caption", table.title) if table.title else None,
        tag("thead", head),
        tag("tbody", rows),
        class_="stacked" if table.stacked else None,
    )
    notes = [tag("p", note, class_="note") for note in table.notes]
    name = table.title or "Table"
    return tag(
        "div",
        tag("div", whole, class_="scroll", role="region", tabindex="0", aria_label=name),
        notes,
    )


def _cell(one: Cell) -> Markup:
    return tag("td", one.text, tag("small", f" {one.interval}") if one.interval else None)


def _breakable(title: str) -> list[str]:
    """A heading that may go on in the next line behind the `/` of `/request`."""
    first, *others = title.split("/request")
    return [first, *(part for other in others for part in ("/", tag("wbr"), "request", other))]


def of_models(title: str, document: Document) -> Table:
    """The main table of one result: the same columns as in a terminal, as far as known."""
    columns = [
        column
        for column in COLUMNS
        if isinstance(column, Measure)
        and any(model.mean(column.metric) is not None for model in document)
    ]
    rows = tuple((Cell(model.label), *_values(model, columns)) for model in document)
    return Table(title, (Column("model"), *columns), rows, stacked=True)


def _values(model: ModelDocument, columns: Iterable[Measure]) -> list[Cell]:
    if model.error:
        return [Cell("-")] * len(list(columns))
    return [cell(model.metrics.get(column.metric), column.show) for column in columns]


def over_load(title: str, study: Study, metric: str, show: Callable[[float], str]) -> Table:
    """One metric: a row for each load, a column for each candidate."""
    columns = tuple(Column(candidate.name) for candidate in study.candidates)
    rows = []
    for load in study.loads:
        cells = [
            cell(model.metrics.get(metric), show) if (model := candidate.at.get(load)) else Cell("")
            for candidate in study.candidates
        ]
        rows.append((Cell(load_text(study, load)), *cells))
    return Table(title, (Column("load"), *columns), tuple(rows))


def of_metrics(
    title: str, study: Study, metrics: Sequence[tuple[str, str]], show: Callable[[float], str]
) -> Table:
    """Several metrics, as (name, heading), of each candidate at its setting's focus."""
    rows = tuple(
        (Cell(candidate.name), *(cell(model.metrics.get(name), show) for name, _ in metrics))
        for candidate, model in study.seen()
    )
    return Table(title, (Column("model"), *(Column(heading) for _, heading in metrics)), rows)


def load_text(study: Study, load: float) -> str:
    """A load as shown: `8.00k/s`, or `50 users`."""
    return f"{load:g} users" if study.by_users else f"{format_count(load)}/s"


def load_of_text(study: Study, document: Document) -> str:
    """The load of one result."""
    return load_text(study, load_of(document))
