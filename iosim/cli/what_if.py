"""`iosim what-if`: a scenario and its changes, and where the differences come from."""

import gc
from typing import Annotated

import typer

from iosim.cli.answering import give
from iosim.cli.frame import INTERRUPTED, command
from iosim.cli.loading import load, selected
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


@command("what-if")
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

    require_writable(export or ())
    last = {"run.seed": seed, "run.replications": replications}
    loaded, costs = load(scenario, changes, profile, force, last=last)
    if model:
        loaded = loaded.model_copy(update={"models": selected(loaded, model)})

    from iosim.report.what_if import answer
    from iosim.studies.what_if import what_if

    gc.enable()
    with progress_of(quiet, "simulating") as progress:
        found = what_if(loaded, change or (), costs, jobs, progress, force)
    tell_warnings(found.baseline.warnings)
    give(answer(found), export or [], json)
    return INTERRUPTED if found.interrupted else 0
