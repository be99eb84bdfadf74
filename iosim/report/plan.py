"""A plan in tables and sentences: what each model carries, what stops it, what is enough.

Scope: the same tables for terminal and Markdown; no layout.
Not done: intervals of the highest load; that it passes is what its own interval says.
Validated by: tests/cli/test_plan_command.py
"""

from collections.abc import Iterable, Iterator

from iosim.report.layout import Cell, Column, Table
from iosim.report.table import LABEL, NONE, cell, duration, percent
from iosim.slo import parse_slo
from iosim.studies.planning import ModelPlan, Offer, Plan
from iosim.studies.settings import Setting
from iosim.units import format_count, format_size

UNITS = {"requests/s": "/s", "users": " users"}


def load_text(load: float, plan: Plan) -> str:
    """A load with its unit: `22.0k/s`, `340 users`."""
    return f"{format_count(load)}{UNITS[plan.unit]}"


def headline(plan: Plan) -> str:
    """What the tables are about."""
    return f"today {load_text(plan.load, plan)}, objectives {', '.join(plan.objectives)}"


def tables(plan: Plan) -> list[Table]:
    """All of them; those without rows are left out."""
    found = [_highest(plan), *_settings(plan), *_offers(plan)]
    return [table for table in found if table.rows]


# --------------------------------------------------------------------------- highest load


def _highest(plan: Plan) -> Table:
    shown = response_metric(plan)
    columns = [
        LABEL,
        Column("today"),
        Column("carries"),
        Column("headroom"),
        Column("fails at"),
        Column(f"{_short(shown)} there"),
        Column("CPU there", "CPU"),
        Column("stopped by"),
    ]
    if plan.growth is not None:
        columns[6] = Column(f"lasts ({plan.growth.text})", "lasts")
    rows = tuple(_highest_row(model, plan, shown) for model in plan.models)
    return Table(
        f"The highest load, under {' and '.join(plan.objectives)}",
        tuple(columns),
        rows,
        (
            "today: the verdict on today's load. carries: the highest load of which the 95% "
            f"interval of every objective passes, to {100 * plan.resolution:g}%; fails at: the "
            "lowest above it that fails; between the two nothing is proved.",
        ),
    )


def _highest_row(model: ModelPlan, plan: Plan, shown: str) -> tuple[Cell, ...]:
    capacity = model.capacity
    carries, fails, limit = capacity.carries, capacity.fails, capacity.limit
    cells = [
        Cell(model.label),
        Cell(capacity.today.verdict),
        Cell(load_text(carries.load, plan) if carries else "no load"),
        Cell(headroom_text(capacity.headroom)),
        Cell(load_text(fails.load, plan) if fails else NONE),
        cell(carries.metrics.get(shown) if carries else None, duration),
        Cell(cell(carries.metrics.get("cpu_utilization") if carries else None, percent).text),
        Cell(limit.name if limit else "nothing found"),
    ]
    if plan.growth is not None:
        lasts = NONE if model.lasts is None else f"{model.lasts:.1f} {plan.growth.period}s"
        cells[6] = Cell(lasts)
    return tuple(cells)


def headroom_text(headroom: float | None) -> str:
    """So much more load than today's."""
    return NONE if headroom is None else f"{100 * headroom:+.0f}%"


def response_metric(plan: Plan) -> str:
    """The response time that objectives speak of first, or p99."""
    asked = [parse_slo(line).metric for line in plan.objectives]
    times = [name for name in asked if name.startswith("response_time_")]
    return times[0] if times else "response_time_p99_ns"


def _short(metric: str) -> str:
    return metric.removeprefix("response_time_").removesuffix("_ns").replace("_", ".")


# ------------------------------------------------------------------------------- settings


def _settings(plan: Plan) -> Iterator[Table]:
    shown = response_metric(plan)
    for model in plan.models:
        if model.sizing is None:
            continue
        enough = [tried.setting for tried in model.sizing.enough]
        rows = tuple(
            (
                Cell(setting_text(tried.setting)),
                Cell(tried.probe.verdict),
                cell(tried.probe.metrics.get(shown), duration),
                Cell(cell(tried.probe.metrics.get("cpu_utilization"), percent).text),
                Cell(cell(tried.probe.metrics.get("memory_bytes"), format_size).text),
                Cell("enough" if tried.setting in enough else ""),
            )
            for tried in model.sizing.tried
        )
        columns = (
            Column("setting"),
            Column("verdict"),
            Column(_short(shown)),
            Column("CPU"),
            Column("memory"),
            Column(""),
        )
        title = f"{model.label} at today's {load_text(plan.load, plan)}"
        yield Table(title, columns, rows, tuple(_tried(len(rows))))


def _tried(count: int) -> Iterator[str]:
    if count > 1:
        yield (
            f"{count} settings were tried on the same replications, each at 95%: one of several "
            "that are nearly enough may pass by chance. Another --seed tells."
        )


def setting_text(setting: Setting) -> str:
    """The last word of each path, and its value."""
    return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in setting.items())


# ----------------------------------------------------------------------------------- cost


def _offers(plan: Plan) -> Iterator[Table]:
    if plan.prices is None:
        return
    rows = tuple(
        (
            Cell(offer.label),
            Cell(setting_text(offer.setting) or "as it is"),
            Cell(f"{offer.machines}"),
            Cell(f"{offer.cost:,.2f}"),
        )
        for offer in plan.offers
    )
    columns = (
        LABEL,
        Column("setting"),
        Column("machines"),
        Column(f"cost a {plan.prices.period}", f"a {plan.prices.period}"),
    )
    yield Table(
        f"What carries today's {load_text(plan.load, plan)}, the cheapest first",
        columns,
        rows,
        (f"{plan.prices.text}: cores, and memory at the peak.",),
    )


# ------------------------------------------------------------------------------ sentences


def sentences(plan: Plan) -> list[str]:
    """What follows from the tables; the last one is the answer."""
    return [
        *_interrupted(plan),
        *_errors(plan),
        *_enough(plan),
        *_lasting(plan),
        *_cheapest(plan),
        *_answer(plan),
    ]


def _interrupted(plan: Plan) -> Iterator[str]:
    if plan.interrupted:
        finished = ", ".join(model.label for model in plan.models) or "none"
        yield f"Interrupted; models that had been finished: {finished}."


def _errors(plan: Plan) -> Iterator[str]:
    for model in plan.models:
        failed = [probe for probe in model.capacity.probes if probe.error]
        if failed:
            yield f"From {load_text(failed[0].load, plan)} on: {failed[0].error}."


def _enough(plan: Plan) -> Iterator[str]:
    today = load_text(plan.load, plan)
    for model in plan.models:
        if model.sizing is None:
            continue
        enough = [setting_text(tried.setting) for tried in model.sizing.enough]
        if enough:
            least = " or ".join(enough)
            yield f"{model.label} needs {least} to carry today's {today}, without any margin."
        else:
            yield f"{model.label}: no setting that was tried carries today's {today}."


def _lasting(plan: Plan) -> Iterator[str]:
    if plan.growth is None:
        return
    lasting = [(m.lasts, m.label) for m in plan.models if m.lasts is not None]
    told = [
        f"{label} lasts {lasts:.1f} {plan.growth.period}s" if lasts else f"{label} is exceeded"
        for lasts, label in sorted(lasting, reverse=True)
    ]
    if told:
        yield f"With {plan.growth.text} more load: {'; '.join(told)}."


def _cheapest(plan: Plan) -> Iterator[str]:
    if plan.prices is None or not plan.offers:
        return
    first, last = plan.offers[0], plan.offers[-1]
    period = plan.prices.period
    yield (
        f"Cheapest: {_offer_text(first)}, {first.cost:,.2f} a {period}"
        + (f"; dearest: {_offer_text(last)}, {last.cost:,.2f}." if last is not first else ".")
    )


def _offer_text(offer: Offer) -> str:
    setting = f" ({setting_text(offer.setting)})" if offer.setting else ""
    machines = f" on {offer.machines} machines" if offer.machines > 1 else ""
    return f"{offer.label}{setting}{machines}"


def _answer(plan: Plan) -> Iterator[str]:
    """Who carries most and who less, and what stops each."""
    ranked = sorted(
        plan.models,
        key=lambda model: -(model.capacity.carries.load if model.capacity.carries else 0.0),
    )
    if not ranked:
        return
    first, *others = ranked
    under = f"under {' and '.join(plan.objectives)}"
    parts = [_carries(first, plan, under)]
    parts += [_stops(model, plan) for model in others]
    yield "; ".join(parts) + "."


def _carries(model: ModelPlan, plan: Plan, under: str) -> str:
    capacity = model.capacity
    carries, limit = capacity.carries, capacity.limit
    why = f": {limit.evidence}" if limit is not None else ""
    if carries is None:
        return f"{model.label} carries no load {under}{why}"
    if limit is None:
        return f"{model.label} carries {load_text(carries.load, plan)} {under}, and perhaps more"
    return f"{model.label} carries {load_text(carries.load, plan)} {under} ({limit.evidence})"


def _stops(model: ModelPlan, plan: Plan) -> str:
    capacity = model.capacity
    carries, limit = capacity.carries, capacity.limit
    where = f"stops at {load_text(carries.load, plan)}" if carries else "carries no load"
    return f"{model.label} {where}" + (f": {limit.evidence}" if limit is not None else "")


def warnings(plan: Plan) -> Iterable[str]:
    """What to know before trusting the numbers."""
    yield from plan.warnings
    for model in plan.models:
        carries = model.capacity.carries
        if carries is not None and model.capacity.limit is None:
            yield f"{model.label}: no limit was found up to {load_text(carries.load, plan)}"
        for line, reason in model.capacity.today.reasons.items():
            if model.capacity.today.verdict == "inconclusive":
                yield f"{model.label}, {line} at today's load: {reason}"
        yield from _of_runs(model, plan)


def _of_runs(model: ModelPlan, plan: Plan) -> Iterator[str]:
    """What to know of the runs that the answer rests on."""
    today, carries = model.capacity.today, model.capacity.carries
    told = {f"at {load_text(each.load, plan)}": each for each in (today, carries) if each}
    for tried in model.sizing.enough if model.sizing is not None else ():
        told[f"with {setting_text(tried.setting)}"] = tried.probe
    for where, each in told.items():
        for warning in each.warnings:
            yield f"{model.label} {where}: {warning}"
