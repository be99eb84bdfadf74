"""Where the numbers come from, and how to get them again.

Validated by: tests/report/test_page.py
"""

import shlex
from collections.abc import Iterable

from iosim.documents import Document
from iosim.report.html.markup import Markup, tag
from iosim.report.html.tables import table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.summary import describe
from iosim.units import format_percent


def provenance(documents: Iterable[Document]) -> list[Markup]:
    """For each result: scenario, seed, versions, profile, machine, noise, and the command."""
    return [_one(document) for document in documents]


def _one(document: Document) -> Markup:
    data = document.data
    made = data["provenance"]
    versions = ", ".join(f"{name} {made[name]}" for name in ("python", "simpy", "numpy"))
    rows = [
        ("source", document.source),
        ("scenario", f"{data['scenario']['name']} (SHA-256 {data['scenario_sha256'][:16]})"),
        ("seed", str(document.seed)),
        ("versions", f"iosim {data['iosim_version']}, {versions}"),
        ("ran on", made["platform"]),
    ]
    if document.profile:
        rows.append(("profile", f"{document.profile} (SHA-256 {data['profile_sha256'][:16]})"))
    if data.get("machine"):
        rows.append(("machine", _machine(data["machine"])))
    noise = _noise(document)
    if noise:
        rows.append(("noise", noise))
    if data["interrupted"]:
        rows.append(("interrupted", "the run was ended before all replications were done"))
    table = Table(
        document.name,
        (Column("what"), Column("value")),
        tuple((Cell(name), Cell(value)) for name, value in rows),
    )
    return tag(
        "div",
        table_of(table),
        tag("pre", f"iosim rerun {shlex.quote(document.name)}"),
        tag("details", tag("summary", "The scenario"), tag("pre", "\n".join(_scenario(document)))),
        class_="provenance",
    )


def _scenario(document: Document) -> list[str]:
    from iosim.errors import ScenarioError

    try:
        return describe(document.scenario(), document.profile)
    except ScenarioError as error:
        return [f"this version of iosim takes it no more: {error}"]


def _machine(machine: dict[str, object]) -> str:
    from iosim.real.this_machine import one_line

    return one_line(machine)


def _noise(document: Document) -> str:
    """What else had the cores during real runs: the largest part in any of them."""
    runs = [run for model in document.data["models"] for run in model.get("runs", ())]
    parts = []
    for name, says in (("stolen_ns", "taken by the host"), ("others_ns", "had by other processes")):
        shares = [run[name] / run["cores_ns"] for run in runs if run.get("cores_ns")]
        if shares:
            parts.append(f"up to {format_percent(max(shares))} of the cores' time {says}")
    return ", ".join(parts)


def warnings(documents: Iterable[Document]) -> Markup | None:
    """What to know before trusting the numbers, each sentence once."""
    told: dict[str, list[str]] = {}
    for document in documents:
        for sentence in document.data["warnings"]:
            told.setdefault(sentence, [])
        for model in document:
            for sentence in model.warnings:
                told.setdefault(sentence, []).append(model.label)
    items = [
        tag("li", f"{', '.join(dict.fromkeys(labels))}: " if labels else None, sentence)
        for sentence, labels in told.items()
    ]
    return tag("ul", items, class_="warnings") if items else None
