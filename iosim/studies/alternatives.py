"""Changes to a scenario and its costs, as the alternatives of a study.

    alternatives(scenario, profile, ["machine.cores=2", "runtime=native, workload.open.rate=9k/s"])

What it does: each text is one alternative, of one change or of several with commas between. A
change is a path in the scenario and its value, as `--set` takes it; or `profile=NAME`, another
profile for all costs; or `profile.COST=VALUE`, one cost, by a quantity or a factor (`x0.5`).
`runtime` is short for `machine.runtime`.

Scope: what is wrong with any of them is told at once, by the change's own words.
Not done: models that only an alternative has are left alone by whoever compares.
Validated by: tests/studies/test_what_if.py
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from iosim.errors import IosimError, ScenarioError, UsageError, shown
from iosim.profile import Profile, with_costs
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, from_data

SHORT_PATHS = {"profile": "machine.profile", "runtime": "machine.runtime"}


@dataclass(frozen=True)
class Alternative:
    """A scenario and its costs, changed."""

    text: str
    """The changes, as the user wrote them."""
    scenario: Scenario
    profile: Profile


def alternatives(
    scenario: Scenario, profile: Profile, texts: Iterable[str], force: bool = False
) -> tuple[Alternative, ...]:
    """One alternative for each text. Raises UsageError with all that is wrong.

    force: lift the limits on size.
    """
    found, wrong = [], []
    for text in texts:
        try:
            found.append(_alternative(scenario, profile, text.strip(), force))
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    return tuple(found)


def assignments(text: str) -> list[tuple[str, str]]:
    """The changes of one alternative: (path, value). Raises UsageError."""
    changes = []
    for part in _parts(text):
        path, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not path or not value:
            raise UsageError(
                f"--change {text}: expected path=value, such as machine.cores=2 or "
                f"profile.context_switch=x0.5, found {shown(part.strip())}"
            )
        changes.append((SHORT_PATHS.get(path, path), value))
    return changes


def _parts(text: str) -> list[str]:
    """A text cut at its commas, but for those within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        depth += (char in "[{") - (char in "]}") if not quote else 0
        if char == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _alternative(scenario: Scenario, profile: Profile, text: str, force: bool) -> Alternative:
    changes = assignments(text)
    costs = {path: value for path, value in changes if path.startswith("profile.")}
    others = [(path, value) for path, value in changes if path not in costs]
    changed = _changed(scenario, others, text, force) if others else scenario
    try:
        if "machine.profile" in dict(others):
            profile = load_profile(changed.machine.profile)
        profile = with_costs(
            profile, {path.removeprefix("profile."): value for path, value in costs.items()}
        )
    except IosimError as error:
        raise _refused(text, str(error)) from None
    return Alternative(text, changed, profile)


def _changed(
    scenario: Scenario, changes: list[tuple[str, str]], text: str, force: bool
) -> Scenario:
    try:
        return from_data(scenario.to_data(), force, scenario.folder, changes)
    except ScenarioError as error:
        # Where it stands is of no use: there is no file in which it says so.
        told = [str(replace(problem, line=0, file="")) for problem in error.problems]
        raise _refused(text, *(each.removeprefix(": ") for each in told)) from None
    except UsageError as error:
        reason = str(error)
        for path, _ in changes:
            reason = reason.removeprefix(f"--set {path}: ")
        raise _refused(text, reason) from None


def _refused(text: str, *reasons: str) -> UsageError:
    return UsageError("\n".join(f"--change {text}: {reason}" for reason in reasons))
