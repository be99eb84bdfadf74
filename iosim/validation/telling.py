"""A validation in sentences: whether it is good enough, and what would explain what is not.

Besides: what was compared where and when, what was held out, and what the host did meanwhile.

Validated by: tests/validation/test_report.py
"""

from collections.abc import Iterator
from statistics import median

from iosim.report.table import percent
from iosim.validation.assessing import Assessment
from iosim.validation.attribution import Attribution
from iosim.validation.cells import SATURATION
from iosim.validation.doubts import FITTED
from iosim.validation.report import shown
from iosim.validation.running import Comparison


def sentences(assessment: Assessment) -> list[str]:
    """In the order of interest."""
    return [
        *_verdict(assessment),
        *map(_explained, assessment.attributions),
        *_scope(assessment),
        *_held_out(assessment),
        *_noise(assessment),
        *_errors(assessment),
    ]


def _verdict(assessment: Assessment) -> Iterator[str]:
    reached = assessment.scored.is_reached
    if reached is None:
        yield "Nothing could be scored: of no figure is the measured side known well enough."
        return
    if reached:
        yield "Within the stated tolerance, as far as it could be scored."
    else:
        yield "Outside the stated tolerance."
    wrong = sum(len(order.wrong) for order in assessment.orders)
    pairs = sum(order.pairs for order in assessment.orders)
    if pairs:
        yield f"Of {pairs} orders of two models that are known, {pairs - wrong} are simulated so."
    if assessment.contests:
        won = sum(contest.is_won for contest in assessment.contests)
        yield (
            f"Nearer than the formula in {won} of {len(assessment.contests)} metrics that it tells."
        )


def _explained(found: Attribution) -> str:
    """What would explain one cell's errors."""
    worst = max(found.errors, key=lambda metric: abs(found.errors[metric]))
    metric = shown(worst).title
    told = f"{found.cell}: {metric} is off by {found.errors[worst]:+.1f} times what is allowed; "
    if not found.is_told_apart:
        return f"{told}it is the only figure, which whatever moves it would explain."
    if found.named is None:
        return f"{told}no single mechanism would explain half of its errors."
    others = [f"{each.change} {each.explained:.0%}" for each in found.others[:2]]
    also = f" (and {', '.join(others)})" if others else ""
    named = found.named
    return f"{told}{named.change} would explain {named.explained:.0%} of its errors{also}."


def _scope(assessment: Assessment) -> Iterator[str]:
    validation = assessment.validation
    done = len(validation.comparisons)
    if validation.missing:
        yield (
            f"{done} of {done + validation.missing} cells were compared; with --results the same "
            "command goes on with the others."
        )
    dates = sorted({_about(c, "date")[:10] for c in validation.comparisons} - {""})
    machines = sorted({_about(c, "machine") for c in validation.comparisons} - {""})
    if dates:
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        yield f"Measured on {'; and on '.join(machines)}; {when}."
    yield f"Simulated with the profile {validation.profile.name}."


def _about(comparison: Comparison, what: str) -> str:
    return str(comparison.measured.about.get(what, ""))


def _held_out(assessment: Assessment) -> Iterator[str]:
    fitted = {
        id(figure.comparison) for figure in assessment.scored.figures if figure.unscored == FITTED
    }
    validation = assessment.validation
    name = validation.profile.name
    if fitted:
        yield f"{len(fitted)} cells were used in the fit of {name}, and are not scored."
    elif validation.profile.fitted_on:
        yield f"All cells were held out: {name} was fitted to none of them."
    elif validation.comparisons:
        yield f"All cells were held out: {name} was not fitted to runs of real servers."


def _noise(assessment: Assessment) -> Iterator[str]:
    comparisons = assessment.validation.comparisons
    stolen = [part for c in comparisons for part in c.measured.about.get("stolen_fractions", ())]
    if stolen:
        yield (
            f"The host took {percent(median(stolen))} of the server's cores in the median run, "
            f"{percent(max(stolen))} in the worst."
        )
    runs = [names for comparison in comparisons for names in comparison.measured.disturbed]
    disturbed = [names for names in runs if names]
    if disturbed:
        kinds = sorted({name for names in disturbed for name in names})
        yield (
            f"{len(disturbed)} of {len(runs)} real runs were disturbed, however often they were "
            f"made ({', '.join(kinds)}); they are left out of what is scored."
        )


def _errors(assessment: Assessment) -> Iterator[str]:
    told: dict[str, str] = {}
    for comparison in assessment.validation.comparisons:
        if comparison.error is not None:
            kind = "saturation" if comparison.cell.load == SATURATION else str(comparison.cell.load)
            told.setdefault(comparison.error, f"{comparison.cell.scenario.name}, {kind}")
    for error, where in told.items():
        yield f"No result: {error} ({where})."
