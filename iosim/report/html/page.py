"""The page: documents in, HTML out.

    page(documents) -> str

What it does: question and answer first, then what they rest on, then how to get it again.
One document is a comparison of its models; several give the axis of load, or set measured
runs against simulated ones. Of a simulated one, single requests are watched again, which
simulates a short part of it.

Scope: everything stands in the page; its policy forbids the browser to fetch anything, and
to run any script but its own.
Not done: plots for papers (iosim.report.plot).
Validated by: tests/report/test_page.py, tests/report/test_in_a_browser.py
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from iosim.documents import Document
from iosim.errors import IosimError
from iosim.machine.thread import CAUSES
from iosim.report.html import agreement, charts, clock, lanes, loads, machines, stacks, tables
from iosim.report.html.answer import answers, question, without_name
from iosim.report.html.charts import section
from iosim.report.html.frame import legend
from iosim.report.html.markup import Markup, tag
from iosim.report.html.moments import ALONE, TOGETHER, Watched, watch
from iosim.report.html.study import Setting, Study, noun_of
from iosim.report.html.tables import load_of_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.table import duration, per_request

HERE = Path(__file__).parent
WIDTHS = {ALONE: 560, TOGETHER: 920}


def page(documents: Sequence[Document], *, timeline: bool = True) -> str:
    """A whole HTML document.

    timeline: whether to watch single requests again, which takes a moment for each model.
    Raises ValueError without documents.
    """
    study = Study.of(documents)
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "page.js").read_text(encoding="utf-8")
    title = study.first.data["scenario"]["name"]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title}: iosim report"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )
    body = tag("body", _body(study, title, timeline), tag("script", Markup(script)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _policy(script: str) -> str:
    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = ("default-src 'none'", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'")
    return "; ".join((*allowed, "img-src data:"))


def _body(study: Study, title: str, timeline: bool) -> list[Markup]:
    documents = [document for setting in study.settings for document in setting.documents]
    lead, *others = [*answers(study), *agreement.sentences(study)]
    header = tag(
        "header",
        tag("p", f"iosim report: {title}", class_="kicker"),
        tag("h1", question(study)),
        tag("p", lead, class_="answer"),
        tag("ul", [tag("li", sentence) for sentence in others], class_="findings")
        if others
        else None,
    )
    sections = [
        section("The models", "models", *_tables(study), machines.warnings(documents)),
        section("Against load", "load", loads.reach(study), _grid(loads.against_load(study))),
        section("A closer look", "closer", _grid(_closer(study))),
        *(_timeline(study) if timeline else ()),
        section(
            "Where this comes from, and how to get it again",
            "provenance",
            *machines.provenance(study),
        ),
    ]
    return [stacks.hatches(), tag("main", header, [one for one in sections if one])]


def _closer(study: Study) -> list[Markup | None]:
    return [
        charts.cpu_time(study),
        charts.response_time(study),
        charts.distribution(study),
        agreement.measured_against_simulated(study),
    ]


def _grid(figures: Iterable[Markup | None]) -> Markup | None:
    found = [one for one in figures if one]
    return tag("div", found, class_="grid") if found else None


def _tables(study: Study) -> list[Markup]:
    """The table of models at the load looked at, the others folded away."""
    shown = []
    for setting in study.settings:
        focus = study.focus(setting)
        shown.append(table_of(tables.of_models(_titled(study, setting, focus), focus)))
        rest = [document for document in setting.documents if document is not focus]
        if rest:
            inner = [
                table_of(tables.of_models(_titled(study, setting, document), document))
                for document in rest
            ]
            shown.append(tag("details", tag("summary", f"The other {len(rest)} loads"), inner))
    note = "\u00b1: the mean's 95% confidence interval, as half width, rounded up."
    return [*shown, tag("p", note, class_="note")]


def _titled(study: Study, setting: Setting, document: Document) -> str:
    whose = f"{setting.name}, " if len(study.settings) > 1 else ""
    return f"{whose}{load_of_text(study, document)}"


# ----------------------------------------------------------------------------- the moments

INTRODUCTION: dict[str, dict[str, str]] = {
    "request": {
        ALONE: "A request that has the server to itself. Every thread it needs is asleep and must "
        "be woken, whatever the model.",
        TOGETHER: "Requests that come close together. Here the models part: where each thread "
        "serves one connection, each is woken and goes back to sleep; where one thread serves "
        "them all, it goes on with what has come while it worked, and sleeps only when nothing "
        "has. At a light load that is often; the more load, the seldomer.",
    },
    "item": {
        ALONE: "An item that is made while no other is under way.",
        TOGETHER: "Items that are made close together: those who use them find the next one "
        "there, and need not sleep for it.",
    },
}


def _timeline(study: Study) -> Iterable[Markup | None]:
    simulated = [setting for setting in study.settings if not setting.measured]
    if not simulated:
        return
    document = simulated[0].documents[0]
    noun = noun_of(document)
    try:
        watched = watch(document)
    except IosimError as error:
        note = tag("p", f"No {noun} can be watched: {error}", class_="note")
        yield section(f"One {noun}, step by step", "steps", note)
        return
    at = f"At {load_of_text(study, document)}. " if len(study.loads) > 1 else ""
    for name, title in ((ALONE, f"One {noun}, step by step"), (TOGETHER, "Several at once")):
        yield section(
            title,
            f"steps-{name}",
            tag("p", f"{at}{INTRODUCTION[noun][name]}"),
            _moments(watched, name),
        )


def _moments(watched: list[Watched], name: str) -> Markup:
    moments = [one.moments[name] for one in watched if name in one.moments]
    width = WIDTHS[name]
    scale = clock.pixels_per_us(moments, width)
    causes = [
        cause
        for cause in CAUSES
        if any(span.cause == cause for moment in moments for span in moment.spans)
    ]
    told = [
        lanes.story(one.moments[name], scale, width, one.label)
        if name in one.moments
        else tag("p", f"{one.label}: {without_name(one.label, one.why_not)}", class_="note")
        for one in watched
    ]
    return tag(
        "div",
        table_of(_sums(watched, name)),
        legend(lanes.legend_entries(causes)),
        tag("p", "Work is to one scale in all pictures; a grey gap stands for the time written "
            "under it, in which no core works.", class_="note"),
        tag("div", told, class_=f"moments {name}"),
    )  # fmt: skip


def _sums(watched: list[Watched], name: str) -> Table:
    """What the moments came to, side by side."""
    rows = []
    for one in watched:
        if name in one.moments:
            moment = one.moments[name]
            count = len(moment.lives)
            calls = sum(moment.syscalls().values())
            cells = [
                per_request(sum(map(moment.count, ("slept", "preempted"))) / count),
                per_request(calls / count),
                duration(sum(moment.cpu_ns().values()) / count),
                duration(sum(life.answered_ns - life.intended_ns for life in moment.lives) / count),
            ]
            rows.append((Cell(one.label), *map(Cell, cells)))
    noun = next((moment.noun for one in watched for moment in one.moments.values()), "request")
    heads = ("model", "context switches", "syscalls", "CPU time", "response time")
    return Table(f"For each {noun} shown", tuple(map(Column, heads)), tuple(rows))
