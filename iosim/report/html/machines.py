"""Where the numbers come from, and how to get them again.

Validated by: tests/report/test_page.py
"""

import re
import shlex
from collections.abc import Iterable

from iosim.documents import Document
from iosim.report.html.markup import Markup, tag
from iosim.report.html.study import Study
from iosim.report.html.tables import load_of_text, table_of
from iosim.report.layout import Cell, Column, Table
from iosim.report.summary import describe
from iosim.units import format_percent


def provenance(study: Study) -> list[Markup]:
    """Scenario, seed, versions, profile, machine, noise, and the command, for each result.

    What all results have in common is said once.
    """
    documents = [document for setting in study.settings for document in setting.documents]
    facts = [_facts(study, document) for document in documents]
    names = list(dict.fromkeys(name for own in facts for name in own))
    common = [
        name
        for name in names
        if all(own.get(name) == facts[0].get(name) for own in facts) and len(facts) > 1
    ]
    shown = []
    if common:
        shown.append(_table("In common", {name: facts[0][name] for name in common}))
    for document, own in zip(documents, facts, strict=True):
        rest = {name: value for name, value in own.items() if name not in common}
        shown.append(
            tag(
                "div",
                _table(document.name, rest),
                tag("pre", f"iosim rerun {shlex.quote(document.name)}"),
            )
        )
    scenario = tag("pre", "\n".join(_scenario(study.first)))
    shown.append(tag("details", tag("summary", "The scenario"), scenario))
    return [tag("div", shown, class_="provenance")]


def _facts(study: Study, document: Document) -> dict[str, str]:
    data = document.data
    made = data["provenance"]
    versions = ", ".join(f"{name} {made[name]}" for name in ("python", "simpy", "numpy"))
    facts = {
        "load": load_of_text(study, document),
        "source": document.source,
        "scenario": f"{data['scenario']['name']}, SHA-256 {data['scenario_sha256'][:16]}",
        "seed": str(document.seed),
        "versions": f"iosim {data['iosim_version']}, {versions}",
        "ran on": made["platform"],
    }
    if document.profile:
        facts["profile"] = f"{document.profile}, SHA-256 {data['profile_sha256'][:16]}"
    if data.get("machine"):
        facts["machine"] = _machine(data["machine"])
    noise = _noise(document)
    if noise:
        facts["noise"] = noise
    if data["interrupted"]:
        facts["interrupted"] = "the run was ended before all replications were done"
    return facts


def _table(title: str, facts: dict[str, str]) -> Markup:
    rows = tuple((Cell(name), Cell(value)) for name, value in facts.items())
    return table_of(Table(title, (Column("what"), Column("value")), rows))


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
    """What to know before trusting the numbers; sentences that differ in figures alone, once."""
    told: dict[str, list[tuple[str, str]]] = {}
    for document in documents:
        found = [("", sentence) for sentence in document.data["warnings"]]
        found += [(model.label, sentence) for model in document for sentence in model.warnings]
        for label, sentence in found:
            told.setdefault(re.sub(r"\d[\d.,]*", "#", sentence), []).append((label, sentence))
    items = []
    for alike in told.values():
        labels = ", ".join(dict.fromkeys(label for label, _ in alike if label))
        more = f" ({len(alike) - 1} more like this)" if len(alike) > 1 else ""
        items.append(tag("li", f"{labels}: " if labels else None, alike[0][1], more))
    return tag("ul", items, class_="warnings") if items else None
