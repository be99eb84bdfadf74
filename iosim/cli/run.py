"""`iosim run`: simulate a scenario and print tables."""

import gc
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.loading import load, precision_of
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
from iosim.cli.showing import show
from iosim.cli.watching import watching


@command(
    examples=[
        "iosim run my.yaml",
        "iosim run my.yaml --model epoll --set workload.open.rate=12k/s",
        "iosim run my.yaml --set profile.context_switch=x2 --export dear.json",
    ]
)
def run(
    scenario: ScenarioFile,
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    jobs: Jobs = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="5%@p99",
            help="Replicate until the interval of this metric is so narrow.",
        ),
    ] = None,
    profile: ProfileName = None,
    live: Annotated[
        bool, typer.Option("--live", help="On a terminal, show results as they come.")
    ] = False,
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Simulate each I/O model of a scenario and print what came out."""
    from iosim.report.export import Export

    exports = [Export.to(path) for path in export or ()]
    wanted = precision_of(precision)
    loaded, costs = load(
        scenario,
        changes,
        profile,
        force,
        last={"run.seed": seed, "run.replications": replications},
        models=model,
    )

    from iosim.simulation import simulate

    gc.enable()
    with watching(live, quiet) as (progress, watch):
        results = simulate(loaded, costs, jobs, wanted, progress, watch)
    return show(results, exports, json, quiet)
