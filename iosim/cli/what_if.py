"""`iosim what-if`: a scenario and its changes, and where the differences come from.

Validated by: tests/cli/test_study_commands.py
"""

import gc
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from iosim.cli.answering import give
from iosim.cli.frame import INTERRUPTED, command
from iosim.cli.loading import load
from iosim.cli.options import (
    Changes,
    Exports,
    Force,
    Jobs,
    Json,
    Models,
    ProfileName,
    Quiet,
    Replications,
    ScenarioFile,
    Seed,
)
from iosim.cli.output import progress_of, tell_warnings
from iosim.errors import UsageError

if TYPE_CHECKING:
    from iosim.profile import Profile
    from iosim.report.study import Answer
    from iosim.results import Results
    from iosim.scenario import Scenario
    from iosim.simulation import Progress


@command("what-if", examples=["iosim what-if my.yaml --model epoll --change machine.cores=4"])
def what_if(
    scenario: ScenarioFile,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            metavar="PATH=VALUE[, ...]",
            help="An alternative: machine.cores=2, profile=no_mitigations, runtime=native, "
            "profile.context_switch=x0.5, or several joined by commas. May be repeated.",
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Instead: which costs, within their spread, matter."),
    ] = False,
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="With --sensitivity: for what.")
    ] = "p99",
    method: Annotated[
        Literal["tornado", "morris", "sobol"],
        typer.Option(
            "--method",
            metavar="tornado|morris|sobol",
            help="With --sensitivity: one cost at a time, or all together (needs iosim[doe]).",
        ),
    ] = "tornado",
    samples: Annotated[
        int | None,
        typer.Option("--samples", metavar="N", min=2, help="Of morris: paths; of sobol: points."),
    ] = None,
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    jobs: Jobs = None,
    profile: ProfileName = None,
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Simulate a scenario and its changes: what differs, by how much, and which part of it."""
    from iosim.report.study import require_writable

    if sensitivity == bool(change):
        raise UsageError("what-if: expected either --change or --sensitivity")
    require_writable(export or ())
    last = {"run.seed": seed, "run.replications": replications}
    loaded, costs = load(scenario, changes, profile, force, last=last, models=model)
    gc.enable()
    with progress_of(quiet, "simulating") as progress:
        if sensitivity:
            study = _sensitivity(loaded, costs, metric, method, samples, jobs, progress)
        else:
            study = _changes(loaded, costs, change or [], jobs, progress, force)
    baseline, answer, interrupted = study
    tell_warnings(baseline.warnings)
    give(answer, export or [], json, quiet=quiet)
    return INTERRUPTED if interrupted else 0


def _changes(
    scenario: "Scenario",
    costs: "Profile",
    changes: list[str],
    jobs: int | None,
    progress: "Progress | None",
    force: bool,
) -> "tuple[Results, Answer, bool]":
    from iosim.report.what_if import answer
    from iosim.studies.what_if import what_if

    found = what_if(scenario, changes, costs, jobs, progress, force)
    return found.baseline, answer(found), found.interrupted


def _sensitivity(
    scenario: "Scenario",
    costs: "Profile",
    metric: str,
    method: str,
    samples: int | None,
    jobs: int | None,
    progress: "Progress | None",
) -> "tuple[Results, Answer, bool]":
    if method == "tornado":
        from iosim.report.sensitivity import answer
        from iosim.studies.sensitivity import sensitivity

        swings = sensitivity(scenario, metric, costs, jobs, progress)
        return swings.baseline, answer(swings), swings.interrupted
    from iosim.report.designs import answer as answer_of_design
    from iosim.studies.designs import explore

    design = explore(scenario, metric, method, samples, costs, jobs, progress)
    return design.baseline, answer_of_design(design), False
