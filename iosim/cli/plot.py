"""`iosim plot`: one metric of results as a picture for a paper."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from iosim.cli.frame import command
from iosim.cli.output import say


@command(examples=["iosim plot before.json --x model --y throughput -o models.png"])
def plot(
    result: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Files that `iosim run --export` wrote (.json)."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg or .pdf.")
    ],
    x: Annotated[
        str,
        typer.Option("--x", metavar="WHAT", help="load, model, a metric, or a scenario's key."),
    ] = "load",
    y: Annotated[
        str, typer.Option("--y", metavar="METRIC", help="As p99, throughput, switches.")
    ] = "p99",
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="A line for each: model, source, or a key.")
    ] = "model",
) -> int:
    """Plot one metric of results, with intervals, for a paper."""
    from iosim.documents import read_all
    from iosim.report.plot import plot, save, writable

    writable(output)
    documents = read_all(result)
    gc.enable()
    save(plot(documents, x, y, by), output)
    say(str(output))
    return 0
