"""What was simulated, and how it ended, in a few lines each.

Validated by: tests/cli/test_check_command.py, tests/cli/test_run_command.py
"""

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from iosim.report.layout import WIDTH, Style, paragraph
from iosim.units import canonical_duration, format_percent

if TYPE_CHECKING:
    from pydantic import BaseModel

    from iosim.results import Results
    from iosim.scenario import HostNoise, Scenario


def describe(scenario: "Scenario", profile: str | None = None) -> list[str]:
    """What a scenario simulates, in a few lines.

    profile: what results call the costs they come from, if any; by default as the scenario names
    them.
    """
    machine, run = scenario.machine, scenario.run
    costs = machine.profile if profile is None else profile
    models = ", ".join(model.label or model.kind for model in scenario.models)
    server = scenario.server
    handler = _steps(server.handler)
    classes = "; ".join(
        f"{name} (weight {one.weight:g}{', ' if one.handler else ''}{_steps(one.handler)})"
        for name, one in server.classes.items()
    )
    devices = ", ".join(f"{name} ({_choice(device)})" for name, device in scenario.devices.items())
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    times = "once" if run.replications == 1 else f"{run.replications} times"
    lines = [
        f"models    {models}",
        f"workload  {_choice(scenario.workload)}",
        f"handler   {handler}" if handler else "",
        f"classes   {classes}" if classes else "",
        f"devices   {devices}" if devices else "",
        f"machine   {cores}, {_choice(machine.scheduler)}, {_choice(machine.network)}, "
        f"{machine.runtime}" + (f", profile {costs}" if costs else ""),
        f"host      {_noise(machine.host_noise)}" if machine.host_noise else "",
        f"run       {times} {canonical_duration(run.duration)}, seed {run.seed}",
    ]
    indent = " " * lines[0].index(models)
    return [
        line
        for text in lines
        if text
        for line in wrap(text, WIDTH - 2, subsequent_indent=indent, break_long_words=False)
    ]


def _steps(handler: "Iterable[BaseModel]") -> str:
    steps = [step.model_dump(mode="json", exclude_unset=True) for step in handler]
    return ", ".join(f"{key} {_brief(value)}" for step in steps for key, value in step.items())


def _noise(noise: "HostNoise") -> str:
    """What the machine's host takes away; of a part without options, its name."""
    parts = noise.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return ", ".join(f"{part} {_brief(options)}".strip() for part, options in parts.items())


def _choice(chosen: Any) -> str:
    options = chosen.options.model_dump(mode="json", exclude_unset=True)
    return f"{chosen.kind} {_brief(options)}".strip()


def _brief(value: Any) -> str:
    """A part of a scenario in one line, as its author might have written it."""
    if not isinstance(value, dict):
        return str(value)
    if len(value) == 1:
        ((kind, options),) = value.items()
        if isinstance(options, dict) and len(options) == 1:
            (only,) = options.values()
            return _brief(only) if kind == "deterministic" else f"{kind} {_brief(only)}"
    return ", ".join(f"{key} {_brief(part)}" for key, part in value.items())


def endings(results: "Results") -> list[str]:
    """What went wrong, and how the objectives fared: one text each."""
    lines = []
    if results.interrupted:
        finished = ", ".join(f"{m.label} {len(m.records)}" for m in results.models)
        lines.append(f"Interrupted; replications that had finished: {finished}.")
    lines += [f"No result: {model.error}" for model in results.models if model.error]
    if any(model.error and model.records for model in results.models):
        lines.append("What is shown of such a model comes from its other replications.")
    lines += _unanswered(results)
    for objective in dict.fromkeys(line for m in results.models for line in m.verdicts):
        by_verdict: dict[str, list[str]] = {}
        for model in results.models:
            if objective in model.verdicts:
                by_verdict.setdefault(model.verdicts[objective], []).append(model.label)
        told = "; ".join(
            f"{verdict}: {', '.join(by_verdict[verdict])}"
            for verdict in ("fail", "inconclusive", "pass")
            if verdict in by_verdict
        )
        lines.append(f"{objective}  {told}")
        why: dict[str, list[str]] = {}
        for model in results.models:
            if objective in model.reasons:
                why.setdefault(model.reasons[objective], []).append(model.label)
        lines += [f"  {', '.join(labels)}: {reason}" for reason, labels in why.items()]
    return lines


def _unanswered(results: "Results") -> list[str]:
    """How many requests got no answer: the response times do not show them."""
    told = []
    for model in results.models:
        lost = sum(r.refused_in_window + r.timed_out_in_window for r in model.records)
        if lost:
            ended = lost + sum(record.answered for record in model.records)
            told.append(f"{model.label} {format_percent(lost / ended)}")
    if not told:
        return []
    return [
        f"no answer: {', '.join(told)} of the requests were refused or timed out; response times "
        "in the tables are those of the others, objectives count these as later than any."
    ]


_VERDICT = re.compile(r"\b(no answer|fail|inconclusive|pass):")


def ending_lines(results: "Results", style: Style) -> list[str]:
    """The same for a terminal."""
    colours = {
        "no answer:": style.bad,
        "fail:": style.bad,
        "inconclusive:": style.doubtful,
        "pass:": style.good,
    }
    return [
        _VERDICT.sub(lambda found: colours[found[0]](found[0]), line)
        for text in endings(results)
        for line in paragraph(text)
    ]
