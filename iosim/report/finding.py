"""What the numbers say, in a sentence or two, and no more than they say.

Models are compared by paired differences, replication by replication: all of them met the
same arrivals and demands, so a difference may be certain where their intervals overlap,
and is only called one if the 95% interval of the differences leaves out zero.

Who does not keep up, or fails an objective, is told with what held it back (limiter.py).

Not done: correcting for the number of comparisons; explaining why one model does with less.
Source: Law, Simulation Modeling and Analysis, 5th ed., 10.2.1 (paired-t confidence).
Validated by: tests/cli/test_finding.py
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iosim.metrics import measure_all
from iosim.report.limiter import limiter
from iosim.report.table import per_request, traffic
from iosim.results import ModelResult, Results
from iosim.statistics import paired_difference
from iosim.units import format_count, format_duration_ns, format_percent

KEEPS_UP = 0.95
"""A server that answers less than this part of an open workload does not keep up."""


@dataclass(frozen=True)
class Values:
    """One metric of one model: its mean, and its value in each replication."""

    label: str
    mean: float
    values: dict[int, float | None]


PERCENTILES = ("p99", "p90", "p50")


def findings(results: Results) -> list[str]:
    """Sentences on who carries the load, who answers soonest, and who does with least."""
    models = [model for model in results.models if model.records and not model.error]
    found = [*_carried(results, models), *_overload(results, models)]
    if len(models) > 1:
        found += _soonest(results, models)
        one = traffic(results.scenario).removesuffix("s")
        cpu = f"CPU time per {one}"
        found += least(_all(models, "cpu_time_per_request_ns"), "Least", cpu, format_duration_ns)
        switches = f"context switches per {one}"
        found += least(_all(models, "context_switches"), "Fewest", switches, per_request)
    return found + list(_held_back(results, models))


def _carried(results: Results, models: list[ModelResult]) -> Iterable[str]:
    """Who meets all objectives under this load, and who does not."""
    slos = [slo.text for slo in results.scenario.slos]
    if not slos or not models or results.saturation:
        return
    carry: list[str] = []
    fail: list[str] = []
    unknown: list[str] = []
    for model in models:
        verdicts = {model.verdicts[text] for text in slos}
        kind = fail if "fail" in verdicts else carry if verdicts == {"pass"} else unknown
        kind.append(model.label)
    load = f"{_load(results, models)} under {_listed(slos)}"
    if carry:
        parts = [f"{_listed(carry)} {'carries' if len(carry) == 1 else 'carry'} {load}"]
        if fail:
            parts.append(f"{_listed(fail)} {'does' if len(fail) == 1 else 'do'} not")
    elif fail:
        nobody = "Not one model carries" if not unknown else f"{_listed(fail)} cannot carry"
        parts = [f"{nobody} {load}"]
    else:
        parts = [f"Who carries {load} cannot be told yet"]
    if unknown and (carry or fail):
        parts.append(f"of {_listed(unknown)} it cannot be told yet")
    yield "; ".join(parts) + "."


def _load(results: Results, models: list[ModelResult]) -> str:
    """What was asked of all alike: so many requests a second, if that does not depend on them."""
    if not _is_open(results):
        return "the load"
    records = models[0].records
    ns = sum(record.duration_ns for record in records)
    per_s = sum(record.offered for record in records) / ns * 1e9
    return f"{format_count(per_s)} {traffic(results.scenario)}/s"


def _is_open(results: Results) -> bool:
    # In a closed workload every user always waits for something.
    options = results.scenario.workload.options
    return hasattr(options, "connections") and not hasattr(options, "users")


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _soonest(results: Results, models: list[ModelResult]) -> list[str]:
    """Who answers soonest of those that keep up: by the highest percentile that all have."""
    keep_up = [model for model in models if _in_time(results, model) >= KEEPS_UP]
    items = traffic(results.scenario) == "items"
    for percentile in PERCENTILES:
        metric = f"response_time_{percentile}_ns"
        if any(None in model.values.get(metric, (None,)) for model in keep_up):
            continue
        noun = f"{percentile} from made to used" if items else f"{percentile} response time"
        values = _all(keep_up, metric)
        return least(values, "Shortest", noun, format_duration_ns, "longest", "as long")
    return []


def _in_time(results: Results, model: ModelResult) -> float:
    """The part of what was asked that was answered in time."""
    offered = sum(record.offered for record in model.records)
    waiting = sum(record.in_flight for record in model.records) if _is_open(results) else 0
    lost = sum(record.refused + record.timed_out for record in model.records)
    return 1 - (lost + waiting) / offered if offered else 1.0


def _overload(results: Results, models: Iterable[ModelResult]) -> Iterable[str]:
    """Who did not answer what was asked: for want of something, or because it takes so long."""
    behind: list[str] = []
    late: list[str] = []
    for model in models:
        in_time = _in_time(results, model)
        if in_time < KEEPS_UP:
            found = late if _only_late(model) else behind
            found.append(f"{model.label} ({format_percent(in_time)})")
    if behind:
        yield (
            f"Did not keep up with the load, by the part answered in time: {', '.join(behind)}; "
            "response times there tell how long the run or the clients' patience was, not how "
            "fast the server is."
        )
    if late:
        yield (
            f"Answered too late for the clients' timeout, by the part answered in time: "
            f"{', '.join(late)}; there is no backlog and nothing was used up, a request takes so "
            "long. Response times there are those of the fast ones."
        )


def _only_late(model: ModelResult) -> bool:
    """True if requests were timed out without anything at its limit."""
    timed_out = sum(record.timed_out for record in model.records)
    others = sum(record.refused + record.in_flight for record in model.records)
    limit = limiter(model)
    return timed_out > others and not (limit is not None and limit.full)


def _held_back(results: Results, models: Iterable[ModelResult]) -> Iterable[str]:
    """What held back each that did not keep up, or that fails an objective."""
    for model in models:
        failing = _in_time(results, model) < KEEPS_UP or "fail" in model.verdicts.values()
        limit = limiter(model) if failing else None
        if limit is not None:
            yield f"What holds {model.label} back: {limit.evidence}."


def _values(model: ModelResult, metric: str) -> Values | None:
    values = {}
    for record in model.records:
        measured = measure_all(record)
        measured["context_switches"] = _sum(
            measured["voluntary_switches_per_request"],
            measured["involuntary_switches_per_request"],
        )
        values[record.replication] = measured[metric]
    known = [value for value in values.values() if value is not None]
    return Values(model.label, sum(known) / len(known), values) if known else None


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _all(models: Iterable[ModelResult], metric: str) -> list[Values]:
    return [values for model in models if (values := _values(model, metric)) is not None]


def least(
    of_models: Iterable[Values],
    word: str,
    noun: str,
    show: Callable[[float], str],
    most: str = "most",
    times: str = "as much",
) -> list[str]:
    """Who has the least of something, with whom it may be shared, and who has the most."""
    found = sorted(of_models, key=lambda values: values.mean)
    if len(found) < 2:
        return []
    best, worst = found[0], found[-1]
    if len(best.values) < 2:
        return [
            f"In this one replication {best.label} had the {word.lower()} {noun} "
            f"({show(best.mean)}) and {worst.label} the {most} ({show(worst.mean)}); more "
            "replications would tell whether that is chance."
        ]
    equals = [other for other in found[1:] if not _differs(best, other)]
    if len(equals) == len(found) - 1:
        return [
            f"By {noun} no model can be told from the best: {_range(best.mean, worst.mean, show)}."
        ]
    if not equals:
        start = f"{word} {noun}: {best.label}, {show(best.mean)}"
    else:
        names = [best.label, *(values.label for values in equals)]
        start = (
            f"{word} {noun}: {_listed(names)}, which cannot be told apart "
            f"({_range(best.mean, max(values.mean for values in equals), show)})"
        )
    if worst in equals:  # its mean is the greatest, and may be so by chance
        return [f"{start}."]
    factor = f"{float(f'{worst.mean / best.mean:.2g}'):,g}" if best.mean else "1"
    more = "" if factor == "1" else f", {factor} times {times}"
    return [f"{start}; {most}: {worst.label}, {show(worst.mean)}{more}."]


def _range(low: float, high: float, show: Callable[[float], str]) -> str:
    """From the least to the most, or what both are shown as."""
    return show(low) if show(low) == show(high) else f"{show(low)} to {show(high)}"


def _differs(a: Values, b: Values) -> bool:
    """True if the interval of the paired differences leaves out zero."""
    common = sorted(a.values.keys() & b.values.keys())
    difference = paired_difference([a.values[i] for i in common], [b.values[i] for i in common])
    if difference.low is None or difference.high is None:
        return False
    return difference.low > 0 or difference.high < 0
