"""The question that a study asks, and its answer, in sentences.

One load: who keeps up and meets the objectives, who of these does with least CPU time and
fewest switches. Several loads: up to which of them each model does. What holds back a model
that does not is told with the figures that show it.

The knee of a curve is the load at which throughput by mean response time is greatest: beyond
it, waiting grows faster than what is answered.

Scope: of loads in between those given nothing is known, and nothing is said.
Source: the knee is that of Kleinrock, Power and deterministic rules of thumb for
probabilistic problems in computer communications, ICC 1979.
Validated by: tests/report/test_answer.py
"""

from collections.abc import Iterable

from iosim.documents import Document, ModelDocument
from iosim.report.finding import Values, least
from iosim.report.html.study import (
    KEEPS_UP,
    SWITCHES,
    Candidate,
    Setting,
    Study,
    answered_part,
    estimate_of,
    has_load,
    keeps_up,
    load_of,
    meets,
    noun_of,
    switches_of,
)
from iosim.report.html.tables import load_text
from iosim.report.limiter import AT_LIMIT
from iosim.report.table import per_request
from iosim.units import format_duration_ns, format_percent

PARTS = {
    "client": "waiting at the client for the connection",
    "network": "the way there and back",
    "queue": "waiting for a thread, taken by other requests",
    "wake_up": "waking threads",
    "run_queue": "waiting for a core",
    "cpu": "computing",
    "lock": "waiting for a lock",
    "device": "calls and sleeps",
}


def question(study: Study) -> str:
    """What the results are to tell."""
    document = study.first
    count = len(study.labels)
    cores = document.data["scenario"]["machine"]["cores"]
    where = "on 1 core" if cores == 1 else f"on {cores} cores"
    slos = _objectives(document)
    under = f" under {' and '.join(slos)}" if slos else ""
    if len(study.loads) > 1:
        which = "does this server carry" if count == 1 else f"do {count} I/O models carry"
        return f"How much load {which} {where}{under}?"
    load = load_text(study, study.loads[0]) if has_load(document) else "this work"
    if count == 1:
        return f"Does {study.labels[0]} carry {load} {where}{under}?"
    return f"Which of {count} I/O models should carry {load} {where}{under}?"


def answers(study: Study) -> list[str]:
    """Sentences, the most important first."""
    told: list[str] = []
    for setting in study.settings:
        one_load = len(setting.documents) == 1
        lead, *why = _one_load(setting) if one_load else _reach(study, setting)
        if len(study.settings) > 1:
            lead = f"{setting.name.capitalize()}: {lead}"
        thrift = _thrift(study, setting) if setting is study.settings[0] else []
        if one_load and thrift and not told:
            lead = f"{lead} {thrift.pop(0)}"
        told += [lead, *why, *thrift]
    return told


def knee(candidate: Candidate) -> float | None:
    """The load at the knee; None if the last load given is still before it, or is alone."""
    power = {
        load: throughput / response_ns
        for load, model in candidate.at.items()
        if (throughput := model.mean("throughput_per_s"))
        and (response_ns := model.mean("response_time_mean_ns"))
    }
    if len(power) < 3:
        return None
    best = max(power, key=lambda load: power[load])
    return None if best == max(power) else best


def carries(candidate: Candidate) -> tuple[float | None, float | None]:
    """The highest load up to which all is well, and the next one, if there are such."""
    best = None
    for load, model in candidate.at.items():
        if not meets(candidate.setting.at(load), model):
            return best, load
        best = load
    return best, None


# ----------------------------------------------------------------------------- sentences


def _objectives(document: Document) -> list[str]:
    lines = (line for model in document for line in model.verdicts)
    return list(dict.fromkeys(lines))


def _reach(study: Study, setting: Setting) -> list[str]:
    """Of each model, how far it goes, the furthest first; then why the others stop."""
    own = [candidate for candidate in study.candidates if candidate.setting is setting]
    by_reach: dict[tuple[float, float | None], list[Candidate]] = {}
    for candidate in own:
        best, stopped = carries(candidate)
        by_reach.setdefault((best or 0.0, stopped), []).append(candidate)
    parts = []
    for (best, stopped), group in sorted(by_reach.items(), key=lambda item: -item[0][0]):
        names = _list([candidate.label for candidate in group])
        verb = "carries" if len(group) == 1 else "carry"
        if stopped is None:
            parts.append(f"{names} {verb} {load_text(study, best)}, the highest load given")
        elif best:
            upper = load_text(study, stopped)
            parts.append(f"{names} {verb} {load_text(study, best)}, but not {upper}")
        else:
            none = "does not carry" if len(group) == 1 else "do not carry"
            parts.append(f"{names} {none} even {load_text(study, stopped)}")
    told = [f"{'; '.join(parts)}."]
    for candidate in own:
        _, stopped = carries(candidate)
        if stopped is not None:
            document = setting.at(stopped)
            why = shortfall(document, candidate.at[stopped])
            told.append(f"{candidate.label} at {load_text(study, stopped)}: {why}.")
    return told


def _one_load(setting: Setting) -> list[str]:
    """Who does well, of whom it is not known, who does not; then why."""
    (document,) = setting.documents
    by_fate: dict[str, list[str]] = {"well": [], "undecided": [], "not": []}
    reasons: dict[str, list[str]] = {}
    for model in document:
        fate = _fate(document, model)
        by_fate[fate].append(model.label)
        if fate != "well":
            reasons.setdefault(shortfall(document, model), []).append(model.label)
    well, undecided, failing = by_fate.values()
    if well and not undecided and not failing:
        whom = {1: f"{well[0]} keeps", 2: "Both keep"}.get(len(well), f"All {len(well)} keep")
        lead = f"{whom} up"
        if _objectives(document):
            lead += " and meets" if len(well) == 1 else " and meet"
            lead += " every objective"
    else:
        parts = []
        if well:
            parts.append(f"{_list(well)} {'does' if len(well) == 1 else 'do'}")
        if failing:
            parts.append(f"{_list(failing)} {'does' if len(failing) == 1 else 'do'} not")
        if undecided:
            parts.append(f"of {_list(undecided)} the runs cannot tell")
        lead = "; ".join(parts)
        lead = lead[0].upper() + lead[1:] if not (well or failing) else lead
    return [f"{lead}."] + [f"{_list(labels)}: {reason}." for reason, labels in reasons.items()]


def _fate(document: Document, model: ModelDocument) -> str:
    if meets(document, model):
        return "well"
    failing = "fail" in model.verdicts.values() or not keeps_up(document, model)
    return "not" if failing else "undecided"


def shortfall(document: Document, model: ModelDocument) -> str:
    """In what a model falls short, and what holds it back."""
    if model.error:
        return without_name(model.label, model.error).removesuffix(".")
    short = []
    part = answered_part(document, model)
    if part < KEEPS_UP:
        short.append(f"answers {format_percent(max(part, 0.0))} in time")
    by_verdict = {
        verdict: [line for line, found in model.verdicts.items() if found == verdict]
        for verdict in ("fail", "inconclusive")
    }
    if by_verdict["fail"]:
        short.append(f"fails {_list(by_verdict['fail'])}")
    if by_verdict["inconclusive"]:
        short.append(f"the runs leave {_list(by_verdict['inconclusive'])} undecided")
    reason = held_back(document, model)
    return "; ".join(short) + (f": {reason}" if reason else "")


def without_name(label: str, error: str) -> str:
    """What ended a model's runs, where its name already stands."""
    return error.removeprefix(f"{label}, ")


def held_back(document: Document, model: ModelDocument) -> str:
    """What is used up, or else the largest part of a mean response; empty if nothing shows it."""
    cores = int(document.data["scenario"]["machine"]["cores"])
    spinning = model.mean("cpu_spin_fraction") or 0.0
    thread = (model.mean("cpu_utilization_busiest_thread") or 0.0) - spinning * cores
    if cores > 1 and thread >= AT_LIMIT:
        return f"its busiest thread had {format_percent(thread)} of one core, and can have no more"
    busy = (model.mean("cpu_utilization") or 0.0) - spinning
    if busy >= AT_LIMIT:
        whose = "the core was" if cores == 1 else f"all {cores} cores were"
        return f"{whose} busy {format_percent(busy)} of the time{_switching(model)}"
    held = model.mean("interpreter_lock_utilization") or 0.0
    if held >= AT_LIMIT:
        return f"the interpreter lock was held {format_percent(held)} of the time"
    for name in document.data["scenario"]["devices"]:
        used = model.mean(f"device_{name}_utilization") or 0.0
        if used >= AT_LIMIT:
            return f"the places of device {name} were in use {format_percent(used)} of the time"
    parts_ns = {part: model.mean(f"time_{part}_ns") or 0.0 for part in PARTS}
    largest = max(parts_ns, key=lambda part: parts_ns[part])
    response_ns = model.mean("response_time_mean_ns")
    if not parts_ns[largest] or not response_ns:
        return ""
    return (
        f"{format_duration_ns(parts_ns[largest])} of a mean response of "
        f"{format_duration_ns(response_ns)} went into {PARTS[largest]}"
    )


def _switching(model: ModelDocument) -> str:
    causes = ("cpu_switch_fraction", "cpu_refill_fraction")
    part = sum(model.mean(cause) or 0.0 for cause in causes)
    return f", {format_percent(part)} of it with context switches" if part >= 0.05 else ""


def _thrift(study: Study, setting: Setting) -> list[str]:
    """Who does with least, at the load that is looked at closely."""
    document = study.focus(setting)
    models = [model for model in document if keeps_up(document, model)]
    noun = noun_of(document)
    at = load_text(study, load_of(document))
    where = f" at {at}" if len(setting.documents) > 1 else ""
    return [
        *least(_cpu(models), "Least", f"CPU time per {noun}{where}", format_duration_ns),
        *least(_switches(models), "Fewest", f"context switches per {noun}{where}", per_request),
    ]


def _cpu(models: Iterable[ModelDocument]) -> list[Values]:
    metric = "cpu_time_per_request_ns"
    return [
        Values(model.label, mean, dict(enumerate(model.values[metric])))
        for model in models
        if (mean := model.mean(metric)) is not None
    ]


def _switches(models: Iterable[ModelDocument]) -> list[Values]:
    return [
        Values(model.label, found.mean, dict(enumerate(switches_of(model))))
        for model in models
        if (found := estimate_of(model, SWITCHES)) is not None and found.mean is not None
    ]


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
