"""`iosim trace`: a simulated run, for the Perfetto UI.

Validated by: tests/cli/test_trace_command.py
"""

import gc
from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.loading import load
from iosim.cli.options import Changes, Force, ProfileName, ScenarioFile, Seed
from iosim.cli.output import say


@command(examples=["iosim trace my.yaml --model epoll -o epoll.pftrace"])
def trace(
    scenario: ScenarioFile,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Which one, by label or kind."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")
    ] = Path("run.pftrace"),
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="50ms", help="How much of the run; default: 50ms."),
    ] = None,
    changes: Changes = None,
    seed: Seed = None,
    profile: ProfileName = None,
    force: Force = False,
) -> int:
    """Write what happens in a simulated run, moment by moment, for the Perfetto UI.

    The file opens in https://ui.perfetto.dev, which reads it in the browser: cores, threads with
    their syscalls, who wakes whom, and each request's way.
    """
    from iosim.report.export import Export

    Export.writable("--output", output)
    loaded, costs = load(scenario, changes, profile, force, last={"run.seed": seed})

    from iosim.report.perfetto.writing import trace

    gc.enable()
    say(str(trace(loaded, model, output, costs, duration)))
    return 0
