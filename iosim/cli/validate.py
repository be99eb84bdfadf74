"""`iosim validate`: hold the simulator against real servers on this machine.

Validated by: tests/cli/test_validate_command.py
"""

import gc
from pathlib import Path
from typing import Annotated, Literal

import typer

from iosim.cli.frame import INCONCLUSIVE, INTERRUPTED, command
from iosim.cli.options import Changes, Force, Json, Models, ProfileName, Quiet, Replications
from iosim.cli.output import progress_of, say, tell
from iosim.errors import UsageError

OUTSIDE = 5


@command(examples=["iosim validate my.yaml --model epoll --loads 20%,50%,80%"])
def validate(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCENARIO]...", help="Scenario files; '-': standard input."),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Instead of scenarios: the held-out grid.")
    ] = False,
    part: Annotated[
        str, typer.Option("--part", metavar="K/N", help="Of the grid, this part alone.")
    ] = "1/1",
    loads: Annotated[
        str | None,
        typer.Option(
            "--loads",
            metavar="20%,50%,80%",
            help="Of what each real server answers at most; default: the scenario's own load.",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="MINUTES", min=0, help="Then begin no further cell."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option("--results", metavar="FILE", help="Keep each run here, and go on from them."),
    ] = None,
    resimulate: Annotated[
        bool, typer.Option("--resimulate", help="Of --results, keep what was measured alone.")
    ] = False,
    explain: Annotated[
        int, typer.Option("--explain", metavar="N", min=0, help="Explain the N worst cells.")
    ] = 5,
    profile: ProfileName = None,
    model: Models = None,
    changes: Changes = None,
    replications: Replications = None,
    server_cores: Annotated[
        str | None, typer.Option("--server-cores", metavar="0,2-3", help="The server's.")
    ] = None,
    client_cores: Annotated[
        str | None, typer.Option("--client-cores", metavar="1", help="The clients'.")
    ] = None,
    load: Annotated[
        Literal["native", "python"] | None,
        typer.Option("--load", metavar="native|python", help="The clients."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", min=1, help="Processes that simulate.")
    ] = None,
    json: Json = False,
    export: Annotated[
        list[Path] | None,
        typer.Option(
            "--export", metavar="FILE", help="Write .md, .csv, .json, or a plot: .png, .svg."
        ),
    ] = None,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Measure and simulate the same at the same loads, and tell the errors.

    Exit code 5: outside the stated tolerance; 4: nothing could be scored.
    """
    from iosim.cli.validating import from_files, from_grid
    from iosim.validation.export import require_writable, to_json, to_text, write_all

    exports = list(export or ())
    require_writable(exports)
    if grid and (scenarios or loads):
        raise UsageError("--grid: the grid has its own scenarios and loads; leave these out")
    chosen = (
        from_grid(part, profile, model, changes, replications)
        if grid
        else from_files(scenarios, loads, profile, model, changes, replications, force)
    )

    from iosim.validation.assessing import validate

    gc.enable()
    with progress_of(quiet, "validating") as progress:
        found = validate(
            chosen.scenarios,
            chosen.profile,
            chosen.shares,
            results,
            resimulate,
            explain,
            budget_s=None if budget is None else 60 * budget,
            jobs=jobs,
            progress=progress,
            server_cores=server_cores,
            client_cores=client_cores,
            load=load,
        )
    for comparison in found.validation.comparisons:
        if comparison.error is not None:
            tell(f"error: {comparison.cell.name}: {comparison.error}")
    try:
        say(to_json(found) if json else to_text(found, quiet))
    finally:
        write_all(found, exports)
    if found.validation.interrupted:
        return INTERRUPTED
    if any(comparison.error for comparison in found.validation.comparisons):
        return 1
    reached = found.scored.is_reached
    return 0 if reached else INCONCLUSIVE if reached is None else OUTSIDE
