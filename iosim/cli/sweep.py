"""`iosim sweep`: one scenario at many points.

Validated by: tests/cli/test_sweep_command.py
"""

import gc
from pathlib import Path
from typing import Annotated

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
from iosim.cli.output import tell, tell_warnings
from iosim.cli.points_done import progress_of_points


@command(examples=["iosim sweep my.yaml --model epoll --over workload.open.rate=5k/s..20k/s"])
def sweep(
    scenario: ScenarioFile,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="PATH=VALUES",
            help="What is varied: 1,2,4 or 4..256 (doubling) or 4..256:linear 8 or 1us..1ms:log 10."
            " May be repeated.",
        ),
    ],
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="N points drawn instead of all."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="lhs|sobol", help="How they are drawn.")
    ] = "lhs",
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    jobs: Jobs = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="Run on the workers of a Dask scheduler."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", "-o", metavar="FOLDER", help="Results; default: NAME.sweep."),
    ] = None,
    profile: ProfileName = None,
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Simulate a scenario at every combination of some values, or at a sample of them."""
    from iosim.report.study import require_writable

    require_writable(export or ())
    loaded, costs = load(
        scenario,
        changes,
        profile,
        force,
        last={"run.seed": seed, "run.replications": replications},
        models=model,
    )
    dear = any(change.strip().startswith("profile.") for change in changes or ())

    from iosim.report.sweeping import answer
    from iosim.studies.sweep import default_folder, sweep

    gc.enable()
    folder = folder or default_folder(loaded)
    if not quiet:
        tell(f"results: {folder}")
    with progress_of_points(quiet) as progress:
        swept = sweep(
            loaded,
            over,
            sample,
            method,
            profile=costs if dear else None,
            jobs=jobs,
            dask=dask,
            folder=folder,
            progress=progress,
            force=force,
        )
    tell_warnings(swept.warnings)
    give(answer(swept, figures=bool(json or export)), export or [], json)
    if swept.interrupted:
        return INTERRUPTED
    return 1 if swept.standing.failed else 0
