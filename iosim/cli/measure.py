"""`iosim measure`: run a scenario for real, and print the same tables."""

import gc
from pathlib import Path
from typing import Annotated, Literal

import typer

from iosim.cli.frame import command
from iosim.cli.loading import measurable
from iosim.cli.options import (
    Changes,
    Exports,
    Force,
    Json,
    Models,
    Quiet,
    Replications,
    ScenarioFile,
    Seed,
)
from iosim.cli.output import progress_of
from iosim.cli.showing import show


@command(examples=["iosim measure my.yaml --model epoll --export measured.json"])
def measure(
    scenario: ScenarioFile,
    model: Models = None,
    changes: Changes = None,
    seed: Seed = None,
    replications: Replications = None,
    server_cores: Annotated[
        str | None,
        typer.Option("--server-cores", metavar="0,2-3", help="The server's; default: the first."),
    ] = None,
    client_cores: Annotated[
        str | None,
        typer.Option("--client-cores", metavar="1", help="The clients'; default: the next one."),
    ] = None,
    saturate: Annotated[
        bool, typer.Option("--saturate", help="Find what each model answers at most.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Write what scheduler and syscalls did: text; .pftrace: for Perfetto.",
        ),
    ] = None,
    load: Annotated[
        Literal["native", "python"] | None,
        typer.Option(
            "--load", metavar="native|python", help="The clients; default: native if compilable."
        ),
    ] = None,
    json: Json = False,
    export: Exports = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Run each I/O model of a scenario for real, on this machine, and print what came out."""
    from iosim.report.export import Export

    exports = [Export.to(path) for path in export or ()]
    if trace is not None:
        Export.writable("--trace", trace)
    loaded = measurable(
        scenario, changes, force, {"run.seed": seed, "run.replications": replications}, model
    )

    from iosim import measurement

    gc.enable()
    with progress_of(quiet, "measuring") as progress:
        results = (measurement.saturate if saturate else measurement.measure)(
            loaded,
            server_cores=server_cores,
            client_cores=client_cores,
            load=load,
            trace=trace,
            progress=progress,
        )
    return show(results, exports, json, quiet)
